//! Removing what attempts that died have left.
//!
//! An attempt is removed when all of this holds: no manifest needs it, no run holds the lock of its run key, nothing in it
//! has changed for as long as was asked, and its name and place are those of an attempt. Anything else is left as it is,
//! links are never followed, and the lock and the folder of the run key stay.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use pagemill_core::{Error, Result};
use rustix::fs::{FlockOperation, OFlags};

use crate::{
    AttemptId, Manifest,
    layout::Layout,
    list::{Home, LocalPublished, Published, RunKey, cannot, homes, kind, parse_manifest, staging},
};

/// What to collect.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long nothing in an attempt must have changed.
    pub older_than: Duration,
    /// What time it is.
    pub now: SystemTime,
    /// False to say only what would be done.
    pub remove: bool,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is gone, and why it was not needed.
    Removed(&'static str),
    /// It would be removed, and why it is not needed.
    Removable(&'static str),
    /// It stays, and why.
    Kept(String),
    /// It should be gone, and what the system said.
    Failed(String),
}

/// An attempt, or something that is called like one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Where it is.
    pub path: PathBuf,
    /// Whose it is.
    pub run: RunKey,
    /// Bytes of the files in it.
    pub bytes: u64,
    /// How long ago something in it has changed last.
    pub age: Duration,
    /// What became of it.
    pub verdict: Verdict,
}

/// Looks at every attempt staged for the output folder `out`, and removes those that nobody needs, if that is asked.
///
/// # Errors
/// [`Config`](pagemill_core::ErrorKind::Config) when a staging folder is a link, belongs to somebody else or can be written to by others:
/// then nothing is removed. [`Io`](pagemill_core::ErrorKind::Io) when it cannot be looked at.
pub fn collect(out: &Path, options: &Options) -> Result<Vec<Attempt>> {
    let staging = staging(out)?;
    if kind(&staging).map_err(|e| cannot("look at", &staging, e))?.is_none() {
        return Ok(Vec::new());
    }
    // Before anything in it is even listed, and again for each folder on the way.
    check_private(&staging)?;
    let homes = homes(&staging)?;
    homes.iter().flat_map(|home| &home.above).try_for_each(|folder| check_private(folder))?;
    let mut attempts = Vec::new();
    for home in &homes {
        collect_home(out, home, options, &mut attempts)?;
    }
    Ok(attempts)
}

/// As a run does before it stages anything: a folder of this user's that nobody else may write to.
fn check_private(folder: &Path) -> Result<()> {
    let about = fs::symlink_metadata(folder).map_err(|e| cannot("look at", folder, e))?;
    let user = rustix::process::geteuid();
    let mine = user.is_root() || user.as_raw() == about.uid();
    if about.is_dir() && mine && about.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(Error::config(format!("{} is not a folder that this user alone may write to", folder.display()))
        .advise("make it so; nothing was removed"))
}

fn collect_home(out: &Path, home: &Home, options: &Options, attempts: &mut Vec<Attempt>) -> Result<()> {
    if named_like_attempts(&home.path)?.is_empty() {
        return Ok(());
    }
    let layout = Layout::new(
        out,
        &pagemill_core::Run {
            dataset: home.run.dataset.clone(),
            slot: home.run.slot.clone(),
            config: std::collections::BTreeMap::new(),
            pages: pagemill_core::Pages::default(),
        },
    )?;
    // Held until this function returns. Under it no attempt here is alive, and none comes to life.
    let lock = Lock::take(&layout.lock(), options.remove)?;
    for (name, path) in named_like_attempts(&home.path)? {
        let about = fs::symlink_metadata(&path).map_err(|e| cannot("look at", &path, e))?;
        let mut attempt = Attempt {
            path,
            run: home.run.clone(),
            bytes: 0,
            age: Duration::MAX,
            verdict: Verdict::Kept(String::new()),
        };
        attempt.verdict = match &lock {
            _ if !about.is_dir() => Verdict::Kept("it is not a folder".to_owned()),
            Lock::Busy => Verdict::Kept(format!("a run is at work on {}", home.run)),
            Lock::Held(_) | Lock::Nobodys => judge(out, &layout, &name, &mut attempt, options),
        };
        attempts.push(attempt);
    }
    Ok(())
}

