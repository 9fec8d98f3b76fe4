//! The decoder's public types.
#![allow(unused)]
use std::sync::Arc;
use arrow::array::RecordBatch;
use bytes::Bytes;
use pagemill_core::{BadRecord, Cursor, Error, Misfits, Resource};

/// What a value of an unknown member becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unknown {
    /// It is kept in `_extra`.
    #[default]
    Extra,
    /// It is dropped, and counted.
    Ignore,
    /// It fails the page.
    Fail,
}

/// How the records of a page are laid out; told by its first bytes unless [`Options::framing`] says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// An object with `result` or `results`: an array of records, or an object of records by key.
    Envelope,
    /// A bare array of records.
    Array,
    /// One bare record.
    Object,
    /// Records one after another: NDJSON, or concatenated.
    Lines,
}

/// Every limit on what a page may hold.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Containers within containers, the record itself counted.
    pub depth: usize,
    /// Bytes of a string, as written.
    pub string: usize,
    /// Bytes of a member's name, as written.
    pub key: usize,
    /// Characters of a number.
    pub number: usize,
    /// Members of one object that the schema does not know.
    pub members: usize,
    /// Bytes of one record.
    pub record: usize,
    /// Bytes of a cursor.
    pub cursor: usize,
    /// Bytes of a page, decompressed.
    pub page: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 128,
            string: 16 << 20,
            key: 64 << 10,
            number: 1_024,
            members: 100_000,
            record: 32 << 20,
            cursor: 8 << 10,
            page: u64::MAX,
        }
    }
}

/// What a decoder should do.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What a value of an unknown member becomes.
    pub unknown: Unknown,
    /// The framing, where it is known beforehand; `None` tells it by the first bytes.
    pub framing: Option<Framing>,
    /// Limits.
    pub limits: Limits,
}

/// Where the next page is, as the envelope says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// No `next_cursor` member was there, or there is no envelope.
    Absent,
    /// `null` or `""`: the walk ends here.
    End,
    /// There is another page.
    Cursor(Cursor),
}

/// A whole page, once it has been read to its end.
#[derive(Clone, Debug)]
pub struct Page {
    /// The rows that no batch has carried yet; may be empty.
    pub rest: RecordBatch,
    /// How the records were laid out; `None` for an empty document (no bytes, or white space only).
    pub framing: Option<Framing>,
    /// Where the next page is.
    pub next: Next,
    /// The envelope's `result_count`.
    pub result_count: Option<u64>,
    /// The envelope's `is_partial_response`.
    pub partial: bool,
    /// Records, good and bad.
    pub records: u64,
    /// Good records: the rows of all the page's batches.
    pub rows: u64,
    /// Bad records; `page` in them is 0, for the caller to set.
    pub bad: Vec<BadRecord>,
    /// Values outside their columns.
    pub misfits: Misfits,
    /// Bytes, decompressed.
    pub bytes: u64,
    /// Names of the top-level members seen, for messages; at most 16.
    pub members: Vec<String>,
}

/// A page that cannot be read: the byte offset, the ordinal of the record and the JSON path are in its `place`.
pub type DecodeError = Error;

/// Turns the bytes of one page after another into batches of one resource.
///
/// After an error the decoder must be [`reset`](Decoder::reset) before the next page.
#[derive(Debug)]
pub struct Decoder {}

impl Decoder {
    /// A decoder for `resource`.
    pub fn new(resource: &Resource, options: Options) -> Self { todo!() }

    /// Takes bytes until a batch is full or `input` is empty.
    ///
    /// `Ok(Some)`: a full batch; call again, there may be input left. `Ok(None)`: all input was taken.
    /// Where batches are cut depends on the records alone, never on how the bytes arrived.
    ///
    /// # Errors
    /// When the page cannot be read any further; bad records alone are no error.
    pub fn decode(&mut self, input: &mut Bytes) -> Result<Option<RecordBatch>, DecodeError> { todo!() }

    /// Ends the page: what was fed since the last end is a whole document. The decoder is ready for the next page.
    ///
    /// # Errors
    /// When the document is not complete.
    pub fn finish_page(&mut self) -> Result<Page, DecodeError> { todo!() }

    /// The envelope's cursor, as soon as it has been read; [`Next::Absent`] before.
    pub fn next(&self) -> Next { todo!() }

    /// Forgets the page in progress.
    pub fn reset(&mut self) { todo!() }
}
