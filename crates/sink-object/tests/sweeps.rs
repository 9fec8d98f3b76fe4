//! Whoever removes what is left of dead runs takes a live one for dead, at any moment of both: the run publishes all of it or nothing,
//! and says which.

mod common;

use std::{
    sync::{
        Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    thread::{Scope, ScopedJoinHandle},
    time::{Duration, SystemTime},
};

use common::{
    End, Ended, Fault, FaultStore, Mode, Op, PAGES, World, bytes, checkpoint, clean, end, export, finish, ledger, left,
    name, on, part, plan, published, run, tables, write_page,
};
use pagemill_core::{ErrorKind, Result, Rewind};
use pagemill_sink::{
    Store,
    store::{Opened, Segment},
};
use pagemill_sink_object::ObjectSink;

/// What is there when the run begins.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Before {
    Nothing,
    /// A run that died after a page, from which this one goes on.
    Died,
    /// A published run, which this one replaces.
    Published,
}

/// What has stopped, or has ended.
struct Side<'scope, T> {
    stopped: Receiver<()>,
    go: Sender<()>,
    work: ScopedJoinHandle<'scope, T>,
}

impl<'scope, T: Send + 'scope> Side<'scope, T> {
    /// Starts `work`, and waits until it stops before the first of these calls, or ends without having come to it.
    fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        world: &World,
        at: &[u64],
        work: impl FnOnce(&mut ObjectSink) -> T + Send + 'scope,
    ) -> Self {
        let (stops_at, (stops, stopped)) = (at.len(), channel());
        let (go, goes) = channel::<()>();
        let (at_the_end, goes) = (stops.clone(), Mutex::new(goes));
        let store = FaultStore::clean(world).before(at, move || {
            let _ = stops.send(());
            // When nobody is there to say it, it goes on, too.
            let _ = goes.lock().expect("one waits").recv();
        });
        let work = scope.spawn(move || {
            let result = work(&mut on(store, None));
            // Once for each stop that it has not come to.
            let _ = (0..=stops_at).try_for_each(|_| at_the_end.send(()));
            result
        });
        stopped.recv().expect("it stops or ends");
        Self { stopped, go, work }
    }

    /// Goes on to the next stop, or to the end.
    fn go_on(&self) {
        let _ = self.go.send(());
        self.stopped.recv().expect("it stops or ends");
    }

    fn finish(self) -> T {
        drop(self.go);
        drop(self.stopped);
        self.work.join().expect("no panic")
    }
}

/// Removes all that was not written to for as long as no run takes: here, whatever the age.
fn sweep(store: &mut ObjectSink) -> Result<Vec<String>> {
    let later = SystemTime::now() + Duration::from_secs(3_600);
    store.clean(&run(Some("d=1")), &tables(), later, false)
}

/// What the cases came to.
#[derive(Debug, Default)]
struct Outcomes {
    published: u32,
    gave_up: u32,
}

/// A run that stops before a call until a sweep has come to its `j`-th. Then the run goes on: to its end, or to another call, before
/// which it waits for the sweep to end.
fn case(before: Before, k: &[u64], j: u64, outcomes: &mut Outcomes) {
    let what = || format!("{before:?}, the run at calls {k:?}, the sweep at call {j}");
    let world = World::default();
    match before {
        Before::Nothing => {}
        Before::Died => {
            let mut first = on(FaultStore::failing(&world, Fault::Fail, Mode::FromThenOn, 40), None);
            export(&mut first, false, 2).expect_err("it dies");
            let _ = end(&mut first, End::Crash);
            assert!(world.keys().iter().any(|key| key.ends_with("/journal-000001")), "there is nothing to go on from");
        }
        Before::Published => drop(export(&mut on(FaultStore::clean(&world), None), false, 1).expect("publishes")),
    }
    let old = published(&world);
    let overwrite = before == Before::Published;
    let result = std::thread::scope(|scope| {
        let run = Side::start(scope, &world, k, move |store| {
            let result = export(store, overwrite, 2);
            if result.is_err() {
                let _ = end(store, End::Suspend);
            }
            result
        });
        let sweeping = Side::start(scope, &world, &[j], sweep);
        let (result, swept) = if k.len() > 1 {
            run.go_on();
            let swept = sweeping.finish();
            (run.finish(), swept)
        } else {
            (run.finish(), sweeping.finish())
        };
        // A sweep that finds things moving says so, and has removed nothing that it should not have.
        assert!(swept.as_ref().map_or_else(|e| e.kind() == ErrorKind::Io, |_| true), "{}: {swept:?}", what());
        result
    });
    match result {
        Ok(Ended::Published(_)) => {
            outcomes.published += 1;
            assert_eq!(published(&world), Some(ledger(2)), "{}: published, and not all there", what());
        }
        Ok(Ended::Already(_)) => panic!("{}: nobody else publishes", what()),
        Err(error) => {
            outcomes.gave_up += 1;
            assert_eq!(error.kind(), ErrorKind::Io, "{}: {error:?}", what());
            assert_eq!(published(&world), old, "{}: it gave up, and something is published", what());
        }
    }
    let again = export(&mut on(FaultStore::clean(&world), None), overwrite, 2);
    assert!(again.is_ok(), "{}: the run after: {again:?}", what());
    assert_eq!(published(&world), Some(ledger(2)), "{}: after another run", what());
    clean(&world);
    assert_eq!(left(&world), Vec::<String>::new(), "{}", what());
    assert_eq!(published(&world), Some(ledger(2)), "{}: after another sweep", what());
}

