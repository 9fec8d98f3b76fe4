//! How far a walk over the pages has come.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where the next page is to be found: a word of the source's own, passed back to it unchanged.
///
/// A cursor can be as good as a credential, so `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cursor(String);

impl Cursor {
    /// Wraps the source's own word.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The word itself; not for logs.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({} bytes)", self.0.len())
    }
}

/// What comes after the rows so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Position {
    /// The page this cursor names.
    Next(Cursor),
    /// Nothing: the walk is complete.
    End,
}

/// A point between two pages. Everything before it may be committed with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Pages accepted so far.
    pub pages: u64,
    /// Rows of those pages, quarantined records not counted; the `_row` of the next record.
    pub rows: u64,
    /// Records of those pages that went to quarantine.
    pub bad: u64,
    /// What to ask for next.
    pub next: Position,
}
