//! An attempt's journal, object by object.
//!
//! The first object says what the attempt is: what it would replace, its tables, and which segments of which other attempts it goes
//! on from. The header and the lines of those segments follow, so it stands alone. Each further object is the line of one segment.

use bytes::Bytes;
use object_store::path::Path;
use pagemill_core::{Error, Result, TableName};
use pagemill_sink::{AttemptId, Journal, manifest::hex};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    calls::Calls,
    keys::{Entry, Keys},
};

/// The largest object of a journal that is read.
const LIMIT: u64 = 256 << 20;

/// The version that this code writes, and the only one it reads.
const VERSION: u32 = 1;

/// What an attempt is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Origin {
    version: u32,
    /// The attempt whose manifest stood when this one began. It can take that one's place alone, and without one, no one's.
    pub(crate) over: Option<String>,
    /// The tables that it may have parts of.
    tables: Vec<String>,
    /// Segments that it goes on from, in their order: whose, and how many.
    adopted: Vec<(String, u64)>,
}

/// An attempt at work, or what is left of one.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) id: AttemptId,
    pub(crate) over: Option<String>,
    pub(crate) tables: Vec<TableName>,
    adopted: Vec<(AttemptId, usize)>,
    pub(crate) journal: Journal,
    /// The number of its next journal object.
    pub(crate) next: u32,
}

/// What there is of an attempt.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listed {
    pub(crate) journals: u32,
    pub(crate) notes: Vec<Path>,
    /// Its manifest may have been put, or may be on its way.
    pub(crate) committing: bool,
    pub(crate) closed: bool,
    /// When something was last written to its home.
    pub(crate) latest: Option<std::time::SystemTime>,
}

/// The attempts of a run key, from one listing.
pub(crate) async fn listed(calls: &Calls, keys: &Keys) -> Result<Vec<(AttemptId, Listed)>> {
    let mut found: Vec<(AttemptId, Listed)> = Vec::new();
    for meta in calls.list(&keys.home()?).await? {
        let Some((id, entry)) = keys.entry(&meta.location) else { continue };
        let at = match found.iter().position(|(other, _)| *other == id) {
            Some(at) => at,
            None => {
                found.push((id, Listed::default()));
                found.len() - 1
            }
        };
        let Some((_, listed)) = found.get_mut(at) else { continue };
        match entry {
            Entry::Journal(number) => listed.journals = listed.journals.max(number.saturating_add(1)),
            Entry::Note => listed.notes.push(meta.location),
            Entry::Committing => listed.committing = true,
            Entry::Closed => listed.closed = true,
        }
        listed.latest = listed.latest.max(Some(meta.last_modified.into()));
    }
    Ok(found)
}

impl Attempt {
    /// A new attempt, which goes on from `from` if that is given.
    pub(crate) fn new(
        id: AttemptId,
        over: Option<String>,
        tables: Vec<TableName>,
        journal: Journal,
        from: Option<&Self>,
    ) -> Self {
        let mut adopted = Vec::new();
        for segment in 0..journal.len() {
            let owner = from.map_or(id, |from| from.owner(segment));
            match adopted.last_mut() {
                Some((last, count)) if *last == owner => *count += 1,
                _ => adopted.push((owner, 1)),
            }
        }
        Self { id, over, tables, adopted, journal, next: 1 }
    }

    /// The attempt that wrote the parts of a segment.
    pub(crate) fn owner(&self, segment: usize) -> AttemptId {
        let mut upto = 0;
        for (id, count) in &self.adopted {
            upto += count;
            if segment < upto {
                return *id;
            }
        }
        self.id
    }

    /// The attempts whose segments it goes on from.
    pub(crate) fn sources(&self) -> impl Iterator<Item = AttemptId> {
        self.adopted.iter().map(|(id, _)| *id)
    }

    /// How many segments it went on from.
    pub(crate) fn inherited(&self) -> usize {
        self.adopted.iter().map(|(_, count)| count).sum()
    }

    /// The first object of its journal: as far as it goes on from others.
    pub(crate) fn first_object(&self) -> Result<Bytes> {
        let origin = Origin {
            version: VERSION,
            over: self.over.clone(),
            tables: self.tables.iter().map(ToString::to_string).collect(),
            adopted: self.adopted.iter().map(|(id, count)| (id.to_string(), *count as u64)).collect(),
        };
        let text = serde_json::to_string(&origin)
            .map_err(|e| Error::internal("a journal cannot be written as JSON").because(e))?;
        let mut bytes = format!("{} {text}\n", hex(&Sha256::digest(text.as_bytes()))).into_bytes();
        let mut journal = self.journal.clone();
        journal.truncate(self.inherited());
        bytes.extend(journal.to_bytes()?);
        Ok(bytes.into())
    }

    /// Reads the first object. `None` when it is not as it was written.
    fn from_first(id: AttemptId, bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|b| *b == b'\n')?;
        let (line, rest) = bytes.split_at(end + 1);
        let (digits, text) = line.strip_suffix(b"\n")?.split_at_checked(64)?;
        let text = text.strip_prefix(b" ")?;
        if digits != hex(&Sha256::digest(text)).as_bytes() {
            return None;
        }
        let origin: Origin = serde_json::from_slice(text).ok().filter(|o: &Origin| o.version == VERSION)?;
        let tables: Vec<_> = origin.tables.iter().map(TableName::new).collect::<Result<_>>().ok()?;
        let whole = |(id, count): &(String, u64)| Some((AttemptId::parse(id)?, usize::try_from(*count).ok()?));
        let adopted: Vec<_> = origin.adopted.iter().map(whole).collect::<Option<_>>()?;
        let journal = Journal::read(rest, &tables)?;
        let attempt = Self { id, over: origin.over, tables, adopted, journal, next: 1 };
        (attempt.journal.len() == attempt.inherited() && attempt.journal.to_bytes().ok()? == rest).then_some(attempt)
    }

    /// What an attempt is and goes on from; `None` when it has no first object, or none that can be read, as the second says.
    pub(crate) async fn begun(calls: &Calls, keys: &Keys, id: AttemptId) -> Result<(Option<Self>, bool)> {
        let object = calls.get(&keys.journal(id, 0)?, LIMIT).await?;
        let there = object.is_some();
        Ok((object.and_then(|o| Self::from_first(id, &o.bytes)), there))
    }

    /// All of an attempt's journal, up to its first gap: the numbers count, not what a listing says.
    pub(crate) async fn read(calls: &Calls, keys: &Keys, id: AttemptId) -> Result<Option<Self>> {
        let (Some(mut attempt), _) = Self::begun(calls, keys, id).await? else { return Ok(None) };
        let mut bytes = attempt.journal.to_bytes()?;
        while let Some(object) = calls.get(&keys.journal(id, attempt.next)?, LIMIT).await? {
            bytes.extend_from_slice(&object.bytes);
            match Journal::read(&bytes, &attempt.tables) {
                Some(journal) if journal.len() == attempt.journal.len() + 1 => attempt.journal = journal,
                _ => break,
            }
            attempt.next += 1;
        }
        Ok(Some(attempt))
    }

    /// The keys of the parts that its first object names.
    pub(crate) fn adopted_keys(&self, keys: &Keys) -> Result<Vec<Path>> {
        let mut named = Vec::new();
        for segment in 0..self.inherited() {
            for part in self.journal.parts_of(segment)? {
                named.push(keys.part(self.owner(segment), &part.table, &part.name)?);
            }
        }
        Ok(named)
    }
}
