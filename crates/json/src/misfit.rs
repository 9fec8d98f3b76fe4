//! Counting the values that are not in their columns.

use std::collections::BTreeMap;

use pagemill_core::{Misfits, Reason};

/// A declared path, or the path of an object with unknown members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(u32);

/// The paths of a schema.
#[derive(Debug, Default)]
pub(crate) struct Ids(Vec<String>);

impl Ids {
    pub(crate) fn add(&mut self, path: &str) -> Id {
        self.0.push(path.to_owned());
        Id(self.0.len() as u32 - 1)
    }
}

/// Misfits of a page; those of a record count only once the record does.
#[derive(Debug)]
pub(crate) struct Counter {
    ids: Ids,
    counted: BTreeMap<(u32, Reason), u64>,
    pending: Vec<(Id, Reason)>,
}

impl Counter {
    pub(crate) fn new(ids: Ids) -> Self {
        Self { ids, counted: BTreeMap::new(), pending: Vec::new() }
    }

    #[inline]
    pub(crate) fn add(&mut self, id: Id, reason: Reason) {
        self.pending.push((id, reason));
    }

    /// The record is good.
    #[inline]
    pub(crate) fn keep(&mut self) {
        if !self.pending.is_empty() {
            self.keep_pending();
        }
    }

    #[cold]
    fn keep_pending(&mut self) {
        self.pending.sort_unstable_by_key(|(id, reason)| (id.0, *reason));
        for same in self.pending.chunk_by(|a, b| a == b) {
            if let [(id, reason), ..] = same {
                *self.counted.entry((id.0, *reason)).or_default() += same.len() as u64;
            }
        }
        self.pending.clear();
    }

    /// The record is bad.
    pub(crate) fn discard(&mut self) {
        self.pending.clear();
    }

    /// What was counted, leaving nothing.
    pub(crate) fn take(&mut self) -> Misfits {
        self.pending.clear();
        let mut misfits = Misfits::default();
        for ((id, reason), count) in std::mem::take(&mut self.counted) {
            if let Some(path) = self.ids.0.get(id as usize) {
                misfits.add(path, reason, count);
            }
        }
        misfits
    }
}
