//! Suites that any format and any sink can be held to: ours, and a stranger's.
//!
//! They panic, with the reason, where the promise is broken; call them from a test.

pub mod format;
pub mod sink;

pub use format::{Rows, format};
pub use sink::sink;
