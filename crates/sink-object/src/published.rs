//! What is published in an object store, for readers: the manifests, and the files that they name.

use std::{
    collections::VecDeque,
    fmt, io,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use object_store::path::Path;
use pagemill_core::{Error, FileEntry, Result};
use pagemill_sink::{
    Manifest, Published,
    list::{Opened, ReadAt, RunKey, Unfinished},
};
use tokio::runtime::Runtime;

use crate::{
    calls::{Calls, Remote},
    keys::{Keys, below_staging, run_of},
    publish::LIMIT,
};

/// Bytes of a window on a file.
const WINDOW: u64 = 512 << 10;

/// Windows that are held of an open file, at most: 16 MiB. A reader of columns goes to and fro between as many places.
const HELD: usize = 32;

/// Windows that are asked for at once where the last one was the one before.
const AHEAD: u64 = 8;

/// The manifests below a prefix of a store, and the files that they name. Nothing is written.
///
/// What no manifest names is nobody's: parts of attempts that are at work, or died, are no finding. Files are read by ranges, and at
/// most 16 MiB are held of one that is open. It waits for the store where it is called: not to be used on a thread that drives futures.
#[derive(Clone)]
pub struct ObjectPublished {
    calls: Calls,
    prefix: String,
    runtime: Arc<Runtime>,
}

impl fmt::Debug for ObjectPublished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectPublished")
            .field("store", &self.calls.name)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl ObjectPublished {
    /// What is published below `prefix` of `store`, which messages call `name`, such as `s3://bucket`.
    ///
    /// # Errors
    /// [`Io`](pagemill_core::ErrorKind::Io) when no thread can be started.
    pub fn new(store: Arc<dyn Remote>, name: impl Into<String>, prefix: impl Into<String>) -> Result<Self> {
        let runtime = crate::store::start_runtime()?;
        Ok(Self { calls: Calls::new(store, name.into()), prefix: prefix.into(), runtime: Arc::new(runtime) })
    }

    /// Every run key that something is kept of: published ones, and those of which attempts alone are there.
    ///
    /// # Errors
    /// Those of the store.
    pub fn known(&self) -> Result<Vec<RunKey>> {
        self.listed(|_| true)
    }

    fn listed(&self, wanted: fn(bool) -> bool) -> Result<Vec<RunKey>> {
        let found = self.runtime.block_on(self.calls.list(&below_staging(&self.prefix)?))?;
        let mut runs: Vec<_> = found
            .iter()
            .filter_map(|meta| run_of(&self.prefix, &meta.location))
            .filter(|(_, manifest)| wanted(*manifest))
            .map(|(run, _)| run)
            .collect();
        runs.sort();
        runs.dedup();
        Ok(runs)
    }

    fn keys(&self, run: &RunKey) -> Result<Keys> {
        Keys::of(&self.prefix, &run.dataset, run.slot.as_ref())
    }
}

impl Published for ObjectPublished {
    fn runs(&self) -> Result<Vec<RunKey>> {
        self.listed(|manifest| manifest)
    }

    fn manifest(&self, run: &RunKey) -> Result<Vec<u8>> {
        let key = self.keys(run)?.manifest()?;
        let found = self.runtime.block_on(self.calls.get(&key, LIMIT))?;
        found.map(|object| object.bytes.into()).ok_or_else(|| Error::io(format!("{} is gone", self.calls.url(&key))))
    }

    fn parse(&self, run: &RunKey, bytes: &[u8]) -> Result<Manifest> {
        Manifest::from_object(bytes, &run.to_string())
    }

    fn manifest_place(&self, run: &RunKey) -> String {
        let key = self.keys(run).and_then(|keys| keys.manifest());
        key.map_or_else(|_| format!("the manifest of {run}"), |key| self.calls.url(&key))
    }

    fn place(&self, path: &str) -> String {
        match self.prefix.trim_matches('/') {
            "" => format!("{}/{path}", self.calls.name),
            prefix => format!("{}/{prefix}/{path}", self.calls.name),
        }
    }

    fn open(&self, run: &RunKey, _: &Manifest, file: &FileEntry) -> Result<Option<Opened>> {
        let key = self.keys(run)?.published(&file.path)?;
        let Some(about) = self.runtime.block_on(self.calls.about(&key))? else { return Ok(None) };
        let object = ObjectFile {
            calls: self.calls.clone(),
            runtime: Arc::clone(&self.runtime),
            key,
            size: about.size,
            version: about.e_tag,
            windows: Mutex::default(),
        };
        Ok(Some(Opened { place: self.place(&file.path), bytes: Arc::new(object) }))
    }

    fn contents(&self, _: &str) -> Result<Vec<String>> {
        // Readers find files by the manifest alone, so what else is there misleads nobody.
        Ok(Vec::new())
    }

    fn unfinished(&self, _: &RunKey, _: &Manifest) -> Result<Option<Unfinished>> {
        // Nothing is moved after the commit.
        Ok(None)
    }
}

/// An object that is read by ranges.
struct ObjectFile {
    calls: Calls,
    runtime: Arc<Runtime>,
    key: Path,
    size: u64,
    /// Which version of it was found, so that no two are mixed.
    version: Option<String>,
    windows: Mutex<Windows>,
}

/// The windows that are held, the one that was looked into last at the end.
#[derive(Default)]
struct Windows {
    held: VecDeque<(u64, Bytes)>,
    /// The last one that was asked for.
    asked: Option<u64>,
}

impl Windows {
    fn find(&mut self, index: u64) -> Option<Bytes> {
        let at = self.held.iter().position(|(other, _)| *other == index)?;
        let found = self.held.remove(at)?;
        let bytes = found.1.clone();
        self.held.push_back(found);
        Some(bytes)
    }

    /// What to ask for where `index` is missed.
    fn wanted(&self, index: u64, size: u64) -> Range<u64> {
        let behind = index.checked_sub(1).is_some_and(|before| self.asked == Some(before));
        let count = if behind { AHEAD } else { 1 };
        index * WINDOW..size.min((index + count) * WINDOW)
    }

    fn take(&mut self, from: u64, bytes: &Bytes) {
        for (window, piece) in (from / WINDOW..).zip(bytes.chunks(WINDOW as usize)) {
            self.asked = Some(window);
            // Copied, so that what is let go of is free at once.
            self.held.push_back((window, Bytes::copy_from_slice(piece)));
        }
        while self.held.len() > HELD {
            self.held.pop_front();
        }
    }
}

impl ReadAt for ObjectFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        if at >= self.size || into.is_empty() {
            return Ok(0);
        }
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let index = at / WINDOW;
        let window = match windows.find(index) {
            Some(window) => window,
            None => {
                let range = windows.wanted(index, self.size);
                let ask = self.calls.range(&self.key, range.clone(), self.version.as_deref());
                let bytes = self.runtime.block_on(ask).map_err(io::Error::other)?;
                windows.take(range.start, &bytes);
                windows.find(index).ok_or_else(|| io::Error::other("the store sent nothing"))?
            }
        };
        let from = usize::try_from(at % WINDOW).unwrap_or(usize::MAX);
        let there = window.get(from..).unwrap_or_default();
        let count = there.len().min(into.len());
        if let (Some(into), Some(there)) = (into.get_mut(..count), there.get(..count)) {
            into.copy_from_slice(there);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use object_store::{ObjectStoreExt, memory::InMemory};
    use pagemill_core::{Slot, TableName};

    use super::*;

    #[test]
    fn a_file_is_read_by_ranges_from_any_place() {
        let store = Arc::new(InMemory::new());
        let all: Vec<u8> = (0..WINDOW * 20 + 7).map(|n| (n / 3) as u8).collect();
        let runtime = Arc::new(crate::store::start_runtime().expect("a runtime"));
        runtime.block_on(store.put(&"a".into(), all.clone().into())).expect("puts");
        let object = ObjectFile {
            calls: Calls::new(store, "mem://bucket".into()),
            runtime,
            key: "a".into(),
            size: all.len() as u64,
            version: None,
            windows: Mutex::default(),
        };
        let mut x = 1u64;
        for n in 0..400 {
            // To and fro, and then on and on.
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = if n % 2 == 0 { x % (all.len() as u64 + 10) } else { n * 40_000 % (all.len() as u64) };
            let mut into = vec![0; (x >> 40) as usize % 300_000];
            let read = object.read_at(at, &mut into).expect("reads");
            let rest = all.get(at as usize..).unwrap_or_default();
            assert_eq!(into.get(..read), rest.get(..read));
            assert!(read > 0 || rest.is_empty() || into.is_empty());
            assert!(object.windows.lock().expect("no panic").held.len() <= HELD);
        }
    }

    #[test]
    fn run_keys_are_found_whatever_is_left_of_them() {
        let store = Arc::new(InMemory::new());
        let runtime = crate::store::start_runtime().expect("a runtime");
        let id = "0123456789abcdef0123456789abcdef";
        for key in [
            "o.pagemill/m/_/manifest.json".to_owned(),
            "o.pagemill/m/a=1/b=2/manifest.json".to_owned(),
            format!("o.pagemill/m/c=1/{id}/journal-000000"),
            format!("o.pagemill/m/c=1/{id}/closed"),
            "o.pagemill/m/manifest.json".to_owned(),
            "o.pagemill/m/nothing/manifest.json".to_owned(),
            "o.pagemill/.x/_/manifest.json".to_owned(),
            "o.pagemillion/m/z=1/manifest.json".to_owned(),
        ] {
            runtime.block_on(store.put(&Path::parse(key).expect("a key"), "x".into())).expect("puts");
        }
        let published = ObjectPublished::new(store, "mem://bucket", "/o/").expect("published");
        let run = |slot: Option<&str>| RunKey {
            dataset: TableName::new("m").expect("a name"),
            slot: slot.map(|slot| Slot::new(slot).expect("a slot")),
        };
        assert_eq!(published.runs().expect("lists"), [run(None), run(Some("a=1/b=2"))]);
        assert_eq!(published.known().expect("lists"), [run(None), run(Some("a=1/b=2")), run(Some("c=1"))]);
        assert_eq!(published.place("m/x"), "mem://bucket/o/m/x");
        assert_eq!(published.manifest_place(&run(None)), "mem://bucket/o.pagemill/m/_/manifest.json");
    }
}
