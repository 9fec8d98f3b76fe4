//! Broken variants of the protocol. A harness that does not find each of them out proves nothing.

use std::{collections::HashMap, io, path::Path};

use bytes::Bytes;
use pagemill::{
    Checkpoint, Cursor, Position, Receipt, Result, Rewind, TableName,
    sink::{
        Disk, LocalStore, Manifest, Store,
        disk::Stat,
        store::{Kept, Opened, Part, Plan, Segment},
    },
};
use serde_json::Value;

use super::{
    faults::Faulty,
    workload::{PAGES, ROWS, cursor},
};

/// How the protocol is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It is not.
    Sound,
    /// Syncs of these are left out.
    Unsynced(Class),
    /// A sync that failed is tried again, and believed.
    SyncedAgain,
    /// Tables are published file by file.
    Copied,
    /// Parts are what the journal says, without a look.
    Unchecked,
    /// Parts that no segment names stay.
    Kept,
    /// A segment is ended before its parts are closed.
    LineFirst,
    /// A segment says that the page after it is in it, too.
    Ahead,
    /// A resumed run begins a page too early.
    Behind,
}

/// What can be synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A part.
    Part,
    /// The journal.
    Journal,
    /// The manifest.
    Manifest,
    /// The folder of a table, while it is staged.
    Table,
    /// The folder of an attempt.
    Attempt,
    /// The folder of the run key.
    Home,
    /// The output folder and those in it.
    Output,
    /// The folder that the output folder is in.
    Above,
}

impl Broken {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Unsynced(Class::Part),
        Self::Unsynced(Class::Journal),
        Self::Unsynced(Class::Manifest),
        Self::Unsynced(Class::Table),
        Self::Unsynced(Class::Attempt),
        Self::Unsynced(Class::Home),
        Self::Unsynced(Class::Output),
        Self::Unsynced(Class::Above),
        Self::SyncedAgain,
        Self::Copied,
        Self::Unchecked,
        Self::Kept,
        Self::LineFirst,
        Self::Ahead,
        Self::Behind,
        Self::Sound,
    ];
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|n| n.to_str()).unwrap_or("")
}

fn is_attempt(path: &Path) -> bool {
    name(path).len() == 32
}

/// What a path that is synced is.
fn class(path: &Path) -> Class {
    let parent = path.parent().unwrap_or(path);
    match name(path) {
        n if n.starts_with("part-") => Class::Part,
        n if n.starts_with("journal-") => Class::Journal,
        "manifest.json" => Class::Manifest,
        _ if is_attempt(parent) => Class::Table,
        _ if is_attempt(path) => Class::Attempt,
        _ if path.components().any(|c| c.as_os_str() == "out") => Class::Output,
        _ if path.components().any(|c| c.as_os_str() == "out.pagemill") => Class::Home,
        _ => Class::Above,
    }
}

/// A disk that does not do what it is told.
pub struct BrokenDisk {
    inner: Faulty,
    how: Broken,
    /// What the journal says of each part, by its table's name and its own.
    told: HashMap<(String, String), (u64, String)>,
}

impl BrokenDisk {
    /// `inner`, broken so.
    #[must_use]
    pub fn new(inner: Faulty, how: Broken) -> Self {
        Self { inner, how, told: HashMap::new() }
    }

    fn copy(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.create_dir(to, 0o750)?;
        for name in self.inner.list(from)? {
            let (from, to) = (from.join(&name), to.join(&name));
            let bytes = self.inner.read(&from, u64::MAX - 1)?;
            self.inner.create(&to)?;
            self.inner.append(&to, &bytes)?;
            self.inner.set_mode(&to, 0o640)?;
            self.inner.sync_file(&to)?;
            self.inner.close(&to)?;
        }
        self.inner.sync_dir(to)?;
        self.inner.remove_tree(from)
    }
}

macro_rules! sound {
    ($(fn $name:ident($($arg:ident: $type:ty),*) -> $result:ty;)*) => {$(
        fn $name(&mut self, $($arg: $type),*) -> io::Result<$result> {
            self.inner.$name($($arg),*)
        }
    )*};
}

impl Disk for BrokenDisk {
    sound! {
        fn lock(path: &Path) -> bool;
        fn unlock() -> ();
        fn stat(path: &Path) -> Option<Stat>;
        fn list(path: &Path) -> Vec<String>;
        fn create_dir(path: &Path, mode: u32) -> ();
        fn create(path: &Path) -> ();
        fn append(path: &Path, bytes: &[u8]) -> ();
        fn set_mode(path: &Path, mode: u32) -> ();
        fn close(path: &Path) -> ();
        fn link(from: &Path, to: &Path) -> ();
        fn rename(from: &Path, to: &Path) -> ();
        fn exchange(one: &Path, other: &Path) -> ();
        fn remove_tree(path: &Path) -> ();
    }

