//! Files of every format to record batches, a batch at a time.
//!
//! | module | what it holds |
//! |---|---|
//! | `columns` | the columns of a manifest as an Arrow schema |
//! | `parquet`, `ipc`, `ndjson` | a reader each |

mod columns;
mod ipc;
mod ndjson;
mod parquet;

use std::{
    io::{self, Read, Seek, SeekFrom},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use pagemill_core::{Error, Result};
use pagemill_sink::{list::ReadAt, manifest::TableEntry};

/// Rows of a batch, at most, where the format lets the reader choose.
const BATCH_ROWS: usize = 1_024;

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Parquet,
    IpcFile,
    IpcStream,
    Ndjson,
}

impl Kind {
    /// The kind that manifests call `name`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "parquet" => Self::Parquet,
            "arrow" => Self::IpcFile,
            "arrow-stream" => Self::IpcStream,
            "ndjson" => Self::Ndjson,
            _ => return None,
        })
    }

    /// The ending of its files' names, without the dot.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::IpcFile => "arrow",
            Self::IpcStream => "arrows",
            Self::Ndjson => "ndjson",
        }
    }
}

/// The rows of a file, in order.
pub(crate) struct Rows {
    /// The columns as the file says them; those of the table where a file says none.
    pub(crate) schema: SchemaRef,
    batches: Box<dyn Iterator<Item = Result<RecordBatch>> + Send>,
}

/// Opens a file of the table `table`.
///
/// # Errors
/// [`Data`](pagemill_core::ErrorKind::Data) when it is not of its kind.
pub(crate) fn open(kind: Kind, bytes: &Arc<dyn ReadAt>, table: &TableEntry) -> Result<Rows> {
    guarded(|| match kind {
        Kind::Parquet => parquet::open(bytes),
        Kind::IpcFile => ipc::open_file(bytes),
        Kind::IpcStream => ipc::open_stream(bytes),
        Kind::Ndjson => ndjson::open(bytes, columns::schema(&table.columns)?),
    })
}

impl Iterator for Rows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batches = &mut self.batches;
        guarded(|| batches.next().transpose()).transpose()
    }
}

/// Some readers panic on bytes that nobody wrote. What they leave behind is not used again.
fn guarded<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(Error::data("the reader of the format gave up")))
}

/// An error of a reader.
fn unreadable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::data("it cannot be read").because(cause)
}

/// The bytes of a file as a stream that can be wound.
pub(crate) struct Stream {
    bytes: Arc<dyn ReadAt>,
    at: u64,
}

impl Stream {
    pub(crate) fn new(bytes: &Arc<dyn ReadAt>) -> Self {
        Self { bytes: Arc::clone(bytes), at: 0 }
    }

    fn from(bytes: &Arc<dyn ReadAt>, at: u64) -> Self {
        Self { bytes: Arc::clone(bytes), at }
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read_at(self.at, into)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Stream {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.bytes.size().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::other("a place before the beginning"))?;
        Ok(self.at)
    }
}