/// How many calls a run and a sweep make when nobody disturbs them.
fn calls(before: Before) -> u64 {
    let world = World::default();
    if before == Before::Published {
        export(&mut on(FaultStore::clean(&world), None), false, 1).expect("publishes");
    }
    let store = FaultStore::clean(&world);
    let calls = store.calls();
    export(&mut on(store, None), before == Before::Published, 2).expect("publishes");
    calls.load(std::sync::atomic::Ordering::SeqCst)
}

fn at_every_moment(before: Before) {
    assert_eq!(PAGES, 3);
    let last = calls(before);
    // Long enough for the steps of the commit, at each of which a sweep stops at each of its own.
    let commit = last.saturating_sub(45);
    let mut outcomes = Outcomes::default();
    let mut cases = 0;
    for k in 0..last {
        let dense = k >= commit || (before == Before::Died && k < 36);
        for j in (0..40).step_by(if dense { 1 } else { 8 }).chain([u64::MAX]) {
            case(before, &[k], j, &mut outcomes);
            cases += 1;
        }
    }
    // A sweep that has begun before the run says that it is about to publish, and ends while it does.
    for k in commit + 1..last {
        for j in 0..40 {
            case(before, &[commit, k], j, &mut outcomes);
            cases += 1;
        }
    }
    println!("{before:?}: {cases} cases: {outcomes:?}");
    assert!(outcomes.published > 100 && outcomes.gave_up > 100, "{outcomes:?}");
}

#[test]
fn a_sweep_at_any_moment_of_a_run() {
    at_every_moment(Before::Nothing);
}

#[test]
fn a_sweep_at_any_moment_of_a_run_that_goes_on_from_another() {
    at_every_moment(Before::Died);
}

#[test]
fn a_sweep_at_any_moment_of_a_run_that_replaces_another() {
    at_every_moment(Before::Published);
}

/// It died as it put its manifest, which may still arrive: its parts stay, whatever their age, until another run has published.
#[test]
fn what_may_be_published_at_any_moment_is_left_alone() {
    let last = calls(Before::Nothing);
    let mut in_doubt = 0;
    for k in 0..last {
        let world = World::default();
        let store = FaultStore::failing(&world, Fault::Timeout, Mode::FromThenOn, k);
        let log = store.log.clone();
        let mut run = on(store, None).tries(1, Duration::ZERO);
        let result = export(&mut run, false, 2);
        let _ = end(&mut run, End::Crash);
        if !result.is_err_and(|e| e.kind() == ErrorKind::Unknown) {
            continue;
        }
        in_doubt += 1;
        let put = log.lock().expect("no panic").first().cloned();
        let before = world.keys();
        let removed = clean(&world);
        if put.is_some_and(|(op, key)| op == Op::Create && key.ends_with("manifest.json")) {
            assert_eq!((removed, world.keys()), (Vec::new(), before), "call {k}");
        }
        assert!(export(&mut on(FaultStore::clean(&world), None), false, 2).is_ok(), "call {k}");
        assert_eq!(published(&world), Some(ledger(2)), "call {k}");
        clean(&world);
        assert_eq!(left(&world), Vec::<String>::new(), "call {k}");
    }
    assert!(in_doubt > 1, "no run died as it put its manifest");
}

