//! Every call on the store goes wrong once, in turn, and in every way. Whatever call it is: what is published is what was written,
//! nothing is doubled, and nothing is left but that.

mod common;

use std::{
    collections::BTreeMap,
    sync::{PoisonError, atomic::Ordering},
    time::Duration,
};

use common::{End, Ended, Fault, FaultStore, Mode, Op, World, clean, end, export, ledger, left, on, published, sink};
use pagemill_core::ErrorKind;

/// What came of all cases of a kind.
#[derive(Debug, Default)]
struct Outcomes {
    published: u32,
    failed: u32,
    by_op: BTreeMap<Op, u32>,
    /// The manifest itself was stored otherwise than it was put: said aloud, nothing removed.
    damaged: u32,
}

/// One run with a fault at call `k`, and a clean one after it. False when there was no call `k`.
fn case(fault: Fault, mode: Mode, tries: u32, how: End, k: u64, outcomes: &mut Outcomes) -> bool {
    let what = || format!("{fault:?} {mode:?} tries {tries} {how:?} call {k}");
    let world = World::default();
    let store = FaultStore::failing(&world, fault, mode, k);
    let (calls, log) = (store.calls(), store.log.clone());
    let mut failing = on(store, None).tries(tries, Duration::ZERO);
    let result = export(&mut failing, false, 1);
    let reached = calls.load(Ordering::SeqCst) > k;
    let first = log.lock().unwrap_or_else(PoisonError::into_inner).first().cloned();
    if let Some((op, _)) = &first {
        *outcomes.by_op.entry(*op).or_default() += 1;
    }
    // A store that says it has the manifest and has another one.
    let spoils = matches!(fault, Fault::Short | Fault::Wrong);
    let manifest_spoilt = spoils
        && log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .any(|(op, key)| *op == Op::Create && key.ends_with("manifest.json"));
    match &result {
        Ok(Ended::Published(receipt)) => {
            outcomes.published += 1;
            assert!(!receipt.already_published);
            assert_eq!(published(&world), Some(ledger(1)), "{}", what());
        }
        Ok(Ended::Already(_)) => panic!("{}: somebody else has published", what()),
        Err(error) => {
            outcomes.failed += 1;
            assert!(reached, "{}: {error:?}", what());
            let kinds = [ErrorKind::Io, ErrorKind::Create, ErrorKind::Denied, ErrorKind::Unknown, ErrorKind::Config];
            assert!(kinds.contains(&error.kind()), "{}: {error:?}", what());
            if manifest_spoilt {
                assert_eq!(error.kind(), ErrorKind::Unknown, "{}", what());
            } else if error.kind() != ErrorKind::Unknown {
                assert_eq!(published(&world), None, "{}: it failed and is published", what());
            }
            // The store may be down still.
            let _ = end(&mut failing, how);
        }
    }
    drop(failing);
    if manifest_spoilt {
        outcomes.damaged += 1;
        let before = world.keys();
        let error = export(&mut sink(&world, None), false, 1);
        let survived = error.is_ok_and(|_| published(&world) == Some(ledger(1)));
        if !survived {
            // All parts are there, so that somebody can see to it.
            assert_eq!(world.keys(), before, "{}", what());
            for page in 0..common::PAGES {
                let name = format!("part-{page:05}.txt");
                assert_eq!(before.iter().filter(|key| key.ends_with(&name)).count(), 2, "{}: {before:?}", what());
            }
        }
        return reached;
    }
    let again =
        export(&mut sink(&world, None), false, 1).unwrap_or_else(|e| panic!("{}: the run after: {e:?}", what()));
    if result.is_ok() {
        assert!(matches!(again, Ended::Already(_)), "{}", what());
    }
    assert_eq!(published(&world), Some(ledger(1)), "{}", what());
    let removed = clean(&world);
    assert_eq!(left(&world), unknown_uploads(&world, fault, first.as_ref()), "{}: after {removed:?}", what());
    assert_eq!(published(&world), Some(ledger(1)), "{}: cleaning has taken something away", what());
    assert_eq!(clean(&world), Vec::<String>::new(), "{}", what());
    reached
}

/// Uploads that nobody knows of: the answer to its beginning was lost, or its note was not kept, so it has no pieces; or the note
/// itself was spoilt. These are what the store's own rule for uploads that are not ended is for.
fn unknown_uploads(world: &World, fault: Fault, first: Option<&(Op, String)>) -> Vec<String> {
    let unknown = match first {
        Some((Op::Begin, _)) => fault == Fault::Lost,
        Some((Op::Put, key)) => key.contains("/upload-"),
        _ => false,
    };
    let spoilt = matches!(fault, Fault::Short | Fault::Wrong);
    assert!(spoilt || world.pieces() == 0, "bytes are left that nobody knows of");
    if unknown { world.uploads() } else { Vec::new() }
}

fn every_call(mode: Mode, tries: u32, ends: &[End], faults: &[Fault]) {
    let mut cases = 0;
    for fault in faults {
        for how in ends {
            let mut outcomes = Outcomes::default();
            let mut k = 0;
            while case(*fault, mode, tries, *how, k, &mut outcomes) {
                k += 1;
            }
            assert!(k > 60, "only {k} calls were tried");
            cases += k;
            println!("{fault:?} {mode:?} tries {tries} {how:?}: {k} cases: {outcomes:?}");
        }
    }
    println!("{cases} cases");
}

const ENDS: [End; 3] = [End::Suspend, End::Abort, End::Crash];

#[test]
fn one_call_goes_wrong_and_is_not_tried_again() {
    every_call(Mode::Once, 1, &ENDS, &Fault::ALL);
}

#[test]
fn one_call_goes_wrong_and_is_tried_again() {
    every_call(Mode::Once, 3, &[End::Crash], &Fault::ALL);
}

#[test]
fn all_calls_go_wrong_from_one_on() {
    // A store that changes all it is given, and changes it back when it is asked, shows nobody that it does.
    let faults: Vec<_> = Fault::ALL.into_iter().filter(|fault| *fault != Fault::Wrong).collect();
    every_call(Mode::FromThenOn, 2, &ENDS, &faults);
}

#[test]
fn what_is_published_and_lacks_a_file_is_not_said_to_be_there_and_can_be_made_again() {
    for spoil in [World::remove as fn(&World, &str), |world, key| world.write(key, b"x")] {
        let world = World::default();
        export(&mut sink(&world, None), false, 1).expect("publishes");
        let keys = world.keys();
        let part = keys.iter().find(|key| key.contains("/part-00001")).expect("a part");
        spoil(&world, part);
        let error = export(&mut sink(&world, None), false, 1).expect_err("it is not whole");
        assert_eq!(error.kind(), ErrorKind::Data, "{error}");
        assert!(error.to_string().contains(part) && error.to_string().contains("--overwrite"), "{error}");
        assert!(matches!(export(&mut sink(&world, None), true, 2), Ok(Ended::Published(_))));
        assert_eq!((published(&world), left(&world)), (Some(ledger(2)), Vec::new()));
    }
}
