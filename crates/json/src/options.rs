//! What a decoder is told, and what it tells of a page.

use arrow::array::RecordBatch;
use pagemill_core::{BadRecord, Cursor, Error, Misfits};

use crate::KernelName;

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

/// Every limit on what a page may hold. Those on what is within a record, or as long as one, are 256 MiB at most whatever
/// is said here, and elements 16 Mi.
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
    /// Elements of the declared lists of one record, at all depths.
    pub elements: usize,
    /// White space between a name of the envelope, its colon and its value.
    pub space: usize,
    /// Bytes of one record; at most 256 MiB.
    pub record: usize,
    /// Bytes of a cursor.
    pub cursor: usize,
    /// Bytes of a page, decompressed.
    pub page: u64,
    /// Bad records of a page; one more fails the page.
    pub bad_records: u64,
    /// Bytes of a page's bad records, together and with 256 more for each; more fail the page.
    pub bad_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 128,
            string: 16 << 20,
            key: 64 << 10,
            number: 1_024,
            members: 100_000,
            elements: 1_000_000,
            space: 64 << 10,
            record: 32 << 20,
            cursor: 8 << 10,
            page: u64::MAX,
            bad_records: u64::MAX,
            bad_bytes: 64 << 20,
        }
    }
}

/// What a decoder should do.
#[derive(Clone, Debug)]
pub struct Options {
    /// What a value of an unknown member becomes.
    pub unknown: Unknown,
    /// The framing, where it is known beforehand; `None` tells it by the first bytes.
    pub framing: Option<Framing>,
    /// Limits.
    pub limits: Limits,
    /// Rows of a batch, at most; from 1 to 2^20.
    pub batch_rows: usize,
    /// Bytes of the records of a batch, at most 256 MiB: the batch ends with the record that reaches it. It also ends
    /// when the elements of its lists are eight for each row that it may have.
    pub batch_bytes: usize,
    /// The kernel to scan with; `None` takes the machine's best, and so does one that the machine cannot run.
    pub kernel: Option<KernelName>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            unknown: Unknown::default(),
            framing: None,
            limits: Limits::default(),
            batch_rows: 8_192,
            batch_bytes: 8 << 20,
            kernel: None,
        }
    }
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
