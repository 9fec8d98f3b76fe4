//! Removing what attempts have left, without taking anything from anybody.
//!
//! The order is what makes it safe; [the crate's documentation](crate) says why.

use std::{collections::HashSet, time::SystemTime};

use object_store::path::Path;
use pagemill_core::{Error, Result, TableName};
use pagemill_sink::{AttemptId, Manifest};

use crate::{
    attempt::{Attempt, Listed, listed},
    calls::Calls,
    keys::Keys,
    publish::read_manifest,
    upload::Note,
};

/// The largest note that is read.
const NOTE_LIMIT: u64 = 64 << 10;

/// Times that a listing is repeated until two agree.
const LISTINGS: u32 = 16;

/// Closes an attempt: from now on nobody goes on from it.
pub(crate) async fn close(calls: &Calls, keys: &Keys, id: AttemptId) -> Result<()> {
    calls.put(&keys.closed(id)?, "closed\n".into()).await
}

/// Which attempts are to be removed.
pub(crate) enum Doomed<'a> {
    /// These: the caller's own.
    Own(&'a [AttemptId]),
    /// Those that cannot be published any more, because they began before the manifest appeared that there is now.
    Stale,
    /// Those, and all to which nothing was written since, unless they may be published at any moment; and parts as old that nothing
    /// speaks for.
    Since(SystemTime),
}

/// Removes attempts, and parts that nothing speaks for. Gives the keys of what was removed; with `dry`, of what would be.
pub(crate) async fn sweep(
    calls: &Calls,
    keys: &Keys,
    tables: &[TableName],
    which: Doomed<'_>,
    dry: bool,
) -> Result<Vec<String>> {
    // The manifest after the attempts: one of them may be there to replace it, and an older one would make it look stale.
    let found = listed(calls, keys).await?;
    let mut begun = Vec::new();
    for (id, listed) in &found {
        begun.push((*id, listed, Attempt::begun(calls, keys, *id).await?));
    }
    let manifest = read_manifest(calls, keys).await?.map(|(manifest, _)| manifest);
    let mut tables: Vec<_> = tables.iter().cloned().chain(known_tables(manifest.as_ref())?).collect();
    let mut doomed = Vec::new();
    for (id, listed, (attempt, there)) in begun {
        let stale = match (&attempt, &manifest) {
            (Some(attempt), Some(manifest)) => attempt.over.as_deref() != Some(&manifest.attempt),
            // An attempt's journal is its first object, so this is what is left of one that was being removed.
            (None, _) => !there,
            (_, None) => false,
        };
        let old = matches!(which, Doomed::Since(since) if listed.latest.is_none_or(|latest| latest < since));
        let wanted = match which {
            Doomed::Own(ids) => ids.contains(&id),
            Doomed::Stale | Doomed::Since(_) => stale || old,
        };
        // A stale one's put is refused; where there are no conditions, it may arrive late and take the place of any manifest.
        // Whoever sweeps by age does not know whether there are.
        let unconditional = calls.single_writer || matches!(which, Doomed::Since(_));
        let may_publish = !matches!(which, Doomed::Own(_)) && (!stale || (unconditional && !old));
        if wanted {
            doomed.push((id, listed, may_publish));
        }
        tables.extend(attempt.map(|a| a.tables).unwrap_or_default());
    }
    tables.sort();
    tables.dedup();
    let mut dead = Vec::new();
    for (id, listed, may_publish) in doomed {
        if is_dead(calls, keys, id, listed, may_publish, dry).await? {
            dead.push((id, listed));
        }
    }
    let mut parts = Vec::new();
    for table in &tables {
        for meta in calls.list(&keys.table(table)?).await? {
            let young = matches!(which, Doomed::Since(since) if SystemTime::from(meta.last_modified) >= since);
            if let Some(writer) = keys.writer(table, &meta.location) {
                parts.push((writer, meta.location, young));
            }
        }
    }
    let ids: HashSet<_> = dead.iter().map(|(id, _)| id.to_string()).collect();
    let (alive, mut spoken_for) = survey(calls, keys, &ids).await?;
    // After the journals: an attempt that has published removes its own only then.
    if let Some((manifest, _)) = read_manifest(calls, keys).await? {
        for file in &manifest.files {
            spoken_for.insert(keys.published(&file.path)?);
        }
    }
    let mut removed = Vec::new();
    for (writer, key, young) in parts {
        let mine = ids.contains(&writer.to_string());
        if alive.contains(&writer.to_string()) || spoken_for.contains(&key) || (young && !mine) {
            continue;
        }
        if !dry {
            calls.delete(&key).await?;
        }
        removed.push(calls.url(&key));
    }
    for (id, listed) in dead {
        remove_home(calls, keys, id, listed, dry, &mut removed).await?;
    }
    Ok(removed)
}

