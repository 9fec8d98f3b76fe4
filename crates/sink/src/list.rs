//! What is published: the manifests, and the files that they name.
//!
//! Readers of a local disk find whole folders under the output and need nothing of this. Where nothing can be renamed, as in
//! object stores, the manifest is the only commit, and readers must go through it: [`Published`] is how.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use pagemill_core::{Error, ErrorKind, FileEntry, Result, Run, Slot, TableName};
use rustix::fs::OFlags;

use crate::{AttemptId, Manifest, layout::Layout};

/// The largest manifest that is read.
const MANIFEST_LIMIT: u64 = 256 << 20;

/// Whose files a manifest names: a dataset and its slot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunKey {
    /// The root table, such as `members`.
    pub dataset: TableName,
    /// The slot, such as `dt=2026-11-23`.
    pub slot: Option<Slot>,
}

impl RunKey {
    fn run(&self) -> Run {
        Run {
            dataset: self.dataset.clone(),
            slot: self.slot.clone(),
            config: std::collections::BTreeMap::new(),
            pages: pagemill_core::Pages::default(),
        }
    }
}

impl fmt::Display for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.slot {
            None => self.dataset.fmt(f),
            Some(slot) => write!(f, "{}/{slot}", self.dataset),
        }
    }
}

/// The bytes of a file, from any place in it.
pub trait ReadAt: Send + Sync {
    /// How many there are.
    fn size(&self) -> u64;

    /// Reads from `at` on, at most as much as `into` holds; 0 at the end alone.
    ///
    /// # Errors
    /// The system's.
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize>;
}

/// A file that was found.
#[derive(Clone)]
pub struct Opened {
    /// Where it is.
    pub place: String,
    /// Its bytes.
    pub bytes: Arc<dyn ReadAt>,
}

/// Tables that are committed and not yet where readers look for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// Where they are.
    pub place: String,
    /// Their names; none when all is in place and only the folder is left.
    pub tables: Vec<TableName>,
}

/// What one place holds: the manifests, and the files they name. One implementation for each kind of store.
pub trait Published: Send + Sync {
    /// The runs that have a manifest, in order.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) when the place cannot be looked at.
    fn runs(&self) -> Result<Vec<RunKey>>;

    /// The manifest of a run, as it is stored.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) when it cannot be read.
    fn manifest(&self, run: &RunKey) -> Result<Vec<u8>>;

    /// Reads the bytes of a run's manifest, by the rules of this kind of store.
    ///
    /// # Errors
    /// [`Data`](ErrorKind::Data) when it is not one, or names files where there can be none.
    fn parse(&self, run: &RunKey, bytes: &[u8]) -> Result<Manifest> {
        parse_manifest(run, bytes)
    }

    /// Where that manifest is.
    fn manifest_place(&self, run: &RunKey) -> String;

    /// Where readers find what the manifests call `path`: from the root on, with `/` between parts.
    fn place(&self, path: &str) -> String;

    /// Opens a file of a manifest, wherever it is by now; `None` when it is nowhere.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) when it is there and cannot be opened, or is no file.
    fn open(&self, run: &RunKey, manifest: &Manifest, file: &FileEntry) -> Result<Option<Opened>>;

    /// All that is in the published folder `path`, at any depth, by path from the root; empty when there is none.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) when it cannot be looked at.
    fn contents(&self, path: &str) -> Result<Vec<String>>;

    /// What of a committed run is not yet where readers look for it; `None` where all is done.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) when it cannot be looked at.
    fn unfinished(&self, run: &RunKey, manifest: &Manifest) -> Result<Option<Unfinished>>;
}

/// Reads the bytes of a run's manifest on a local disk.
///
/// # Errors
/// As [`Manifest::from_bytes`].
pub fn parse_manifest(run: &RunKey, bytes: &[u8]) -> Result<Manifest> {
    // What a manifest is checked for does not depend on where the output is.
    Manifest::from_bytes(bytes, &Layout::new(Path::new("/out"), &run.run())?)
}

/// A published file, as [`files`] lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its run.
    pub run: RunKey,
    /// Where it is.
    pub place: String,
    /// What the manifest says of it.
    pub entry: FileEntry,
}

