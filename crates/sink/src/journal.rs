//! What is durable of a run that is not published yet: a line for each segment.
//!
//! A segment is what lies between two points at which all tables' parts end. Its line names those parts, with their sizes and
//! hashes, and the checkpoint after them; it is written when they are durable. So whatever a journal says is there, or
//! shows that it is not: no line says more than the files hold, and no cursor is kept ahead of the rows before it.
//!
//! ```text
//! 16 hexadecimal digits, a space, a JSON object, a line feed
//! ```
//!
//! The digits are the beginning of the SHA-256 of the line before it, and of this one. A line that was torn, changed, doubled or
//! left out does not match, and nothing after it counts. The first line says whose journal it is.

use pagemill_core::{Checkpoint, Cursor, CursorId, Error, Position, Result, Resume, TableName};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    manifest::{hex, sha256},
    store::{Kept, Part, Plan, Segment},
};

/// The version that this code writes, and the only one it reads.
const VERSION: u32 = 1;

/// Whose journal it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    version: u32,
    /// The run key.
    run: String,
    /// What tells runs that would write other bytes from this one.
    config: String,
}

impl Header {
    /// That of a run which writes what `config` stands for.
    #[must_use]
    pub fn new(run: String, config: String) -> Self {
        Self { version: VERSION, run, config }
    }

    /// That of a run.
    ///
    /// # Errors
    /// [`Internal`](pagemill_core::ErrorKind::Internal) when its configuration cannot be written as JSON, which would be a bug.
    pub fn of(plan: &Plan) -> Result<Self> {
        let config = format!("{} {}", plan.draft.config_hash()?, plan.run.pages);
        Ok(Self::new(plan.run.key(), hex(&sha256(config.as_bytes()))))
    }
}

/// A segment, as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Line {
    seq: u64,
    parts: Vec<PartEntry>,
    pages: u64,
    rows: u64,
    bad: u64,
    /// The cursor of the next page; none at the end of the walk.
    next: Option<Cursor>,
    /// The cursors that were met in the segment: 32 digits each, as one text.
    #[serde(with = "ids")]
    met: Vec<CursorId>,
    summary: Value,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PartEntry {
    table: String,
    name: String,
    rows: u64,
    bytes: u64,
    sha256: String,
}

/// The segments of an attempt so far.
#[derive(Clone, Debug)]
pub struct Journal {
    header: Header,
    lines: Vec<Line>,
    /// What the next line's digits begin from, after the header and after each line.
    links: Vec<[u8; 32]>,
}

impl Journal {
    /// A journal without segments.
    ///
    /// # Errors
    /// [`Internal`](pagemill_core::ErrorKind::Internal) when the header cannot be written as JSON, which would be a bug.
    pub fn new(header: Header) -> Result<Self> {
        let (_, link) = encode(&[0; 32], &header)?;
        Ok(Self { header, lines: Vec::new(), links: vec![link] })
    }

    /// Whose journal `bytes` are, of whatever version: `None` when that cannot be read.
    #[must_use]
    pub fn whose(bytes: &[u8]) -> Option<Header> {
        decode::<Header>(&[0; 32], bytes.split_inclusive(|b| *b == b'\n').next()?).map(|(header, _)| header)
    }

    /// Reads as much of `bytes` as is whole: `None` when not even the first line is.
    ///
    /// `tables` are those that a part may be of. What the lines say is checked, not believed: parts are numbered without a gap
    /// and counts do not fall.
    #[must_use]
    pub fn read(bytes: &[u8], tables: &[TableName]) -> Option<Self> {
        let mut lines = bytes.split_inclusive(|b| *b == b'\n');
        let (header, link) = decode::<Header>(&[0; 32], lines.next()?)?;
        if header.version != VERSION {
            return None;
        }
        let mut journal = Self { header, lines: Vec::new(), links: vec![link] };
        for text in lines {
            match decode::<Line>(&journal.link(), text) {
                Some((line, link)) if journal.allows(&line, tables) => {
                    journal.lines.push(line);
                    journal.links.push(link);
                }
                _ => break,
            }
        }
        Some(journal)
    }

