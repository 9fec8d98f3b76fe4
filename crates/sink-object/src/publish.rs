//! The commit: the manifest appears, by one conditional put, or it does not.

use std::collections::HashSet;

use bytes::Bytes;
use object_store::{Error as StoreError, ObjectStore, PutMode, PutOptions, UpdateVersion, path::Path};
use pagemill_core::{Error, ErrorKind, FileEntry, Result, TableName};
use pagemill_sink::{AttemptId, Manifest};

use crate::{
    attempt::Attempt,
    calls::{Calls, failed, is_final},
    keys::Keys,
};

/// The largest manifest that is read.
pub(crate) const LIMIT: u64 = 256 << 20;

/// Times that a manifest is read until two readings agree.
const READINGS: u32 = 4;

/// What became of a commit.
pub(crate) enum Outcome {
    /// The run is published; with `in_doubt`, an earlier put may still arrive.
    Ours {
        /// A put was not answered.
        in_doubt: bool,
    },
    /// Another attempt was first.
    Other(Box<Manifest>),
}

/// The manifest of a run key, and its version.
///
/// It is what decides about parts that are removed, and nothing in it would show that a byte was changed on the way. So it counts
/// when it came twice alike.
pub(crate) async fn read_manifest(calls: &Calls, keys: &Keys) -> Result<Option<(Manifest, UpdateVersion)>> {
    let key = keys.manifest()?;
    let mut before: Option<Bytes> = None;
    for _ in 0..READINGS {
        let Some(object) = calls.get(&key, LIMIT).await? else { return Ok(None) };
        if before.as_ref() == Some(&object.bytes) {
            return Manifest::from_object(&object.bytes, &keys.run_key()).map(|m| Some((m, object.version)));
        }
        before = Some(object.bytes);
    }
    Err(Error::io(format!("{} is another each time it is read", calls.url(&key))))
}

/// What the manifest says of an attempt's parts: by table, and each table's in the order of their rows.
pub(crate) fn files(keys: &Keys, attempt: &Attempt) -> Result<Vec<FileEntry>> {
    let mut files = Vec::new();
    for segment in 0..attempt.journal.len() {
        for part in attempt.journal.parts_of(segment)? {
            files.push(FileEntry {
                table: part.table.to_string(),
                path: keys.relative(attempt.owner(segment), &part.table, &part.name),
                rows: part.rows,
                bytes: part.bytes,
                sha256: part.sha256,
            });
        }
    }
    // Parts of a table are in order already, and a stable sort leaves them so.
    files.sort_by(|a, b| a.table.cmp(&b.table));
    Ok(files)
}

/// Says that the attempt is about to be published, and then looks whether it was doomed meanwhile.
///
/// Whoever removes attempts by their age does the same the other way round, so one of the two sees the other.
pub(crate) async fn announce(calls: &Calls, keys: &Keys, attempt: AttemptId) -> Result<()> {
    calls.put(&keys.committing(attempt)?, "committing\n".into()).await?;
    match is_alive(calls, keys, attempt).await? {
        true => Ok(()),
        false => Err(Error::io(format!("attempt {attempt} of {} is over", keys.run_key()))),
    }
}

/// Takes back what [`announce`] has said, of an attempt that is certain not to be published.
pub(crate) async fn renounce(calls: &Calls, keys: &Keys, attempt: AttemptId) {
    let taken_back = match keys.committing(attempt) {
        Ok(key) => calls.delete(&key).await,
        Err(error) => Err(error),
    };
    if let Err(error) = taken_back {
        tracing::warn!(%attempt, %error, "an attempt is left that `gc` will take for one about to publish");
    }
}

/// Whether an attempt can be published: nobody has taken it for dead, or has removed it. The journal goes before the mark.
pub(crate) async fn is_alive(calls: &Calls, keys: &Keys, id: AttemptId) -> Result<bool> {
    let doomed = calls.size(&keys.doomed(id)?).await?.is_some();
    Ok(!doomed && calls.size(&keys.journal(id, 0)?).await?.is_some())
}

/// Whether an attempt can still be gone on from. The mark is looked for first: it is what is removed last.
pub(crate) async fn is_open(calls: &Calls, keys: &Keys, id: AttemptId) -> Result<bool> {
    let closed = calls.size(&keys.closed(id)?).await?.is_some();
    Ok(!closed && calls.size(&keys.journal(id, 0)?).await?.is_some())
}

/// Checks that all that the manifest will name is there, in its full length.
pub(crate) async fn check_all_there(calls: &Calls, keys: &Keys, files: &[FileEntry]) -> Result<()> {
    match missing(calls, keys, files).await? {
        None => Ok(()),
        Some(key) => Err(Error::io(format!("{} is not there any more, or not as it was written", calls.url(&key)))
            .advise("find out what else removes or writes objects there, and run it again; nothing was published")),
    }
}

