//! What an earlier attempt has kept.

use std::path::PathBuf;

use pagemill_core::{Result, TableName};

use super::{LocalStore, folders::During};
use crate::{
    AttemptId,
    journal::{Header, Journal},
    layout::{Layout, journal_name, journal_number},
};

/// The largest journal that is read.
const JOURNAL_LIMIT: u64 = 1 << 30;

/// An attempt to go on with.
pub(super) struct Found {
    pub(super) attempt: AttemptId,
    /// Its segments, all of whose parts are there.
    pub(super) journal: Journal,
    /// Ordinal of the next journal file.
    pub(super) files: u32,
}

/// What is left of an attempt.
enum Left {
    /// Nothing that a journal speaks for.
    Nothing,
    /// A run with other options, or of another version of the program.
    Others,
    /// A journal of the same configuration, and the ordinal of its next file.
    Ours(Journal, u32),
}

impl LocalStore {
    /// The attempt that has come furthest with what `header` stands for, made ready to go on with.
    ///
    /// Attempts of another configuration are left as they are, so that nobody's work is lost to a mistyped option; what no
    /// journal speaks for is removed. The lock is held, so nobody is at work on any of them.
    pub(super) fn recover(&mut self, layout: &Layout, tables: &[TableName], header: &Header) -> Result<Option<Found>> {
        let mut best: Option<Found> = None;
        for attempt in self.attempts(layout)? {
            match self.longest_journal(layout, tables, attempt, header)? {
                Left::Nothing => {
                    tracing::info!(%attempt, "removing what an earlier attempt left");
                    self.remove_attempt(layout, attempt)?;
                }
                Left::Others => tracing::warn!(%attempt, "an unfinished run with other options is left alone"),
                Left::Ours(journal, files) => {
                    if best.as_ref().is_none_or(|b| b.journal.pages() < journal.pages()) {
                        best = Some(Found { attempt, journal, files });
                    }
                }
            }
        }
        let Some(mut found) = best else { return Ok(None) };
        self.keep_whole_segments(layout, &mut found)?;
        if found.journal.is_empty() {
            self.remove_attempt(layout, found.attempt)?;
            return Ok(None);
        }
        self.rewrite_journal(layout, &mut found)?;
        self.remove_unnamed(layout, tables, &found)?;
        Ok(Some(found))
    }

    /// The attempts of a run key that have a folder.
    pub(super) fn attempts(&mut self, layout: &Layout) -> Result<Vec<AttemptId>> {
        let home = layout.home();
        let mut found = Vec::new();
        for name in self.disk.list(&home).during("read", &home)? {
            if let Some(id) = AttemptId::parse(&name)
                && self.stat(&home.join(&name))?.is_some_and(|s| s.is_dir)
            {
                found.push(id);
            }
        }
        Ok(found)
    }

    /// The journal that says most, of those that an attempt may have. What another configuration has written is not looked at any
    /// further: it may be of tables that this one does not have.
    fn longest_journal(
        &mut self,
        layout: &Layout,
        tables: &[TableName],
        attempt: AttemptId,
        header: &Header,
    ) -> Result<Left> {
        let dir = layout.attempt(attempt);
        let (mut best, mut after) = (None::<Journal>, 0);
        for name in self.disk.list(&dir).during("read", &dir)? {
            let Some(number) = journal_number(&name) else { continue };
            after = after.max(number.saturating_add(1));
            let path = dir.join(&name);
            let bytes = self.disk.read(&path, JOURNAL_LIMIT).during("read", &path)?;
            if Journal::whose(&bytes).is_some_and(|whose| whose != *header) {
                return Ok(Left::Others);
            }
            if let Some(journal) = Journal::read(&bytes, tables)
                && best.as_ref().is_none_or(|b| b.len() < journal.len())
            {
                best = Some(journal);
            }
        }
        Ok(best.filter(|journal| !journal.is_empty()).map_or(Left::Nothing, |journal| Left::Ours(journal, after)))
    }

    /// Reads every part that the journal names, and forgets the first segment that has one which is not as it says, and
    /// those after it.
    fn keep_whole_segments(&mut self, layout: &Layout, found: &mut Found) -> Result<()> {
        for segment in 0..found.journal.len() {
            for part in found.journal.parts_of(segment)? {
                let path = layout.staged(found.attempt, &part.table).join(&part.name);
                let whole = self.stat(&path)?.is_some_and(|s| s.is_file)
                    && self.disk.hash(&path).during("read", &path)? == (part.bytes, part.sha256.clone());
                if !whole {
                    tracing::warn!(path = %path.display(), "a staged file is not what its journal says");
                    found.journal.truncate(segment);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Writes the journal anew, under the next name: the one that was found may end in the middle of a line, and what a
    /// failed sync has left of it cannot be told.
    fn rewrite_journal(&mut self, layout: &Layout, found: &mut Found) -> Result<()> {
        let dir = layout.attempt(found.attempt);
        let path = dir.join(journal_name(found.files));
        found.files = found.files.saturating_add(1);
        self.disk.create(&path).during("create", &path)?;
        self.disk.append(&path, &found.journal.to_bytes()?).during("write", &path)?;
        self.changed(&dir);
        self.flush(&[path])
    }

    /// Removes everything from the attempt but its journal and the parts that this names.
    fn remove_unnamed(&mut self, layout: &Layout, tables: &[TableName], found: &Found) -> Result<()> {
        let dir = layout.attempt(found.attempt);
        let mut named: Vec<PathBuf> = vec![dir.join(journal_name(found.files.saturating_sub(1)))];
        named.extend(tables.iter().map(|table| layout.staged(found.attempt, table)));
        for part in found.journal.parts()? {
            named.push(layout.staged(found.attempt, &part.table).join(part.name));
        }
        let mut dirs = vec![dir];
        for table in tables {
            let dir = layout.staged(found.attempt, table);
            if self.stat(&dir)?.is_none() {
                self.make_dir(&dir, 0o750)?;
            }
            dirs.push(dir);
        }
        for dir in dirs {
            for name in self.disk.list(&dir).during("read", &dir)? {
                let path = dir.join(&name);
                if named.contains(&path) {
                    continue;
                }
                match self.stat(&path)? {
                    Some(stat) if stat.is_dir => self.disk.remove_tree(&path).during("remove", &path)?,
                    Some(_) => self.disk.remove_file(&path).during("remove", &path)?,
                    None => {}
                }
            }
            self.changed(&dir);
        }
        Ok(())
    }
}
