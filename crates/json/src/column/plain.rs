//! Values of a fixed width.

use arrow::buffer::NullBuffer;

use super::{Nulls, room_after};

/// Values, and which of them are null.
#[derive(Debug, Default)]
pub(crate) struct Plain<T> {
    values: Vec<T>,
    nulls: Nulls,
}

impl<T: Copy + Default> Plain<T> {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// Makes row `row` hold `value`.
    #[inline]
    pub(crate) fn push(&mut self, row: usize, value: T) {
        self.fill(row);
        self.values.push(value);
    }

    /// Adds nulls up to `len`.
    #[inline]
    pub(crate) fn fill(&mut self, len: usize) {
        if self.values.len() < len {
            self.fill_some(len);
        }
    }

    #[cold]
    #[inline(never)]
    fn fill_some(&mut self, len: usize) {
        self.nulls.push(self.values.len(), len);
        self.values.resize(len, T::default());
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.values.truncate(len);
        self.nulls.truncate(len);
    }

    pub(crate) fn finish(&mut self) -> (Vec<T>, Option<NullBuffer>) {
        let room = Vec::with_capacity(room_after(self.values.len()));
        let values = std::mem::replace(&mut self.values, room);
        let nulls = self.nulls.finish(values.len());
        (values, nulls)
    }
}
