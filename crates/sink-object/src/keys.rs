//! Which object is what.
//!
//! ```text
//! PREFIX/<table>/<slot>/<dataset>.<attempt>/part-00000.<ext>       written once, never moved
//! PREFIX.pagemill/<dataset>/<slot or "_">/manifest.json            its appearance is the commit
//! PREFIX.pagemill/<dataset>/<slot or "_">/<attempt>/journal-000000 that the attempt exists, and what it goes on from
//! PREFIX.pagemill/<dataset>/<slot or "_">/<attempt>/journal-000001 a segment; and so on, without a gap
//! PREFIX.pagemill/<dataset>/<slot or "_">/<attempt>/upload-000000  an upload in pieces that may not be complete
//! PREFIX.pagemill/<dataset>/<slot or "_">/<attempt>/probe          what the store is tried with
//! PREFIX.pagemill/<dataset>/<slot or "_">/<attempt>/committing     that its manifest may be put from now on
//! PREFIX.pagemill/<dataset>/<slot or "_">/<attempt>/doomed         that it was taken for dead, for its age, and must not be published
//! PREFIX.pagemill/<dataset>/<slot or "_">/<attempt>/closed         that nobody is to go on from the attempt any more
//! ```
//!
//! The manifest is where a local run has it, beside the tables and not among them: whoever lists a table's prefix finds data and
//! nothing else, and one rule tells tools where manifests are, whatever the store.
//!
//! Tables of two datasets may have one name: `m_c` is the root of one, and a list of another that is called `m`. So a part's key names
//! its dataset, and nobody takes another's part for one that nothing speaks for.

use object_store::path::Path;
use pagemill_core::{Error, Result, Run, Slot, TableName};
use pagemill_sink::{AttemptId, list::RunKey};

/// The keys of one run key.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    prefix: String,
    dataset: TableName,
    slot: Option<Slot>,
}

/// What a key below the home of a run key says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Journal(u32),
    /// A note of an upload, or a probe.
    Note,
    Committing,
    /// That nobody goes on from it, or that it must not be published.
    Closed,
}

impl Keys {
    /// The keys of `run` below `prefix`, which may be empty.
    pub(crate) fn new(prefix: &str, run: &Run) -> Result<Self> {
        Self::of(prefix, &run.dataset, run.slot.as_ref())
    }

    /// The same, by the names.
    pub(crate) fn of(prefix: &str, dataset: &TableName, slot: Option<&Slot>) -> Result<Self> {
        let prefix = check_prefix(prefix)?;
        Ok(Self { prefix, dataset: dataset.clone(), slot: slot.cloned() })
    }

    /// The dataset and the slot, such as `members/dt=2026-11-23`.
    pub(crate) fn run_key(&self) -> String {
        match &self.slot {
            None => self.dataset.to_string(),
            Some(slot) => format!("{}/{slot}", self.dataset),
        }
    }

    /// What the manifest calls a part: its key without the prefix.
    pub(crate) fn relative(&self, attempt: AttemptId, table: &TableName, name: &str) -> String {
        format!("{}/{}/{name}", self.relative_table(table), self.folder(attempt))
    }

    /// The folder of an attempt's parts, in that of a table.
    pub(crate) fn folder(&self, attempt: AttemptId) -> String {
        format!("{}.{attempt}", self.dataset)
    }

    fn relative_table(&self, table: &TableName) -> String {
        match &self.slot {
            None => table.to_string(),
            Some(slot) => format!("{table}/{slot}"),
        }
    }

    /// The object that the manifest calls so.
    pub(crate) fn published(&self, relative: &str) -> Result<Path> {
        match self.prefix.as_str() {
            "" => path(relative.to_owned()),
            prefix => path(format!("{prefix}/{relative}")),
        }
    }

    /// Where the parts of a table are.
    pub(crate) fn table(&self, table: &TableName) -> Result<Path> {
        self.published(&self.relative_table(table))
    }

    /// A part.
    pub(crate) fn part(&self, attempt: AttemptId, table: &TableName, name: &str) -> Result<Path> {
        self.published(&self.relative(attempt, table, name))
    }

    fn home_of(&self, slot: &str) -> String {
        format!("{}.pagemill/{}/{slot}", self.prefix, self.dataset)
    }

