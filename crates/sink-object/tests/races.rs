//! Runs of one slot at the same time, without a lock between them: one publishes.

mod common;

use std::sync::{
    Arc, Barrier,
    atomic::{AtomicU64, Ordering},
};

use pagemill_core::ErrorKind;

use common::{End, Ended, FaultStore, World, clean, export, ledger, left, on, published, sink};

const WRITERS: u64 = 16;

#[test]
fn of_sixteen_one_publishes_and_the_others_find_that_out() {
    let (mut said, mut adopted) = (0, 0);
    for round in 0..300 {
        let world = World::default();
        if round % 3 == 0 {
            // Something is left to go on from, which they all find.
            let mut first = on(FaultStore::failing(&world, common::Fault::Fail, common::Mode::FromThenOn, 30), None);
            let failed = export(&mut first, false, 1);
            assert!(failed.is_err());
            let _ = common::end(&mut first, End::Crash);
            adopted += 1;
        }
        let (barrier, published_by) = (Barrier::new(WRITERS as usize), Arc::new(AtomicU64::new(0)));
        std::thread::scope(|scope| {
            for _ in 0..WRITERS {
                scope.spawn(|| {
                    let mut store = sink(&world, None);
                    barrier.wait();
                    match export(&mut store, false, 1) {
                        Ok(Ended::Published(_)) => drop(published_by.fetch_add(1, Ordering::SeqCst)),
                        Ok(Ended::Already(_)) => {}
                        // What it had written was removed by the one that has published.
                        Err(error) => assert_eq!(error.kind(), ErrorKind::Busy, "{error:?}"),
                    }
                });
            }
        });
        assert_eq!(published_by.load(Ordering::SeqCst), 1, "round {round}");
        assert_eq!(published(&world), Some(ledger(1)), "round {round}");
        said += WRITERS - 1;
        clean(&world);
        assert_eq!(left(&world), Vec::<String>::new(), "round {round}");
        assert_eq!(published(&world), Some(ledger(1)), "round {round}");
    }
    assert!(said == 4_500 && adopted == 100);
}
