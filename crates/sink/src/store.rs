//! What the committer thread does: lock, recover, write parts, publish, abort.
//!
//! Every step that must survive a power cut is followed by the sync that makes it durable, before the next step relies on
//! it. A folder's entry is durable when the folder *above* it is synced.

use std::{
    io,
    path::{Path, PathBuf},
};

use pagemill_core::{Checkpoint, Error, ErrorKind, FileEntry, Receipt, Result, TableName};

use crate::{
    AttemptId, Disk, Manifest,
    disk::{free_space, is_device_error, is_full, umask},
    layout::Layout,
};

/// The largest manifest that is read.
const MANIFEST_LIMIT: u64 = 256 << 20;

/// Where a run stands when it begins.
pub(crate) enum Opened {
    /// Nothing is published; the attempt's folder is made.
    Fresh,
    /// An earlier run has published; all its folders are in place.
    Published(Box<Manifest>),
}

/// A part that is complete and durable.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) table: TableName,
    pub(crate) name: String,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

/// One run key's folders, and the attempt that is at work in them.
pub(crate) struct Store {
    disk: Box<dyn Disk>,
    layout: Layout,
    attempt: AttemptId,
    tables: Vec<TableName>,
    umask: u32,
    files: Vec<FileEntry>,
    /// From the moment the commit is tried, what is staged may be part of a published run.
    committing: bool,
}

impl Store {
    pub(crate) fn new(disk: Box<dyn Disk>, layout: Layout, attempt: AttemptId, tables: Vec<TableName>) -> Self {
        Self { disk, layout, attempt, tables, umask: umask(), files: Vec::new(), committing: false }
    }

    /// Takes the lock, finishes what a published run left undone, or clears the way for a new attempt.
    pub(crate) fn open(&mut self) -> Result<Opened> {
        let home = self.layout.home();
        self.make_private_dirs(&home)?;
        let lock = self.layout.lock();
        if !self.disk.lock(&lock).during("lock", &lock)? {
            let message = format!("another run is at work on {}", self.layout.run_key());
            return Err(Error::new(ErrorKind::Busy, message).advise("wait for it, or choose another slot"));
        }
        if let Some(manifest) = self.read_manifest()? {
            // Its appearance may not be durable yet: the run that made it may have died before it could see to it.
            self.sync_dir(&home)?;
            self.move_into_place(&manifest)?;
            self.remove_attempts(&home)?;
            return Ok(Opened::Published(Box::new(manifest)));
        }
        self.refuse_overlap()?;
        self.refuse_taken()?;
        self.remove_attempts(&home)?;
        let attempt = self.layout.attempt(self.attempt);
        self.make_dir(&attempt, 0o700)?;
        self.sync_dir(&home)?;
        for table in self.tables.clone() {
            self.make_dir(&self.layout.staged(self.attempt, &table), 0o700)?;
        }
        self.sync_dir(&attempt)?;
        Ok(Opened::Fresh)
    }

    /// Begins a part.
    pub(crate) fn create_part(&mut self, table: &TableName, name: &str) -> Result<()> {
        let path = self.layout.staged(self.attempt, table).join(name);
        self.disk.create(&path).during("create", &path)
    }

    /// Appends to a part that was begun.
    pub(crate) fn append_part(&mut self, table: &TableName, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.layout.staged(self.attempt, table).join(name);
        self.disk.append(&path, bytes).during("write", &path)
    }

    /// Ends a part: its bytes, its mode and its name are durable when this returns.
    pub(crate) fn close_part(&mut self, part: &Part) -> Result<()> {
        let dir = self.layout.staged(self.attempt, &part.table);
        let path = dir.join(&part.name);
        self.seal(&path)?;
        self.sync_dir(&dir)?;
        self.files.push(FileEntry {
            table: part.table.to_string(),
            path: format!("{}/{}", self.layout.relative(&part.table), part.name),
            rows: part.rows,
            bytes: part.bytes,
            sha256: part.sha256.clone(),
        });
        Ok(())
    }

    /// Ends a segment: all tables' parts up to `upto` are closed and durable.
    ///
    /// This is where a journal line belongs that names those parts and holds the checkpoint: from then on a
    /// later run can go on from here. Until there is a journal, a segment leaves only its parts.
    #[allow(clippy::unnecessary_wraps, reason = "the journal line will be written here")]
    pub(crate) fn end_segment(&mut self, upto: &Checkpoint) -> Result<()> {
        tracing::debug!(rows = upto.rows, pages = upto.pages, files = self.files.len(), "segment staged");
        Ok(())
    }

