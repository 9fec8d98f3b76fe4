//! [`LocalStore`]: files on a local disk.
//!
//! Before a step relies on another one, that one is made durable: files by a sync of their own, a folder's entry by that of the
//! folder *above* it. What has changed is gathered until then, and made durable together.
//!
//! | module | what it holds |
//! |---|---|
//! | here | the steps of a run, in their order |
//! | `recover` | what an earlier attempt has kept |
//! | `publish` | the commit, and what follows from it |
//! | `folders` | folders and who may write to them; errors that say what was done to which path |

mod folders;
mod publish;
mod recover;

use std::{collections::BTreeSet, path::PathBuf};

use bytes::Bytes;
use pagemill_core::{Error, ErrorKind, Receipt, Result, Rewind, TableName};

use self::folders::During;
use crate::{
    AttemptId, Disk, Manifest, RealDisk,
    disk::umask,
    journal::{Header, Journal},
    layout::{Layout, journal_name},
    store::{Kept, Opened, Part, Plan, Segment, Store},
};

/// Stages files in `OUT.pagemill`, beside the output folder, and moves them into it when the run is complete.
pub struct LocalStore {
    out: PathBuf,
    disk: Box<dyn Disk>,
    /// Ids for the attempts to come, before random ones.
    ids: Vec<AttemptId>,
    umask: u32,
    /// Folders with entries that are not durable yet.
    changed: BTreeSet<PathBuf>,
    run: Option<Running>,
}

/// An attempt at work.
struct Running {
    layout: Layout,
    tables: Vec<TableName>,
    attempt: AttemptId,
    journal: Journal,
    /// The journal's file, once there is one.
    file: Option<PathBuf>,
    /// Ordinal of the next journal file.
    files: u32,
    /// Parts that were completed after the last segment; not durable yet.
    closed: Vec<Part>,
    /// The files of those parts, and of the ones in the making.
    open: Vec<PathBuf>,
    /// What is published under this name, and will be replaced.
    replaced: Option<Manifest>,
    /// From the moment the commit is tried, what is staged may be part of a published run.
    committing: bool,
}

impl LocalStore {
    /// Publishes to the folder `out`, which need not exist, and stages in `out.pagemill` beside it.
    pub fn new(out: impl Into<PathBuf>) -> Self {
        Self {
            out: out.into(),
            disk: Box::new(RealDisk::new()),
            ids: Vec::new(),
            umask: umask(),
            changed: BTreeSet::new(),
            run: None,
        }
    }

    /// The disk, in the place of [`RealDisk`]; for tests. Serves one run.
    #[must_use]
    pub fn disk(mut self, disk: impl Disk + 'static) -> Self {
        self.disk = Box::new(disk);
        self
    }

    /// The first attempt's id, in the place of a random one; for tests.
    #[must_use]
    pub fn attempt_id(mut self, id: AttemptId) -> Self {
        self.ids.push(id);
        self
    }

    fn running(&mut self) -> Result<&mut Running> {
        self.run.as_mut().ok_or_else(|| Error::internal("the store is not open"))
    }

    /// The disk, and the attempt at work on it.
    fn parts(&mut self) -> Result<(&mut dyn Disk, &mut Running)> {
        let running = self.run.as_mut().ok_or_else(|| Error::internal("the store is not open"))?;
        Ok((&mut *self.disk, running))
    }

    /// Makes the folders of a new attempt.
    fn begin(&mut self, layout: &Layout, tables: &[TableName]) -> Result<AttemptId> {
        let id = self.ids.pop().map_or_else(AttemptId::random, Ok)?;
        let attempt = layout.attempt(id);
        self.make_dir(&attempt, 0o700)?;
        for table in tables {
            self.make_dir(&layout.staged(id, table), 0o750)?;
        }
        self.changed(&layout.home());
        self.changed(&attempt);
        Ok(id)
    }

    /// Removes what no segment names: parts in the making, and those whose segment has not ended.
    fn discard_open(&mut self) -> Result<()> {
        let run = self.running()?;
        run.closed.clear();
        for path in std::mem::take(&mut run.open) {
            self.disk.close(&path).during("close", &path)?;
            self.disk.remove_file(&path).during("remove", &path)?;
            self.changed(path.parent().unwrap_or(&path));
        }
        Ok(())
    }

    /// Removes an attempt's folder, if it is there.
    fn remove_attempt(&mut self, layout: &Layout, attempt: AttemptId) -> Result<()> {
        let path = layout.attempt(attempt);
        if self.stat(&path)?.is_some() {
            self.disk.remove_tree(&path).during("remove", &path)?;
        }
        self.changed.retain(|dir| !dir.starts_with(&path));
        Ok(())
    }

    /// Removes an attempt's folder, durably.
    fn forget_attempt(&mut self, layout: &Layout, attempt: AttemptId) -> Result<()> {
        self.remove_attempt(layout, attempt)?;
        self.changed(&layout.home());
        self.flush(&[])
    }

    fn unlock(&mut self, layout: &Layout) -> Result<()> {
        self.run = None;
        self.disk.unlock().during("unlock", &layout.lock())
    }
}

