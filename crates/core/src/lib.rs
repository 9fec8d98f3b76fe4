//! The words every part of Pagemill speaks.
//!
//! | module | what it holds |
//! |---|---|
//! | [`resource`] | [`Resource`]: a JSON Schema document turned into fields and an Arrow schema; the built-in catalog |
//! | [`batch`] | [`Batch`]: nested records on their way; [`Table`]: flat rows on theirs; [`PageEnd`]: what a page's end lets us commit; [`memory_of`] a batch |
//! | [`checkpoint`] | [`Checkpoint`], [`Cursor`], [`Resume`]: how far a walk over the pages has come |
//! | [`quarantine`] | records that could not be read, with place, reason and bytes |
//! | [`misfit`] | values kept in `_extra` because their column cannot hold them exactly, counted |
//! | [`run`] | [`Run`], [`Slot`], [`Pages`], [`Receipt`]: what a run is called and what it left behind |
//! | [`stage`] | the three traits: [`Source`], [`Transform`], [`Sink`] |
//! | [`error`] | [`Error`]: whose fault, where, and the way out |
//! | [`escape`](mod@escape) | text from elsewhere, made fit for a terminal |
//!
//! This crate does no I/O and knows no runtime.

pub mod batch;
pub mod checkpoint;
pub mod error;
pub mod escape;
pub mod misfit;
pub mod quarantine;
pub mod resource;
pub mod run;
pub mod stage;

pub use batch::{Batch, Hold, PageEnd, PageSummary, Table, TableName, TableSchema, memory_of};
pub use checkpoint::{Checkpoint, Cursor, CursorId, Position, Resume, Rewind};
pub use error::{Error, ErrorKind, Place, Result};
pub use misfit::{Misfits, Reason};
pub use quarantine::BadRecord;
pub use resource::{Field, Kind, Resource};
pub use run::{FileEntry, Pages, Receipt, Run, Slot};
pub use stage::{Sink, Source, Transform};

/// The name of the column that keeps, as JSON text, what the declared columns cannot.
pub const EXTRA: &str = "_extra";

/// The Arrow field metadata key that names an extension type.
pub const EXTENSION_NAME: &str = "ARROW:extension:name";

/// The extension type of a text column whose values are JSON documents.
pub const JSON_EXTENSION: &str = "arrow.json";
