//! The commit, and what follows from it.

use std::{
    io,
    path::{Path, PathBuf},
};

use pagemill_core::{Error, ErrorKind, FileEntry, Receipt, Result, TableName};

use super::{LocalStore, folders::During, receipt};
use crate::{AttemptId, Manifest, layout::Layout, manifest::Replaced, store::damaged_slot};

/// The largest manifest that is read.
const MANIFEST_LIMIT: u64 = 256 << 20;

impl LocalStore {
    /// Publishes all segments. Nobody sees anything before the commit; after it, everything follows, if need be at the
    /// next start.
    pub(super) fn publish_all(&mut self, mut manifest: Manifest) -> Result<Receipt> {
        let run = self.running()?;
        let parts = [run.journal.parts()?, run.closed.clone()].concat();
        if run.open.len() != run.closed.len() {
            return Err(Error::internal("a part was not ended before the run was published"));
        }
        let (layout, tables, attempt) = (run.layout.clone(), run.tables.clone(), run.attempt);
        let replaced = run.replaced.clone();
        manifest.attempt = attempt.to_string();
        manifest.files = files(&layout, parts);
        manifest.replaces = replaced.as_ref().map(|old| Replaced {
            attempt: old.attempt.clone(),
            tables: old.tables.iter().map(|t| t.name.clone()).collect(),
        });
        for table in &tables {
            let dir = layout.staged(attempt, table);
            self.refuse_strangers(&dir, &manifest, table)?;
            // A file that a recovery has removed must not come back in what is published.
            self.changed(&dir);
        }
        self.refuse_overlap(&layout)?;
        self.refuse_taken(&layout, &tables, replaced.as_ref())?;
        self.commit(&layout, &manifest)
            .and_then(|()| self.move_into_place(&layout, &manifest, false))
            .map_err(|e| self.in_doubt(&layout, e))?;
        // Published, durable; what is left of this and of earlier attempts is of no more use.
        if let Err(error) = self.remove_attempts(&layout) {
            tracing::warn!(home = %layout.home().display(), %error, "cannot remove the folder of a published attempt");
        }
        Ok(receipt(&layout, &manifest, false))
    }

    /// Refuses to publish a file that no segment names.
    fn refuse_strangers(&mut self, dir: &Path, manifest: &Manifest, table: &TableName) -> Result<()> {
        let there = self.disk.list(dir).during("read", dir)?;
        let mut named: Vec<_> = manifest.files_of(table).map(|f| f.path.rsplit('/').next().unwrap_or("")).collect();
        named.sort_unstable();
        if there != named {
            return Err(Error::io(format!("{} does not hold the files that were written to it", dir.display()))
                .advise("find out what else writes there, and run it again; nothing was published"));
        }
        Ok(())
    }

    /// An error on the way to being published: once the manifest may be there, so may the run.
    fn in_doubt(&mut self, layout: &Layout, error: Error) -> Error {
        let path = layout.manifest();
        let ours = self.run.as_ref().map(|run| (run.committing, run.attempt.to_string()));
        let Some((true, attempt)) = ours else { return error };
        if let Ok(found) = self.read_manifest(layout)
            && found.is_none_or(|manifest| manifest.attempt != attempt)
        {
            return error;
        }
        let message = format!("the run is committed, but perhaps not yet published ({})", path.display());
        Error::new(ErrorKind::Unknown, message)
            .advise("run it again, which will find out and finish it; nothing was deleted")
            .because(error)
    }

