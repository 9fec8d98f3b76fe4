//! Which path is what.
//!
//! ```text
//! OUT/<table>/<slot>/part-00000.<ext>                                   published
//! OUT.pagemill/<dataset>/<slot or "_">/lock                             held while a run works on the slot
//! OUT.pagemill/<dataset>/<slot or "_">/manifest.json                    its appearance is the commit
//! OUT.pagemill/<dataset>/<slot or "_">/<attempt>/manifest.json          the same, in the making
//! OUT.pagemill/<dataset>/<slot or "_">/<attempt>/journal-00000          the segments that are durable
//! OUT.pagemill/<dataset>/<slot or "_">/<attempt>/<table>/part-00000.<ext>
//! ```
//!
//! Staging is beside the output and not in it, because readers that take a folder's files by a pattern
//! also take those in hidden or temporary folders below it.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use pagemill_core::{Error, Result, Run, Slot, TableName};

/// The name of one attempt at a run: 128 random bits. Two attempts never share a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptId(u128);

impl AttemptId {
    /// An id given by the caller; for tests.
    #[must_use]
    pub fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// A new id from the system's source of randomness.
    ///
    /// # Errors
    /// [`Io`](pagemill_core::ErrorKind::Io) when that source fails.
    pub fn random() -> Result<Self> {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).map_err(|e| Error::io("the system has no random numbers").because(e.to_string()))?;
        Ok(Self(u128::from_be_bytes(bits)))
    }

    /// Reads what `Display` writes: 32 hexadecimal digits in lower case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        plain.then(|| u128::from_str_radix(text, 16).ok().map(Self)).flatten()
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The paths of one run key.
#[derive(Clone, Debug)]
pub struct Layout {
    out: PathBuf,
    staging: PathBuf,
    dataset: TableName,
    slot: Option<Slot>,
}

impl Layout {
    /// The paths of `run` under the output folder `out`.
    ///
    /// # Errors
    /// [`Config`](pagemill_core::ErrorKind::Config) when `out` has no name of its own, as `/` and `..` have none.
    pub fn new(out: &Path, run: &Run) -> Result<Self> {
        let refuse = || {
            Error::config(format!("{} cannot be the output folder", out.display()))
                .advise("name a folder inside another; staging is kept beside it")
        };
        if out.to_string_lossy().contains("://") {
            return Err(Error::config(format!(
                "{} is an address, and object stores are not supported yet",
                out.display()
            ))
            .advise("name a folder"));
        }
        let absolute = std::path::absolute(out).map_err(|e| refuse().because(e))?;
        // `absolute` drops a closing `.`; a closing `..` stays, and has no name.
        let mut name = absolute.file_name().ok_or_else(refuse)?.to_owned();
        name.push(".pagemill");
        let staging = absolute.with_file_name(name);
        Ok(Self { out: absolute, staging, dataset: run.dataset.clone(), slot: run.slot.clone() })
    }

    /// The dataset and the slot, such as `members/dt=2026-11-23`.
    #[must_use]
    pub fn run_key(&self) -> String {
        match &self.slot {
            None => self.dataset.to_string(),
            Some(slot) => format!("{}/{slot}", self.dataset),
        }
    }

    /// The output folder.
    #[must_use]
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// The folder beside it, `OUT.pagemill`.
    #[must_use]
    pub fn staging(&self) -> &Path {
        &self.staging
    }

