//! What was served, for those who have to compare it with what arrived.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a simulator has served since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Requests answered, refused ones included.
    pub requests: u64,
    /// Requests that were refused: any status but 200.
    pub refused: u64,
    /// Pages served; a stream counts as one, a single record as none.
    pub pages: u64,
    /// Records made, in pages, streams and single answers. A stream counts them as they are made.
    pub records: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    requests: AtomicU64,
    refused: AtomicU64,
    pages: AtomicU64,
    records: AtomicU64,
}

impl Counters {
    /// Counts a request, and gives its ordinal.
    pub(crate) fn request(&self) -> u64 {
        self.requests.fetch_add(1, Relaxed)
    }

    pub(crate) fn refusal(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(crate) fn page(&self) {
        self.pages.fetch_add(1, Relaxed);
    }

    pub(crate) fn records(&self, count: u64) {
        self.records.fetch_add(count, Relaxed);
    }

    pub(crate) fn read(&self) -> Served {
        Served {
            requests: self.requests.load(Relaxed),
            refused: self.refused.load(Relaxed),
            pages: self.pages.load(Relaxed),
            records: self.records.load(Relaxed),
        }
    }
}
