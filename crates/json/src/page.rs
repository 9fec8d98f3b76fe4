//! Framing: where the records of a page are, and what its envelope says.
//!
//! What is inside records is stage 2's business; where one that it could not read ends, framing finds by counting brackets.
//! So a record can be bad without the page being so. Everything outside the records is checked here, strictly.

use std::{borrow::Cow, ops::Range};

use pagemill_core::Cursor;

use crate::{
    number,
    options::{Framing, Limits, Next},
    scan::{BLOCK, place},
    skip, text,
    tokens::{Bad, Parse, Text, Tokens},
    window::Window,
};

/// What comes next.
#[derive(Debug)]
pub(crate) enum Step {
    /// A record, whose first index entry is `next`.
    Record { range: Range<usize>, next: usize },
    /// The beginning of a record, whose end is most likely there: what reads it may say so ([`Framer::ended`]) or not
    /// ([`Framer::look_for_end`]).
    Begun { at: usize, next: usize },
    /// Nothing before more bytes have come.
    More,
    /// The document has ended; nothing but white space may follow, and has.
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first byte.
    Start,
    /// In the first object, which is an envelope if it has a `result`: looking for that.
    Probe { next: usize, depth: usize, scalar: bool },
    /// In the envelope, before a name.
    Member { first: bool },
    /// In the envelope, after a value.
    AfterMember,
    /// In the array or object of records, before a record.
    Record { first: bool },
    /// In the array or object of records, after a record.
    AfterRecord,
    /// Between records that nothing holds together.
    Lines,
    /// After the document.
    End,
}

/// The most members an envelope may have.
const MAX_MEMBERS: usize = 1_000;

/// How far the framing of a page has come, and what was learnt on the way.
#[derive(Debug)]
pub(crate) struct Framer {
    state: State,
    /// Position of the next byte to look at, and the first index entry at or after it.
    at: usize,
    next: usize,
    /// How far the search for the end of the value at its first field has come: start, block, depth.
    search: Option<(usize, usize, u64)>,
    /// Bytes of the last record that was read without its end being looked for.
    last: usize,
    /// True when records are the values of an object.
    keyed: bool,
    /// True when the schema itself declares a `result`, so that one says nothing of an envelope.
    result_declared: bool,
    /// The member that tells records apart: an envelope has none of that name.
    key: Option<String>,
    pub(crate) framing: Option<Framing>,
    pub(crate) next_page: Next,
    pub(crate) result_count: Option<u64>,
    pub(crate) partial: bool,
    pub(crate) members: Vec<String>,
    /// Records found.
    pub(crate) records: u64,
}

impl Framer {
    pub(crate) fn new(framing: Option<Framing>, result_declared: bool, key: Option<String>) -> Self {
        let mut framer = Self {
            state: State::Start,
            at: 0,
            next: 0,
            search: None,
            last: 0,
            keyed: false,
            result_declared,
            key,
            framing: None,
            next_page: Next::Absent,
            result_count: None,
            partial: false,
            members: Vec::new(),
            records: 0,
        };
        framer.framing = framing;
        framer
    }

    /// The first position that is still needed.
    pub(crate) fn keep_from(&self) -> usize {
        self.at
    }

    /// Follows a window that dropped `bytes` bytes and `entries` index entries.
    pub(crate) fn shift(&mut self, (bytes, entries): (usize, usize)) {
        self.at -= bytes;
        self.next -= entries;
        if let Some((start, block, _)) = &mut self.search {
            *start -= bytes;
            *block -= bytes / BLOCK;
        }
        if let State::Probe { next, .. } = &mut self.state {
            *next -= entries;
        }
    }

    /// Continues behind the record that [`Step::Begun`] told of.
    pub(crate) fn ended(&mut self, at: usize, next: usize) {
        self.records += 1;
        self.last = at - self.at;
        self.state = State::AfterRecord;
        (self.at, self.next) = (at, next);
    }

    /// Says that the record that [`Step::Begun`] told of could not be read: its end must be found first, by its brackets.
    pub(crate) fn look_for_end(&mut self) {
        self.search = Some((self.at, self.at / BLOCK, 0));
    }