    /// The run key's own folder there.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.home_of(self.slot.as_ref().map_or("_", Slot::as_str))
    }

    fn home_of(&self, slot: &str) -> PathBuf {
        self.staging.join(self.dataset.as_str()).join(slot)
    }

    /// The lock.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.home().join("lock")
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> PathBuf {
        self.home().join("manifest.json")
    }

    /// The manifests of runs whose published folders would hold this run's: without a slot, or with fewer parts.
    #[must_use]
    pub fn enclosing_manifests(&self) -> Vec<PathBuf> {
        let Some(slot) = &self.slot else { return Vec::new() };
        let shorter = slot.as_str().match_indices('/').filter_map(|(at, _)| slot.as_str().get(..at));
        std::iter::once("_").chain(shorter).map(|s| self.home_of(s).join("manifest.json")).collect()
    }

    /// The folder of an attempt.
    #[must_use]
    pub fn attempt(&self, attempt: AttemptId) -> PathBuf {
        self.home().join(attempt.to_string())
    }

    /// The folder of a table in an attempt.
    #[must_use]
    pub fn staged(&self, attempt: AttemptId, table: &TableName) -> PathBuf {
        self.attempt(attempt).join(table.as_str())
    }

    /// The folder of a table where readers find it.
    #[must_use]
    pub fn published(&self, table: &TableName) -> PathBuf {
        self.out.join(self.relative(table))
    }

    /// That folder, from the output folder on, with `/` between parts.
    #[must_use]
    pub fn relative(&self, table: &TableName) -> String {
        match &self.slot {
            None => table.to_string(),
            Some(slot) => format!("{table}/{slot}"),
        }
    }
}

/// The file name of a part.
#[must_use]
pub fn part_name(number: u32, extension: &str) -> String {
    format!("part-{number:05}.{extension}")
}

/// The file name of a journal.
#[must_use]
pub fn journal_name(number: u32) -> String {
    format!("journal-{number:05}")
}

/// The number of the journal that is called so.
#[must_use]
pub fn journal_number(name: &str) -> Option<u32> {
    let number = name.strip_prefix("journal-")?.parse().ok()?;
    (journal_name(number) == name).then_some(number)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn layout(out: &str, slot: Option<&str>) -> Result<Layout> {
        let slot = slot.map(|s| Slot::new(s).expect("a slot"));
        let dataset = TableName::new("members").expect("a name");
        Layout::new(
            Path::new(out),
            &Run { dataset, slot, config: BTreeMap::new(), pages: pagemill_core::Pages::default() },
        )
    }

    #[test]
    fn paths_are_those_of_the_map() {
        let table = TableName::new("members_emails").expect("a name");
        let with = layout("/data/out", Some("dt=2026-11-23")).expect("layout");
        assert_eq!(with.published(&table), Path::new("/data/out/members_emails/dt=2026-11-23"));
        assert_eq!(with.lock(), Path::new("/data/out.pagemill/members/dt=2026-11-23/lock"));
        let id = AttemptId::from_bits(7);
        let staged = "/data/out.pagemill/members/dt=2026-11-23/00000000000000000000000000000007/members_emails";
        assert_eq!(with.staged(id, &table), Path::new(staged));
        let without = layout("/data/out/", None).expect("layout");
        assert_eq!(without.published(&table), Path::new("/data/out/members_emails"));
        assert_eq!(without.manifest(), Path::new("/data/out.pagemill/members/_/manifest.json"));
    }

    #[test]
    fn a_folder_without_a_name_is_refused() {
        assert!(layout("/", None).is_err());
        assert!(layout("..", None).is_err());
        assert!(layout(".", None).is_ok());
    }

    #[test]
    fn folders_that_would_hold_this_one_are_known() {
        let nested = layout("/o", Some("a=1/b=2/c=3")).expect("layout");
        let homes: Vec<_> = nested.enclosing_manifests().iter().map(|p| p.display().to_string()).collect();
        assert_eq!(homes, ["_", "a=1", "a=1/b=2"].map(|s| format!("/o.pagemill/members/{s}/manifest.json")));
    }

    #[test]
    fn attempt_ids_are_read_as_written_and_nothing_else_is() {
        let id = AttemptId::random().expect("random");
        assert_eq!(AttemptId::parse(&id.to_string()), Some(id));
        for text in ["", "_", "lock", "a=1", &"A".repeat(32), &"0".repeat(31), &"+".repeat(32)] {
            assert_eq!(AttemptId::parse(text), None, "{text}");
        }
    }
}
