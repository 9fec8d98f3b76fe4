//! What a run is called and what it left behind.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{Error, Result, TableName};

/// The logical place of a run in its tables, such as `dt=2026-11-23`: one Hive partition, or several joined by `/`.
///
/// Given by the scheduler, never taken from the clock. Each part is `name=value` of ASCII letters,
/// digits, `_`, `-` and `.`, with a value that does not begin with a dot; at most 200 bytes in all, and no name twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slot(String);

impl Slot {
    /// Checks and wraps a slot.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) when it is not of the form above.
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        let word = |s: &str| {
            !s.is_empty() && !s.starts_with('.') && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
        };
        let part = |p: &str| p.split_once('=').is_some_and(|(name, value)| word(name) && word(value));
        let mut names: Vec<_> =
            text.split('/').filter_map(|p| p.split_once('=')).map(|(n, _)| n.to_lowercase()).collect();
        names.sort();
        let doubled = names.windows(2).any(|pair| pair[0] == pair[1]);
        if text.len() > 200 || doubled || !text.split('/').all(part) {
            return Err(Error::config(format!("{text:?} is not a slot"))
                .advise("write it as name=value, such as dt=2026-11-23"));
        }
        Ok(Self(text))
    }

    /// The slot as text, which is also its relative path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names of its parts: columns that readers of Hive partitions will add.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter_map(|p| p.split_once('=')).map(|(name, _)| name)
    }
}

impl TryFrom<String> for Slot {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::new(text)
    }
}

impl From<Slot> for String {
    fn from(slot: Slot) -> Self {
        slot.0
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a run is: its name, and everything that decides which bytes it writes.
#[derive(Clone, Debug)]
pub struct Run {
    /// The root table, such as `members`.
    pub dataset: TableName,
    /// The slot it fills; without one, the whole tables are the run's.
    pub slot: Option<Slot>,
    /// Options that change what is written, by name: resource, query, framing, flatten rules. No secrets.
    pub config: BTreeMap<String, String>,
    /// What tells its pages from those of another run of the same configuration: an unfinished run is gone on with only
    /// if this is the same.
    pub pages: Pages,
}

/// What tells the pages of a run from those of another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Pages {
    /// Nothing: whoever is asked for them is asked for those of now.
    #[default]
    Current,
    /// The state of what is read, such as the lengths and times of files. Of what is published, its hash is kept, so that
    /// the next run can tell whether there is something new.
    Saved(String),
    /// The state of what can be read only once, such as a pipe. It is not kept: nothing is like it.
    Once(String),
}

impl fmt::Display for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Current => Ok(()),
            Self::Saved(state) => f.write_str(state),
            Self::Once(state) => write!(f, "once {state}"),
        }
    }
}

impl Run {
    /// The run key: dataset and slot, such as `members/dt=2026-11-23`.
    #[must_use]
    pub fn key(&self) -> String {
        match &self.slot {
            None => self.dataset.to_string(),
            Some(slot) => format!("{}/{slot}", self.dataset),
        }
    }
}

/// A file that was published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its table.
    pub table: String,
    /// Its path from the output's root, with `/` between parts.
    pub path: String,
    /// Rows in it.
    pub rows: u64,
    /// Bytes of it.
    pub bytes: u64,
    /// SHA-256 of it, in lower-case hexadecimal.
    pub sha256: String,
}

/// What a commit left behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Where the manifest is: a path, or a URL.
    pub manifest: String,
    /// True when an earlier run had already published this slot, and this one changed nothing.
    pub already_published: bool,
    /// The slot's files, by table and then by path.
    pub files: Vec<FileEntry>,
}
