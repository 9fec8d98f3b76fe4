//! What is removed of attempts that died, and what never is.

mod common;

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use common::{files, run, seen, sink, sink_called, tables, write_all, written};
use pagemill_core::{ErrorKind, Sink};
use pagemill_sink::{
    AttemptId, FileSink,
    gc::{Attempt, Options, Verdict, collect},
};

const DAY: Duration = Duration::from_secs(86_400);

fn gc(out: &Path, remove: bool) -> Vec<Attempt> {
    let options = Options { older_than: Duration::ZERO, now: SystemTime::now(), remove };
    collect(out, &options).expect("it can be looked at")
}

/// Opens a run of the slot and stages rows; dropping what is returned lets it die.
async fn staged(out: &Path, slot: Option<&str>, id: u128) -> FileSink {
    let mut sink = sink_called(out, AttemptId::from_bits(id)).rows_per_part(2);
    sink.open(&run(slot), &tables()).await.expect("opens");
    write_all(&mut sink).await.expect("writes");
    sink
}

async fn publish(out: &Path, slot: Option<&str>, id: u128) {
    staged(out, slot, id).await.commit(&serde_json::Value::Null).await.expect("commits");
}

fn home(out: &Path, slot: &str) -> PathBuf {
    out.with_extension("pagemill").join("m").join(slot)
}

fn attempt(out: &Path, slot: &str, id: u128) -> PathBuf {
    home(out, slot).join(AttemptId::from_bits(id).to_string())
}

fn verdicts(attempts: &[Attempt]) -> Vec<String> {
    attempts.iter().map(|a| format!("{}: {:?}", a.run, a.verdict)).collect()
}

#[tokio::test]
async fn dead_attempts_go_and_live_ones_are_untouched() {
    let dir = tempfile::tempdir().expect("dir");
    let out = dir.path().join("out");
    publish(&out, Some("d=0"), 1).await;
    for (slot, id) in [(None, 2), (Some("e=1"), 3), (Some("e=2/f=1"), 4)] {
        // Staged elsewhere, because what lies around a published slot is refused.
        let other = dir.path().join(format!("other{id}"));
        drop(staged(&other, slot, id).await);
        let slot = slot.unwrap_or("_");
        fs::create_dir_all(home(&out, slot)).expect("dir");
        fs::rename(attempt(&other, slot, id), attempt(&out, slot, id)).expect("moves");
        for folder in home(&out, slot).ancestors().take_while(|p| *p != dir.path()) {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).expect("mode");
        }
    }
    let mut live = staged(&out, Some("d=1"), 5).await;
    let before = files(dir.path());
    let told = gc(&out, false);
    assert_eq!(
        verdicts(&told),
        [
            "m: Removable(\"no manifest names it\")",
            "m/d=1: Kept(\"a run is at work on m/d=1\")",
            "m/e=1: Removable(\"no manifest names it\")",
            "m/e=2/f=1: Removable(\"no manifest names it\")",
        ]
    );
    assert!(told.iter().all(|a| a.bytes > 0 || matches!(a.verdict, Verdict::Kept(_))));
    assert_eq!(files(dir.path()), before, "nothing is changed unless it is asked");

    let done = gc(&out, true);
    assert_eq!(done.iter().filter(|a| matches!(a.verdict, Verdict::Removed(_))).count(), 3);
    for gone in [attempt(&out, "_", 2), attempt(&out, "e=1", 3), attempt(&out, "e=2/f=1", 4)] {
        assert!(!gone.exists(), "{}", gone.display());
    }
    let dead = |path: &PathBuf| {
        done.iter().any(|a| matches!(a.verdict, Verdict::Removed(_)) && dir.path().join(path).starts_with(&a.path))
    };
    let expected: std::collections::BTreeMap<_, _> = before.into_iter().filter(|(path, _)| !dead(path)).collect();
    let locks = |p: &PathBuf| p.file_name().is_some_and(|n| n == "lock");
    let mut left = files(dir.path());
    left.retain(|p, _| expected.contains_key(p) || !locks(p));
    assert_eq!(left, expected, "all that is not an attempt that died is as it was");

    live.commit(&serde_json::Value::Null).await.expect("the live run is published");
    let twice = written().into_iter().map(|(table, rows)| (table, [rows.clone(), rows].concat())).collect();
    assert_eq!(seen(&out), twice);
    assert_eq!(gc(&out, true), [], "nothing is left to remove");
}

