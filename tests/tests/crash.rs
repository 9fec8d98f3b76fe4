//! Runs that die, whose disk fails, or whose power is cut: a quick form of `just crash`.

use std::sync::Arc;

use pagemill::{Format, Rewind};
use pagemill_tests::crash::{
    broken::Broken,
    cases::{self, Cuts, Setting, Tally},
    damage,
    lines::Lines,
    workload::{Course, formats},
};

const SEED: u64 = 1;

const CUTS: Cuts = Cuts { more: 2, again: 0, some: None, seed: SEED, first_only: false };

fn lines() -> Setting {
    Setting::new(Arc::new(Lines))
}

fn real_formats() -> Vec<Arc<dyn Format>> {
    formats().into_iter().filter(|format| format.name() != "lines").collect()
}

/// The ways in which a run goes, besides the plain one.
fn others() -> Vec<Setting> {
    let rewinds = [Rewind::Checkpoint, Rewind::Start].map(Course::Rewind);
    let courses = [Course::Suspend, Course::Abort, Course::Pipeline].into_iter().chain(rewinds);
    let mut settings: Vec<_> = courses.map(|course| Setting { course, ..lines() }).collect();
    settings.push(Setting { overwrite: true, ..lines() });
    settings
}

fn over(settings: Vec<Setting>, cases: impl Fn(&Setting) -> Tally) -> Tally {
    let mut total = Tally::default();
    settings.iter().for_each(|setting| total.add(cases(setting)));
    total
}

fn each_format() -> Vec<Setting> {
    real_formats().into_iter().map(Setting::new).collect()
}

#[test]
fn a_death_at_any_call_loses_and_doubles_nothing() {
    cases::deaths(&lines(), true, None).assert_sound(290);
}

#[test]
fn nor_does_one_in_a_run_that_goes_another_way() {
    over(others(), |setting| cases::deaths(setting, false, Some((60, SEED)))).assert_sound(150);
}

#[test]
fn nor_in_any_format() {
    over(each_format(), |setting| cases::deaths(setting, true, Some((60, SEED)))).assert_sound(80);
}

#[test]
fn nor_does_a_second_death_in_the_run_that_follows() {
    let mut total = cases::double_deaths(&lines(), Some((900, SEED)));
    total.add(over(others(), |setting| cases::double_deaths(setting, Some((60, SEED)))));
    assert!(total.half_moved > 0, "{}", total.half_moved);
    total.assert_sound(200);
}

#[test]
fn a_power_cut_after_any_call_leaves_the_old_or_the_new() {
    cases::power_cuts(&lines(), Cuts { again: 100, ..CUTS }).assert_sound(350);
}

#[test]
fn so_it_does_in_a_run_that_goes_another_way() {
    over(others(), |setting| cases::power_cuts(setting, Cuts { some: Some(80), ..CUTS })).assert_sound(440);
}

#[test]
fn and_in_any_format() {
    over(each_format(), |setting| cases::power_cuts(setting, Cuts { some: Some(60), ..CUTS })).assert_sound(180);
}

#[test]
fn a_call_that_fails_is_told_and_the_next_run_completes() {
    let mut total = cases::failures(&lines(), Some((400, SEED)));
    total.add(over(others(), |setting| cases::failures(setting, Some((40, SEED)))));
    total.add(over(each_format(), |setting| cases::failures(setting, Some((20, SEED)))));
    total.assert_sound(500);
}

#[test]
fn a_panic_in_any_call_is_an_error_and_frees_the_slot() {
    cases::panics(&lines(), 2).assert_sound(40);
}

#[test]
fn what_is_damaged_is_seen_and_not_relied_on() {
    damage::journal(&lines(), 5).assert_sound(300);
    damage::parts(&lines(), 100, SEED).assert_sound(120);
}

#[test]
fn a_broken_protocol_is_found_out() {
    let some = Cuts { more: 0, first_only: true, ..CUTS };
    for broken in Broken::ALL {
        let setting = Setting { broken, ..lines() };
        let tally = match broken {
            Broken::SyncedAgain => cases::failures(&setting, None),
            Broken::Unchecked => damage::parts(&setting, 20, SEED),
            _ => cases::power_cuts(&setting, some),
        };
        println!("{broken:?}: {} cases, {:?}", tally.cases, tally.first.first());
        assert_eq!(tally.flaws.is_empty(), broken == Broken::Sound, "{broken:?}: {tally:#?}");
    }
}