impl Store for LocalStore {
    fn open(&mut self, plan: &Plan) -> Result<Opened> {
        let layout = Layout::new(&self.out, &plan.run)?;
        let tables = plan.draft.table_names()?;
        let home = layout.home();
        self.make_private_dirs(&layout)?;
        let lock = layout.lock();
        if !self.disk.lock(&lock).during("lock", &lock)? {
            let message = format!("another run is at work on {}", layout.run_key());
            return Err(Error::new(ErrorKind::Busy, message).advise("wait for it, or choose another slot"));
        }
        let published = self.read_manifest(&layout)?;
        if let Some(manifest) = &published {
            // Its appearance may not be durable yet: the run that made it may have died before it could see to it.
            self.changed(&home);
            self.flush(&[])?;
            self.move_into_place(&layout, manifest, true)?;
            match self.damage(&layout, manifest)? {
                Some(damage) if plan.overwrite => tracing::warn!("{damage}: it is made again"),
                Some(damage) => return Err(damage),
                None => {}
            }
            if !plan.overwrite {
                self.remove_attempts(&layout)?;
                let receipt = receipt(&layout, manifest, true);
                return Ok(Opened::Published(Box::new(manifest.clone()), receipt));
            }
            if let Some(attempt) = AttemptId::parse(&manifest.attempt) {
                self.remove_attempt(&layout, attempt)?;
            }
        }
        self.refuse_overlap(&layout)?;
        self.refuse_taken(&layout, &tables, published.as_ref())?;
        let header = Header::of(plan)?;
        let found = self.recover(&layout, &tables, &header)?;
        let (attempt, journal, files) = match found {
            Some(found) => (found.attempt, found.journal, found.files),
            None => (self.begin(&layout, &tables)?, Journal::new(header)?, 0),
        };
        let kept = journal.kept()?;
        let run = Running {
            file: kept.is_some().then(|| layout.attempt(attempt).join(journal_name(files.saturating_sub(1)))),
            layout,
            tables,
            attempt,
            journal,
            files,
            closed: Vec::new(),
            open: Vec::new(),
            replaced: published,
            committing: false,
        };
        self.run = Some(run);
        Ok(kept.map_or(Opened::Fresh, Opened::Resumed))
    }

    fn tag(&self) -> Option<String> {
        let replaced = self.run.as_ref()?.replaced.as_ref()?;
        replaced.attempt.get(..8).map(str::to_owned)
    }

    fn create_part(&mut self, table: &TableName, name: &str) -> Result<()> {
        let (disk, run) = self.parts()?;
        let path = run.layout.staged(run.attempt, table).join(name);
        disk.create(&path).during("create", &path)?;
        run.open.push(path);
        Ok(())
    }

    fn append_part(&mut self, table: &TableName, name: &str, bytes: &Bytes) -> Result<()> {
        let (disk, run) = self.parts()?;
        let path = run.layout.staged(run.attempt, table).join(name);
        disk.append(&path, bytes).during("write", &path)?;
        disk.write_ahead(&path);
        Ok(())
    }

    fn close_part(&mut self, part: &Part) -> Result<()> {
        let run = self.running()?;
        let path = run.layout.staged(run.attempt, &part.table).join(&part.name);
        run.closed.push(part.clone());
        self.open_to_readers(&path)
    }

    fn end_segment(&mut self, segment: &Segment) -> Result<()> {
        let run = self.running()?;
        if segment.upto.is_end() {
            // What speaks for these parts is the manifest, which is about to be written.
            return Ok(());
        }
        let line = run.journal.push(&run.closed, segment)?;
        run.closed.clear();
        let parts = std::mem::take(&mut run.open);
        for path in &parts {
            self.changed(path.parent().unwrap_or(path));
        }
        // The parts, and all folders on the way to them, before the line that speaks for them.
        self.flush(&parts)?;
        for path in &parts {
            self.disk.close(path).during("close", path)?;
        }
        let run = self.running()?;
        let (file, bytes) = match run.file.clone() {
            Some(file) => (file, line),
            None => {
                let dir = run.layout.attempt(run.attempt);
                let file = dir.join(journal_name(run.files));
                let whole = run.journal.to_bytes()?;
                run.files += 1;
                run.file = Some(file.clone());
                self.changed(&dir);
                self.disk.create(&file).during("create", &file)?;
                (file, whole)
            }
        };
        self.disk.append(&file, &bytes).during("write", &file)?;
        self.flush(std::slice::from_ref(&file))
    }

    fn rewind(&mut self, to: Rewind) -> Result<Option<Kept>> {
        if to == Rewind::Checkpoint {
            self.discard_open()?;
            return self.running()?.journal.kept();
        }
        let run = self.running()?;
        let (layout, tables, attempt) = (run.layout.clone(), run.tables.clone(), run.attempt);
        let header = run.journal.header().clone();
        // A journal is good for one walk: nothing of the old one may be gone on from, whatever happens next.
        self.forget_attempt(&layout, attempt)?;
        let attempt = self.begin(&layout, &tables)?;
        let journal = Journal::new(header)?;
        let run = self.running()?;
        (run.attempt, run.journal, run.file, run.files) = (attempt, journal, None, 0);
        run.open.clear();
        run.closed.clear();
        Ok(None)
    }

    fn publish(&mut self, manifest: Manifest) -> Result<Receipt> {
        self.publish_all(manifest)
    }

    fn suspend(&mut self) -> Result<()> {
        let run = self.running()?;
        if run.journal.is_empty() {
            return self.abort();
        }
        let layout = run.layout.clone();
        let discarded = match run.committing {
            true => Ok(()),
            false => self.discard_open(),
        };
        self.unlock(&layout)?;
        discarded
    }

    fn abort(&mut self) -> Result<()> {
        let run = self.running()?;
        let (layout, attempt, committing) = (run.layout.clone(), run.attempt, run.committing);
        let published = committing && self.read_manifest(&layout)?.is_some_and(|m| m.attempt == attempt.to_string());
        if !published {
            self.forget_attempt(&layout, attempt)?;
        }
        self.unlock(&layout)
    }
}

/// What a published run left behind.
fn receipt(layout: &Layout, manifest: &Manifest, already_published: bool) -> Receipt {
    let path = layout.manifest().display().to_string();
    Receipt { manifest: path, already_published, files: manifest.files.clone() }
}