/// The first of these files that is not there in its full length.
pub(crate) async fn missing(calls: &Calls, keys: &Keys, files: &[FileEntry]) -> Result<Option<Path>> {
    let mut of_table: Option<(&str, HashSet<(Path, u64)>)> = None;
    for file in files {
        let there = match &of_table {
            Some((table, there)) if *table == file.table => there,
            _ => {
                let found = calls.list(&keys.table(&TableName::new(&file.table)?)?).await?;
                let there = found.into_iter().map(|meta| (meta.location, meta.size)).collect();
                &of_table.insert((&file.table, there)).1
            }
        };
        let key = keys.published(&file.path)?;
        if !there.contains(&(key.clone(), file.bytes)) {
            return Ok(Some(key));
        }
    }
    Ok(None)
}

/// Puts the manifest, in the place of the one that `over` is a version of, or of none.
///
/// The answer to the put is a hint: where it is anything but success, what is there decides. So an answer may be lost, or may
/// be that of an earlier try of the same put.
pub(crate) async fn commit(
    calls: &Calls,
    keys: &Keys,
    ours: AttemptId,
    manifest: &Manifest,
    over: Option<&(String, UpdateVersion)>,
) -> Result<Outcome> {
    let key = keys.manifest()?;
    let bytes = Bytes::from(manifest.to_bytes()?);
    let mode = match over {
        _ if calls.single_writer => PutMode::Overwrite,
        None => PutMode::Create,
        Some((_, version)) => PutMode::Update(version.clone()),
    };
    let replaced = over.map(|(attempt, _)| attempt.as_str());
    // A put whose answer was lost may take effect at any time.
    let mut in_doubt = false;
    let mut tried = 1;
    loop {
        if calls.single_writer
            && let Some((there, _)) = match read_manifest(calls, keys).await {
                Err(cause) if in_doubt => return Err(unknown(calls, keys)?.because(cause)),
                other => other?,
            }
            && Some(there.attempt.as_str()) != replaced
        {
            return Ok(match there.attempt == ours.to_string() {
                true => Outcome::Ours { in_doubt },
                false => Outcome::Other(Box::new(there)),
            });
        }
        let options = PutOptions { mode: mode.clone(), ..PutOptions::default() };
        let error = match calls.store.put_opts(&key, bytes.clone().into(), options).await {
            Ok(_) => return look_again(calls, keys, &bytes).await.map(|()| Outcome::Ours { in_doubt }),
            Err(error) => error,
        };
        in_doubt |= !is_final(&error);
        let there = match read_manifest(calls, keys).await {
            Ok(there) => there,
            // It was refused, and by what answered no.
            Err(cause) if !in_doubt && cause.kind() == ErrorKind::Denied => {
                return Err(calls.failed("create", &key, error));
            }
            Err(cause) => return Err(unknown(calls, keys)?.because(cause)),
        };
        match there {
            Some((there, _)) if there.attempt == ours.to_string() => return Ok(Outcome::Ours { in_doubt }),
            Some((there, _)) if Some(there.attempt.as_str()) != replaced => return Ok(Outcome::Other(Box::new(there))),
            // Not applied, as far as can be seen: the condition makes another try safe.
            _ => {}
        }
        let hopeless =
            is_final(&error) && !matches!(error, StoreError::AlreadyExists { .. } | StoreError::Precondition { .. });
        if tried >= calls.tries || (hopeless && !in_doubt) {
            return match in_doubt {
                true => Err(unknown(calls, keys)?.because(failed("the manifest could not be put", error))),
                false => Err(calls.failed("create", &key, error)),
            };
        }
        tracing::info!(%tried, "the manifest is put once more");
        calls.wait(tried).await;
        tried += 1;
    }
}

/// After the store has said that it has the manifest: that it has this one, as readers will get it.
async fn look_again(calls: &Calls, keys: &Keys, bytes: &Bytes) -> Result<()> {
    let key = keys.manifest()?;
    let mut found = Error::io("the store holds other bytes than it was given");
    for _ in 0..READINGS {
        match calls.get(&key, LIMIT).await {
            Ok(Some(object)) if object.bytes == *bytes => return Ok(()),
            Ok(_) => {}
            Err(error) => found = error,
        }
    }
    Err(unknown(calls, keys)?.because(found))
}

fn unknown(calls: &Calls, keys: &Keys) -> Result<Error> {
    let message = format!("it cannot be told whether the run is published ({})", calls.url(&keys.manifest()?));
    Ok(Error::new(ErrorKind::Unknown, message).advise("run it again, which will find out; nothing was deleted"))
}
