//! What must hold, whatever happened.

use std::{collections::BTreeMap, fmt};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    readers,
    tree::Tree,
    workload::{Claim, Ledger, PAGES, ROWS, SLOT, TABLES, places, text},
};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A record is missing.
    Lost,
    /// A record is there twice.
    Doubled,
    /// A page comes from several servings, or one that may not be used any more.
    Mixed,
    /// A reader sees a part of a run.
    Partial,
    /// Something is not as it was written.
    Changed,
    /// Something that was claimed does not hold.
    Undone,
    /// The next run does not come to its end.
    Stuck,
    /// Something is left behind.
    Litter,
}

/// A broken promise.
#[derive(Clone, Debug)]
pub struct Flaw {
    /// What is wrong.
    pub what: What,
    /// Where, and how it shows.
    pub why: String,
}

impl Flaw {
    /// A flaw.
    pub fn new(what: What, why: impl Into<String>) -> Self {
        Self { what, why: why.into() }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.what, self.why)
    }
}

/// What was claimed up to some moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Known {
    /// The servings of a run that was committed in between, and may be seen as well.
    pub between: Option<Servings>,
    /// Pages that are durable.
    pub durable: u64,
    /// Whether the run is published.
    pub published: bool,
    /// Whether nothing is kept.
    pub aborted: bool,
    /// The first serving that may still be published.
    pub since: i64,
}

impl Known {
    /// Takes one more claim into account.
    pub fn add(&mut self, claim: Claim) {
        match claim {
            Claim::Durable(pages) => (self.durable, self.aborted) = (pages, false),
            Claim::Published => self.published = true,
            Claim::Restarted(since) => (self.durable, self.since) = (0, since),
            Claim::GivingUp => self.durable = 0,
            Claim::Aborted => (self.durable, self.aborted) = (0, true),
        }
    }

    /// The claims until call `upto`.
    #[must_use]
    pub fn until(mut self, claims: &[(u64, Claim)], upto: u64) -> Self {
        claims.iter().filter(|(at, _)| *at <= upto).for_each(|(_, claim)| self.add(*claim));
        self
    }
}

/// The serving of each page, as one table shows them.
pub type Servings = BTreeMap<u64, i64>;

/// Looks at trees.
pub struct Judge<'a> {
    /// What was served.
    pub ledger: &'a Ledger,
    /// The servings that were published before, if something was.
    pub old: Option<&'a Servings>,
    /// Those of a run that was committed after that, and before the one that is looked at.
    pub between: Option<&'a Servings>,
    /// The formats' extension.
    pub extension: &'a str,
}

const MANIFEST: &str = "out.pagemill/m/d=1/manifest.json";

