//! Tokens: a place in scanned bytes, and the index entry that comes next.

use std::borrow::Cow;

use pagemill_core::escape::escape;

use crate::{
    number::{self, Extent},
    options::Limits,
    raw,
    scan::{BLOCK, Block, Found, Sum, ends_escaped, place},
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
        let step = |step: &String| escape(step, 100);
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

/// Where the white space ends that begins at `at`, `end` at the latest.
#[inline(never)]
pub(crate) fn after_space(bytes: &[u8], from: usize, end: usize) -> usize {
    // Indentation comes in runs.
    const RUN: &[u8; 8] = b"        ";
    let mut at = from;
    loop {
        while raw::chunk(bytes, at) == Some(RUN) && at < end {
            at += RUN.len();
        }
        match bytes.get(at) {
            Some(b' ' | b'\n' | b'\r' | b'\t') if at < end => at += 1,
            // A run may lead into the spaces behind the end; and there is no way back.
            _ => return at.min(end).max(from),
        }
    }
}

/// A walk over the tokens of scanned bytes that end with a bracket that closes everything, or with white space; or of a
/// record whose end is not known.
///
/// `next` is always the first index entry at or after `at`; every token that has entries consumes them. Behind the bytes
/// that were scanned there may be a few that were not: there `next` is the length of the index at least, so that no string
/// is found there, and whoever walks so must see to it that `at` did not go there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tokens<'a> {
    /// The bytes, and some more beyond their end that may be looked at.
    pub(crate) bytes: &'a [u8],
    /// Where they end.
    pub(crate) end: usize,
    /// Of `found`.
    pub(crate) index: &'a [u32],
    pub(crate) found: &'a Found,
    pub(crate) limits: &'a Limits,
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
    #[inline(always)]
    pub(crate) fn skip_space(&mut self) {
        // Most of the time there is none.
        if self.byte() <= b' ' {
            self.at = after_space(self.bytes, self.at, self.end);
        }
    }

    /// Passes the bracket here, which has an index entry.
    #[inline(always)]
    pub(crate) fn bracket(&mut self) {
        debug_assert!(self.index.get(self.next).is_none_or(|entry| place(*entry) == self.at));
        self.at += 1;
        self.next += 1;
    }

    /// Passes the string that begins here.
    #[inline(always)]
    pub(crate) fn text(&mut self) -> Parse<Text> {
        let open = self.at;
        let Some(&entry) = self.index.get(self.next) else { return Err(self.no_text()) };
        let close = place(entry);
        // A quote that begins a token begins a string, and no bracket within a string has an entry.
        debug_assert_eq!(self.bytes.get(close), Some(&b'"'));
        if close.wrapping_sub(open + 1) > self.limits.string {
            return Err(self.no_text());
        }
        self.at = close + 1;
        self.next += 1;
        Ok(Text { open, close, escaped: ends_escaped(entry) })
    }

    /// Why the string here is none.
    #[cold]
    #[inline(never)]
    fn no_text(self) -> Box<Bad> {
        match self.index.get(self.next) {
            Some(_) => Bad::new(self.at, format!("a string of more than {} bytes", self.limits.string)),
            None => Bad::new(self.at, "a string that is not closed"),
        }
    }

    /// Where the container here ends: the first position by which as many brackets have closed as have opened. The search
    /// begins with the block `first`, before which `depth` are open; where it runs out of blocks, these two are what it
    /// goes on with.
    #[inline]
    pub(crate) fn closing(&self, first: usize, mut depth: u64) -> Result<usize, (usize, u64)> {
        let sums = self.found.sums.get(first..).unwrap_or(&[]);
        for (n, (sum, masks)) in sums.iter().zip(self.found.blocks.get(first..).unwrap_or(&[])).enumerate() {
            let closing = sum.closes();
            // In the first block the depth is 0 yet.
            if depth > closing {
                depth = depth + sum.opens() - closing;
                continue;
            }
            let start = (first + n) * BLOCK;
            let after = if start < self.at { !0 << (self.at - start) } else { !0 };
            let (open, close) = (masks.open & after, masks.close & after);
            let mut both = open | close;
            while both != 0 {
                let bit = both & both.wrapping_neg();
                match open & bit {
                    0 => depth = depth.saturating_sub(1),
                    _ => depth += 1,
                }
                if depth == 0 {
                    return Ok(start + bit.trailing_zeros() as usize + 1);
                }
                both ^= bit;
            }
        }
        Err((first + sums.len(), depth))
    }

    /// The first index entry at or after `at`, which is not before here.
    pub(crate) fn entry_at(&self, at: usize) -> usize {
        let rest = self.index.get(self.next..).unwrap_or(&[]);
        // It is not far most of the time: double the steps, then halve them.
        let mut most = 64;
        while rest.get(most).is_some_and(|entry| place(*entry) < at) {
            most *= 2;
        }
        let near = &rest[..rest.len().min(most)];
        self.next + near.partition_point(|entry| place(*entry) < at)
    }

    /// Checks what stage 1 found out about the bytes from `from` to `to` (not included): control characters in strings, and
    /// UTF-8. The block of the byte at `to` counts as well: what is broken before it may show only there.
    #[inline(always)]
    pub(crate) fn check_bytes(&self, from: usize, to: usize) -> Parse<()> {
        match self.found.trouble {
            false => Ok(()),
            true => self.check_closely(from, to),
        }
    }

    #[cold]
    #[inline(never)]
    fn check_closely(self, from: usize, to: usize) -> Parse<()> {
        let end = (to / BLOCK + 1).min(self.found.sums.len());
        if !Sum::trouble(self.found.sums.get(from / BLOCK..end).unwrap_or(&[])) {
            return Ok(());
        }
        self.check_all(from, to)
    }

    /// As [`check_bytes`](Self::check_bytes), whatever stage 1 has said: a character that breaks off at the very end of the input
    /// is in no block's sum.
    #[cold]
    #[inline(never)]
    pub(crate) fn check_all(&self, from: usize, to: usize) -> Parse<()> {
        if let Some(at) = self.first(from, to, |b| b.control) {
            return Err(Bad::new(at, "a raw control character within a string"));
        }
        match simdutf8::compat::from_utf8(&self.bytes[from..to]) {
            Ok(_) => Ok(()),
            Err(error) => Err(Bad::new(from + error.valid_up_to(), "bytes that are not UTF-8")),
        }
    }

    /// The first of the bits from `from` to `to` (not included) that is set in the masks that `of` picks.
    pub(crate) fn first(&self, from: usize, to: usize, of: impl Fn(&Block) -> u64) -> Option<usize> {
        let (first, last) = (from / BLOCK, to.saturating_sub(1) / BLOCK);
        for (n, block) in self.found.blocks.get(first..=last)?.iter().enumerate() {
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

    /// Passes the comma, or the bracket, after a member; true when the object has ended.
    #[inline(always)]
    pub(crate) fn end_member(&mut self) -> Parse<bool> {
        self.end_item(b'}', "`,` or `}`")
    }

    /// Passes the comma, or the bracket, after an element; true when the array has ended.
    #[inline(always)]
    pub(crate) fn end_element(&mut self) -> Parse<bool> {
        self.end_item(b']', "`,` or `]`")
    }

    #[inline(always)]
    fn end_item(&mut self, bracket: u8, what: &str) -> Parse<bool> {
        let mut byte = self.byte();
        if byte <= b' ' {
            self.skip_space();
            byte = self.byte();
        }
        if byte == b',' {
            self.at += 1;
            self.skip_space();
            Ok(false)
        } else if byte == bracket {
            self.bracket();
            Ok(true)
        } else {
            Err(self.expected(what))
        }
    }

    /// The eight bytes here as a number, the first one lowest.
    #[inline(always)]
    fn eight(&self) -> u64 {
        raw::chunk(self.bytes, self.at).map_or(0, |eight| u64::from_le_bytes(*eight))
    }

    /// Passes the `true` or `false` that begins here if anything does.
    #[inline(always)]
    pub(crate) fn boolean(&mut self) -> Parse<bool> {
        let eight = self.eight();
        if eight as u32 == u32::from_le_bytes(*b"true") {
            self.at += 4;
            Ok(true)
        } else if eight & 0xff_ffff_ffff == u64::from_le_bytes(*b"false\0\0\0") {
            self.at += 5;
            Ok(false)
        } else {
            Err(self.expected("true or false"))
        }
    }

    /// Passes the `null` that begins here if anything does.
    #[inline(always)]
    pub(crate) fn null(&mut self) -> Parse<()> {
        if self.eight() as u32 == u32::from_le_bytes(*b"null") {
            self.at += 4;
            Ok(())
        } else {
            Err(self.expected("null"))
        }
    }

    /// Says what is here instead of `what`.
    #[cold]
    #[inline(never)]
    pub(crate) fn expected(self, what: &str) -> Box<Bad> {
        let found = match self.bytes.get(self.at) {
            None => "the end".to_owned(),
            Some(byte @ b' '..=b'~') => format!("`{}`", char::from(*byte)),
            Some(byte) => format!("the byte 0x{byte:02x}"),
        };
        Bad::new(self.at, format!("{found} where {what} should be"))
    }
}
