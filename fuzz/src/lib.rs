//! The fuzz targets, and what they share.
//!
//! | module | what it holds |
//! |---|---|
//! | `input` | from the bytes of the fuzzer to a page and how to read it |
//! | `subject` | reading the page with the decoder, and comparing what came of it |
//! | `json` | what serde_json reads: a tree that keeps the text of every value |
//! | `document` | the same as a page: its framing, its envelope, its records |
//! | `record` | what is promised of one record: whether it is good, and what must come back |
//! | `oracle` | the three together, held against an outcome |
//! | [`targets`] | the targets themselves; the binaries of the same names hand them to libFuzzer |
//!
//! The targets assert what `README.md` and `ARCHITECTURE.md` promise, so that nothing here looks into the decoder.

mod document;
mod input;
mod json;
mod oracle;
mod record;
mod subject;
pub mod targets;

pub use input::{Input, KERNELS};
pub use oracle::check;
pub use subject::{Outcome, decode};
