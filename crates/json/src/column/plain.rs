//! Values of a fixed width.

use arrow::buffer::NullBuffer;

use super::Bits;

/// Values and their validity.
#[derive(Debug, Default)]
pub(crate) struct Plain<T> {
    values: Vec<T>,
    valid: Bits,
}

impl<T: Copy + Default> Plain<T> {
    /// Makes row `row` hold `value`.
    #[inline]
    pub(crate) fn push(&mut self, row: usize, value: T) {
        self.fill(row);
        self.values.push(value);
        self.valid.push(true);
    }

    /// Adds nulls up to `len`.
    #[inline]
    pub(crate) fn fill(&mut self, len: usize) {
        if self.values.len() < len {
            self.values.resize(len, T::default());
            self.valid.fill(len);
        }
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.values.truncate(len);
        self.valid.truncate(len);
    }

    pub(crate) fn finish(&mut self) -> (Vec<T>, Option<NullBuffer>) {
        let room = Vec::with_capacity(self.values.len());
        (std::mem::replace(&mut self.values, room), self.valid.finish_nulls())
    }
}
