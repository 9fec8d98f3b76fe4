//! Every death, every pair of deaths, every state of a power cut and every failing call, in each format, as a table.
//!
//! It takes many minutes and is run by `just crash` alone. `CRASH_FORMAT` names the one format to try; in `CRASH_KEEP`, a folder,
//! each file that was looked at is left once, with the rows that were found in it, for other people's readers.

use std::{env, path::PathBuf, sync::Arc, time::Instant};

use pagemill::{Format, Rewind};
use pagemill_tests::crash::{
    cases::{self, Cuts, Setting, Tally},
    readers,
    verdict::What,
    workload::{Course, formats},
};

#[test]
#[ignore = "takes many minutes"]
fn everything() {
    let keep = env::var_os("CRASH_KEEP").map(PathBuf::from);
    let only = env::var("CRASH_FORMAT").ok();
    if let Some(keep) = &keep {
        readers::leave_in(keep);
    }
    let mut sound = true;
    println!(
        "\n{:<8} {:<22} {:<7} {:>7} {:>5} {:>7} {:>6} {:>8} {:>8} {:>7}",
        "format", "run", "mishap", "cases", "lost", "doubled", "mixed", "partial", "others", "seconds"
    );
    for format in formats().into_iter().filter(|f| only.as_ref().is_none_or(|only| only == f.name())) {
        for setting in settings(&format) {
            sound &= all(&setting);
        }
    }
    println!("{} files were read, that differ", readers::left());
    assert!(sound, "see above");
}

/// Each way in which a run goes. Those besides the plain ones do not depend on the format: the plain format goes them all.
fn settings(format: &Arc<dyn Format>) -> Vec<Setting> {
    let plain = Setting::new(format.clone());
    let mut settings = vec![plain.clone(), Setting { overwrite: true, ..plain.clone() }];
    if format.name() == "lines" {
        let rewinds = [Rewind::Checkpoint, Rewind::Start].map(Course::Rewind);
        for course in [Course::Pipeline, Course::Suspend, Course::Abort].into_iter().chain(rewinds) {
            settings.push(Setting { course, ..plain.clone() });
        }
    }
    settings
}

fn all(setting: &Setting) -> bool {
    let course =
        if setting.overwrite { "overwrite".to_owned() } else { format!("{:?}", setting.course).to_lowercase() };
    let mut sound = true;
    let cuts = Cuts { more: 40, again: 40, some: None, seed: 1, first_only: false };
    let mishaps = ["death", "deaths", "power", "fault"];
    for mishap in mishaps {
        let begun = Instant::now();
        let tally = match mishap {
            "death" => cases::deaths(setting, true, None),
            "deaths" => cases::double_deaths(setting, None),
            "power" => cases::power_cuts(setting, cuts),
            _ => cases::failures(setting, None),
        };
        print(setting.format.name(), &course, mishap, &tally, begun);
        sound &= tally.flaws.is_empty() && tally.cases > 0;
    }
    sound
}

fn print(format: &str, course: &str, mishap: &str, tally: &Tally, begun: Instant) {
    let known = [What::Lost, What::Doubled, What::Mixed, What::Partial];
    let others: u64 = tally.flaws.values().sum::<u64>() - known.iter().map(|what| tally.of(*what)).sum::<u64>();
    let [lost, doubled, mixed, partial] = known.map(|what| tally.of(what));
    println!(
        "{format:<8} {course:<22} {mishap:<7} {:>7} {lost:>5} {doubled:>7} {mixed:>6} {partial:>8} {others:>8} {:>7.1}",
        tally.cases,
        begun.elapsed().as_secs_f64()
    );
    for flaw in &tally.first {
        println!("    {flaw}");
    }
    if mishap == "deaths" {
        println!("    of which {} began where a committed run was not all in place", tally.half_moved);
    }
}
