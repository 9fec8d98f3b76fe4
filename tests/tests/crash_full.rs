//! Every death, every pair of deaths, every state of a power cut and every failing call, in each format, as a table.
//!
//! It takes many minutes and is run by `just crash` alone. `CRASH_FORMAT` names the one format to try; in `CRASH_KEEP`, a folder,
//! what was published at the end of some cases is left for other people's readers.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use pagemill::{Format, Rewind};
use pagemill_tests::crash::{
    cases::{self, Cuts, Setting, Tally},
    tree,
    verdict::What,
    workload::{Course, Ledger, formats},
};

/// Trees that are kept for each format, of each kind of mishap.
const KEPT: usize = 50;

#[test]
#[ignore = "takes many minutes"]
fn everything() {
    let keep = env::var_os("CRASH_KEEP").map(PathBuf::from);
    let only = env::var("CRASH_FORMAT").ok();
    let mut sound = true;
    println!(
        "\n{:<8} {:<22} {:<7} {:>7} {:>5} {:>7} {:>6} {:>8} {:>8} {:>7}",
        "format", "run", "mishap", "cases", "lost", "doubled", "mixed", "partial", "others", "seconds"
    );
    for format in formats().into_iter().filter(|f| only.as_ref().is_none_or(|only| only == f.name())) {
        for setting in settings(&format) {
            sound &= all(&setting, keep.as_deref());
        }
    }
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

fn all(setting: &Setting, dir: Option<&Path>) -> bool {
    let course =
        if setting.overwrite { "overwrite".to_owned() } else { format!("{:?}", setting.course).to_lowercase() };
    let mut sound = true;
    let cuts = Cuts { more: 40, again: 40, some: None, seed: 1, first_only: false };
    let mishaps = ["death", "deaths", "power", "fault"];
    for mishap in mishaps {
        let begun = Instant::now();
        let (seen, kept) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let keep = |tree: &tree::Tree, ledger: &Ledger| {
            // Some of the first, and then fewer and fewer.
            let seen = seen.fetch_add(1, Ordering::SeqCst);
            if let Some(dir) = dir
                && seen % 7 == 0
                && !setting.overwrite
            {
                let number = kept.fetch_add(1, Ordering::SeqCst);
                if number < KEPT {
                    leave(&dir.join(setting.format.name()).join(format!("{course}-{mishap}-{number}")), tree, ledger);
                }
            }
        };
        let tally = match mishap {
            "death" => cases::deaths(setting, true, None, Some(&keep)),
            "deaths" => cases::double_deaths(setting, None, Some(&keep)),
            "power" => cases::power_cuts(setting, cuts, Some(&keep)),
            _ => cases::failures(setting, None, Some(&keep)),
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

/// Leaves what was published, and what was served, for other readers.
fn leave(dir: &Path, published: &tree::Tree, ledger: &Ledger) {
    fs::create_dir_all(dir).expect("a folder");
    tree::write(published, dir);
    let servings: Vec<_> = ledger.pages().into_iter().map(|page| page.to_string()).collect();
    fs::write(dir.join("served.json"), format!("[{}]\n", servings.join(","))).expect("a file");
}