/// The files of the runs that `which` picks, by run, table and path: what a reader may read, and all of it.
///
/// # Errors
/// [`Data`](ErrorKind::Data) when a manifest is not one; [`Busy`](ErrorKind::Busy) when one is committed and its files
/// are not all in place yet; [`Io`](ErrorKind::Io) when something cannot be read.
pub fn files(published: &dyn Published, which: &dyn Fn(&RunKey) -> bool) -> Result<Vec<Listed>> {
    let mut listed = Vec::new();
    for run in published.runs()?.into_iter().filter(which) {
        let manifest = published.parse(&run, &published.manifest(&run)?)?;
        if let Some(unfinished) = published.unfinished(&run, &manifest)?.filter(|u| !u.tables.is_empty()) {
            return Err(unfinished_error(&run, &unfinished));
        }
        for entry in manifest.files {
            if entry.path.chars().any(char::is_control) {
                return Err(Error::data(format!("the manifest of {run} names a file with a control character in it")));
            }
            listed.push(Listed { run: run.clone(), place: published.place(&entry.path), entry });
        }
    }
    Ok(listed)
}

fn unfinished_error(run: &RunKey, unfinished: &Unfinished) -> Error {
    let names: Vec<_> = unfinished.tables.iter().map(TableName::as_str).collect();
    let message =
        format!("{run} is committed, and {} not yet moved into place from {}", names.join(", "), unfinished.place);
    Error::new(ErrorKind::Busy, message).advise("run the same export again: it moves them and writes nothing anew")
}

/// The local disk: `OUT` and `OUT.pagemill` beside it. Nothing is written.
#[derive(Clone, Debug)]
pub struct LocalPublished {
    out: PathBuf,
}

impl LocalPublished {
    /// What is published below `out`.
    #[must_use]
    pub fn new(out: impl Into<PathBuf>) -> Self {
        Self { out: out.into() }
    }

    fn layout(&self, run: &RunKey) -> Result<Layout> {
        Layout::new(&self.out, &run.run())
    }
}

impl Published for LocalPublished {
    fn runs(&self) -> Result<Vec<RunKey>> {
        let mut runs = Vec::new();
        for home in homes(&staging(&self.out)?)? {
            let manifest = home.path.join("manifest.json");
            if kind(&manifest).map_err(|e| cannot("look at", &manifest, e))?.is_some() {
                runs.push(home.run);
            }
        }
        runs.sort();
        Ok(runs)
    }

    fn manifest(&self, run: &RunKey) -> Result<Vec<u8>> {
        let path = self.layout(run)?.manifest();
        let file = open_file(&path).map_err(|e| cannot("read", &path, e))?;
        let mut bytes = vec![0; usize::try_from(file.1.min(MANIFEST_LIMIT + 1)).unwrap_or(0)];
        if file.1 > MANIFEST_LIMIT {
            return Err(Error::data(format!("{} has more than {MANIFEST_LIMIT} bytes", path.display())));
        }
        file.0.read_exact_at(&mut bytes, 0).map_err(|e| cannot("read", &path, e))?;
        Ok(bytes)
    }

    fn manifest_place(&self, run: &RunKey) -> String {
        let path = self.layout(run).map(|l| l.manifest());
        path.map_or_else(|_| format!("the manifest of {run}"), |p| p.display().to_string())
    }

    fn place(&self, path: &str) -> String {
        self.out.join(path).display().to_string()
    }

    fn open(&self, run: &RunKey, manifest: &Manifest, file: &FileEntry) -> Result<Option<Opened>> {
        let mut places = vec![self.out.join(&file.path)];
        if let (Some(attempt), Ok(table)) = (AttemptId::parse(&manifest.attempt), TableName::new(&file.table))
            && let Some((_, name)) = file.path.rsplit_once('/')
        {
            places.push(self.layout(run)?.staged(attempt, &table).join(name));
        }
        for path in places {
            match open_file(&path) {
                Ok((file, size)) => {
                    let bytes = Arc::new(LocalFile { file, size });
                    return Ok(Some(Opened { place: path.display().to_string(), bytes }));
                }
                Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
                Err(e) => return Err(cannot("open", &path, e)),
            }
        }
        Ok(None)
    }