impl Judge<'_> {
    /// The servings in a table, whose folder is there; each record once, in order, each page from one serving.
    fn servings(&self, tree: &Tree, table: &str) -> Result<Servings, Flaw> {
        let folder = format!("out/{table}/{SLOT}/");
        let mut rows = Vec::new();
        for (path, entry) in tree.range(folder.clone()..).take_while(|(path, _)| path.starts_with(&folder)) {
            let data = entry.data.as_ref().ok_or_else(|| Flaw::new(What::Litter, format!("{path} is a folder")))?;
            let extension = path.rsplit('.').next().unwrap_or("");
            if extension != self.extension {
                return Err(Flaw::new(What::Litter, format!("{path} is of another format")));
            }
            let read = readers::rows(extension, data);
            rows.extend(read.map_err(|e| Flaw::new(What::Lost, format!("{path} cannot be read: {e}")))?);
        }
        let expected: Vec<_> =
            (0..PAGES).flat_map(|page| places(table, page).into_iter().map(move |i| (page as i64, i as i64))).collect();
        let mut counts: BTreeMap<_, usize> = expected.iter().map(|at| (*at, 0)).collect();
        rows.iter().for_each(|row| *counts.entry((row.page, row.idx)).or_default() += 1);
        if let Some((at, _)) = counts.iter().find(|(_, count)| **count == 0) {
            return Err(Flaw::new(What::Lost, format!("{table}: page and row {at:?} of {} rows", rows.len())));
        }
        if let Some((at, count)) = counts.iter().find(|(_, count)| **count > 1) {
            return Err(Flaw::new(What::Doubled, format!("{table}: page and row {at:?} {count} times")));
        }
        let order: Vec<_> = rows.iter().map(|row| (row.page, row.idx)).collect();
        if order != expected {
            return Err(Flaw::new(What::Changed, format!("{table}: the order is {order:?}")));
        }
        let mut servings = Servings::new();
        for row in &rows {
            let page = row.page as u64;
            if *servings.entry(page).or_insert(row.serve) != row.serve || !self.ledger.was(row.serve, page) {
                return Err(Flaw::new(What::Mixed, format!("{table}: {row:?} in {servings:?}")));
            }
            if row.text != text(row.page, row.idx, row.serve) {
                return Err(Flaw::new(What::Changed, format!("{table}: {row:?}")));
            }
        }
        Ok(servings)
    }

    fn manifest(&self, tree: &Tree) -> Option<Value> {
        let data = tree.get(MANIFEST)?.data.as_ref()?;
        serde_json::from_slice(data).ok()
    }

    /// The servings that the manifest speaks of, and all of whose tables may be seen.
    #[must_use]
    pub fn committed(&self, tree: &Tree) -> Option<Servings> {
        let manifest = self.manifest(tree)?;
        let listed = manifest["summary"]["serves"].as_array()?;
        Some((0..).zip(listed.iter().filter_map(Value::as_i64)).collect())
    }

    /// What readers see at any moment: each table as it was before, or the whole new one, and that only after the commit.
    ///
    /// # Errors
    /// The first flaw.
    pub fn view(&self, tree: &Tree) -> Result<(), Flaw> {
        let committed = self.committed(tree);
        let partial = |why| Err(Flaw::new(What::Partial, why));
        for table in TABLES {
            if !tree.contains_key(&format!("out/{table}/{SLOT}")) {
                match self.old {
                    Some(_) => return partial(format!("{table} is gone")),
                    None => continue,
                }
            }
            let seen =
                self.servings(tree, table).or_else(|flaw| partial(flaw.to_string()).map(|()| Servings::new()))?;
            let of = |all: &Servings| seen.iter().all(|(page, serve)| all.get(page) == Some(serve));
            let without_summary = self.manifest(tree).is_some_and(|m| m["summary"]["serves"].is_null());
            if !self.old.is_some_and(of)
                && !self.between.is_some_and(of)
                && !committed.as_ref().is_some_and(of)
                && !without_summary
            {
                return partial(format!("{table} is neither what was there nor what is committed: {seen:?}"));
            }
        }
        Ok(())
    }

    /// True when the manifest is of another run than the one before.
    #[must_use]
    pub fn is_committed(&self, tree: &Tree) -> bool {
        tree.contains_key(MANIFEST) && self.committed(tree).as_ref() != self.old
    }

    /// Whether nothing of the new run is published.
    ///
    /// # Errors
    /// When it is.
    pub fn unpublished(&self, tree: &Tree) -> Result<(), Flaw> {
        for table in TABLES {
            let there = tree.contains_key(&format!("out/{table}/{SLOT}"));
            let same = match self.old {
                None => !there,
                Some(old) => {
                    there && self.servings(tree, table)?.iter().all(|(page, serve)| old.get(page) == Some(serve))
                }
            };
            if !same {
                return Err(Flaw::new(What::Undone, format!("{table} is published although the run says it is not")));
            }
        }
        Ok(())
    }

    /// What must be there when a run has said that all is published: each record, once, and what the manifest says of it.
    ///
    /// # Errors
    /// The first flaw.
    pub fn published(&self, tree: &Tree) -> Result<Servings, Flaw> {
        let changed = |why: String| Flaw::new(What::Changed, why);
        let mut servings = None::<Servings>;
        for table in TABLES {
            if !tree.contains_key(&format!("out/{table}/{SLOT}")) {
                return Err(Flaw::new(What::Lost, format!("{table} is gone")));
            }
            let seen = self.servings(tree, table)?;
            let all = servings.get_or_insert_with(|| seen.clone());
            if seen.iter().any(|(page, serve)| all.get(page) != Some(serve)) {
                return Err(Flaw::new(What::Mixed, format!("{table} has {seen:?} where the root has {all:?}")));
            }
        }
        let servings = servings.unwrap_or_default();
        let manifest = self.manifest(tree).ok_or_else(|| Flaw::new(What::Lost, "the manifest is gone"))?;
        if self.committed(tree).is_some_and(|listed| listed != servings) {
            return Err(Flaw::new(What::Mixed, "the report is of other servings"));
        }
        if (manifest["pages"].as_u64(), manifest["rows"].as_u64()) != (Some(PAGES), Some(PAGES * ROWS as u64)) {
            return Err(changed(format!("the manifest counts {} pages, {} rows", manifest["pages"], manifest["rows"])));
        }
        let mut found = Vec::new();
        for (path, entry) in tree.iter().filter(|(path, _)| path.starts_with("out/")) {
            let (mode, expected) = (entry.mode, if entry.data.is_some() { 0o640 } else { 0o750 });
            if mode & !expected != 0 || mode & 0o700 != expected & 0o700 {
                return Err(changed(format!("{path} has the mode {mode:o}")));
            }
            if let Some(data) = &entry.data {
                let sha256: String = Sha256::digest(&**data).iter().map(|b| format!("{b:02x}")).collect();
                found.push((path["out/".len()..].to_owned(), data.len() as u64, sha256));
            }
        }
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        let files = manifest["files"].as_array().into_iter().flatten();
        let mut named: Vec<_> =
            files.map(|f| (text(&f["path"]), f["bytes"].as_u64().unwrap_or(0), text(&f["sha256"]))).collect();
        named.sort();
        if named != found {
            return Err(changed(format!("the files are {found:?}, the manifest names {named:?}")));
        }
        Ok(servings)
    }

    /// That nothing is left of any attempt.
    ///
    /// # Errors
    /// When something is.
    pub fn tidy(&self, tree: &Tree) -> Result<(), Flaw> {
        let home = format!("out.pagemill/m/{SLOT}/");
        let left: Vec<_> = tree.keys().filter_map(|path| path.strip_prefix(&home)).collect();
        match left == ["lock", "manifest.json"] {
            true => Ok(()),
            false => Err(Flaw::new(What::Litter, format!("{left:?} are left"))),
        }
    }
}