/// Says of an attempt whose run key nobody works on what becomes of it.
fn judge(out: &Path, layout: &Layout, name: &str, attempt: &mut Attempt, options: &Options) -> Verdict {
    let published = LocalPublished::new(out);
    let why = match needed(&published, layout, &attempt.run, name) {
        Ok(None) => "no manifest names it",
        Ok(Some((_, true))) => "all its tables are in place",
        Ok(Some((_, false))) => {
            return Verdict::Kept(format!(
                "{} is committed and its tables are not all in place; run the same export again, which moves them",
                attempt.run
            ));
        }
        Err(error) => return Verdict::Kept(format!("the manifest beside it cannot be read: {error}")),
    };
    let newest = match measure(&attempt.path, &mut attempt.bytes) {
        Ok(newest) => newest,
        Err(error) => return Verdict::Kept(format!("it cannot be looked at: {error}")),
    };
    // A time that is still to come is no age at all.
    attempt.age = options.now.duration_since(newest).unwrap_or(Duration::ZERO);
    if attempt.age < options.older_than {
        return Verdict::Kept("it is not old enough".to_owned());
    }
    if !options.remove {
        return Verdict::Removable(why);
    }
    let removed = match needed(&published, layout, &attempt.run, name) {
        Ok(Some((manifest, true))) => make_moves_durable(layout, &manifest, &attempt.path),
        _ => Ok(()),
    };
    match removed.and_then(|()| fs::remove_dir_all(&attempt.path)) {
        Ok(()) => Verdict::Removed(why),
        Err(error) => Verdict::Failed(error.to_string()),
    }
}

/// The manifest of the run, if it names this attempt, and whether all its tables are where readers look for them.
fn needed(published: &LocalPublished, layout: &Layout, run: &RunKey, name: &str) -> Result<Option<(Manifest, bool)>> {
    let path = layout.manifest();
    if kind(&path).map_err(|e| cannot("look at", &path, e))?.is_none() {
        return Ok(None);
    }
    let manifest = parse_manifest(run, &published.manifest(run)?)?;
    if manifest.attempt != name {
        return Ok(None);
    }
    let staged = published.unfinished(run, &manifest)?.is_some_and(|u| !u.tables.is_empty());
    let mut all = !staged;
    for table in manifest.table_names()? {
        let place = layout.published(&table);
        all &= kind(&place).map_err(|e| cannot("look at", &place, e))? == Some(true);
    }
    Ok(Some((manifest, all)))
}

/// Syncs what the moves of a committed run have changed. Its folder is what a later run would know them to be undone by,
/// so it may go only when they cannot be lost any more.
fn make_moves_durable(layout: &Layout, manifest: &Manifest, attempt: &Path) -> io::Result<()> {
    let above = layout.out().parent().unwrap_or(layout.out());
    for table in manifest.table_names().map_err(io::Error::other)? {
        let published = layout.published(&table);
        for folder in published.ancestors().skip(1).take_while(|p| p.starts_with(above)) {
            File::open(folder)?.sync_all()?;
        }
    }
    File::open(attempt)?.sync_all()
}

/// When something in a folder has changed last; adds up the bytes of its files.
fn measure(folder: &Path, bytes: &mut u64) -> io::Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        let about = fs::symlink_metadata(&path)?;
        newest = newest.max(about.modified()?);
        if about.is_dir() {
            for entry in fs::read_dir(&path)? {
                open.push(entry?.path());
            }
        } else {
            *bytes += about.len();
        }
    }
    Ok(newest)
}

/// What in a run key's folder has the name of an attempt, by name.
fn named_like_attempts(home: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(home).map_err(|e| cannot("read", home, e))? {
        let entry = entry.map_err(|e| cannot("read", home, e))?;
        if let Ok(name) = entry.file_name().into_string()
            && AttemptId::parse(&name).is_some()
        {
            found.push((name, entry.path()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The lock of a run key.
enum Lock {
    /// It is ours until this is dropped.
    Held(#[allow(dead_code, reason = "dropping it lets the lock go")] File),
    /// There is no lock file, and none is made where nothing is to be removed.
    Nobodys,
    /// A run holds it.
    Busy,
}

impl Lock {
    fn take(path: &Path, make: bool) -> Result<Self> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(make).truncate(false).mode(0o600).custom_flags(flags);
        let file = match options.open(path) {
            Ok(file) => file,
            Err(e) if !make && e.kind() == io::ErrorKind::NotFound => return Ok(Self::Nobodys),
            Err(e) => return Err(cannot("lock", path, e)),
        };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self::Held(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(Self::Busy),
            Err(e) => Err(cannot("lock", path, e.into())),
        }
    }
}
