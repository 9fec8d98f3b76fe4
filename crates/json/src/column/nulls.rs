//! Which rows of a column are null.

use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer};

/// Ranges of null rows, in order and apart from each other: most rows have values, and cost nothing here.
#[derive(Debug, Default)]
pub(crate) struct Nulls {
    ranges: Vec<(u32, u32)>,
}

impl Nulls {
    /// Makes the rows from `from` to `to` (not included) null; they come after all that are.
    #[inline]
    pub(crate) fn push(&mut self, from: usize, to: usize) {
        match self.ranges.last_mut() {
            Some((_, end)) if *end == from as u32 => *end = to as u32,
            _ => self.ranges.push((from as u32, to as u32)),
        }
    }

    /// Drops what is said of rows from `len` on.
    pub(crate) fn truncate(&mut self, len: usize) {
        while let Some((from, to)) = self.ranges.last_mut().filter(|(_, to)| *to as usize > len) {
            *to = len as u32;
            if *from >= *to {
                self.ranges.pop();
            }
        }
    }

    /// The validity of `len` rows, leaving nothing: `None` when no row is null.
    pub(crate) fn finish(&mut self, len: usize) -> Option<NullBuffer> {
        if self.ranges.is_empty() {
            return None;
        }
        let mut words = vec![!0u64; len.div_ceil(64)];
        let mut count = 0;
        for (from, to) in self.ranges.drain(..) {
            count += (to - from) as usize;
            clear(&mut words, from as usize, to as usize);
        }
        let bits = BooleanBuffer::new(Buffer::from_vec(words), 0, len);
        let nulls = NullBuffer::new(bits);
        debug_assert_eq!(nulls.null_count(), count);
        Some(nulls)
    }
}

/// Clears the bits from `from` to `to` (not included).
fn clear(words: &mut [u64], from: usize, to: usize) {
    let (first, last) = (from / 64, to / 64);
    let head = !0u64 << (from % 64);
    let tail = !(!0u64 << (to % 64));
    if first == last {
        if let Some(word) = words.get_mut(first) {
            *word &= !(head & tail);
        }
        return;
    }
    if let Some(word) = words.get_mut(first) {
        *word &= !head;
    }
    if let Some(between) = words.get_mut(first + 1..last) {
        between.fill(0);
    }
    if let Some(word) = words.get_mut(last) {
        *word &= !tail;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_pushed_and_not_dropped_is_null(
            steps in prop::collection::vec((0usize..90, 0usize..90), 0..12),
            keep in 0usize..600,
        ) {
            let (mut nulls, mut expected) = (Nulls::default(), Vec::new());
            for (valid, null) in steps {
                expected.resize(expected.len() + valid, true);
                if null > 0 {
                    nulls.push(expected.len(), expected.len() + null);
                    expected.resize(expected.len() + null, false);
                }
            }
            let len = keep.min(expected.len());
            expected.truncate(len);
            nulls.truncate(len);
            let found = nulls.finish(len);
            prop_assert_eq!(found.is_some(), expected.contains(&false));
            if let Some(found) = found {
                prop_assert_eq!(found.iter().collect::<Vec<_>>(), expected);
            }
        }
    }
}
