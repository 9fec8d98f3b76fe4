//! How a column is written, by its first rows.
//!
//! A dictionary costs a look-up for each value. Where values hardly repeat, such as identifiers, addresses and times, it
//! fills up, is given up, and was for nothing; and it takes memory until then. So the first batch of a file is looked
//! at: a column whose values are nearly all different there has no dictionary in that file. Numbers that never descend,
//! such as the ordinals of rows, are written as differences, which take a bit or two each.
//!
//! The batch is one that [`Recut`](pagemill_sink::Recut) has cut, so the choice depends on the rows alone.

use std::collections::HashSet;

use arrow::{
    array::{Array, ArrayRef, AsArray},
    datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType},
};

/// Values that are looked at.
const SAMPLE: usize = 1_024;
/// Fewer say nothing.
const ENOUGH: usize = 128;

/// How the values of a column are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// By a dictionary, until that is too large; then as they are.
    Dictionary,
    /// As they are.
    Plain,
    /// As differences.
    Deltas,
}

impl Layout {
    /// The layout for a column that begins with `rows`.
    #[must_use]
    pub fn of(rows: &ArrayRef) -> Self {
        match rows.data_type() {
            DataType::Utf8 => {
                let rows = rows.as_string::<i32>();
                Self::of_texts(rows.iter().flatten())
            }
            DataType::Int64 => Self::of_numbers(rows.as_primitive::<Int64Type>().iter().flatten()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Self::of_numbers(rows.as_primitive::<TimestampMicrosecondType>().iter().flatten())
            }
            _ => Self::Dictionary,
        }
    }

    fn of_texts<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let (mut seen, mut different) = (0, HashSet::new());
        for value in values.take(SAMPLE) {
            seen += 1;
            different.insert(value);
        }
        Self::by_counts(seen, different.len())
    }

    fn of_numbers(values: impl Iterator<Item = i64>) -> Self {
        let (mut seen, mut different, mut last, mut ascend) = (0, HashSet::new(), i64::MIN, true);
        for value in values.take(SAMPLE) {
            seen += 1;
            different.insert(value);
            ascend &= value >= last;
            last = value;
        }
        // Few values that repeat are better off in a dictionary, in whatever order they come.
        if ascend && seen >= ENOUGH && different.len() * 8 > seen {
            return Self::Deltas;
        }
        Self::by_counts(seen, different.len())
    }

    /// A column with 5 in 100 values that were there before is one of perhaps ten thousand different values, and those
    /// may fit into a dictionary.
    fn by_counts(seen: usize, different: usize) -> Self {
        if seen >= ENOUGH && different * 20 > seen * 19 { Self::Plain } else { Self::Dictionary }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};

    use super::*;

    fn numbers(values: impl Iterator<Item = i64>) -> Layout {
        Layout::of(&(Arc::new(Int64Array::from_iter_values(values)) as ArrayRef))
    }

    fn texts(values: impl Iterator<Item = i64>) -> Layout {
        Layout::of(&(Arc::new(StringArray::from_iter_values(values.map(|v| v.to_string()))) as ArrayRef))
    }

    #[test]
    fn values_that_repeat_have_a_dictionary_and_others_do_not() {
        assert_eq!(texts((0..1_000).map(|i| i % 900)), Layout::Dictionary);
        assert_eq!(texts(0..1_000), Layout::Plain);
        assert_eq!(texts(0..100), Layout::Dictionary, "too few to tell");
        assert_eq!(numbers((0..1_000).map(|i| i * 7_919 % 1_000)), Layout::Plain);
        assert_eq!(numbers((0..1_000).map(|i| i % 10)), Layout::Dictionary);
    }

    #[test]
    fn numbers_that_never_descend_are_differences() {
        assert_eq!(numbers(0..1_000), Layout::Deltas);
        assert_eq!(numbers((0..1_000).map(|i| i / 3)), Layout::Deltas);
        assert_eq!(numbers(std::iter::repeat_n(5, 1_000)), Layout::Dictionary);
        assert_eq!(numbers([2, 1].into_iter().chain(2..1_000)), Layout::Plain);
    }
}
