//! What a run goes on from: the attempt that has come furthest.

use std::collections::HashSet;

use pagemill_core::Result;
use pagemill_sink::journal::Header;

use crate::{
    attempt::{Attempt, listed},
    calls::Calls,
    keys::Keys,
};

/// The attempt that has come furthest, all of whose parts are there, of those that a run can go on from.
pub(crate) async fn best(
    calls: &Calls,
    keys: &Keys,
    header: &Header,
    over: Option<&str>,
    without: &HashSet<String>,
) -> Result<Option<Attempt>> {
    let mut found = Vec::new();
    for (id, listed) in listed(calls, keys).await? {
        if listed.closed || without.contains(&id.to_string()) {
            continue;
        }
        let Some(attempt) = Attempt::read(calls, keys, id).await? else {
            tracing::warn!(attempt = %id, "an attempt without a journal that can be read is left alone");
            continue;
        };
        if attempt.journal.is_empty() || attempt.over.as_deref() != over {
            continue;
        }
        if attempt.journal.header() != header {
            tracing::warn!(attempt = %id, "an unfinished run with other options is left alone");
            continue;
        }
        found.push((false, attempt));
    }
    loop {
        found.sort_by_key(|(checked, attempt)| (attempt.journal.pages(), *checked));
        let Some((checked, mut attempt)) = found.pop() else { return Ok(None) };
        if checked {
            return Ok(Some(attempt).filter(|a| !a.journal.is_empty()));
        }
        keep_whole_segments(calls, keys, &mut attempt).await?;
        found.push((true, attempt));
    }
}

/// Reads every part, and forgets the first segment that has one which is not as the journal says, and those after it.
async fn keep_whole_segments(calls: &Calls, keys: &Keys, attempt: &mut Attempt) -> Result<()> {
    for segment in 0..attempt.journal.len() {
        for part in attempt.journal.parts_of(segment)? {
            let key = keys.part(attempt.owner(segment), &part.table, &part.name)?;
            if calls.hash(&key, part.bytes).await? != Some(part.sha256) {
                tracing::warn!(key = %key, "a part is not what its journal says");
                attempt.journal.truncate(segment);
                return Ok(());
            }
        }
    }
    Ok(())
}