    /// Where everything else of the run key is.
    pub(crate) fn home(&self) -> Result<Path> {
        path(self.home_of(self.slot.as_ref().map_or("_", Slot::as_str)))
    }

    fn in_home(&self, name: &str) -> Result<Path> {
        path(format!("{}/{name}", self.home()?))
    }

    pub(crate) fn manifest(&self) -> Result<Path> {
        self.in_home("manifest.json")
    }

    /// The manifests of runs that have published all of this run's prefix as one: without a slot, or with fewer parts.
    pub(crate) fn enclosing_manifests(&self) -> Result<Vec<Path>> {
        let Some(slot) = &self.slot else { return Ok(Vec::new()) };
        let shorter = slot.as_str().match_indices('/').filter_map(|(at, _)| slot.as_str().get(..at));
        std::iter::once("_").chain(shorter).map(|s| path(format!("{}/manifest.json", self.home_of(s)))).collect()
    }

    pub(crate) fn journal(&self, attempt: AttemptId, number: u32) -> Result<Path> {
        self.in_home(&format!("{attempt}/journal-{number:06}"))
    }

    pub(crate) fn upload(&self, attempt: AttemptId, number: u32) -> Result<Path> {
        self.in_home(&format!("{attempt}/upload-{number:06}"))
    }

    pub(crate) fn probe(&self, attempt: AttemptId) -> Result<Path> {
        self.in_home(&format!("{attempt}/probe"))
    }

    pub(crate) fn committing(&self, attempt: AttemptId) -> Result<Path> {
        self.in_home(&format!("{attempt}/committing"))
    }

    pub(crate) fn doomed(&self, attempt: AttemptId) -> Result<Path> {
        self.in_home(&format!("{attempt}/doomed"))
    }

    pub(crate) fn closed(&self, attempt: AttemptId) -> Result<Path> {
        self.in_home(&format!("{attempt}/closed"))
    }

