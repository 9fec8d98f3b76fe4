//! How far a walk over the pages has come.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

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

    /// Tells it from other cursors without showing it.
    #[must_use]
    pub fn id(&self) -> CursorId {
        let whole = Sha256::digest(self.0.as_bytes());
        let mut id = [0; 16];
        id.iter_mut().zip(whole.iter()).for_each(|(to, from)| *to = *from);
        CursorId(id)
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({} bytes)", self.0.len())
    }
}

/// The first 16 bytes of a cursor's SHA-256: no server can make two cursors look alike, and none can be read from it.
///
/// As text, 32 hexadecimal digits in lower case.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CursorId([u8; 16]);

impl CursorId {
    /// Reads what `Display` writes, and nothing else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        plain.then(|| u128::from_str_radix(text, 16).ok().map(|bits| Self(bits.to_be_bytes()))).flatten()
    }
}

impl fmt::Display for CursorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for CursorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CursorId({self})")
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

impl Checkpoint {
    /// True when there is nothing left to read.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.next == Position::End
    }
}

/// Where an earlier run, or an earlier part of this one, has come to: everything before it is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The point to go on from.
    pub checkpoint: Checkpoint,
    /// Every cursor that the walk has met up to there, the next one included: one that comes again is a circle.
    pub seen: Vec<CursorId>,
    /// What [`Sink::checkpoint`](crate::Sink::checkpoint) was told of the pages up to there.
    pub summary: serde_json::Value,
}

/// How far back to go when a walk cannot go on from where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewind {
    /// To the last point whose rows are durable.
    Checkpoint,
    /// To the start: what was read belongs to a walk that cannot be continued.
    Start,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_written_and_nothing_else_is() {
        let id = Cursor::new("a").id();
        // printf a | sha256sum
        assert_eq!(id.to_string(), "ca978112ca1bbdcafac231b39a23dc4d");
        assert_eq!(CursorId::parse(&id.to_string()), Some(id));
        for text in ["", "ca", &"A".repeat(32), &"+".repeat(32), &"0".repeat(33)] {
            assert_eq!(CursorId::parse(text), None, "{text}");
        }
        assert!(!format!("{:?}", Cursor::new("secret")).contains("secret"));
    }
}