    /// Publishes what is staged. `manifest` comes without its files.
    pub(crate) fn publish(&mut self, mut manifest: Manifest) -> Result<Receipt> {
        self.files.sort_by(|a, b| (&a.table, &a.path).cmp(&(&b.table, &b.path)));
        manifest.files.clone_from(&self.files);
        for table in self.tables.clone() {
            let dir = self.layout.staged(self.attempt, &table);
            self.disk.set_mode(&dir, 0o750 & !self.umask).during("set the mode of", &dir)?;
            self.sync_dir(&dir)?;
        }
        self.refuse_overlap()?;
        self.refuse_taken()?;
        self.commit(&manifest).and_then(|()| self.move_into_place(&manifest)).map_err(|e| self.in_doubt(e))?;
        // Published, durable; what is left of the attempt is an empty folder and a second name of the manifest.
        let attempt = self.layout.attempt(self.attempt);
        if let Err(error) = self.disk.remove_tree(&attempt) {
            tracing::warn!(path = %attempt.display(), %error, "cannot remove the folder of a published attempt");
        }
        Ok(self.receipt(&manifest, false))
    }

    /// An error on the way to being published: once the manifest may be there, so may the run.
    fn in_doubt(&mut self, error: Error) -> Error {
        let manifest = self.layout.manifest();
        if !self.committing || matches!(self.stat(&manifest), Ok(None)) {
            return error;
        }
        let message = format!("the run is committed, but perhaps not yet published ({})", manifest.display());
        Error::new(ErrorKind::Unknown, message)
            .advise("run it again, which will find out and finish it; nothing was deleted")
            .because(error)
    }

    /// What a published run left behind.
    pub(crate) fn receipt(&self, manifest: &Manifest, already_published: bool) -> Receipt {
        let path = self.layout.manifest().display().to_string();
        Receipt { manifest: path, already_published, files: manifest.files.clone() }
    }

    /// Gives the attempt up, unless it has become a published run.
    pub(crate) fn abort(&mut self) -> Result<()> {
        let manifest = self.layout.manifest();
        if self.committing && self.stat(&manifest)?.is_some() {
            return Ok(());
        }
        let attempt = self.layout.attempt(self.attempt);
        if self.stat(&attempt)?.is_some() {
            self.disk.remove_tree(&attempt).during("remove", &attempt)?;
        }
        self.disk.unlock().during("unlock", &self.layout.lock())
    }

    /// The commit: the manifest appears under its name, whole and durable, or not at all.
    fn commit(&mut self, manifest: &Manifest) -> Result<()> {
        let (home, attempt) = (self.layout.home(), self.layout.attempt(self.attempt));
        let (draft, path) = (attempt.join("manifest.json"), self.layout.manifest());
        self.disk.create(&draft).during("create", &draft)?;
        self.disk.append(&draft, &manifest.to_bytes()?).during("write", &draft)?;
        self.seal(&draft)?;
        self.sync_dir(&attempt)?;
        self.committing = true;
        match self.disk.link(&draft, &path) {
            Ok(()) => {}
            // A file system without hard links.
            Err(e) if matches!(e.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied) => {
                self.disk.rename_noreplace(&draft, &path).during("create", &path)?;
            }
            Err(e) => return Err(e).during("create", &path),
        }
        self.sync_dir(&home)
            .map_err(|e| e.advise("the run may be published: run it again, which will find out and finish it"))
    }

    /// Moves each table of a committed run to where readers find it. May be repeated.
    fn move_into_place(&mut self, manifest: &Manifest) -> Result<()> {
        let Some(attempt) = AttemptId::parse(&manifest.attempt) else {
            return Err(Error::internal("a manifest without an attempt was accepted"));
        };
        let source = self.layout.attempt(attempt);
        // The attempt's folder goes last, so without it all that is below was done, and durably.
        let finished = self.stat(&source)?.is_none();
        for table in manifest.table_names()? {
            let (from, to) = (self.layout.staged(attempt, &table), self.layout.published(&table));
            if !finished && self.stat(&from)?.is_some() {
                let parent = self.make_public_parents(&to)?;
                self.disk.rename_noreplace(&from, &to).during("publish to", &to)?;
                self.sync_dir(&parent)?;
            } else if self.stat(&to)?.is_none_or(|s| !s.is_dir) {
                return Err(Error::io(format!("{} was published and is gone", to.display())).advise(format!(
                    "put it back, or remove {} to have the run made again",
                    self.layout.manifest().display()
                )));
            } else if !finished {
                self.make_public_parents(&to)?;
            }
        }
        if finished { Ok(()) } else { self.sync_dir(&source) }
    }

    /// Makes the folders above a published one, all durable, and returns the last.
    fn make_public_parents(&mut self, path: &Path) -> Result<PathBuf> {
        let out = self.layout.out().to_owned();
        let parent = path.parent().unwrap_or(&out).to_owned();
        let mut dirs: Vec<_> = parent.ancestors().take_while(|p| p.starts_with(&out)).map(Path::to_owned).collect();
        dirs.reverse();
        for dir in dirs {
            self.make_dir_if_absent(&dir, 0o750)?;
        }
        // The folder that a table's own entry goes into is synced by whoever makes the entry, or was and may not be durable.
        self.sync_dir(&parent)?;
        Ok(parent)
    }