    /// Reads a key below the home; `None` when it is none of ours, as those of longer slots are.
    pub(crate) fn entry(&self, key: &Path) -> Option<(AttemptId, Entry)> {
        let home = self.home().ok()?;
        let (attempt, name) = key.as_ref().strip_prefix(home.as_ref())?.strip_prefix('/')?.split_once('/')?;
        let number = |stem: &str| {
            let digits = name.strip_prefix(stem)?;
            (digits.len() >= 6 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
        };
        let entry = match name {
            "closed" | "doomed" => Entry::Closed,
            "committing" => Entry::Committing,
            "probe" => Entry::Note,
            _ => number("journal-").map(Entry::Journal).or_else(|| number("upload-").map(|_| Entry::Note))?,
        };
        Some((AttemptId::parse(attempt)?, entry))
    }

    /// The attempt that wrote a part of `table`; `None` when the key is none of ours, or another dataset's.
    pub(crate) fn writer(&self, table: &TableName, key: &Path) -> Option<AttemptId> {
        let home = self.table(table).ok()?;
        let (folder, name) = key.as_ref().strip_prefix(home.as_ref())?.strip_prefix('/')?.split_once('/')?;
        let attempt = folder.strip_prefix(self.dataset.as_str())?.strip_prefix('.')?;
        (name.starts_with("part-") && !name.contains('/')).then(|| AttemptId::parse(attempt)).flatten()
    }
}

/// Where everything but the tables is.
pub(crate) fn below_staging(prefix: &str) -> Result<Path> {
    path(format!("{}.pagemill", check_prefix(prefix)?))
}

/// The run key that a key below it is of, and whether it is the manifest's; `None` when it is none of ours.
pub(crate) fn run_of(prefix: &str, key: &Path) -> Option<(RunKey, bool)> {
    let below = below_staging(prefix).ok()?;
    let (dataset, rest) = key.as_ref().strip_prefix(below.as_ref())?.strip_prefix('/')?.split_once('/')?;
    let (slot, manifest) = match rest.strip_suffix("/manifest.json") {
        Some(slot) => (slot, true),
        None => {
            let (home, attempt) = rest.rsplit_once('/')?.0.rsplit_once('/')?;
            AttemptId::parse(attempt)?;
            (home, false)
        }
    };
    let slot = if slot == "_" { None } else { Some(Slot::new(slot).ok()?) };
    Some((RunKey { dataset: TableName::new(dataset).ok()?, slot }, manifest))
}

fn path(text: String) -> Result<Path> {
    Path::parse(&text).map_err(|e| Error::config(format!("{text:?} cannot be a key")).because(e))
}

/// A prefix without slashes around it.
fn check_prefix(prefix: &str) -> Result<String> {
    let prefix = prefix.trim_matches('/');
    let refuse = || Error::config(format!("{prefix:?} cannot be the prefix of the tables"));
    Path::parse(prefix).map_err(|e| refuse().because(e))?;
    match prefix.split('/').any(|part| part.ends_with(".pagemill")) {
        true => Err(refuse().advise("choose one without .pagemill: there, manifests and journals are kept")),
        false => Ok(prefix.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn keys(prefix: &str, slot: Option<&str>) -> Result<Keys> {
        let slot = slot.map(|s| Slot::new(s).expect("a slot"));
        let dataset = TableName::new("members").expect("a name");
        Keys::new(prefix, &Run { dataset, slot, config: BTreeMap::new(), pages: pagemill_core::Pages::default() })
    }

    #[test]
    fn keys_are_those_of_the_map() {
        let table = TableName::new("members_emails").expect("a name");
        let id = AttemptId::from_bits(7);
        let with = keys("/data/lake/", Some("dt=2026-11-23")).expect("keys");
        let part = with.part(id, &table, "part-00000.parquet").expect("key");
        let hex = "00000000000000000000000000000007";
        assert_eq!(part.as_ref(), format!("data/lake/members_emails/dt=2026-11-23/members.{hex}/part-00000.parquet"));
        assert_eq!(with.writer(&table, &part), Some(id));
        let home = "data/lake.pagemill/members/dt=2026-11-23";
        assert_eq!(with.manifest().expect("key").as_ref(), format!("{home}/manifest.json"));
        assert_eq!(with.journal(id, 17).expect("key").as_ref(), format!("{home}/{hex}/journal-000017"));
        let without = keys("", None).expect("keys");
        assert_eq!(without.manifest().expect("key").as_ref(), ".pagemill/members/_/manifest.json");
        assert_eq!(without.table(&table).expect("key").as_ref(), "members_emails");
        let nested = keys("o", Some("a=1/b=2")).expect("keys");
        let enclosing: Vec<_> = nested.enclosing_manifests().expect("keys").iter().map(ToString::to_string).collect();
        assert_eq!(enclosing, ["_", "a=1"].map(|s| format!("o.pagemill/members/{s}/manifest.json")));
    }

    #[test]
    fn prefixes_that_would_mix_with_ours_or_are_none_are_refused() {
        for prefix in ["a//b", "../a", "a/./b", "lake.pagemill", "lake.pagemill/x", "a\u{7}b"] {
            assert!(keys(prefix, None).is_err(), "{prefix}");
        }
    }

    #[test]
    fn keys_that_others_wrote_are_none_of_ours() {
        let keys = keys("o", Some("a=1")).expect("keys");
        let id = AttemptId::from_bits(7);
        let entry = |key: &str| keys.entry(&Path::parse(key).expect("path"));
        let home = "o.pagemill/members/a=1";
        assert_eq!(keys.entry(&keys.journal(id, 3).expect("key")), Some((id, Entry::Journal(3))));
        assert_eq!(keys.entry(&keys.upload(id, 3).expect("key")), Some((id, Entry::Note)));
        assert_eq!(keys.entry(&keys.committing(id).expect("key")), Some((id, Entry::Committing)));
        assert_eq!(keys.entry(&keys.closed(id).expect("key")), Some((id, Entry::Closed)));
        for key in ["manifest.json", &format!("b=2/{id}/closed"), &format!("{id}/journal-x"), &format!("{id}/a/closed")]
        {
            assert_eq!(entry(&format!("{home}/{key}")), None, "{key}");
        }
        let table = TableName::new("members").expect("a name");
        for key in [
            "o/members/a=1/part-00000.x",
            &format!("o/members/a=1/b=2/members.{id}/part-0"),
            &format!("o/members/a=1/members.{id}/x"),
            &format!("o/members/a=1/{id}/part-0"),
            &format!("o/members/a=1/other.{id}/part-0"),
        ] {
            assert_eq!(keys.writer(&table, &Path::parse(key).expect("path")), None, "{key}");
        }
    }
}
