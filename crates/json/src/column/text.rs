//! Text.

use std::sync::Arc;

use arrow::{array::ArrayRef, buffer::ScalarBuffer};
use pagemill_core::{Error, Result};

use super::{Nulls, Shelf};
use crate::raw;

/// The most bytes of a text that [`TextColumn::push_long`] takes.
const LONG: usize = 512;

/// Texts end to end, where each ends, and which rows are null.
#[derive(Debug)]
pub(crate) struct TextColumn {
    data: Vec<u8>,
    /// One more than there are rows.
    offsets: Vec<i32>,
    nulls: Nulls,
    data_shelf: Shelf<u8>,
    offsets_shelf: Shelf<i32>,
}

impl Default for TextColumn {
    fn default() -> Self {
        Self {
            data: Vec::new(),
            offsets: vec![0],
            nulls: Nulls::default(),
            data_shelf: Shelf::default(),
            offsets_shelf: Shelf::default(),
        }
    }
}

impl TextColumn {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Makes row `row` hold `text`, which is UTF-8.
    #[inline]
    pub(crate) fn push(&mut self, row: usize, text: &[u8]) {
        self.fill(row);
        self.data.extend_from_slice(text);
        self.end_row();
    }

    /// Makes row `row` hold `bytes[from..to]`, which is UTF-8. `bytes` goes on for a step of a copy.
    #[inline(always)]
    pub(crate) fn push_part(&mut self, row: usize, bytes: &[u8], from: usize, to: usize) {
        self.fill(row);
        raw::append(&mut self.data, bytes, from, to - from);
        self.end_row();
    }

    /// Makes row `row` hold the first `len` bytes of `step`, which are UTF-8; false when they are more than a step, or there is no
    /// room yet: then nothing has happened.
    #[inline(always)]
    pub(crate) fn push_short(&mut self, row: usize, step: &[u8; raw::STEP], len: usize) -> bool {
        let done = raw::append_step(&mut self.data, step, len);
        if done {
            let end = self.data.len();
            if self.len() < row {
                self.fill_before(row, end - len);
            }
            self.offsets.push(end as i32);
        }
        done
    }

    /// Makes row `row` hold `bytes[from..from + len]`, which is UTF-8, if that is not long; false when it is, and then nothing has
    /// happened.
    #[cold]
    #[inline(never)]
    pub(crate) fn push_long(&mut self, row: usize, bytes: &[u8], from: usize, len: usize) -> bool {
        let fits = len <= LONG && bytes.len() - LONG.min(bytes.len()) >= from;
        if fits {
            self.push_part(row, bytes, from, from + len);
        }
        fits
    }

    /// Adds nulls up to `len`, behind which is a text that the data have from `from` on.
    #[cold]
    #[inline(never)]
    fn fill_before(&mut self, len: usize, from: usize) {
        self.nulls.push(self.len(), len);
        self.offsets.resize(len + 1, from as i32);
    }

    /// Makes row `row` hold what `write` appends; nothing stays when it fails.
    #[inline]
    pub(crate) fn push_with<E>(
        &mut self,
        row: usize,
        write: impl FnOnce(&mut Vec<u8>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        self.fill(row);
        let before = self.data.len();
        let result = write(&mut self.data);
        match result {
            Ok(()) => self.end_row(),
            Err(_) => self.data.truncate(before),
        }
        result
    }

    #[inline(always)]
    fn end_row(&mut self) {
        self.offsets.push(self.data.len() as i32);
    }

    /// Adds nulls up to `len`.
    #[inline(always)]
    pub(crate) fn fill(&mut self, len: usize) {
        if self.len() < len {
            self.fill_some(len);
        }
    }

    #[inline(never)]
    fn fill_some(&mut self, len: usize) {
        self.fill_before(len, self.data.len());
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        if len < self.len() {
            self.offsets.truncate(len + 1);
            self.data.truncate(self.offsets.last().map_or(0, |end| *end as usize));
            self.nulls.truncate(len);
        }
    }

    /// The rows as an array, leaving none.
    ///
    /// # Errors
    /// Where the bytes are more than offsets of 32 bits can count, which the limits on a batch should rule out.
    pub(crate) fn finish(&mut self) -> Result<ArrayRef> {
        if i32::try_from(self.data.len()).is_err() {
            return Err(Error::data("a batch with more than 2 GiB in one column"));
        }
        let len = self.len();
        let data = self.data_shelf.lend(&mut self.data);
        let offsets = ScalarBuffer::new(self.offsets_shelf.lend(&mut self.offsets), 0, len + 1);
        self.offsets.push(0);
        Ok(Arc::new(raw::texts(offsets, data, self.nulls.finish(len))))
    }
}