#[tokio::test]
async fn the_lock_is_held_while_removing_and_free_afterwards() {
    let dir = tempfile::tempdir().expect("dir");
    let out = dir.path().join("out");
    drop(staged(&out, None, 1).await);
    // A dead attempt beside a live one is not touched either: the lock is the run key's.
    let live = staged(&dir.path().join("other"), None, 2).await;
    drop(live);
    let mut live = sink_called(&out, AttemptId::from_bits(3));
    live.open(&run(None), &tables()).await.expect("opens");
    let beside = attempt(&out, "_", 2);
    fs::rename(attempt(&dir.path().join("other"), "_", 2), &beside).expect("moves");
    assert!(gc(&out, true).iter().all(|a| matches!(a.verdict, Verdict::Kept(_))));
    assert!(beside.exists());
    live.abort().await.expect("aborts");
    gc(&out, true);
    assert!(!beside.exists());
    publish(&out, None, 4).await;
    assert_eq!(seen(&out), written());
}

#[tokio::test]
async fn the_age_is_that_of_the_newest_thing_in_it_and_the_clock_is_the_callers() {
    let dir = tempfile::tempdir().expect("dir");
    let out = dir.path().join("out");
    drop(staged(&out, None, 1).await);
    let part = attempt(&out, "_", 1).join("m/part-00000.txt");
    let newest = SystemTime::now() + DAY;
    fs::File::options().append(true).open(&part).expect("opens").set_modified(newest).expect("a time");
    let at = |now: SystemTime, older_than: Duration, remove: bool| {
        collect(&out, &Options { older_than, now, remove }).expect("looks").remove(0)
    };
    let week = 7 * DAY;
    let kept = at(newest + week - Duration::from_secs(1), week, true);
    assert_eq!(kept.verdict, Verdict::Kept("it is not old enough".to_owned()));
    assert_eq!(kept.age, week - Duration::from_secs(1));
    // A clock that is behind makes nothing old.
    assert!(matches!(at(SystemTime::UNIX_EPOCH, Duration::from_nanos(1), true).verdict, Verdict::Kept(_)));
    assert!(part.exists());
    assert!(matches!(at(newest + week, week, false).verdict, Verdict::Removable(_)));
    assert!(matches!(at(newest + week, week, true).verdict, Verdict::Removed(_)));
    assert!(!attempt(&out, "_", 1).exists());
}

#[tokio::test]
async fn links_are_never_followed_and_other_names_never_touched() {
    let dir = tempfile::tempdir().expect("dir");
    let (out, elsewhere) = (dir.path().join("out"), dir.path().join("elsewhere"));
    drop(staged(&out, None, 1).await);
    fs::create_dir(&elsewhere).expect("dir");
    fs::write(elsewhere.join("file"), "x").expect("file");
    fs::create_dir(elsewhere.join(AttemptId::from_bits(9).to_string())).expect("dir");
    let at = home(&out, "_");
    symlink(&elsewhere, at.join(AttemptId::from_bits(2).to_string())).expect("link");
    symlink(&elsewhere, attempt(&out, "_", 1).join("inside")).expect("link");
    fs::write(at.join(AttemptId::from_bits(3).to_string()), "a file").expect("file");
    for name in ["notes", "0123", &"A".repeat(32), &"0".repeat(33)] {
        fs::create_dir(at.join(name)).expect("dir");
    }
    // A run key, or a dataset, that is a link to somewhere else is none.
    symlink(&elsewhere, at.with_file_name("d=1")).expect("link");
    symlink(&elsewhere, out.with_extension("pagemill").join("n")).expect("link");
    fs::create_dir(out.with_extension("pagemill").join(".trash")).expect("dir");
    let done = gc(&out, true);
    assert_eq!(
        verdicts(&done),
        ["m: Removed(\"no manifest names it\")", "m: Kept(\"it is not a folder\")", "m: Kept(\"it is not a folder\")",]
    );
    assert!(elsewhere.join("file").exists());
    assert!(elsewhere.join(AttemptId::from_bits(9).to_string()).exists());
    let mut left: Vec<_> = fs::read_dir(&at).expect("a folder").map(|e| e.expect("entry").file_name()).collect();
    left.sort();
    let (two, three) = (AttemptId::from_bits(2).to_string(), AttemptId::from_bits(3).to_string());
    assert_eq!(
        left,
        [&"0".repeat(33), &two, &three, "0123", &"A".repeat(32), "lock", "notes"].map(std::ffi::OsString::from)
    );
}

