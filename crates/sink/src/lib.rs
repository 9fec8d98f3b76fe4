//! Files that roll, staging, manifest, publish: where tables go.
//!
//! | module | what it holds |
//! |---|---|
//! | [`format`](mod@format) | [`Format`] and [`Encoder`]: rows in, bytes of a file out; no I/O |
//! | [`recut`] | [`Recut`]: batches of a size that depends on the rows alone |
//! | [`file_sink`] | [`FileSink`]: the sink itself; read its `commit` to see the whole |
//! | `encode` | a table's encoder: recut, encode, hash |
//! | `workers` | [`Workers`]: the threads that encode, one for each processor |
//! | `round` | work that is shared out among them |
//! | `committer` | the one thread that calls the store |
//! | [`store`] | [`Store`]: what that thread does, wherever the files are |
//! | [`local`] | [`LocalStore`]: lock, recover, write parts, publish, on a local disk |
//! | [`journal`] | what is durable of a run that is not published yet |
//! | [`layout`] | which path is what |
//! | [`manifest`] | the file whose appearance is the commit |
//! | [`list`] | [`Published`]: the manifests there are, and the files they name, for readers |
//! | [`seal`](mod@seal) | a checksum in the manifest, of the manifest |
//! | [`gc`] | removing what attempts that died have left |
//! | [`disk`] | [`Disk`]: every call on the file system that a run makes, and the real one |
//! | [`conformance`] | suites that any format and any sink can be held to |
//!
//! # What a reader sees
//!
//! Nothing until the run is complete: files grow in a private folder outside the output folder. The commit is one
//! step, the appearance of the manifest; after it each table's folder is moved into place whole. A start that finds
//! a manifest with folders still to be moved moves them first.
//!
//! # What a crash costs
//!
//! What came after the last part that was closed: a journal says which parts are durable, and which page comes after them.
//! The next run of the same slot with the same configuration checks them and goes on from there.

mod committer;
pub mod conformance;
pub mod disk;
mod encode;
pub mod file_sink;
pub mod format;
pub mod gc;
pub mod journal;
pub mod layout;
pub mod list;
pub mod local;
pub mod manifest;
pub mod recut;
mod round;
pub mod seal;
pub mod store;
mod workers;

pub use disk::{Disk, RealDisk};
pub use file_sink::FileSink;
pub use format::{Encoder, Format};
pub use journal::Journal;
pub use layout::AttemptId;
pub use list::{LocalPublished, Published};
pub use local::LocalStore;
pub use manifest::Manifest;
pub use recut::Recut;
pub use round::More;
pub use store::Store;
pub use workers::Workers;