    /// Whether `line` can come next.
    fn allows(&self, line: &Line, tables: &[TableName]) -> bool {
        let last = self.lines.last();
        let at = last.map_or((0, 0, 0), |l| (l.pages, l.rows, l.bad));
        let grows = line.pages >= at.0 && line.rows >= at.1 && line.bad >= at.2;
        let mut counts: Vec<_> = tables.iter().map(|t| (t.as_str(), self.count(t))).collect();
        let known = |part: &PartEntry| {
            let Some((_, count)) = counts.iter_mut().find(|(table, _)| *table == part.table) else { return false };
            let stem = format!("part-{count:05}.");
            *count += 1;
            part.name.strip_prefix(&stem).is_some_and(|ext| !ext.is_empty() && !ext.contains(['/', '\\', '\0']))
        };
        line.seq == self.lines.len() as u64
            && last.is_none_or(|l| l.next.is_some())
            && grows
            && line.parts.iter().all(known)
    }

    fn link(&self) -> [u8; 32] {
        self.links.last().copied().unwrap_or_default()
    }

    /// Whose it is.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How many segments there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// How many pages the segments have.
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.lines.last().map_or(0, |l| l.pages)
    }

    /// Parts of `table`.
    fn count(&self, table: &TableName) -> usize {
        self.lines.iter().flat_map(|l| &l.parts).filter(|p| p.table == table.as_str()).count()
    }

    /// The parts of one segment.
    ///
    /// # Errors
    /// When a table's name is none; [`read`](Self::read) lets none through.
    pub fn parts_of(&self, segment: usize) -> Result<Vec<Part>> {
        let entry = |p: &PartEntry| {
            let table = TableName::new(&p.table)?;
            Ok(Part { table, name: p.name.clone(), rows: p.rows, bytes: p.bytes, sha256: p.sha256.clone() })
        };
        self.lines.get(segment).map_or(&[][..], |l| &l.parts).iter().map(entry).collect()
    }

    /// The parts of all segments, in their order.
    ///
    /// # Errors
    /// As [`parts_of`](Self::parts_of).
    pub fn parts(&self) -> Result<Vec<Part>> {
        let each: Vec<_> = (0..self.len()).map(|n| self.parts_of(n)).collect::<Result<_>>()?;
        Ok(each.into_iter().flatten().collect())
    }

    /// Forgets all segments from `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.lines.truncate(len);
        self.links.truncate(len + 1);
    }

    /// True when the last segment ends where `segment` does, so that a line for it would say nothing.
    #[must_use]
    pub fn ends_at(&self, segment: &Segment) -> bool {
        self.lines.last().is_some_and(|l| l.pages == segment.upto.pages && next(&segment.upto) == l.next)
    }

    /// Adds a segment, and gives its line, with its line feed.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn push(&mut self, parts: &[Part], segment: &Segment) -> Result<Vec<u8>> {
        let parts = parts.iter().map(|p| PartEntry {
            table: p.table.to_string(),
            name: p.name.clone(),
            rows: p.rows,
            bytes: p.bytes,
            sha256: p.sha256.clone(),
        });
        let line = Line {
            seq: self.lines.len() as u64,
            parts: parts.collect(),
            pages: segment.upto.pages,
            rows: segment.upto.rows,
            bad: segment.upto.bad,
            next: next(&segment.upto),
            met: segment.met.clone(),
            summary: segment.summary.clone(),
        };
        let (text, link) = encode(&self.link(), &line)?;
        self.lines.push(line);
        self.links.push(link);
        Ok(text)
    }

    /// All of it, as a file.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let (mut bytes, mut link) = encode(&[0; 32], &self.header)?;
        for line in &self.lines {
            let (text, after) = encode(&link, line)?;
            bytes.extend_from_slice(&text);
            link = after;
        }
        Ok(bytes)
    }

    /// What a run can go on from; `None` when there is no segment.
    ///
    /// # Errors
    /// As [`parts_of`](Self::parts_of).
    pub fn kept(&self) -> Result<Option<Kept>> {
        let Some(last) = self.lines.last() else { return Ok(None) };
        let position = last.next.clone().map_or(Position::End, Position::Next);
        let checkpoint = Checkpoint { pages: last.pages, rows: last.rows, bad: last.bad, next: position };
        let seen = self.lines.iter().flat_map(|l| &l.met).copied().collect();
        Ok(Some(Kept { resume: Resume { checkpoint, seen, summary: last.summary.clone() }, parts: self.parts()? }))
    }
}

