//! Tokens: a place in scanned bytes, and the index entry that comes next.

use std::borrow::Cow;

use crate::{
    number::{self, Extent},
    options::Limits,
    scan::{BLOCK, Block},
};

/// A rule that was broken, where, and the way there.
#[derive(Debug)]
pub(crate) struct Bad {
    /// Position in the window.
    pub(crate) at: usize,
    pub(crate) reason: Cow<'static, str>,
    /// The path from the place outwards: innermost step first.
    pub(crate) path: Vec<String>,
    /// True when the whole page fails with it, whatever may be forgiven a record.
    pub(crate) fatal: bool,
}

pub(crate) type Parse<T> = Result<T, Box<Bad>>;

impl Bad {
    #[cold]
    pub(crate) fn new(at: usize, reason: impl Into<Cow<'static, str>>) -> Box<Self> {
        Box::new(Self { at, reason: reason.into(), path: Vec::new(), fatal: false })
    }

    /// Adds the step that led here.
    #[cold]
    pub(crate) fn under(mut self: Box<Self>, step: impl FnOnce() -> String) -> Box<Self> {
        self.path.push(step());
        self
    }

    /// The path from the record, fit for a terminal: names are the data's.
    pub(crate) fn json_path(&self) -> String {
        let shown = |c: char| match c {
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' => {
                c.escape_unicode().to_string()
            }
            c if c.is_control() => c.escape_default().to_string(),
            c => c.to_string(),
        };
        let step = |step: &String| step.chars().take(100).map(shown).collect::<String>();
        std::iter::once("$".to_owned()).chain(self.path.iter().rev().map(step)).collect()
    }
}

/// A string: where its quotes are, and whether there is a backslash between them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text {
    pub(crate) open: usize,
    pub(crate) close: usize,
    pub(crate) escaped: bool,
}

impl Text {
    /// The inside.
    #[inline]
    pub(crate) fn of<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.open + 1..self.close]
    }
}

/// A walk over the tokens of scanned bytes that end with a bracket that closes everything, or with white space.
///
/// `next` is always the first index entry at or after `at`; every token that has entries consumes them.
#[derive(Clone, Debug)]
pub(crate) struct Tokens<'a> {
    /// The bytes, and some more beyond their end that may be looked at.
    pub(crate) bytes: &'a [u8],
    /// Where they end.
    pub(crate) end: usize,
    pub(crate) index: &'a [u32],
    pub(crate) blocks: &'a [Block],
    pub(crate) limits: &'a Limits,
    /// False when there is surely no backslash.
    pub(crate) escapes: bool,
    pub(crate) at: usize,
    pub(crate) next: usize,
}

impl Tokens<'_> {
    /// The byte here; a space past the end.
    #[inline]
    pub(crate) fn byte(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(b' ')
    }

    /// Passes white space.
    #[inline]
    pub(crate) fn skip_space(&mut self) {
        // Most of the time there is none.
        if self.byte() <= b' ' {
            self.skip_some_space();
        }
    }

    fn skip_some_space(&mut self) {
        while self.at < self.end && matches!(self.byte(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    /// Passes the bracket here, which has an index entry.
    #[inline]
    pub(crate) fn bracket(&mut self) {
        debug_assert_eq!(self.index.get(self.next).copied(), Some(self.at as u32));
        self.at += 1;
        self.next += 1;
    }

    /// Passes the string that begins here.
    #[inline]
    pub(crate) fn text(&mut self) -> Parse<Text> {
        let open = self.at;
        let Some(&[first, close]) = self.index.get(self.next..self.next + 2) else {
            return Err(Bad::new(open, "a string that is not closed"));
        };
        let close = close as usize;
        if first as usize != open || close >= self.end || self.bytes.get(close) != Some(&b'"') {
            return Err(Bad::new(open, "a quote out of place"));
        }
        self.at = close + 1;
        self.next += 2;
        if close - open - 1 > self.limits.string {
            return Err(Bad::new(open, format!("a string of more than {} bytes", self.limits.string)));
        }
        Ok(Text { open, close, escaped: self.escapes && self.any(open, close, |b| b.backslash) })
    }

    /// True when one of the bits from `from` to `to` (not included) is set in the masks that `of` picks.
    #[inline]
    pub(crate) fn any(&self, from: usize, to: usize, of: impl Fn(&Block) -> u64) -> bool {
        self.first(from, to, of).is_some()
    }

    /// The first of the bits from `from` to `to` (not included) that is set in the masks that `of` picks.
    #[inline]
    pub(crate) fn first(&self, from: usize, to: usize, of: impl Fn(&Block) -> u64) -> Option<usize> {
        let (first, last) = (from / BLOCK, to.saturating_sub(1) / BLOCK);
        for (n, block) in self.blocks.get(first..=last)?.iter().enumerate() {
            let mut bits = of(block);
            let start = (first + n) * BLOCK;
            if start < from {
                bits &= !0 << (from - start);
            }
            if bits != 0 {
                let at = start + bits.trailing_zeros() as usize;
                return (at < to).then_some(at);
            }
        }
        None
    }

    /// Passes the number that begins here.
    #[inline]
    pub(crate) fn number(&mut self) -> Parse<Extent> {
        let start = self.at;
        let extent =
            number::extent(self.bytes, start).map_err(|at| Bad::new(at, "a number that JSON does not know"))?;
        if extent.end - start > self.limits.number {
            return Err(Bad::new(start, format!("a number of more than {} characters", self.limits.number)));
        }
        self.at = extent.end;
        Ok(extent)
    }

    /// Passes `word`, which begins here if anything does.
    #[inline]
    pub(crate) fn literal(&mut self, word: &'static str) -> Parse<()> {
        let end = self.at + word.len();
        if self.bytes.get(self.at..end) != Some(word.as_bytes()) {
            return Err(Bad::new(self.at, format!("something else than {word}")));
        }
        self.at = end;
        Ok(())
    }

    /// Says what is here instead of `what`.
    #[cold]
    pub(crate) fn expected(&self, what: &str) -> Box<Bad> {
        let found = match self.bytes.get(self.at) {
            None => "the end".to_owned(),
            Some(byte @ b' '..=b'~') => format!("`{}`", char::from(*byte)),
            Some(byte) => format!("the byte 0x{byte:02x}"),
        };
        Bad::new(self.at, format!("{found} where {what} should be"))
    }
}
