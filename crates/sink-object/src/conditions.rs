//! Whether the store heeds the conditions by which runs are kept from publishing over each other.

use bytes::Bytes;
use object_store::{Error as StoreError, ObjectStore, PutMode, PutOptions, path::Path};
use pagemill_core::{Error, Result};
use pagemill_sink::AttemptId;

use crate::{
    calls::{Calls, is_final},
    keys::Keys,
};

/// Has the store show that it refuses to create what is there and, where that is needed, to update what is not as it was. Some
/// take such conditions and disregard them.
///
/// Whoever removes the attempt meanwhile, because another has published, removes what the store is tried with, too: then nothing has
/// been shown.
pub(crate) async fn prove_conditions(calls: &Calls, keys: &Keys, id: AttemptId, update: bool) -> Result<()> {
    if calls.single_writer {
        return Ok(());
    }
    let Err(error) = try_conditions(calls, keys, id, update).await else { return Ok(()) };
    // An attempt is closed before anything of it is removed, and that mark goes last.
    let closed = calls.size(&keys.closed(id)?).await?.is_some();
    if closed || calls.size(&keys.journal(id, 0)?).await?.is_none() {
        return Err(Error::io(format!("attempt {id} was removed as it began")).advise("run it again").because(error));
    }
    Err(error)
}

async fn try_conditions(calls: &Calls, keys: &Keys, id: AttemptId, update: bool) -> Result<()> {
    let key = keys.probe(id)?;
    calls.create(&key, &Bytes::from_static(b"1\n")).await?;
    if !refuses(calls, &key, PutMode::Create).await? {
        let what = "create an object only if there is none";
        return Err(unconditional(calls, what).advise(
            "use another store; or, if no two runs of a slot ever overlap, say so with --unsafe-single-writer",
        ));
    }
    if update {
        let Some(first) = calls.get(&key, 2).await? else {
            return Err(Error::io(format!("{} is gone", calls.url(&key))));
        };
        calls.put(&key, "2\n".into()).await?;
        let Some(second) = calls.get(&key, 2).await? else {
            return Err(Error::io(format!("{} is gone", calls.url(&key))));
        };
        // It must refuse the version before, and take that of now.
        if !refuses(calls, &key, PutMode::Update(first.version)).await?
            || refuses(calls, &key, PutMode::Update(second.version)).await?
        {
            return Err(unconditional(calls, "update an object only if it is the version that was read")
                .advise("choose another slot, or another store"));
        }
    }
    calls.delete(&key).await
}

/// Whether the store refuses a put under a condition.
async fn refuses(calls: &Calls, key: &Path, mode: PutMode) -> Result<bool> {
    let mut tried = 1;
    loop {
        let options = PutOptions { mode: mode.clone(), ..PutOptions::default() };
        match calls.store.put_opts(key, "3\n".into(), options).await {
            Ok(_) => return Ok(false),
            Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => {
                // After a lost answer, it may be its own put that is in the way.
                let there = calls.get(key, 2).await?;
                return Ok(there.is_none_or(|there| there.bytes != "3\n"));
            }
            // Refused, but not for what is there: it knows no such condition.
            Err(StoreError::NotImplemented { .. } | StoreError::NotSupported { .. }) => {
                return Ok(!matches!(mode, PutMode::Create));
            }
            Err(error) if is_final(&error) || tried >= calls.tries => return Err(calls.failed("write", key, error)),
            Err(_) => calls.wait(tried).await,
        }
        tried += 1;
    }
}

fn unconditional(calls: &Calls, what: &str) -> Error {
    Error::config(format!("{} does not {what}, by which runs are kept from publishing over each other", calls.name))
}