/// Cursors as one text. A run of very many pages holds all that it has met, so they should take no more than they are.
mod ids {
    use std::fmt::Write;

    use pagemill_core::CursorId;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    const DIGITS: usize = 32;

    pub(super) fn serialize<S: Serializer>(ids: &[CursorId], to: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(ids.len() * DIGITS);
        ids.iter().try_for_each(|id| write!(text, "{id}")).map_err(serde::ser::Error::custom)?;
        to.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<CursorId>, D::Error> {
        let text = String::deserialize(from)?;
        let id = |digits: &[u8]| std::str::from_utf8(digits).ok().and_then(CursorId::parse);
        let ids: Option<Vec<_>> = text.as_bytes().chunks(DIGITS).map(id).collect();
        ids.ok_or_else(|| D::Error::custom("a cursor is 32 digits"))
    }
}

fn next(upto: &Checkpoint) -> Option<Cursor> {
    match &upto.next {
        Position::Next(cursor) => Some(cursor.clone()),
        Position::End => None,
    }
}

fn digest(link: &[u8; 32], json: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(link).chain_update(json).finalize().into()
}

fn encode<T: Serialize>(link: &[u8; 32], value: &T) -> Result<(Vec<u8>, [u8; 32])> {
    let json = serde_json::to_vec(value).map_err(|e| Error::internal("the journal cannot be written").because(e))?;
    let after = digest(link, &json);
    let mut line = hex(&after).into_bytes();
    line.truncate(16);
    line.push(b' ');
    line.extend_from_slice(&json);
    line.push(b'\n');
    Ok((line, after))
}

fn decode<T: DeserializeOwned>(link: &[u8; 32], line: &[u8]) -> Option<(T, [u8; 32])> {
    let (digits, json) = line.strip_suffix(b"\n")?.split_at_checked(16)?;
    let json = json.strip_prefix(b" ")?;
    let after = digest(link, json);
    let same = hex(&after).as_bytes().get(..16) == Some(digits);
    same.then(|| serde_json::from_slice(json).ok()).flatten().map(|value| (value, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> Vec<TableName> {
        ["m", "m_c"].map(|t| TableName::new(t).expect("name")).to_vec()
    }

    fn part(table: &str, number: u32) -> Part {
        let table = TableName::new(table).expect("name");
        Part { table, name: format!("part-{number:05}.x"), rows: 3, bytes: 9, sha256: "ab".repeat(32) }
    }

    fn segment(pages: u64, next: Option<&str>) -> Segment {
        let next = next.map_or(Position::End, |c| Position::Next(Cursor::new(c)));
        let met = match &next {
            Position::Next(cursor) => vec![cursor.id()],
            Position::End => vec![],
        };
        let upto = Checkpoint { pages, rows: pages * 3, bad: 1, next };
        Segment { upto, met, summary: serde_json::json!({ "pages": pages }) }
    }

    fn journal() -> Journal {
        let mut journal = Journal::new(Header::new("m/d=1".into(), "c0ffee".into())).expect("journal");
        journal.push(&[part("m", 0)], &segment(1, Some("a"))).expect("line");
        journal.push(&[part("m", 1), part("m_c", 0)], &segment(2, Some("b"))).expect("line");
        journal.push(&[part("m", 2)], &segment(5, None)).expect("line");
        journal
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let journal = journal();
        let read = Journal::read(&journal.to_bytes().expect("bytes"), &tables()).expect("reads");
        assert_eq!((read.header(), &read.lines), (journal.header(), &journal.lines));
        let kept = read.kept().expect("parts").expect("segments");
        assert_eq!(kept.resume.checkpoint, Checkpoint { pages: 5, rows: 15, bad: 1, next: Position::End });
        assert_eq!(kept.resume.seen, ["a", "b"].map(|c| Cursor::new(c).id()));
        assert_eq!(kept.resume.summary, serde_json::json!({"pages": 5}));
        assert_eq!(kept.parts, [part("m", 0), part("m", 1), part("m_c", 0), part("m", 2)]);
        let mut pushed = Journal::new(journal.header.clone()).expect("journal").to_bytes().expect("bytes");
        let mut again = Journal::new(journal.header.clone()).expect("journal");
        for (n, line) in journal.lines.iter().enumerate() {
            let upto = segment(line.pages, line.next.as_ref().map(Cursor::expose));
            pushed.extend(again.push(&journal.parts_of(n).expect("parts"), &upto).expect("line"));
        }
        assert_eq!(pushed, journal.to_bytes().expect("bytes"), "lines one by one are the file");
    }

    #[test]
    fn cut_anywhere_it_is_its_longest_whole_beginning() {
        let journal = journal();
        let bytes = journal.to_bytes().expect("bytes");
        let ends: Vec<_> = bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1).collect();
        for cut in 0..=bytes.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let read = Journal::read(&bytes[..cut], &tables());
            assert_eq!(read.as_ref().map(|j| j.len() + 1).unwrap_or(0), whole, "{cut}");
            if let Some(read) = read {
                assert_eq!(read.lines, journal.lines[..read.len()]);
            }
        }
    }

    #[test]
    fn with_any_bit_changed_nothing_from_there_on_counts() {
        let journal = journal();
        let bytes = journal.to_bytes().expect("bytes");
        let mut cases = 0;
        for at in 0..bytes.len() {
            let line = bytes[..at].iter().filter(|b| **b == b'\n').count();
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                let read = Journal::read(&changed, &tables());
                assert_eq!(read.as_ref().map_or(0, |j| j.len() + 1), line, "bit {bit} of byte {at}");
                cases += 1;
            }
        }
        assert!(cases > 4_000, "{cases}");
    }