    /// The commit: the manifest appears under its name, whole and durable, or not at all. Everything that it speaks for is
    /// durable before, and so are the folders that the tables will be moved to.
    fn commit(&mut self, layout: &Layout, manifest: &Manifest) -> Result<()> {
        let run = self.running()?;
        let (home, attempt) = (layout.home(), layout.attempt(run.attempt));
        let replaces = run.replaced.is_some();
        let (draft, path) = (attempt.join("manifest.json"), layout.manifest());
        self.disk.create(&draft).during("create", &draft)?;
        self.running()?.open.push(draft.clone());
        self.disk.append(&draft, &manifest.to_bytes()?).during("write", &draft)?;
        self.open_to_readers(&draft)?;
        for table in &manifest.table_names()? {
            self.make_public_parents(layout, &layout.published(table))?;
        }
        self.changed(&attempt);
        let files = self.running()?.open.clone();
        self.flush(&files)?;
        for file in &files {
            self.disk.close(file).during("close", file)?;
        }
        let run = self.running()?;
        run.open.clear();
        run.closed.clear();
        run.committing = true;
        if replaces {
            self.disk.rename(&draft, &path).during("create", &path)?;
        } else {
            match self.disk.link(&draft, &path) {
                Ok(()) => {}
                // A file system without hard links.
                Err(e) if matches!(e.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied) => {
                    self.disk.rename_noreplace(&draft, &path).during("create", &path)?;
                }
                Err(e) => return Err(e).during("create", &path),
            }
        }
        // The link is the home's; a rename is the attempt's as well.
        self.changed(&home);
        self.changed(&attempt);
        self.flush(&[])
            .map_err(|e| e.advise("the run may be published: run it again, which will find out and finish it"))
    }

    /// Moves each table of a committed run to where readers find it. May be repeated: `again` says that some may be there.
    pub(super) fn move_into_place(&mut self, layout: &Layout, manifest: &Manifest, again: bool) -> Result<()> {
        let Some(attempt) = AttemptId::parse(&manifest.attempt) else {
            return Err(Error::internal("a manifest without an attempt was accepted"));
        };
        let source = layout.attempt(attempt);
        // The attempt's folder goes last, so without it all that is below was done, and durably.
        let finished = self.stat(&source)?.is_none();
        let mut tables = Vec::new();
        for table in manifest.table_names()? {
            let (from, to) = (layout.staged(attempt, &table), layout.published(&table));
            let staged = !finished && self.stat(&from)?.is_some();
            if !staged && !again && self.stat(&to)?.is_none() {
                return Err(
                    Error::io(format!("{} is gone", from.display())).advise("find out what else removes files there")
                );
            }
            if again && !finished {
                self.make_public_parents(layout, &to)?;
            }
            tables.push((table, from, to, staged));
        }
        if finished {
            return Ok(());
        }
        if again {
            // What is moved into a folder is found only as long as that folder is.
            self.flush(&[])?;
        }
        for (table, from, to, staged) in tables {
            if staged {
                self.move_table(manifest, &table, &from, &to, again)?;
            }
            // An earlier run may have moved it, and died before this was durable.
            self.changed(to.parent().unwrap_or(&to));
        }
        for table in manifest.dropped_tables()? {
            let (from, to) = (layout.published(&table), source.join(format!("dropped.{table}")));
            if self.stat(&from)?.is_some() && self.stat(&to)?.is_none() {
                self.disk.rename_noreplace(&from, &to).during("move away", &from)?;
                self.changed(from.parent().unwrap_or(&from));
            }
        }
        // A rename is durable when both folders are.
        self.changed(&source);
        self.flush(&[])
    }

    /// What is wrong with what was published: a file that is gone, or of another length.
    pub(super) fn damage(&mut self, layout: &Layout, manifest: &Manifest) -> Result<Option<Error>> {
        for table in manifest.table_names()? {
            let dir = layout.published(&table);
            let damaged = match self.stat(&dir)?.is_some_and(|s| s.is_dir) {
                true => self.damaged_file(&dir, manifest, &table)?,
                false => Some(dir),
            };
            if let Some(path) = damaged {
                return Ok(Some(damaged_slot(&layout.run_key(), path.display())));
            }
        }
        Ok(None)
    }