    /// Continues behind the record that [`Step::Record`] told of, where `next` is the first index entry.
    pub(crate) fn resume(&mut self, at: usize, next: usize) {
        self.at = at;
        self.next = next;
    }

    /// Finds the next record.
    pub(crate) fn step(&mut self, window: &Window, limits: &Limits) -> Parse<Step> {
        loop {
            let mut t = window.tokens(self.at, self.next, window.scanned(), limits);
            t.skip_space();
            self.at = t.at;
            if self.at >= window.scanned() {
                let done = window.ended() && matches!(self.state, State::Start | State::Lines | State::End);
                return match window.ended() {
                    false => Ok(Step::More),
                    true if done => Ok(Step::Done),
                    true => Err(self.cut_short(window)),
                };
            }
            let go_on = match self.state {
                State::Start => self.start(window, limits)?,
                State::Probe { .. } => self.probe(window, limits)?,
                State::Member { first } => self.member(t, window, first)?,
                State::AfterMember => self.after_member(t)?,
                State::Record { first } => match self.record(t, window, first)? {
                    Some(step) => return Ok(step),
                    None => self.state != State::Record { first },
                },
                State::AfterRecord => self.after_record(t)?,
                State::Lines => match self.line(t, window)? {
                    Some(step) => return Ok(step),
                    None => false,
                },
                State::End => return Err(Bad::new(self.at, "more after the end of the document")),
            };
            if !go_on {
                return match window.ended() {
                    false => Ok(Step::More),
                    true => Err(self.cut_short(window)),
                };
            }
        }
    }

    #[cold]
    fn cut_short(&self, window: &Window) -> Box<Bad> {
        let place = match self.state {
            State::Record { .. } | State::AfterRecord => "within the records",
            State::Lines => "within a record",
            State::Probe { .. } => "within its first object",
            _ => "within the envelope",
        };
        Bad::new(window.scanned(), format!("the document ends {place}"))
    }

    /// Tells the framing by the first byte.
    fn start(&mut self, window: &Window, limits: &Limits) -> Parse<bool> {
        let bytes = window.bytes();
        if window.base() == 0 && self.at == 0 && bytes.starts_with(b"\xef\xbb\xbf") {
            self.at = 3;
            return Ok(true);
        }
        let first = bytes[self.at];
        let mut t = window.tokens(self.at, self.next, window.scanned(), limits);
        self.state = match (self.framing, first) {
            (None, b'{') => State::Probe { next: self.next + 1, depth: 1, scalar: false },
            (None | Some(Framing::Array), b'[') => {
                self.framing = Some(Framing::Array);
                t.bracket();
                State::Record { first: true }
            }
            (Some(Framing::Envelope), b'{') => {
                t.bracket();
                State::Member { first: true }
            }
            (Some(Framing::Object | Framing::Lines), _) => State::Lines,
            (None, _) => return Err(t.expected("an object or an array")),
            (Some(Framing::Array), _) => return Err(t.expected("an array of records")),
            (Some(Framing::Envelope), _) => return Err(t.expected("an envelope")),
        };
        (self.at, self.next) = (t.at, t.next);
        Ok(true)
    }

