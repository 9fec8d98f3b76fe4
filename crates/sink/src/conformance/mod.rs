//! Suites that any format and any sink can be held to: ours, and a stranger's.
//!
//! They panic, with the reason, where the promise is broken; call them from a test.

pub mod format;
pub mod sink;

use crate::workers::{Pool, Workers};

pub use format::{Rows, format};
pub use sink::sink;

/// Calls `work` with so many threads, whatever the number of processors.
///
/// # Panics
/// When the system has no thread to spare.
#[expect(clippy::expect_used, reason = "it is a part of tests")]
pub fn with_workers<R>(threads: usize, work: impl FnOnce(&Workers) -> R) -> R {
    let pool = Pool::of(threads).expect("threads");
    work(&pool.workers())
}