/// Closes a doomed attempt, and says whether what is left of it can be removed.
///
/// One that is doomed for its age alone may be alive, as `may_publish` says. Before it puts its manifest it says so, and looks for the
/// mark that it is doomed; here the mark comes first, and then the look. So it gives up, or it is left alone, whatever the clocks say.
async fn is_dead(
    calls: &Calls,
    keys: &Keys,
    id: AttemptId,
    listed: &Listed,
    may_publish: bool,
    dry: bool,
) -> Result<bool> {
    let mut spared = may_publish && listed.committing;
    if !dry && !spared {
        close(calls, keys, id).await?;
        if may_publish {
            calls.put(&keys.doomed(id)?, "doomed\n".into()).await?;
        }
        spared = may_publish && calls.size(&keys.committing(id)?).await?.is_some();
    }
    if spared {
        tracing::warn!(
            attempt = %id, run = %keys.run_key(),
            "an attempt that was about to publish is left: it still may. The next run of its slot that publishes removes it"
        );
    }
    Ok(!spared)
}

/// The attempts that are not doomed, and the parts that they go on from.
///
/// Listings go from key to key while others write, so one is believed when the next is the same.
async fn survey(calls: &Calls, keys: &Keys, doomed: &HashSet<String>) -> Result<(HashSet<String>, HashSet<Path>)> {
    let alive = async || -> Result<Vec<AttemptId>> {
        let found = listed(calls, keys).await?;
        let mut ids: Vec<_> = found.into_iter().map(|(id, _)| id).collect();
        ids.retain(|id| !doomed.contains(&id.to_string()));
        Ok(ids)
    };
    let mut before = alive().await?;
    for _ in 0..LISTINGS {
        let mut spoken_for = HashSet::new();
        for id in &before {
            match Attempt::begun(calls, keys, *id).await? {
                (Some(attempt), _) => spoken_for.extend(attempt.adopted_keys(keys)?),
                (None, false) => {}
                (None, true) => {
                    return Err(Error::io(format!("the journal of attempt {id} of {} is damaged", keys.run_key())).advise(format!(
                        "nothing was removed, because it cannot be told what it goes on from; when no run is at work, remove {}",
                        calls.url(&keys.journal(*id, 0)?)
                    )));
                }
            }
        }
        let after = alive().await?;
        if before == after {
            return Ok((after.iter().map(ToString::to_string).collect(), spoken_for));
        }
        before = after;
    }
    Err(Error::io(format!("the attempts of {} do not stand still", keys.run_key())))
}

/// Removes an attempt's uploads, notes and journal; the mark that it is closed goes last.
async fn remove_home(
    calls: &Calls,
    keys: &Keys,
    id: AttemptId,
    listed: &Listed,
    dry: bool,
    removed: &mut Vec<String>,
) -> Result<()> {
    let mut gone = Vec::new();
    for note in &listed.notes {
        if !dry && let Some(object) = calls.get(note, NOTE_LIMIT).await? {
            // What a note says is not believed beyond the attempt's own keys.
            if let Ok(Note { key, id: upload }) = serde_json::from_slice(&object.bytes)
                && key.split('/').any(|part| part == keys.folder(id))
                && let Ok(key) = Path::parse(key)
            {
                calls.drop_upload(&key, &upload).await?;
            }
        }
        gone.push(note.clone());
    }
    for number in (0..listed.journals).rev() {
        gone.push(keys.journal(id, number)?);
    }
    for key in gone {
        if !dry {
            calls.delete(&key).await?;
        }
        removed.push(calls.url(&key));
    }
    if listed.committing {
        removed.push(calls.url(&keys.committing(id)?));
    }
    if !dry {
        calls.delete(&keys.committing(id)?).await?;
        calls.delete(&keys.doomed(id)?).await?;
        calls.delete(&keys.closed(id)?).await?;
    }
    Ok(())
}

/// The tables that a manifest says there are or were.
fn known_tables(manifest: Option<&Manifest>) -> Result<Vec<TableName>> {
    let Some(manifest) = manifest else { return Ok(Vec::new()) };
    let mut tables = manifest.table_names()?;
    tables.extend(manifest.dropped_tables()?);
    Ok(tables)
}
