//! A store that does not do what runs are kept apart by is refused, and told from one that does.

mod common;

use common::{Conditions, Ended, FaultStore, World, export, ledger, left, on, published};
use pagemill_core::ErrorKind;

/// A way to `world` by a store that makes so much of conditions.
fn store(world: &World, conditions: Conditions) -> FaultStore {
    let mut store = FaultStore::clean(world);
    store.conditions = conditions;
    store
}

#[test]
fn a_store_without_conditions_is_refused_unless_the_caller_is_alone() {
    for conditions in [Conditions::Unknown, Conditions::Disregarded] {
        let world = World::default();
        let error = export(&mut on(store(&world, conditions), None), false, 1).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Config, "{conditions:?}: {error:?}");
        assert_eq!((left(&world), published(&world)), (Vec::new(), None), "{conditions:?}");
        let mut alone = on(store(&world, conditions), None).unsafe_single_writer(true);
        assert!(matches!(export(&mut alone, false, 1), Ok(Ended::Published(_))), "{conditions:?}");
        assert_eq!((left(&world), published(&world)), (Vec::new(), Some(ledger(1))), "{conditions:?}");
    }
}

#[test]
fn where_objects_can_only_be_created_nothing_is_replaced() {
    let world = World::default();
    let once = |overwrite, edition| export(&mut on(store(&world, Conditions::CreateAlone), None), overwrite, edition);
    assert!(matches!(once(false, 1), Ok(Ended::Published(_))));
    let error = once(true, 2).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert_eq!((left(&world), published(&world)), (Vec::new(), Some(ledger(1))));
}
