//! Values that are not in a column, counted.

use std::{collections::BTreeMap, fmt};

/// Why a value is in `_extra`, or in its column under another guise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The schema declares no such member.
    UnknownMember,
    /// A value of another type than the declared one.
    WrongType,
    /// A number outside the column's range.
    OutOfRange,
    /// A number that would not come back from the column as it was written.
    Inexact,
    /// A string that is no RFC 3339 date and time.
    NotATime,
    /// A date and time with more than microseconds, or a leap second.
    TimeTooFine,
    /// An object without any value: no column can tell it from null.
    EmptyObject,
    /// A number where text is declared. It *is* in its column, as its own text.
    NumberAsText,
}

impl Reason {
    /// A short name for reports and manifests.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownMember => "unknown_member",
            Self::WrongType => "wrong_type",
            Self::OutOfRange => "out_of_range",
            Self::Inexact => "inexact",
            Self::NotATime => "not_a_time",
            Self::TimeTooFine => "time_too_fine",
            Self::EmptyObject => "empty_object",
            Self::NumberAsText => "number_as_text",
        }
    }

    /// Reads what [`as_str`](Self::as_str) gives.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        use Reason::*;
        [UnknownMember, WrongType, OutOfRange, Inexact, NotATime, TimeTooFine, EmptyObject, NumberAsText]
            .into_iter()
            .find(|reason| reason.as_str() == name)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How many values met each [`Reason`], by declared path such as `emails[].is_primary`.
///
/// Unknown members are counted under the path of the object that held them, so that the
/// number of keys here is bounded by the schema and not by the data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Misfits(BTreeMap<(String, Reason), u64>);

impl Misfits {
    /// Counts `n` more.
    pub fn add(&mut self, path: &str, reason: Reason, n: u64) {
        if n > 0 {
            *self.0.entry((path.to_owned(), reason)).or_default() += n;
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (path, reason, n) in other.iter() {
            self.add(path, reason, n);
        }
    }

    /// Path, reason, count, ordered by path and reason.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Reason, u64)> {
        self.0.iter().map(|((path, reason), n)| (path.as_str(), *reason, *n))
    }

    /// True when nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
