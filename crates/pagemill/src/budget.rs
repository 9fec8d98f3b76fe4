//! How much may be between the source and the files.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use pagemill_core::{Error, Hold, Result, memory_of};
use tokio::sync::Semaphore;

/// A permit is for so many bytes.
const UNIT: usize = 1 << 10;

/// About what a transform adds for each item of a list: the keys of a row.
const KEYS: usize = 48;

/// Memory that batches, and the tables that they turn into, may take together.
///
/// A batch gets its share before it is transformed, and the share is held by its tables until the sink has copied their
/// rows or written them. A batch that is larger than the whole waits until it is alone, and passes.
#[derive(Debug)]
pub(crate) struct Budget {
    permits: Arc<Semaphore>,
    total: u32,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        let total = u32::try_from((bytes / UNIT).min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX).max(1);
        Self { permits: Arc::new(Semaphore::new(total as usize)), total }
    }

    /// The share of `records`; waits until there is room.
    pub(crate) async fn share(&self, records: &RecordBatch) -> Result<Hold> {
        let bytes = memory_of(records) + KEYS * records.columns().iter().map(|c| items(c)).sum::<usize>();
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.total);
        let permit = Arc::clone(&self.permits).acquire_many_owned(units).await;
        permit.map(Hold::new).map_err(|e| Error::internal("the budget is gone").because(e))
    }
}

/// The items of all lists in a column, at all depths.
fn items(column: &dyn Array) -> usize {
    if let Some(list) = column.as_list_opt::<i32>() {
        return list.values().len() + items(list.values());
    }
    column.as_struct_opt().map_or(0, |object| object.columns().iter().map(|c| items(c)).sum())
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{ArrayRef, Int64Array, ListArray},
        datatypes::Int64Type,
    };
    use futures::poll;
    use std::pin::pin;

    use super::*;

    /// A batch of about 8 KiB.
    fn batch() -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
        RecordBatch::try_from_iter([("n", numbers)]).expect("one column")
    }

    #[tokio::test]
    async fn a_share_is_free_again_when_the_last_copy_of_it_is_dropped() {
        let (budget, batch) = (Budget::new(20 << 10), batch());
        let first = budget.share(&batch).await.expect("room");
        let copy = first.clone();
        let _second = budget.share(&batch).await.expect("room");
        let mut third = pin!(budget.share(&batch));
        assert!(poll!(third.as_mut()).is_pending());
        drop(first);
        assert!(poll!(third.as_mut()).is_pending());
        drop(copy);
        third.await.expect("room");
    }

    #[tokio::test]
    async fn a_batch_larger_than_the_budget_passes_alone() {
        let (budget, batch) = (Budget::new(5 << 10), batch());
        let first = budget.share(&batch).await.expect("alone");
        let mut second = pin!(budget.share(&batch));
        assert!(poll!(second.as_mut()).is_pending());
        drop(first);
        second.await.expect("alone");
    }

    #[test]
    fn items_are_counted_at_all_depths() {
        let lists =
            ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), None, Some(vec![Some(2)])]);
        assert_eq!(items(&lists), 3);
        assert_eq!(items(batch().column(0)), 0);
    }
}
