//! Counters that a caller can look at while a walk goes on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

/// A handle on the counters of a source; cheap to clone, and every clone shows the same.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    bytes: AtomicU64,
    pages: AtomicU64,
    records: AtomicU64,
    retries: AtomicU64,
    /// Milliseconds since 1970; 0 when nothing is waited for.
    waiting_until: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Requests sent.
    pub requests: u64,
    /// Bytes of bodies and files read, as they came (compressed, if they were).
    pub bytes: u64,
    /// Pages that count.
    pub pages: u64,
    /// Records in them, good and bad.
    pub records: u64,
    /// Attempts that had to be made again.
    pub retries: u64,
    /// When a wait in progress, for a rate limit or before another attempt, is over.
    pub waiting_until: Option<SystemTime>,
}

impl Progress {
    /// The counters now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let counters = &self.0;
        let until = counters.waiting_until.load(Relaxed);
        Snapshot {
            requests: counters.requests.load(Relaxed),
            bytes: counters.bytes.load(Relaxed),
            pages: counters.pages.load(Relaxed),
            records: counters.records.load(Relaxed),
            retries: counters.retries.load(Relaxed),
            waiting_until: (until > 0).then(|| SystemTime::UNIX_EPOCH + Duration::from_millis(until)),
        }
    }

    pub(crate) fn request(&self) {
        self.0.requests.fetch_add(1, Relaxed);
    }

    pub(crate) fn bytes(&self, n: usize) {
        self.0.bytes.fetch_add(n as u64, Relaxed);
    }

    pub(crate) fn page(&self, records: u64) {
        self.0.pages.fetch_add(1, Relaxed);
        self.0.records.fetch_add(records, Relaxed);
    }

    pub(crate) fn retry(&self) {
        self.0.retries.fetch_add(1, Relaxed);
    }

    pub(crate) fn waiting(&self, until: Option<SystemTime>) {
        let since = until.and_then(|until| until.duration_since(SystemTime::UNIX_EPOCH).ok());
        let millis = since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        self.0.waiting_until.store(millis, Relaxed);
    }
}