    fn contents(&self, path: &str) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let mut folders = vec![path.to_owned()];
        while let Some(folder) = folders.pop() {
            let at = self.out.join(&folder);
            let entries = match fs::read_dir(&at) {
                Ok(entries) => entries,
                Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => continue,
                Err(e) => return Err(cannot("read", &at, e)),
            };
            for entry in entries {
                let entry = entry.map_err(|e| cannot("read", &at, e))?;
                let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
                match entry.file_type().map_err(|e| cannot("look at", &entry.path(), e))?.is_dir() {
                    true => folders.push(path),
                    false => found.push(path),
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    fn unfinished(&self, run: &RunKey, manifest: &Manifest) -> Result<Option<Unfinished>> {
        let layout = self.layout(run)?;
        let Some(attempt) = AttemptId::parse(&manifest.attempt) else { return Ok(None) };
        let source = layout.attempt(attempt);
        if kind(&source).map_err(|e| cannot("look at", &source, e))?.is_none() {
            return Ok(None);
        }
        let mut tables = Vec::new();
        for table in manifest.table_names()? {
            let staged = layout.staged(attempt, &table);
            if kind(&staged).map_err(|e| cannot("look at", &staged, e))?.is_some() {
                tables.push(table);
            }
        }
        Ok(Some(Unfinished { place: source.display().to_string(), tables }))
    }
}

struct LocalFile {
    file: File,
    size: u64,
}

impl ReadAt for LocalFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(into, at)
    }
}

/// Opens a plain file and says its size; a link, a pipe or a folder is an error.
fn open_file(path: &Path) -> io::Result<(File, u64)> {
    // Opening a pipe would wait for somebody to write to it.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(io::Error::other("it is not a plain file"));
    }
    Ok((file, about.len()))
}

/// Whether a path is there, and a folder; links are not followed.
pub(crate) fn kind(path: &Path) -> io::Result<Option<bool>> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found.is_dir())),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(e),
    }
}

pub(crate) fn cannot(action: &str, path: &Path, cause: io::Error) -> Error {
    Error::io(format!("cannot {action} {}", path.display())).because(cause)
}

/// The folder beside `out` that runs are staged in.
pub(crate) fn staging(out: &Path) -> Result<PathBuf> {
    // Any name does: this folder is above those of the runs.
    let run = Run {
        dataset: TableName::new("any")?,
        slot: None,
        config: std::collections::BTreeMap::new(),
        pages: pagemill_core::Pages::default(),
    };
    Ok(Layout::new(out, &run)?.staging().to_owned())
}

/// The folder of a run key in the staging folder.
pub(crate) struct Home {
    pub(crate) run: RunKey,
    pub(crate) path: PathBuf,
    /// The folders from the staging folder's entry down to it.
    pub(crate) above: Vec<PathBuf>,
}

/// The run keys' folders, those around a slot's as well. Links are not followed.
pub(crate) fn homes(staging: &Path) -> Result<Vec<Home>> {
    let mut homes = Vec::new();
    for (name, path) in folders(staging)? {
        let Ok(dataset) = TableName::new(&name) else { continue };
        let mut open = vec![(String::new(), path.clone(), vec![staging.to_owned(), path])];
        while let Some((slot, folder, above)) = open.pop() {
            for (name, path) in folders(&folder)? {
                let below = if slot.is_empty() { name.clone() } else { format!("{slot}/{name}") };
                let whole = slot.is_empty() && name == "_";
                let key = if whole { None } else { Slot::new(&below).ok() };
                if key.is_none() && !whole {
                    continue;
                }
                let mut chain = above.clone();
                chain.push(path.clone());
                if !whole {
                    open.push((below, path.clone(), chain.clone()));
                }
                homes.push(Home { run: RunKey { dataset: dataset.clone(), slot: key }, path, above: chain });
            }
        }
    }
    homes.sort_by(|a, b| a.run.cmp(&b.run));
    Ok(homes)
}

/// The folders in a folder, which need not exist; links to folders are none.
fn folders(path: &Path) -> Result<Vec<(String, PathBuf)>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(cannot("read", path, e)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| cannot("read", path, e))?;
        if let Ok(name) = entry.file_name().into_string()
            && entry.file_type().map_err(|e| cannot("look at", &entry.path(), e))?.is_dir()
        {
            found.push((name, entry.path()));
        }
    }
    found.sort_unstable();
    Ok(found)
}
