//! One nested batch to a root table and a child table for each list.

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray, RecordBatch, UInt32Array},
    buffer::NullBuffer,
    compute::{nullif, take},
    datatypes::Schema,
};
use pagemill_core::{Batch, Error, Hold, Resource, Result, Table, TableSchema, Transform};

use crate::{
    keys::{Account, KEPT, Keys, Spread},
    plan::{Node, Plan, TablePlan, same_columns},
};

/// Flattens records: structs become columns, lists become tables.
///
/// The root table has `integrated_account_id`, `_row` (the record's ordinal in the run) and the declared columns,
/// a struct `a` inlined as `a_b`, a list `l` replaced by `l_count` (null for a null list), and `_extra` at the end.
/// The items of the list `l` are the rows of the table `<table>_l`: `integrated_account_id`, `_row`, `<root>_<key>`,
/// `<table>_index` for each list around this one, `_index`, and the item's columns and `_extra`; a column `value` when
/// the items are not objects, `value_count` and a table of their own when they are lists.
///
/// A null item is a row of nulls. Values are shared with the batch; keys and lengths are new. A table of more than 65,536
/// rows comes in pieces.
#[derive(Debug)]
pub struct Flatten {
    /// The plan, or why there can be none: told when the tables are asked for.
    plan: Result<Plan>,
    account: Account,
}

impl Flatten {
    /// For batches of `resource`, all of one account.
    #[must_use]
    pub fn new(resource: &Resource, account: Option<String>) -> Self {
        Self { plan: Plan::new(resource), account: Account::new(account) }
    }

    fn plan(&self) -> Result<&Plan> {
        self.plan.as_ref().map_err(again)
    }

    fn table(&self, plan: &TablePlan, keys: &Keys, item: &Item<'_>, out: &mut Vec<Table>) -> Result<()> {
        let mut columns = Vec::with_capacity(plan.schema.fields().len());
        columns.extend(keys.columns());
        let mut lists = Vec::with_capacity(plan.children.len());
        inline(&plan.nodes, item, &mut columns, &mut lists)?;
        let len = keys.len();
        // The account's column is made once, and no longer than a piece, whatever the batch.
        let mut piece = |columns: Vec<ArrayRef>, rows: usize| -> Result<()> {
            let columns = [self.account.column(rows)?].into_iter().chain(columns).collect();
            let rows = RecordBatch::try_new(plan.schema.clone(), columns)?;
            out.push(Table { name: plan.name.clone(), rows, hold: Hold::default() });
            Ok(())
        };
        if len <= PIECE {
            piece(columns, len)?;
        } else {
            for from in (0..len).step_by(PIECE) {
                let rows = PIECE.min(len - from);
                piece(columns.iter().map(|column| column.slice(from, rows)).collect(), rows)?;
            }
        }
        for (child, list) in plan.children.iter().zip(lists) {
            if list.values.is_empty() {
                continue;
            }
            let keys = keys.child(Spread::new(&list.counts, list.values.len())?)?;
            let item = match list.values.as_struct_opt() {
                Some(items) => Item { columns: items.columns(), nulls: some_null(items.nulls().cloned()) },
                None => Item { columns: std::slice::from_ref(&list.values), nulls: None },
            };
            self.table(child, &keys, &item, out)?;
        }
        Ok(())
    }
}

/// Errors are not `Clone`, and this one is told as often as it is asked for.
fn again(error: &Error) -> Error {
    let copy = Error::new(error.kind(), error.message());
    match error.advice() {
        Some(advice) => copy.advise(advice),
        None => copy,
    }
}

impl Transform for Flatten {
    fn tables(&self, input: &Schema) -> Result<Vec<TableSchema>> {
        let plan = self.plan()?;
        same_columns(input, &plan.input)?;
        Ok(plan.tables())
    }

    fn apply(&self, batch: &Batch) -> Result<Vec<Table>> {
        let plan = self.plan()?;
        let records = &batch.records;
        same_columns(records.schema_ref(), &plan.input)?;
        let mut out = Vec::new();
        if records.num_rows() > 0 {
            let rows = ordinals(batch)?.collect::<Vec<_>>().into();
            let key = plan.key.map(|i| records.column(i).clone());
            let item = Item { columns: records.columns(), nulls: None };
            self.table(&plan.root, &Keys::root(rows, key), &item, &mut out)?;
        }
        Ok(out)
    }
}