    /// Makes the folders down to `home`, which only this user may write to.
    fn make_private_dirs(&mut self, home: &Path) -> Result<()> {
        let staging = self.layout.staging().to_owned();
        let above = staging.parent().unwrap_or(&staging).to_owned();
        let mut missing = Vec::new();
        for dir in above.ancestors() {
            if self.stat(dir)?.is_some() {
                break;
            }
            missing.push(dir.to_owned());
        }
        for dir in missing.iter().rev() {
            self.make_dir_if_absent(dir, 0o755)?;
        }
        let mut dirs: Vec<_> = home.ancestors().take_while(|p| p.starts_with(&staging)).map(Path::to_owned).collect();
        dirs.reverse();
        for dir in dirs {
            self.make_dir_if_absent(&dir, 0o700)?;
            let found = self.stat(&dir)?;
            let private = found.is_some_and(|s| s.is_dir && s.mine && s.mode & 0o022 == 0);
            if !private {
                return Err(Error::config(format!(
                    "{} is not a folder that this user alone may write to",
                    dir.display()
                ))
                .advise("make it so, or choose another output folder"));
            }
        }
        let device = |s: Option<crate::disk::Stat>| s.map(|s| s.device);
        let out = self.layout.out().to_owned();
        if let Some(on) = device(self.stat(&out)?)
            && device(self.stat(&staging)?) != Some(on)
        {
            return Err(Error::config(format!("{} is the root of a file system of its own", out.display()))
                .advise("name a folder in it: files are staged beside the output folder and moved"));
        }
        Ok(())
    }

    /// Makes a folder if there is none, and makes its name durable either way: an earlier run may have
    /// made it and died before it did so.
    fn make_dir_if_absent(&mut self, dir: &Path, mode: u32) -> Result<()> {
        if self.stat(dir)?.is_none() {
            match self.disk.create_dir(dir, mode) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                other => other.during("create", dir)?,
            }
        }
        match dir.parent() {
            None => Ok(()),
            Some(parent) => self.sync_dir(parent),
        }
    }

    fn make_dir(&mut self, dir: &Path, mode: u32) -> Result<()> {
        self.disk.create_dir(dir, mode).during("create", dir)
    }

    fn stat(&mut self, path: &Path) -> Result<Option<crate::disk::Stat>> {
        self.disk.stat(path).during("look at", path)
    }

    fn sync_dir(&mut self, dir: &Path) -> Result<()> {
        self.disk.sync_dir(dir).during("sync", dir)
    }

    /// Final mode, sync, close. The folder around it is private until it is published.
    fn seal(&mut self, path: &Path) -> Result<()> {
        self.disk.set_mode(path, 0o640 & !self.umask).during("set the mode of", path)?;
        self.disk.sync_file(path).during("sync", path)?;
        self.disk.close(path).during("close", path)
    }

    fn read_manifest(&mut self) -> Result<Option<Manifest>> {
        let path = self.layout.manifest();
        if self.stat(&path)?.is_none() {
            return Ok(None);
        }
        let bytes = self.disk.read(&path, MANIFEST_LIMIT).during("read", &path)?;
        Manifest::from_bytes(&bytes, &self.layout).map(Some)
    }

    /// Refuses a slot inside what another run has published as one.
    fn refuse_overlap(&mut self) -> Result<()> {
        for manifest in self.layout.enclosing_manifests() {
            if self.stat(&manifest)?.is_some() {
                return Err(Error::config(format!(
                    "{} lies inside what {} has published as a whole",
                    self.layout.run_key(),
                    manifest.display()
                ))
                .advise("choose another output folder, or a slot with the same names as before"));
            }
        }
        Ok(())
    }

    /// Refuses to publish where something is that no manifest of ours names.
    fn refuse_taken(&mut self) -> Result<()> {
        for table in self.tables.clone() {
            let path = self.layout.published(&table);
            if self.stat(&path)?.is_some() {
                return Err(Error::config(format!("{} exists and was not published by this run", path.display()))
                    .advise("move it away, or choose another output folder or slot; nothing was overwritten"));
            }
        }
        Ok(())
    }

    /// Removes the folders of attempts that died. The lock is held, so none of them is alive.
    fn remove_attempts(&mut self, home: &Path) -> Result<()> {
        for name in self.disk.list(home).during("read", home)? {
            let path = home.join(&name);
            if AttemptId::parse(&name).is_some() && self.stat(&path)?.is_some_and(|s| s.is_dir) {
                tracing::info!(path = %path.display(), "removing what an earlier attempt left");
                self.disk.remove_tree(&path).during("remove", &path)?;
            }
        }
        Ok(())
    }
}

/// Says what was being done, and to which path.
trait During<T> {
    fn during(self, action: &str, path: &Path) -> Result<T>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, action: &str, path: &Path) -> Result<T> {
        self.map_err(|cause| {
            let creating = matches!(action, "create" | "publish to" | "lock");
            let kind = if creating && !is_device_error(&cause) { ErrorKind::Create } else { ErrorKind::Io };
            let error = Error::new(kind, format!("cannot {action} {}", path.display()));
            let error = match free_space(path).filter(|_| is_full(&cause)) {
                Some(free) => error.advise(format!("{free} bytes are free there; free some and run it again")),
                None => error,
            };
            error.because(cause)
        })
    }
}