/// A sweep, or a run that finds the slot published and tidies up, that has read what it will act on before another run replaced it,
/// and acts while the next one is about to replace that.
#[test]
fn what_was_read_of_a_slot_that_is_replaced_meanwhile_harms_no_run() {
    let mut cases = 0;
    for by_run in [false, true] {
        for j in 0..16 {
            for k in (0..60).step_by(20).chain(60..100) {
                let world = World::default();
                export(&mut on(FaultStore::clean(&world), None), false, 1).expect("publishes");
                world.write("lake/v1.pagemill/m/d=1/00000000000000000000000000000001/closed", b"closed\n");
                let result = std::thread::scope(|scope| {
                    let sweeping = Side::start(scope, &world, &[j], move |store| match by_run {
                        true => drop(export(store, false, 1).expect("it is published")),
                        // Nothing that is at work is an hour old.
                        false => {
                            let since = SystemTime::now() - Duration::from_secs(3_600);
                            drop(store.clean(&run(Some("d=1")), &tables(), since, false).expect("sweeps"));
                        }
                    });
                    export(&mut on(FaultStore::clean(&world), None), true, 2).expect("replaces");
                    let next = Side::start(scope, &world, &[k], |store| export(store, true, 3));
                    sweeping.finish();
                    next.finish()
                });
                assert!(matches!(result, Ok(Ended::Published(_))), "{by_run}, {j}, {k}: {result:?}");
                assert_eq!(published(&world), Some(ledger(3)), "{by_run}, {j}, {k}");
                cases += 1;
            }
        }
    }
    println!("{cases} cases");
}

/// Whoever goes on from a live run's segments and then gives up, or begins anew, leaves it alive.
#[test]
fn a_run_from_which_another_has_gone_on_publishes_all_the_same() {
    for rewind in [false, true] {
        let world = World::default();
        let plan = plan(Some("d=1"), false);
        let mut first = on(FaultStore::clean(&world), None);
        assert!(matches!(first.open(&plan), Ok(Opened::Fresh)));
        write_page(&mut first, 0, 1, true).expect("a page");
        let mut second = on(FaultStore::clean(&world), None);
        assert!(matches!(second.open(&plan), Ok(Opened::Resumed(_))));
        match rewind {
            true => drop(second.rewind(Rewind::Start).expect("begins anew")),
            false => second.abort().expect("gives up"),
        }
        assert!(matches!(finish(&mut first, 1, 1, plan.draft), Ok(Ended::Published(_))));
        drop(second);
        clean(&world);
        assert_eq!((published(&world), left(&world)), (Some(ledger(1)), Vec::new()));
    }
}

/// `m_c` is a list of `m`, and may be a dataset as well.
#[test]
fn two_datasets_with_a_table_of_one_name_leave_each_other_alone() {
    let world = World::default();
    let table = name("m_c");
    let mut other = plan(Some("d=1"), false);
    other.run.dataset = table.clone();
    other.draft.run = other.run.key();
    other.draft.tables.retain(|t| t.name == "m_c");
    let mut store = on(FaultStore::clean(&world), None);
    assert!(matches!(store.open(&other), Ok(Opened::Fresh)));
    for page in 0..PAGES {
        let part = part(&table, page, 1);
        store.create_part(&table, &part.name).expect("a part");
        store.append_part(&table, &part.name, &bytes(&table, page, 1).into()).expect("bytes");
        store.close_part(&part).expect("a part");
        let segment = Segment { upto: checkpoint(page + 1), met: Vec::new(), summary: serde_json::Value::Null };
        store.end_segment(&segment).expect("a segment");
    }
    let mut manifest = other.draft.clone();
    manifest.pages = PAGES;
    store.publish(manifest).expect("publishes");
    export(&mut on(FaultStore::clean(&world), None), false, 1).expect("publishes");
    clean(&world);
    assert_eq!(published(&world), Some(ledger(1)));
    // It says so only when all files are there.
    assert!(matches!(on(FaultStore::clean(&world), None).open(&other), Ok(Opened::Published(..))));
}

/// Without conditions, an answer that is lost leaves the outcome in doubt, whatever comes after it.
#[test]
fn without_conditions_a_lost_answer_is_told_as_one() {
    let mut tried = 0;
    for k in 0..calls(Before::Nothing) {
        let world = World::default();
        let store = FaultStore::failing(&world, Fault::Timeout, Mode::AllButTheNext, k);
        let log = store.log.clone();
        let result = export(&mut on(store, None).unsafe_single_writer(true), false, 1);
        let first = log.lock().expect("no panic").first().cloned();
        if first.is_some_and(|(op, key)| op == Op::Put && key.ends_with("manifest.json")) {
            tried += 1;
            assert_eq!(result.expect_err("it is in doubt").kind(), ErrorKind::Unknown);
            assert_eq!(clean_young(&world), Vec::<String>::new(), "it may be published at any moment");
        }
    }
    assert_eq!(tried, 1);
}