#[tokio::test]
async fn folders_that_others_can_write_to_are_refused_whole() {
    let dir = tempfile::tempdir().expect("dir");
    let out = dir.path().join("out");
    drop(staged(&out, Some("d=1"), 1).await);
    let staging = out.with_extension("pagemill");
    for folder in [staging.clone(), staging.join("m"), staging.join("m/d=1")] {
        for mode in [0o777, 0o720, 0o702] {
            fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).expect("mode");
            let options = Options { older_than: Duration::ZERO, now: SystemTime::now(), remove: true };
            let error = collect(&out, &options).expect_err("open to others");
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains(&folder.display().to_string()), "{error}");
        }
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).expect("mode");
    }
    assert!(attempt(&out, "d=1", 1).exists());
    // The staging folder itself is a link.
    let linked = dir.path().join("linked");
    symlink(&staging, linked.with_extension("pagemill")).expect("link");
    let options = Options { older_than: Duration::ZERO, now: SystemTime::now(), remove: true };
    assert_eq!(collect(&linked, &options).expect_err("a link").kind(), ErrorKind::Config);
    assert!(attempt(&out, "d=1", 1).exists());
    assert_eq!(collect(&dir.path().join("nothing"), &options).expect("nothing there"), []);
}

#[tokio::test]
async fn a_committed_attempt_goes_only_when_all_its_tables_are_in_place() {
    let dir = tempfile::tempdir().expect("dir");
    let out = dir.path().join("out");
    publish(&out, None, 1).await;
    // As if the run had died between two moves.
    let left = attempt(&out, "_", 1);
    fs::create_dir(&left).expect("dir");
    fs::rename(out.join("m_c"), left.join("m_c")).expect("moves back");
    let kept = gc(&out, true);
    assert!(matches!(&kept[0].verdict, Verdict::Kept(why) if why.contains("not all in place")), "{kept:?}");
    // Even when somebody else has put something in its place.
    fs::create_dir(out.join("m_c")).expect("dir");
    assert!(matches!(gc(&out, true)[0].verdict, Verdict::Kept(_)));
    fs::remove_dir(out.join("m_c")).expect("removes");
    fs::rename(left.join("m_c"), dir.path().join("aside")).expect("moves");
    let kept = gc(&out, true);
    assert!(matches!(&kept[0].verdict, Verdict::Kept(_)), "a table that is nowhere is not in place: {kept:?}");
    fs::rename(dir.path().join("aside"), left.join("m_c")).expect("moves");
    assert!(sink(&out).open(&run(None), &tables()).await.expect("finishes").is_some());
    assert_eq!(seen(&out), written());

    // As if it had died before it removed its folder.
    fs::create_dir(&left).expect("dir");
    fs::write(left.join("manifest.json"), "the second name").expect("file");
    assert_eq!(verdicts(&gc(&out, true)), ["m: Removed(\"all its tables are in place\")"]);
    assert_eq!(seen(&out), written());
    assert!(sink(&out).open(&run(None), &tables()).await.expect("is published").is_some());
}

#[tokio::test]
async fn nothing_goes_beside_a_manifest_that_cannot_be_read() {
    let dir = tempfile::tempdir().expect("dir");
    let out = dir.path().join("out");
    drop(staged(&out, None, 1).await);
    for broken in ["", "{", "{\"version\": 99}"] {
        fs::write(home(&out, "_").join("manifest.json"), broken).expect("file");
        let kept = gc(&out, true);
        assert!(matches!(&kept[0].verdict, Verdict::Kept(why) if why.contains("cannot be read")), "{kept:?}");
    }
    assert!(attempt(&out, "_", 1).exists());
}
