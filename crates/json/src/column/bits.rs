//! A growing row of bits.

use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer};

/// Bits, least significant first, as Arrow has them.
#[derive(Debug, Default)]
pub(crate) struct Bits {
    words: Vec<u64>,
    len: usize,
}

impl Bits {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn push(&mut self, bit: bool) {
        let at = self.len % 64;
        match self.words.last_mut() {
            Some(word) if at != 0 => *word |= u64::from(bit) << at,
            _ => self.words.push(u64::from(bit)),
        }
        self.len += 1;
    }

    /// Adds zeros up to `len`.
    #[inline]
    pub(crate) fn fill(&mut self, len: usize) {
        if self.len < len {
            self.len = len;
            self.words.resize(len.div_ceil(64), 0);
        }
    }

    /// Drops what is after `len`.
    pub(crate) fn truncate(&mut self, len: usize) {
        if len < self.len {
            self.len = len;
            self.words.truncate(len.div_ceil(64));
            if let Some(word) = self.words.last_mut().filter(|_| !len.is_multiple_of(64)) {
                *word &= (1 << (len % 64)) - 1;
            }
        }
    }

    /// The bits, leaving none, with room for as many again.
    pub(crate) fn finish(&mut self) -> BooleanBuffer {
        let room = Vec::with_capacity(self.words.len());
        let words = std::mem::replace(&mut self.words, room);
        BooleanBuffer::new(Buffer::from_vec(words), 0, std::mem::take(&mut self.len))
    }

    /// The bits as validity: `None` when all are set.
    pub(crate) fn finish_nulls(&mut self) -> Option<NullBuffer> {
        let nulls = NullBuffer::new(self.finish());
        (nulls.null_count() > 0).then_some(nulls)
    }
}