/// Removes what is left, but nothing that is young.
fn clean_young(world: &World) -> Vec<String> {
    let since = SystemTime::now() - Duration::from_secs(3_600);
    on(FaultStore::clean(world), None).clean(&run(Some("d=1")), &tables(), since, false).expect("sweeps")
}

/// A run that goes back to its checkpoint while a sweep takes it for dead.
#[test]
fn a_run_that_goes_back_while_it_is_swept_publishes_all_or_nothing() {
    let (mut published_all, mut gave_up) = (0, 0);
    for k in 30..90 {
        for j in 0..40 {
            let world = World::default();
            let result = std::thread::scope(|scope| {
                let run = Side::start(scope, &world, &[k], |store| {
                    let plan = plan(Some("d=1"), false);
                    store.open(&plan)?;
                    write_page(store, 0, 1, true)?;
                    write_page(store, 1, 1, false)?;
                    store.rewind(Rewind::Checkpoint)?;
                    finish(store, 1, 1, plan.draft)
                });
                let sweeping = Side::start(scope, &world, &[j], sweep);
                let result = run.finish();
                let _ = sweeping.finish();
                result
            });
            match result {
                Ok(_) => {
                    published_all += 1;
                    assert_eq!(published(&world), Some(ledger(1)), "{k} {j}");
                }
                Err(error) => {
                    gave_up += 1;
                    assert_eq!((error.kind(), published(&world)), (ErrorKind::Io, None), "{k} {j}: {error}");
                }
            }
        }
    }
    println!("{published_all} published, {gave_up} gave up");
    assert!(published_all > 100 && gave_up > 100);
}

/// What a manifest that arrives late may speak for stays, however its run has ended, and whoever sweeps or publishes meanwhile.
#[test]
fn a_manifest_that_arrives_late_finds_its_files_or_is_refused() {
    let (mut late, mut won) = (0, 0);
    for (alone, tries) in [(false, 1), (false, 2), (true, 1), (true, 2)] {
        for how in [End::Suspend, End::Abort, End::Crash] {
            for other in [None, Some(false), Some(true)] {
                for k in 40..calls(Before::Nothing) {
                    let world = World::default();
                    let store = FaultStore::failing(&world, Fault::Late, Mode::Once, k);
                    let log = store.log.clone();
                    let mut run = on(store, None).tries(tries, Duration::ZERO).unsafe_single_writer(alone);
                    let result = export(&mut run, false, 2);
                    let put = log.lock().expect("no panic").first().cloned();
                    if !put
                        .is_some_and(|(op, key)| matches!(op, Op::Create | Op::Put) && key.ends_with("manifest.json"))
                    {
                        continue;
                    }
                    if result.is_err() {
                        let _ = end(&mut run, how);
                    }
                    if let Some(overwrite) = other {
                        let mut other = on(FaultStore::clean(&world), None).unsafe_single_writer(alone);
                        export(&mut other, overwrite, 2).expect("another run publishes");
                    }
                    // Where there are no conditions, age is all that tells what may still arrive.
                    match alone {
                        true => drop(clean_young(&world)),
                        false => drop(clean(&world)),
                    }
                    late += world.deliver();
                    won += u32::from(published(&world).is_some());
                    // A reading panics where a file is gone.
                    assert!(published(&world).is_none_or(|all| all == ledger(2)), "{alone} {tries} {how:?} {other:?}");
                    assert!(other.is_none() || published(&world).is_some());
                }
            }
        }
    }
    println!("{late} manifests arrived late, after which {won} slots were published");
    assert_eq!(late, 36);
}

#[test]
fn a_run_whose_parts_somebody_has_removed_publishes_nothing() {
    let world = World::default();
    let mut store = on(FaultStore::clean(&world), None);
    let plan = plan(Some("d=1"), false);
    store.open(&plan).expect("opens");
    for page in 0..PAGES {
        write_page(&mut store, page, 1, true).expect("a page");
    }
    let keys = world.keys();
    world.remove(keys.iter().find(|key| key.contains("/part-00001")).expect("a part"));
    let mut manifest = plan.draft;
    (manifest.pages, manifest.rows) = (PAGES, PAGES * 5);
    assert_eq!(store.publish(manifest).expect_err("a part is gone").kind(), ErrorKind::Io);
    assert_eq!(published(&world), None);
    assert!(!world.keys().iter().any(|key| key.ends_with("/committing")), "it is certain not to be published");
}