    /// Looks for a `result` in the first object, at its top level, with no more grammar than that takes.
    fn probe(&mut self, window: &Window, limits: &Limits) -> Parse<bool> {
        let State::Probe { mut next, mut depth, mut scalar } = self.state else { return Ok(true) };
        let (bytes, index) = (window.bytes(), window.index());
        let is_space = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r');
        // The first byte that is no space, or where there would have to be one.
        let after_space = |from: usize| {
            let most = bytes.len().min(from + limits.space + 2);
            from + bytes[from..most].iter().take_while(|b| is_space(b)).count()
        };
        let mut envelope = false;
        while !envelope && depth > 0 {
            // What was looked at need not be looked at again.
            self.state = State::Probe { next, depth, scalar };
            let Some(&entry) = index.get(next) else {
                return within_limit(self.at, window.scanned(), limits).map(|()| false);
            };
            let close = place(entry);
            within_limit(self.at, close, limits)?;
            match bytes[close] {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {
                    // It began with the first quote behind what ended, or began, before it.
                    let before = index.get(next - 1).map_or(self.at, |entry| place(*entry));
                    let inside = bytes.get(before + 1..close).unwrap_or_default();
                    if depth == 1
                        && let Some(open) = inside.iter().position(|b| *b == b'"')
                    {
                        let after = after_space(close + 1);
                        little_space(close + 1, after, limits)?;
                        if after >= bytes.len() {
                            return within_limit(self.at, bytes.len(), limits).map(|()| false);
                        }
                        if bytes[after] == b':' {
                            let value = after_space(after + 1);
                            little_space(after + 1, value, limits)?;
                            if value >= bytes.len() {
                                return within_limit(self.at, bytes.len(), limits).map(|()| false);
                            }
                            let name = plain(inside.get(open + 1..).unwrap_or_default());
                            let is_result = matches!(&name[..], b"result" | b"results") && !self.result_declared;
                            envelope = is_result && matches!(bytes[value], b'[' | b'{');
                            scalar |= is_result;
                            if self.members.len() < 16 {
                                self.members.push(String::from_utf8_lossy(&name[..name.len().min(100)]).into_owned());
                            }
                        }
                    }
                }
            }
            next += 1;
        }
        if envelope || scalar {
            self.framing = Some(Framing::Envelope);
            self.members.clear();
            self.state = State::Member { first: true };
            (self.at, self.next) = (self.at + 1, self.next + 1);
        } else {
            self.framing = Some(Framing::Object);
            self.state = State::Lines;
        }
        Ok(true)
    }

    /// Reads a member of the envelope, or goes into its records. False: there is not all of it yet.
    fn member(&mut self, mut t: Tokens<'_>, window: &Window, first: bool) -> Parse<bool> {
        if t.byte() == b'}' && first {
            t.bracket();
            return self.end_document(&t);
        }
        let start = t.at;
        let Some(name) = self.name(&mut t, window)? else { return Ok(false) };
        let step = || format!(".{name}");
        if self.members.contains(&name) {
            return Err(Bad::new(start, "a name that was there before").under(step));
        }
        if self.key.as_ref() == Some(&name) {
            let reason = "both the key of a record and a `result`: neither clearly a record nor an envelope";
            return Err(Bad::new(start, reason).under(step));
        }
        if self.members.len() >= MAX_MEMBERS {
            return Err(Bad::new(start, format!("an envelope of more than {MAX_MEMBERS} members")));
        }
        let is_result = matches!(name.as_str(), "result" | "results");
        if is_result && matches!(t.byte(), b'[' | b'{') {
            if self.members.iter().any(|m| m == "result" || m == "results") {
                return Err(Bad::new(start, "both `result` and `results`"));
            }
            self.keyed = t.byte() == b'{';
            t.bracket();
            self.state = State::Record { first: true };
        } else {
            let Some(end) = self.value_end(&t, window)? else { return Ok(false) };
            let mut t = Tokens { end, ..t };
            t.check_bytes(start, end)?;
            let value = t.at;
            skip::value(&mut t, 1).map_err(|bad| bad.under(step))?;
            if t.at != end {
                return Err(t.expected("`,` or `}`").under(step));
            }
            if is_result {
                return Err(Bad::new(value, "neither an array nor an object of records").under(step));
            }
            self.known(&name, value, &t).map_err(|bad| bad.under(step))?;
            self.members.push(name);
            (self.at, self.next) = (t.at, t.next);
            self.state = State::AfterMember;
            return Ok(true);
        }
        self.members.push(name);
        (self.at, self.next) = (t.at, t.next);
        Ok(true)
    }

