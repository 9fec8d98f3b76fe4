//! Values of a fixed width.

use arrow::{
    buffer::{BooleanBuffer, NullBuffer, ScalarBuffer},
    datatypes::ArrowNativeType,
};

use super::{Nulls, Shelf};

/// Values, and which of them are null.
#[derive(Debug, Default)]
pub(crate) struct Plain<T> {
    values: Vec<T>,
    nulls: Nulls,
    shelf: Shelf<T>,
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
}

impl<T: ArrowNativeType> Plain<T> {
    /// The rows, leaving none.
    pub(crate) fn finish(&mut self) -> (ScalarBuffer<T>, Option<NullBuffer>) {
        let len = self.values.len();
        (ScalarBuffer::new(self.shelf.lend(&mut self.values), 0, len), self.nulls.finish(len))
    }
}

impl Plain<bool> {
    /// The rows, leaving none.
    pub(crate) fn finish_bits(&mut self) -> (BooleanBuffer, Option<NullBuffer>) {
        let (bits, len) = (BooleanBuffer::from(self.values.as_slice()), self.values.len());
        self.values.clear();
        (bits, self.nulls.finish(len))
    }
}