    fn sync_file(&mut self, path: &Path) -> io::Result<()> {
        match (self.how, self.inner.stat(path)) {
            (Broken::Unsynced(left_out), _) if left_out == class(path) => Ok(()),
            (Broken::SyncedAgain, _) => self.inner.sync_file(path).or_else(|_| self.inner.sync_file(path)),
            _ => self.inner.sync_file(path),
        }
    }

    fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        match self.how {
            Broken::Unsynced(left_out) if left_out == class(path) => Ok(()),
            _ => self.inner.sync_dir(path),
        }
    }

    fn rename_noreplace(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        match self.how {
            Broken::Copied => self.copy(from, to),
            _ => self.inner.rename_noreplace(from, to),
        }
    }

    fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        match self.how {
            Broken::Kept if name(path).starts_with("part-") => Ok(()),
            _ => self.inner.remove_file(path),
        }
    }

    fn read(&mut self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let bytes = self.inner.read(path, limit)?;
        if self.how == Broken::Unchecked && name(path).starts_with("journal-") {
            let lines = bytes.split(|b| *b == b'\n').filter_map(|line| line.get(17..));
            for line in lines.filter_map(|json| serde_json::from_slice::<Value>(json).ok()) {
                for part in line["parts"].as_array().into_iter().flatten() {
                    let text = |key: &str| part[key].as_str().unwrap_or("").to_owned();
                    let said = (part["bytes"].as_u64().unwrap_or(0), text("sha256"));
                    self.told.insert((text("table"), text("name")), said);
                }
            }
        }
        Ok(bytes)
    }

    fn hash(&mut self, path: &Path) -> io::Result<(u64, String)> {
        let table = path.parent().map_or("", name).to_owned();
        match self.told.get(&(table, name(path).to_owned())) {
            Some(said) => Ok(said.clone()),
            None => self.inner.hash(path),
        }
    }
}

/// A store that does not do what it is told.
pub struct BrokenStore {
    inner: LocalStore,
    how: Broken,
    /// Parts that were to be closed.
    late: Vec<Part>,
    last: Option<Segment>,
}

impl BrokenStore {
    /// `inner`, broken so.
    #[must_use]
    pub fn new(inner: LocalStore, how: Broken) -> Self {
        Self { inner, how, late: Vec::new(), last: None }
    }

    fn close_late(&mut self) -> Result<()> {
        std::mem::take(&mut self.late).iter().try_for_each(|part| self.inner.close_part(part))
    }
}

impl Store for BrokenStore {
    fn open(&mut self, plan: &Plan) -> Result<Opened> {
        let opened = self.inner.open(plan)?;
        match opened {
            Opened::Resumed(mut kept) if self.how == Broken::Behind => {
                kept.resume.checkpoint = point(kept.resume.checkpoint.pages.saturating_sub(1));
                Ok(Opened::Resumed(kept))
            }
            other => Ok(other),
        }
    }

    fn tag(&self) -> Option<String> {
        self.inner.tag()
    }

    fn create_part(&mut self, table: &TableName, name: &str) -> Result<()> {
        self.inner.create_part(table, name)
    }

    fn append_part(&mut self, table: &TableName, name: &str, bytes: &Bytes) -> Result<()> {
        self.inner.append_part(table, name, bytes)
    }

    fn close_part(&mut self, part: &Part) -> Result<()> {
        if self.how == Broken::LineFirst {
            self.late.push(part.clone());
            return Ok(());
        }
        self.inner.close_part(part)
    }

    fn end_segment(&mut self, segment: &Segment) -> Result<()> {
        self.last = Some(segment.clone());
        match self.how {
            Broken::Ahead if segment.upto.pages + 1 < PAGES => {
                let upto = point(segment.upto.pages + 1);
                self.inner.end_segment(&Segment { upto, ..segment.clone() })
            }
            Broken::LineFirst => {
                self.inner.end_segment(segment)?;
                self.close_late()
            }
            _ => self.inner.end_segment(segment),
        }
    }

    fn rewind(&mut self, to: Rewind) -> Result<Option<Kept>> {
        self.inner.rewind(to)
    }

    fn publish(&mut self, manifest: Manifest) -> Result<Receipt> {
        if self.how == Broken::LineFirst
            && let Some(last) = &self.last
        {
            self.inner.end_segment(last)?;
        }
        self.inner.publish(manifest)
    }

    fn suspend(&mut self) -> Result<()> {
        self.inner.suspend()
    }

    fn abort(&mut self) -> Result<()> {
        self.inner.abort()
    }
}

/// The point after so many pages, of which there are more.
fn point(pages: u64) -> Checkpoint {
    let next: Cursor = cursor(pages);
    Checkpoint { pages, rows: pages * ROWS as u64, bad: 0, next: Position::Next(next) }
}