    /// Takes what the members that are known say. The value is checked JSON, from `start` to where `t` stands.
    fn known(&mut self, name: &str, start: usize, t: &Tokens<'_>) -> Parse<()> {
        let value = &t.bytes[start..t.at];
        let null = value == b"null";
        match name {
            "next_cursor" if null => self.next_page = Next::End,
            "next_cursor" => {
                let text = match value {
                    [b'"', inside @ .., b'"'] => {
                        let mut plain = Vec::new();
                        text::unescape(inside, &mut plain).map_err(|(at, why)| Bad::new(start + 1 + at, why))?;
                        plain
                    }
                    // Not documented, but harmless: sent back as it came.
                    [b'-' | b'0'..=b'9', ..] => value.to_vec(),
                    _ => return Err(Bad::new(start, "a cursor that is neither text nor null")),
                };
                if text.len() > t.limits.cursor {
                    return Err(Bad::new(start, format!("a cursor of more than {} bytes", t.limits.cursor)));
                }
                let text = String::from_utf8(text).map_err(|_| Bad::new(start, "bytes that are not UTF-8"))?;
                self.next_page = if text.is_empty() { Next::End } else { Next::Cursor(Cursor::new(text)) };
            }
            "result_count" if !null => {
                let count = matches!(value, [b'0'..=b'9', ..]).then(|| {
                    let whole = value.iter().all(u8::is_ascii_digit);
                    number::int(value, whole).ok().and_then(|n| u64::try_from(n).ok())
                });
                match count.flatten() {
                    Some(count) => self.result_count = Some(count),
                    None => return Err(Bad::new(start, "a count that is no whole number")),
                }
            }
            "is_partial_response" => self.partial = value == b"true",
            _ => {}
        }
        Ok(())
    }

    fn after_member(&mut self, mut t: Tokens<'_>) -> Parse<bool> {
        match t.byte() {
            b',' => {
                self.at += 1;
                self.state = State::Member { first: false };
                Ok(true)
            }
            b'}' => {
                t.bracket();
                self.end_document(&t)
            }
            _ => Err(t.expected("`,` or `}`")),
        }
    }

    fn end_document(&mut self, t: &Tokens<'_>) -> Parse<bool> {
        if self.framing == Some(Framing::Envelope) && !self.members.iter().any(|m| m == "result" || m == "results") {
            return Err(Bad::new(t.at - 1, "an envelope without `result`"));
        }
        (self.at, self.next) = (t.at, t.next);
        self.state = State::End;
        Ok(true)
    }

    /// Finds the end of the record here. `None`: the records have ended, or there is not all of it yet.
    fn record(&mut self, mut t: Tokens<'_>, window: &Window, first: bool) -> Parse<Option<Step>> {
        if first && self.end_records(&mut t) {
            return Ok(None);
        }
        if self.keyed && self.name(&mut t, window)?.is_none() {
            return Ok(None);
        }
        let likely = window.scanned() - t.at > self.last && self.search.is_none();
        if likely && !self.keyed && t.byte() == b'{' {
            return Ok(Some(Step::Begun { at: t.at, next: t.next }));
        }
        let Some(end) = self.value_end(&t, window)? else { return Ok(None) };
        self.state = State::AfterRecord;
        Ok(Some(self.found(&t, end)))
    }

    fn found(&mut self, t: &Tokens<'_>, end: usize) -> Step {
        self.records += 1;
        Step::Record { range: t.at..end, next: t.next }
    }

    fn after_record(&mut self, mut t: Tokens<'_>) -> Parse<bool> {
        if t.byte() == b',' {
            self.at += 1;
            self.state = State::Record { first: false };
        } else if !self.end_records(&mut t) {
            return Err(t.expected(if self.keyed { "`,` or `}`" } else { "`,` or `]`" }));
        }
        Ok(true)
    }

    /// Passes the bracket that ends the records, if it is here.
    fn end_records(&mut self, t: &mut Tokens<'_>) -> bool {
        let ends = t.byte() == if self.keyed { b'}' } else { b']' };
        if ends {
            t.bracket();
            (self.at, self.next) = (t.at, t.next);
            self.state = if self.framing == Some(Framing::Array) { State::End } else { State::AfterMember };
        }
        ends
    }

    /// Finds the end of the record here, where nothing holds the records together.
    fn line(&mut self, t: Tokens<'_>, window: &Window) -> Parse<Option<Step>> {
        let Some(end) = self.value_end(&t, window)? else { return Ok(None) };
        self.framing = match (self.framing, self.records) {
            (Some(Framing::Object), 1..) => Some(Framing::Lines),
            (framing, _) => framing,
        };
        Ok(Some(self.found(&t, end)))
    }

