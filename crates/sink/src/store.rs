//! [`Store`]: where a run's files are staged, kept for a later run, and published.

use std::fmt;

use bytes::Bytes;
use pagemill_core::{Checkpoint, CursorId, Error, Receipt, Result, Resume, Rewind, Run, TableName};
use serde_json::Value;

use crate::Manifest;

/// What a run is, as its store has to know it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its name.
    pub run: Run,
    /// Its manifest, but for attempt, files and counts. Runs that would write other bytes have other
    /// [`config_hash`](Manifest::config_hash)es.
    pub draft: Manifest,
    /// Whether a run that is published already is made again, and replaced.
    pub overwrite: bool,
}

/// Where a run stands when it begins.
#[derive(Debug)]
pub enum Opened {
    /// At its start.
    Fresh,
    /// Where an earlier attempt ended.
    Resumed(Kept),
    /// At its end: an earlier run has published, and all its files are in place.
    Published(Box<Manifest>, Receipt),
}

/// What is durable of a run that is not published yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// Where to go on.
    pub resume: Resume,
    /// The parts that hold all rows before it.
    pub parts: Vec<Part>,
}

/// The error of [`Store::open`] for a run that is published, but of which something is not there as it was written.
pub fn damaged_slot(run_key: &str, what: impl fmt::Display) -> Error {
    Error::data(format!("{run_key} is published, but {what} is not there as it was written"))
        .advise("put it back, or have all of it made again with --overwrite; `pagemill verify` says what else is wrong")
}

/// A part that is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its table.
    pub table: TableName,
    /// Its file's name.
    pub name: String,
    /// Rows in it.
    pub rows: u64,
    /// Bytes of it.
    pub bytes: u64,
    /// SHA-256 of it, in lower-case hexadecimal.
    pub sha256: String,
}

/// All pages since the segment before, or since the start.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The point after it.
    pub upto: Checkpoint,
    /// The cursors that were met in it.
    pub met: Vec<CursorId>,
    /// What the pages up to there were, as JSON.
    pub summary: Value,
}

/// Keeps files from nobody's view until all of them are complete.
///
/// One thread calls it, one call at a time. Calls come in this order, where `{}` is any number of times and `|` one or the other:
///
/// ```text
/// open {{create_part {append_part} close_part} end_segment | rewind} (publish | suspend | abort)
/// ```
///
/// Parts of different tables may be open at the same time. After an error, only `suspend` and `abort` are called. A store that is
/// dropped keeps what is durable, as after `suspend`.
///
/// # Errors
/// Kinds are those of [`ErrorKind`](pagemill_core::ErrorKind): `Data` when what is published is damaged; `Busy` when another run holds
/// the slot; `Create` and `Io` when a file cannot be made or written; `Unknown` when it cannot be told whether the run is published.
#[allow(clippy::missing_errors_doc, reason = "said above, once for all")]
pub trait Store: Send {
    /// Takes the slot, finishes what a published run left undone, and finds what an earlier attempt of the same configuration
    /// has kept. What that was is checked before it is relied on: each part's bytes against its hash. Of what is published, each
    /// file must be there in its length, or it is [damaged](damaged_slot), unless it is to be replaced.
    fn open(&mut self, plan: &Plan) -> Result<Opened>;
    /// What the names of parts carry, once it is open: so that none of them is the name of a part that is published, and that
    /// a slow reader may be about to open while it is replaced. A word of letters and digits.
    fn tag(&self) -> Option<String> {
        None
    }
    /// Begins a part.
    fn create_part(&mut self, table: &TableName, name: &str) -> Result<()>;
    /// Appends to a part that was begun.
    fn append_part(&mut self, table: &TableName, name: &str, bytes: &Bytes) -> Result<()>;
    /// Ends a part: nothing is appended to it after this.
    fn close_part(&mut self, part: &Part) -> Result<()>;
    /// Ends a segment: the parts closed since the last one, and the point after them, are durable together when this returns.
    /// Those of the segment that ends the walk need be so only with [`publish`](Self::publish), which comes next.
    fn end_segment(&mut self, segment: &Segment) -> Result<()>;
    /// Drops what came after the last segment, or all of it, and gives what is left.
    fn rewind(&mut self, to: Rewind) -> Result<Option<Kept>>;
    /// Publishes all segments, in one step. `manifest` comes without attempt and files.
    fn publish(&mut self, manifest: Manifest) -> Result<Receipt>;
    /// Lets the slot go, and keeps the segments.
    fn suspend(&mut self) -> Result<()>;
    /// Lets the slot go, and keeps nothing, unless it was published.
    fn abort(&mut self) -> Result<()>;
}