    #[test]
    fn lines_that_are_doubled_left_out_or_moved_do_not_count() {
        let bytes = journal().to_bytes().expect("bytes");
        let lines: Vec<_> = bytes.split_inclusive(|b| *b == b'\n').collect();
        let read = |order: &[usize]| {
            let bytes: Vec<_> = order.iter().flat_map(|n| lines[*n].iter().copied()).collect();
            Journal::read(&bytes, &tables()).map_or(0, |j| j.len() + 1)
        };
        assert_eq!(read(&[0, 1, 2, 3]), 4);
        assert_eq!(read(&[0, 1, 1, 2, 3]), 2);
        assert_eq!(read(&[0, 2, 3]), 1);
        assert_eq!(read(&[0, 1, 3, 2]), 2);
        assert_eq!(read(&[1, 2, 3]), 0);
    }

    #[test]
    fn what_it_says_is_not_believed_because_its_digits_are_right() {
        let odd = |parts: &[Part], segment: &Segment| {
            let mut journal = journal();
            journal.truncate(2);
            journal.push(parts, segment).expect("line");
            Journal::read(&journal.to_bytes().expect("bytes"), &tables()).expect("reads").len()
        };
        assert_eq!(odd(&[part("m", 2)], &segment(3, None)), 3);
        assert_eq!(odd(&[part("m", 3)], &segment(3, None)), 2, "a part is missing");
        assert_eq!(odd(&[part("m", 1)], &segment(3, None)), 2, "a part is named twice");
        assert_eq!(odd(&[part("other", 0)], &segment(3, None)), 2, "a table that is not ours");
        assert_eq!(odd(&[part("m", 2)], &segment(1, None)), 2, "fewer pages than before");
        for name in ["part-00002.../x", "part-00002.x/../../y", "../part-00002.x", "part-00002.", "part-00002"] {
            let part = Part { name: name.into(), ..part("m", 2) };
            assert_eq!(odd(&[part], &segment(3, None)), 2, "{name}");
        }
    }

    #[test]
    fn it_shows_its_cursor_to_no_log() {
        assert!(!format!("{:?}", journal()).contains("\"b\""));
    }
}