/// The ordinals in the run of a batch's records.
pub(crate) fn ordinals(batch: &Batch) -> Result<std::ops::Range<i64>> {
    let rows = batch.records.num_rows();
    let ends = i64::try_from(batch.first_row).ok().zip(i64::try_from(rows).ok());
    match ends.and_then(|(first, rows)| Some(first..first.checked_add(rows)?)) {
        Some(ordinals) => Ok(ordinals),
        None => Err(Error::data(format!("more records than a run can count: {rows} from {}", batch.first_row))),
    }
}

/// Rows of a piece of a table.
const PIECE: usize = KEPT;

/// The members of an object, and where the object itself is null.
struct Item<'a> {
    columns: &'a [ArrayRef],
    nulls: Option<NullBuffer>,
}

/// A list's column cut into lengths and items.
struct Cut {
    counts: Int64Array,
    values: ArrayRef,
}

/// Nulls that make a difference.
fn some_null(nulls: Option<NullBuffer>) -> Option<NullBuffer> {
    nulls.filter(|nulls| nulls.null_count() > 0)
}

fn inline(nodes: &[Node], item: &Item<'_>, columns: &mut Vec<ArrayRef>, lists: &mut Vec<Cut>) -> Result<()> {
    for (node, array) in nodes.iter().zip(item.columns) {
        match node {
            Node::Leaf => columns.push(masked(array, item.nulls.as_ref())?),
            Node::Struct(nodes) => {
                let members = array.as_struct_opt().ok_or_else(unplanned)?;
                let nulls = some_null(NullBuffer::union(item.nulls.as_ref(), members.nulls()));
                inline(nodes, &Item { columns: members.columns(), nulls }, columns, lists)?;
            }
            Node::List => {
                let cut = cut(array.as_list_opt().ok_or_else(unplanned)?, item.nulls.as_ref())?;
                columns.push(std::sync::Arc::new(cut.counts.clone()));
                lists.push(cut);
            }
        }
    }
    Ok(())
}

fn unplanned() -> Error {
    Error::internal("a column is not of the planned type")
}

/// `array` with nulls where the object around it is null, whatever lies under those.
fn masked(array: &ArrayRef, nulls: Option<&NullBuffer>) -> Result<ArrayRef> {
    match nulls {
        Some(nulls) if !array.nulls().is_some_and(|own| own.contains(nulls)) => {
            Ok(nullif(array, &BooleanArray::new(!nulls.inner(), None))?)
        }
        _ => Ok(array.clone()),
    }
}

/// Cuts a list's column, leaving out what lies under null lists and before and after a slice.
fn cut(list: &ListArray, outer: Option<&NullBuffer>) -> Result<Cut> {
    let offsets = list.value_offsets();
    let nulls = some_null(NullBuffer::union(outer, list.nulls()));
    let mut lens: Vec<i64> = offsets.iter().zip(offsets.iter().skip(1)).map(|(a, b)| i64::from(b - a)).collect();
    if let Some(nulls) = &nulls {
        // 64 at once, so that there is no branch to guess for each.
        for (lens, valid) in lens.chunks_mut(64).zip(nulls.inner().bit_chunks().iter_padded()) {
            lens.iter_mut().enumerate().for_each(|(i, len)| *len &= ((valid >> i & 1) as i64).wrapping_neg());
        }
    }
    let bounds = offsets.first().zip(offsets.last());
    let (first, last) = bounds.map_or((0, 0), |(first, last)| (i64::from(*first), i64::from(*last)));
    let total: i64 = lens.iter().sum();
    let values = if total == last - first {
        // Offsets are never negative, and never beyond the items.
        list.values().slice(first as usize, total as usize)
    } else {
        let kept = offsets.iter().zip(&lens).flat_map(|(&from, &len)| (0..len as u32).map(move |i| from as u32 + i));
        take(list.values(), &kept.collect::<UInt32Array>(), None)?
    };
    Ok(Cut { counts: Int64Array::new(lens.into(), nulls), values })
}
