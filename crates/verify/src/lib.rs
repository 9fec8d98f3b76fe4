//! Whether what was published is what was written, and what the pages held.
//!
//! | module | what it holds |
//! |---|---|
//! | [`report`] | [`Report`] and [`Finding`]: what was looked at, and what is wrong |
//! | [`check`] | [`verify`]: files against their manifest, and manifests against what is there |
//! | `identifiers` | how many records have the identifier of another, or none |
//! | `rows` | what the rows of a run's tables say about each other |
//! | `read` | files of every format to record batches, a batch at a time |
//! | [`rebuild`] | [`Rebuild`]: the tables turned back into records and compared with the saved pages |
//!
//! The readers of the formats are not those that wrote them where there are others, and the pages are read by serde_json, not by
//! Pagemill's decoder: one mistake should not hide another.
//!
//! A file is hashed before it is opened, so that no reader ever meets damaged bytes unless the manifest vouches for them. Memory
//! does not grow with the files: a page of a Parquet column, or a record batch, or a line is held at a time.

pub mod check;
mod identifiers;
mod read;
pub mod rebuild;
pub mod report;
mod rows;

pub use check::{Which, verify};
pub use rebuild::Rebuild;
pub use report::{Finding, Report, Severity};
