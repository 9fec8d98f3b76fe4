//! Arrays.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, ListArray},
    buffer::{OffsetBuffer, ScalarBuffer},
    datatypes::DataType,
};
use pagemill_core::{Error, Kind, Result};

use super::{Column, Nulls, Shelf, StructColumn};
use crate::misfit::{Id, Ids};

/// Elements end to end, where each row's end, and which rows are null.
#[derive(Debug)]
pub(crate) struct ListColumn {
    /// The elements.
    pub(crate) item: Column,
    /// Under which the elements' misfits are counted.
    pub(crate) item_id: Id,
    /// One more than there are rows.
    offsets: Vec<i32>,
    nulls: Nulls,
    shelf: Shelf<i32>,
}

impl ListColumn {
    pub(crate) fn new(item: &Kind, path: &str, ids: &mut Ids) -> Self {
        let path = format!("{path}[]");
        let item_id = ids.add(&path);
        let item = match item {
            Kind::Struct(fields) => Column::Struct(Box::new(StructColumn::new(fields, &path, true, ids))),
            item => Column::new(item, &path, ids),
        };
        Self { item, item_id, offsets: vec![0], nulls: Nulls::default(), shelf: Shelf::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Elements of the rows so far: the position of the next row's first.
    pub(crate) fn items(&self) -> usize {
        self.offsets.last().map_or(0, |end| *end as usize)
    }

    /// Makes row `row` hold the elements from [`ListColumn::items`] to `end`.
    pub(crate) fn push(&mut self, row: usize, end: usize) {
        self.fill(row);
        self.offsets.push(end as i32);
    }

    /// Adds nulls up to `len`.
    #[inline]
    pub(crate) fn fill(&mut self, len: usize) {
        if self.len() < len {
            self.fill_some(len);
        }
    }

    #[inline(never)]
    fn fill_some(&mut self, len: usize) {
        self.nulls.push(self.len(), len);
        self.offsets.resize(len + 1, self.items() as i32);
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        if len < self.len() {
            self.offsets.truncate(len + 1);
            self.nulls.truncate(len);
        }
        // Also where the row's list was never ended.
        self.item.truncate(self.items());
    }

    pub(crate) fn finish(&mut self, len: usize, data_type: &DataType) -> Result<ArrayRef> {
        debug_assert_eq!(self.len(), len);
        let DataType::List(field) = data_type else { return Err(Error::internal("a list column of another type")) };
        let items = self.item.finish(self.items(), field.data_type())?;
        let offsets = self.shelf.lend(&mut self.offsets);
        self.offsets.push(0);
        let offsets = OffsetBuffer::new(ScalarBuffer::new(offsets, 0, len + 1));
        Ok(Arc::new(ListArray::try_new(Arc::clone(field), offsets, items, self.nulls.finish(len))?))
    }
}