    fn damaged_file(&mut self, dir: &Path, manifest: &Manifest, table: &TableName) -> Result<Option<PathBuf>> {
        for file in manifest.files_of(table) {
            let path = dir.join(file.path.rsplit('/').next().unwrap_or(""));
            if self.stat(&path)?.is_none_or(|s| !s.is_file || s.len != file.bytes) {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    /// Moves one table from where it was staged to where readers find it.
    fn move_table(
        &mut self,
        manifest: &Manifest,
        table: &TableName,
        from: &Path,
        to: &Path,
        again: bool,
    ) -> Result<()> {
        let there = self.stat(to)?.is_some();
        // What is staged may be the old table, after an exchange, or one that was moved and whose old name is back.
        if there && again && self.holds(to, manifest, table)? {
            return Ok(());
        }
        // It may be the old table, where somebody has damaged the new one; or it is damaged itself. It stays where it is, and what is
        // missing is found out below.
        if again && !self.holds(from, manifest, table)? {
            return Ok(());
        }
        match there && manifest.replaces.is_some() {
            true => self.disk.exchange(from, to).during("publish to", to),
            false => self.disk.rename_noreplace(from, to).during("publish to", to).map_err(|e| match there {
                true => e.advise("what is there was not published by this run: move it away, and run it again"),
                false => e,
            }),
        }
    }

    /// Whether a folder holds the files that the manifest names of a table, and no other.
    fn holds(&mut self, dir: &Path, manifest: &Manifest, table: &TableName) -> Result<bool> {
        if self.stat(dir)?.is_none_or(|s| !s.is_dir) {
            return Ok(false);
        }
        let there = self.disk.list(dir).during("read", dir)?;
        let mut named = 0;
        for file in manifest.files_of(table) {
            let name = file.path.rsplit('/').next().unwrap_or("");
            let path = dir.join(name);
            if !there.iter().any(|n| n == name)
                || self.stat(&path)?.is_none_or(|s| !s.is_file)
                || self.disk.hash(&path).during("read", &path)? != (file.bytes, file.sha256.clone())
            {
                return Ok(false);
            }
            named += 1;
        }
        Ok(there.len() == named)
    }

    pub(super) fn read_manifest(&mut self, layout: &Layout) -> Result<Option<Manifest>> {
        let path = layout.manifest();
        if self.stat(&path)?.is_none() {
            return Ok(None);
        }
        let bytes = self.disk.read(&path, MANIFEST_LIMIT).during("read", &path)?;
        Manifest::from_bytes(&bytes, layout).map(Some)
    }

    /// Refuses a slot inside what another run has published as one.
    pub(super) fn refuse_overlap(&mut self, layout: &Layout) -> Result<()> {
        for manifest in layout.enclosing_manifests() {
            if self.stat(&manifest)?.is_some() {
                return Err(Error::config(format!(
                    "{} lies inside what {} has published as a whole",
                    layout.run_key(),
                    manifest.display()
                ))
                .advise("choose another output folder, or a slot with the same names as before"));
            }
        }
        Ok(())
    }

    /// Refuses to publish where something is that no manifest of ours names.
    pub(super) fn refuse_taken(
        &mut self,
        layout: &Layout,
        tables: &[TableName],
        replaced: Option<&Manifest>,
    ) -> Result<()> {
        for table in tables {
            let path = layout.published(table);
            let ours = replaced.is_some_and(|m| m.tables.iter().any(|t| t.name == table.as_str()));
            if !ours && self.stat(&path)?.is_some() {
                return Err(Error::config(format!("{} exists and was not published by this run", path.display()))
                    .advise("move it away, or choose another output folder or slot; nothing was overwritten"));
            }
        }
        Ok(())
    }

    /// Removes the folders of all attempts. The lock is held, so none of them is alive.
    pub(super) fn remove_attempts(&mut self, layout: &Layout) -> Result<()> {
        for attempt in self.attempts(layout)? {
            self.remove_attempt(layout, attempt)?;
        }
        Ok(())
    }
}

/// What the manifest says of the parts, by table and then by path.
fn files(layout: &Layout, parts: Vec<crate::store::Part>) -> Vec<FileEntry> {
    let mut files: Vec<_> = parts
        .into_iter()
        .map(|part| FileEntry {
            table: part.table.to_string(),
            path: format!("{}/{}", layout.relative(&part.table), part.name),
            rows: part.rows,
            bytes: part.bytes,
            sha256: part.sha256,
        })
        .collect();
    files.sort_by(|a, b| (&a.table, &a.path).cmp(&(&b.table, &b.path)));
    files
}
