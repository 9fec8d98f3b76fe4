//! Files that roll, staging, manifest, publish: where tables go.
//!
//! | module | what it holds |
//! |---|---|
//! | [`format`](mod@format) | [`Format`] and [`Encoder`]: rows in, bytes of a file out; no I/O |
//! | [`recut`] | [`Recut`]: batches of a size that depends on the rows alone |
//! | [`file_sink`] | [`FileSink`]: the sink itself; read its `commit` to see the whole |
//! | `encode` | a table's encoder: recut, encode, hash |
//! | `workers` | [`Workers`]: the threads that encode, one for each processor |
//! | `committer` | the one thread that touches the disk |
//! | `store` | what that thread does: lock, recover, write parts, publish, abort |
//! | [`layout`] | which path is what |
//! | [`manifest`] | the file whose appearance is the commit |
//! | [`disk`] | [`Disk`]: every call on the file system that a run makes, and the real one |
//! | [`conformance`] | suites that any format and any sink can be held to |
//!
//! # What a reader sees
//!
//! Nothing until the run is complete: files grow in a private folder outside the output folder. The commit is one
//! step, the appearance of the manifest; after it each table's folder is moved into place whole. A start that finds
//! a manifest with folders still to be moved moves them first.

mod committer;
pub mod conformance;
pub mod disk;
mod encode;
pub mod file_sink;
pub mod format;
pub mod layout;
pub mod manifest;
pub mod recut;
mod store;
mod workers;

pub use disk::{Disk, RealDisk};
pub use file_sink::FileSink;
pub use format::{Encoder, Format};
pub use layout::AttemptId;
pub use manifest::Manifest;
pub use recut::Recut;
pub use workers::Workers;