    /// Passes a name, its colon and the space around that, if all of it and the next byte are there.
    fn name(&mut self, t: &mut Tokens<'_>, window: &Window) -> Parse<Option<String>> {
        if t.byte() != b'"' {
            return Err(t.expected("a name"));
        }
        let so_far = t.index.get(t.next).map_or(window.scanned(), |close| place(*close)) - t.at;
        if so_far > t.limits.key + 1 {
            return Err(Bad::new(t.at, format!("a name of more than {} bytes", t.limits.key)));
        }
        if t.index.get(t.next).is_none() {
            return Ok(None);
        }
        let name: Text = t.text()?;
        t.skip_space();
        little_space(name.close, t.at, t.limits)?;
        if t.at >= window.scanned() {
            return Ok(None);
        }
        if t.byte() != b':' {
            return Err(t.expected("`:`"));
        }
        t.at += 1;
        let colon = t.at;
        t.skip_space();
        little_space(colon, t.at, t.limits)?;
        if t.at >= window.scanned() {
            return Ok(None);
        }
        t.check_bytes(name.open, name.close + 1)?;
        let mut plain = Vec::new();
        text::unescape(name.of(t.bytes), &mut plain).map_err(|(at, why)| Bad::new(name.open + 1 + at, why))?;
        String::from_utf8(plain).map(Some).map_err(|_| Bad::new(name.open, "bytes that are not UTF-8"))
    }

    /// Where the value here ends, by its quotes, its brackets or the first byte that no scalar has.
    fn value_end(&mut self, t: &Tokens<'_>, window: &Window) -> Parse<Option<usize>> {
        let end = match t.byte() {
            b'{' | b'[' => self.container_end(t),
            b'"' => t.index.get(t.next).map(|close| place(*close) + 1),
            b',' | b':' | b'}' | b']' => return Err(t.expected("a value")),
            _ => {
                let ends =
                    |b: &u8| matches!(b, b',' | b':' | b'}' | b']' | b'{' | b'[' | b'"' | b' ' | b'\t' | b'\n' | b'\r');
                // Beyond this it is too long whatever it is, and need not be looked at again and again.
                let longest = t.limits.number.max("false".len());
                let most = t.end.min(t.at + longest + 1);
                let mut at = t.at;
                while t.bytes[at.min(most)..most].first().is_some_and(|b| !ends(b)) {
                    // What a backslash escapes, stage 1 takes for nothing else, so that a quote there begins no string.
                    at += if t.bytes[at] == b'\\' { 2 } else { 1 };
                }
                match (at < most).then_some(at) {
                    Some(end) => Some(end),
                    None if most - t.at > longest => {
                        return Err(Bad::new(t.at, format!("a number of more than {} characters", t.limits.number)));
                    }
                    None => window.ended().then_some(t.end),
                }
            }
        };
        within_limit(t.at, end.unwrap_or(window.scanned()), t.limits)?;
        Ok(end)
    }

    /// Where the container here ends: the first position by which as many brackets have closed as have opened.
    #[inline]
    fn container_end(&mut self, t: &Tokens<'_>) -> Option<usize> {
        let (first, depth) = match self.search {
            Some((start, block, depth)) if start == t.at => (block, depth),
            _ => (t.at / BLOCK, 0),
        };
        match t.closing(first, depth) {
            Ok(end) => {
                self.search = None;
                Some(end)
            }
            Err((block, depth)) => {
                self.search = Some((t.at, block, depth));
                None
            }
        }
    }
}

/// Checks the bytes that must be held together. Whether the last of them has arrived or not, the answer is the same, so
/// that it does not matter how the bytes came.
fn within_limit(from: usize, to: usize, limits: &Limits) -> Parse<()> {
    match to - from <= limits.record {
        true => Ok(()),
        false => Err(Bad::new(from, format!("a record or value of more than {} bytes", limits.record))),
    }
}

/// Checks the space around a colon outside records, which is looked at again with each piece that comes.
fn little_space(from: usize, to: usize, limits: &Limits) -> Parse<()> {
    match to.saturating_sub(from) <= limits.space + 1 {
        true => Ok(()),
        false => Err(Bad::new(from, format!("more than {} bytes of white space around a colon", limits.space))),
    }
}

/// A name without its escapes, or as it is where they are bad.
fn plain(inside: &[u8]) -> Cow<'_, [u8]> {
    let mut out = Vec::new();
    match inside.contains(&b'\\') && text::unescape(inside, &mut out).is_ok() {
        true => Cow::Owned(out),
        false => Cow::Borrowed(inside),
    }
}
