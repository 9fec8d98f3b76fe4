//! [`ObjectSink`]: the steps of a run, in their order.

use std::{
    collections::HashSet,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use object_store::UpdateVersion;
use pagemill_core::{Error, ErrorKind, Receipt, Result, Rewind, Run, TableName};
use pagemill_sink::{
    AttemptId, Journal, Manifest, Store,
    journal::Header,
    manifest::Replaced,
    store::{Kept, Opened, Part, Plan, Segment, damaged_slot},
};
use tokio::{runtime::Runtime, sync::Semaphore};

use crate::{
    adopt::best,
    attempt::{Attempt, listed},
    calls::{Calls, Created, Remote},
    conditions::prove_conditions,
    keys::Keys,
    publish::{self, Outcome, read_manifest},
    sweep::{self, Doomed},
    upload::Upload,
};

/// Bytes of a piece: the least that S3 takes of any but the last.
const PIECE: usize = 5 << 20;

/// Pieces that may be on their way at a time, of all parts together.
const AHEAD: usize = 4;

/// Writes files to an object store, where they stay; a manifest that appears makes them a published run.
///
/// It holds less than a piece of 5 MiB for each part that is open, which is one a table, and up to 4 pieces (20 MiB) that are on
/// their way; [`pieces`](Self::pieces) changes both numbers.
pub struct ObjectSink {
    calls: Calls,
    prefix: String,
    piece: usize,
    ahead: usize,
    read_back: bool,
    /// Ids for the attempts to come, before random ones.
    ids: Vec<AttemptId>,
    /// Made on the thread that uses it: dropping it on a thread of another runtime would be a mistake.
    runtime: Option<Runtime>,
    run: Option<Running>,
}

/// A runtime with one thread.
pub(crate) fn start_runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("pagemill-upload")
        .enable_all()
        .build()
        .map_err(|e| Error::io("cannot start a thread").because(e))
}

/// An attempt at work.
struct Running {
    keys: Keys,
    attempt: Attempt,
    /// All attempts that this process has begun.
    ours: Vec<AttemptId>,
    /// Pieces that may be sent.
    ahead: Arc<Semaphore>,
    open: Vec<(TableName, String, Upload)>,
    /// Parts begun so far, by this attempt.
    begun: u32,
    /// Parts that were closed after the last segment.
    closed: Vec<Part>,
    /// What is published under this name, and will be replaced.
    over: Option<(Manifest, UpdateVersion)>,
    /// The first object of its journal was there, so that somebody else has removed it if it is not.
    announced: bool,
    /// From the moment the commit is tried, what was written may be part of a published run.
    committing: bool,
}

impl fmt::Debug for ObjectSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What the store's own form shows is not ours to know, so nothing of it is.
        f.debug_struct("ObjectSink")
            .field("store", &self.calls.name)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl ObjectSink {
    /// Writes below `prefix` of `store`. `name` is how messages and receipts call the store, such as `s3://bucket`.
    pub fn new(store: impl Remote, name: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self::shared(Arc::new(store), name, prefix)
    }

    /// As [`new`](Self::new), of a store that others have as well.
    pub fn shared(store: Arc<dyn Remote>, name: impl Into<String>, prefix: impl Into<String>) -> Self {
        let calls = Calls::new(store, name.into());
        Self {
            calls,
            prefix: prefix.into(),
            piece: PIECE,
            ahead: AHEAD,
            read_back: true,
            ids: Vec::new(),
            runtime: None,
            run: None,
        }
    }

    /// Pieces of `bytes` bytes (default 5 MiB, the least that S3 takes), `ahead` of which may be on their way at a time (default 4).
    #[must_use]
    pub fn pieces(mut self, bytes: usize, ahead: usize) -> Self {
        (self.piece, self.ahead) = (bytes.max(1), ahead.max(1));
        self
    }

    /// Whether each part is read back and hashed before it counts (default: yes). Without it, its size is checked alone: that is
    /// enough where the store itself checks a strong hash of what it is sent.
    #[must_use]
    pub fn read_back(mut self, read_back: bool) -> Self {
        self.read_back = read_back;
        self
    }

    /// Times that a call is made, at most (default 3), and the wait before the second, which doubles with each (default 0.5 s). It is
    /// in addition to what the store's client repeats.
    #[must_use]
    pub fn tries(mut self, tries: u32, pause: Duration) -> Self {
        (self.calls.tries, self.calls.pause) = (tries.max(1), pause);
        self
    }

    /// Puts objects without a condition, for stores that know none. Whoever sets it says that no two runs of a slot
    /// ever overlap; where they do, one may take the other's place. So may one that is over, when the answer to its last put never
    /// came ([`Unknown`](ErrorKind::Unknown)) and the put arrives late.
    #[must_use]
    pub fn unsafe_single_writer(mut self, alone: bool) -> Self {
        self.calls.single_writer = alone;
        self
    }

    /// The first attempt's id, in the place of a random one; for tests.
    #[must_use]
    pub fn attempt_id(mut self, id: AttemptId) -> Self {
        self.ids.push(id);
        self
    }

    /// Removes what unfinished runs of a run key have left: attempts that cannot be published any more, attempts to which nothing was
    /// written since `since`, and parts as old that no attempt and no manifest names. Gives what was removed; with `dry`, what
    /// would be.
    ///
    /// `tables` are those to look at beside the ones that manifest and journals name. An attempt that is still at work after all,
    /// but has not ended a segment since then, publishes nothing and fails. One that is about to publish, or died as it did, is left.
    ///
    /// # Errors
    /// Those of [`Store`]. A journal that cannot be read keeps everything, unless its attempt can be removed.
    pub fn clean(&mut self, run: &Run, tables: &[TableName], since: SystemTime, dry: bool) -> Result<Vec<String>> {
        let keys = Keys::new(&self.prefix, run)?;
        let calls = self.calls.clone();
        self.block_on(async { sweep::sweep(&calls, &keys, tables, Doomed::Since(since), dry).await })
    }

    /// The manifest of a run key; `None` when none is published.
    ///
    /// # Errors
    /// Those of [`Store`], and [`Data`](ErrorKind::Data) when it cannot be read.
    pub fn manifest(&mut self, run: &Run) -> Result<Option<Manifest>> {
        let keys = Keys::new(&self.prefix, run)?;
        let calls = self.calls.clone();
        Ok(self.block_on(async { read_manifest(&calls, &keys).await })?.map(|(manifest, _)| manifest))
    }

    /// The runtime for uploads that go on while the caller does other things; one thread.
    fn runtime(&mut self) -> Result<&Runtime> {
        match &mut self.runtime {
            Some(runtime) => Ok(runtime),
            none => {
                let made = start_runtime()?;
                Ok(none.insert(made))
            }
        }
    }

    fn block_on<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.runtime()?.block_on(work)
    }

    /// Does something with the attempt at work.
    fn with<T>(&mut self, work: impl AsyncFnOnce(&Calls, &mut Running) -> Result<T>) -> Result<T> {
        let calls = self.calls.clone();
        self.runtime()?;
        let (Some(runtime), Some(run)) = (&self.runtime, &mut self.run) else {
            return Err(Error::internal("the store is not open"));
        };
        runtime.block_on(work(&calls, run))
    }

    fn next_id(&mut self) -> Result<AttemptId> {
        self.ids.pop().map_or_else(AttemptId::random, Ok)
    }

    /// Ends a step. One that failed because somebody else has removed what it relied on says so: another run that has published, or
    /// a sweep.
    fn ended<T>(&mut self, result: Result<T>) -> Result<T> {
        let Err(error) = result else { return result };
        if matches!(error.kind(), ErrorKind::Unknown | ErrorKind::Internal) {
            return Err(error);
        }
        if let Ok(Some(_)) = self.with(async |calls, run| run.winner(calls).await) {
            let message = "another run of this slot has published it in the meantime";
            return Err(Error::new(ErrorKind::Busy, message)
                .advise("run it again, which will say what is there")
                .because(error));
        }
        let doomed = self
            .with(async |calls, run| Ok(run.announced && !publish::is_alive(calls, &run.keys, run.attempt.id).await?));
        if let Ok(true) = doomed {
            return Err(Error::io("`gc` took this run for dead while it was at work, and removes what it has written")
                .advise("run it again; nothing was published. Give `gc` an age that is longer than any run")
                .because(error));
        }
        Err(error)
    }
}

impl Running {
    /// The manifest that has come since this run began, if one has.
    async fn winner(&self, calls: &Calls) -> Result<Option<Manifest>> {
        let there = read_manifest(calls, &self.keys).await?.map(|(manifest, _)| manifest);
        let over = self.over.as_ref().map(|(manifest, _)| manifest.attempt.as_str());
        let new =
            |m: &Manifest| Some(m.attempt.as_str()) != over && !self.ours.iter().any(|id| id.to_string() == m.attempt);
        Ok(there.filter(new))
    }

    /// The commit. From the first put on, the run is [`committing`](Self::committing), and what it has written stays whatever comes of it.
    async fn commit(&mut self, calls: &Calls, manifest: &Manifest) -> Result<Outcome> {
        publish::announce(calls, &self.keys, self.attempt.id).await?;
        publish::check_all_there(calls, &self.keys, &manifest.files).await?;
        self.committing = true;
        let over = self.over.as_ref().map(|(old, version)| (old.attempt.clone(), version.clone()));
        publish::commit(calls, &self.keys, self.attempt.id, manifest, over.as_ref()).await
    }

    /// Drops parts that no segment names. Nobody else can have gone on from them.
    async fn discard(&mut self, calls: &Calls) -> Result<()> {
        for (_, _, upload) in std::mem::take(&mut self.open) {
            let key = upload.key().clone();
            upload.discard(calls).await?;
            calls.delete(&key).await?;
        }
        for part in std::mem::take(&mut self.closed) {
            calls.delete(&self.keys.part(self.attempt.id, &part.table, &part.name)?).await?;
        }
        Ok(())
    }

    /// Sees to it that nobody goes on from this run, and removes what of it is this process's own.
    async fn give_up(&mut self, calls: &Calls) -> Result<()> {
        // Others that it went on from may be alive, and may publish: they are closed, not removed.
        for id in self.attempt.sources().collect::<Vec<_>>() {
            if !self.ours.contains(&id) {
                sweep::close(calls, &self.keys, id).await?;
            }
        }
        for (_, _, upload) in std::mem::take(&mut self.open) {
            upload.discard(calls).await?;
        }
        self.closed.clear();
        sweep::sweep(calls, &self.keys, &self.attempt.tables, Doomed::Own(&self.ours), false).await.map(drop)
    }

    /// The run is over, since this manifest is there: whatever cannot be published any more is removed.
    async fn settle(&mut self, calls: &Calls) {
        if let Err(error) = self.discard(calls).await {
            tracing::warn!(%error, "parts are left that nobody needs");
        }
        settle(calls, &self.keys, &self.attempt.tables).await;
    }
}

/// Removes what cannot be published any more. What stays because of an error is for a later run or for [`ObjectSink::clean`].
async fn settle(calls: &Calls, keys: &Keys, tables: &[TableName]) {
    if let Err(error) = sweep::sweep(calls, keys, tables, Doomed::Stale, false).await {
        tracing::warn!(%error, "something is left of attempts that are over");
    }
}

/// Begins an attempt: from the moment that its first object is there, it protects what it goes on from.
async fn announce(calls: &Calls, keys: &Keys, attempt: &Attempt) -> Result<()> {
    let key = keys.journal(attempt.id, 0)?;
    let bytes = attempt.first_object()?;
    if calls.create(&key, &bytes).await? == Created::Taken {
        return Err(Error::io(format!("{} is there, or other than it was written", calls.url(&key)))
            .advise("something else writes there, or the store does not keep what it is given"));
    }
    // Much depends on it later, so it is looked at now.
    if calls.get(&key, bytes.len() as u64).await?.is_none_or(|there| there.bytes != bytes) {
        return Err(Error::io(format!("{} is not as it was written", calls.url(&key))));
    }
    Ok(())
}

/// The manifest that there is, and its version; with `whole`, an error when a file that it names is not there.
async fn published(calls: &Calls, keys: &Keys, whole: bool) -> Result<Option<(Manifest, UpdateVersion)>> {
    let mut found = read_manifest(calls, keys).await?;
    while let Some((manifest, _)) = &found
        && whole
        && let Some(key) = publish::missing(calls, keys, &manifest.files).await?
    {
        // Unless it was replaced meanwhile, when its files are removed.
        let again = read_manifest(calls, keys).await?;
        if again.as_ref().is_some_and(|(now, _)| now.attempt == manifest.attempt) {
            return Err(damaged_slot(&keys.run_key(), calls.url(&key)));
        }
        found = again;
    }
    Ok(found)
}

/// Refuses a slot inside what another run has published as one.
async fn refuse_overlap(calls: &Calls, keys: &Keys) -> Result<()> {
    for manifest in keys.enclosing_manifests()? {
        if calls.size(&manifest).await?.is_some() {
            let url = calls.url(&manifest);
            return Err(Error::config(format!("{} lies inside what {url} has published as a whole", keys.run_key()))
                .advise("choose another prefix, or a slot with the same names as before"));
        }
    }
    Ok(())
}

impl ObjectSink {
    /// What a published run left behind.
    fn receipt(&self, keys: &Keys, manifest: &Manifest, already_published: bool) -> Result<Receipt> {
        let url = self.calls.url(&keys.manifest()?);
        Ok(Receipt { manifest: url, already_published, files: manifest.files.clone() })
    }

    /// Begins an attempt that goes on from the best there is, if there is any.
    fn begin(&mut self, keys: &Keys, tables: &[TableName], header: &Header, over: Option<&str>) -> Result<Attempt> {
        let mut without = HashSet::new();
        loop {
            let id = self.next_id()?;
            let calls = self.calls.clone();
            let begun = self.block_on(async {
                let from = best(&calls, keys, header, over, &without).await?;
                let journal = match &from {
                    Some(from) => from.journal.clone(),
                    None => Journal::new(header.clone())?,
                };
                let over = over.map(str::to_owned);
                let attempt = Attempt::new(id, over, tables.to_vec(), journal, from.as_ref());
                announce(&calls, keys, &attempt).await?;
                // Only now is it certain that nobody has removed what it goes on from, nor will.
                let Some(from) = from else { return Ok(Ok(attempt)) };
                if publish::is_open(&calls, keys, from.id).await? {
                    return Ok(Ok(attempt));
                }
                calls.delete(&keys.journal(id, 0)?).await?;
                Ok(Err(from.id))
            })?;
            match begun {
                Ok(attempt) => return Ok(attempt),
                Err(closed) => without.insert(closed.to_string()),
            };
        }
    }

    fn open_run(&mut self, plan: &Plan) -> Result<Opened> {
        let keys = Keys::new(&self.prefix, &plan.run)?;
        let tables = plan.draft.table_names()?;
        let header = Header::of(plan)?;
        let calls = self.calls.clone();
        let over = self.block_on(async { published(&calls, &keys, !plan.overwrite).await })?;
        if let Some((manifest, _)) = &over
            && !plan.overwrite
        {
            self.block_on(async {
                if !listed(&calls, &keys).await?.is_empty() {
                    settle(&calls, &keys, &tables).await;
                }
                Ok(())
            })?;
            return Ok(Opened::Published(Box::new(manifest.clone()), self.receipt(&keys, manifest, true)?));
        }
        self.block_on(async { refuse_overlap(&calls, &keys).await })?;
        let replaced = over.as_ref().map(|(manifest, _)| manifest.attempt.clone());
        let attempt = self.begin(&keys, &tables, &header, replaced.as_deref())?;
        let (kept, id) = (attempt.journal.kept()?, attempt.id);
        self.run = Some(Running {
            keys,
            attempt,
            ours: vec![id],
            ahead: Arc::new(Semaphore::new(self.ahead)),
            open: Vec::new(),
            begun: 0,
            closed: Vec::new(),
            over,
            announced: true,
            committing: false,
        });
        let proved =
            self.with(async |calls, run| prove_conditions(calls, &run.keys, run.attempt.id, run.over.is_some()).await);
        if let Err(error) = self.ended(proved) {
            let left = self.with(async |calls, run| run.forget_attempt(calls).await);
            self.run = None;
            if let Err(left) = left {
                tracing::warn!(error = %left, "an attempt is left that has not begun");
            }
            return Err(error);
        }
        Ok(kept.map_or(Opened::Fresh, Opened::Resumed))
    }
}

impl Running {
    /// Removes the current attempt, but nothing of those that it goes on from.
    async fn forget_attempt(&mut self, calls: &Calls) -> Result<()> {
        self.discard(calls).await?;
        let ids = [self.attempt.id];
        sweep::sweep(calls, &self.keys, &self.attempt.tables, Doomed::Own(&ids), false).await.map(drop)
    }
}

impl Store for ObjectSink {
    fn open(&mut self, plan: &Plan) -> Result<Opened> {
        match self.open_run(plan) {
            // A run that publishes removes what others have begun: what is there now is worth another look.
            Err(error) if error.kind() == ErrorKind::Io => self.open_run(plan).map_err(|_| error),
            other => other,
        }
    }

    fn create_part(&mut self, table: &TableName, name: &str) -> Result<()> {
        self.with(async |_, run| {
            let key = run.keys.part(run.attempt.id, table, name)?;
            let note = run.keys.upload(run.attempt.id, run.begun)?;
            run.begun += 1;
            run.open.push((table.clone(), name.to_owned(), Upload::new(key, note)));
            Ok(())
        })
    }

    fn append_part(&mut self, table: &TableName, name: &str, bytes: &Bytes) -> Result<()> {
        let (piece, bytes) = (self.piece, bytes.clone());
        let result = self.with(async |calls, run| {
            let ahead = Arc::clone(&run.ahead);
            let Some((_, _, upload)) = run.open.iter_mut().find(|(t, n, _)| t == table && n == name) else {
                return Err(Error::internal("the part was not begun"));
            };
            upload.append(calls, &ahead, piece, bytes).await
        });
        self.ended(result)
    }

    fn close_part(&mut self, part: &Part) -> Result<()> {
        let read_back = self.read_back;
        let result = self.with(async |calls, run| {
            let ahead = Arc::clone(&run.ahead);
            let Some(at) = run.open.iter().position(|(t, n, _)| *t == part.table && *n == part.name) else {
                return Err(Error::internal("the part was not begun"));
            };
            let Some((_, _, upload)) = run.open.get_mut(at) else {
                return Err(Error::internal("the part was not begun"));
            };
            upload.finish(calls, &ahead).await?;
            let key = upload.key().clone();
            let whole = match read_back {
                true => calls.hash(&key, part.bytes).await?.as_ref() == Some(&part.sha256),
                false => calls.size(&key).await? == Some(part.bytes),
            };
            if !whole {
                return Err(Error::io(format!("{} is not as it was written", calls.url(&key)))
                    .advise("run it again, which will go on from the parts before it"));
            }
            run.open.swap_remove(at);
            run.closed.push(part.clone());
            Ok(())
        });
        self.ended(result)
    }

    fn end_segment(&mut self, segment: &Segment) -> Result<()> {
        let result = self.with(async |calls, run| {
            if run.closed.is_empty() && run.attempt.journal.ends_at(segment) {
                return Ok(());
            }
            // From here on a journal may name them, whatever the answer.
            let closed = std::mem::take(&mut run.closed);
            let line = run.attempt.journal.push(&closed, segment)?;
            let key = run.keys.journal(run.attempt.id, run.attempt.next)?;
            run.attempt.next += 1;
            match calls.create(&key, &line.into()).await? {
                Created::Now => Ok(()),
                Created::Taken => Err(Error::io(format!("{} is not as it was written", calls.url(&key)))),
            }
        });
        self.ended(result)
    }

    fn rewind(&mut self, to: Rewind) -> Result<Option<Kept>> {
        let id = self.next_id()?;
        let result = self.with(async |calls, run| {
            // A key is written once: what comes now is another attempt, though it may go on from the same segments.
            let old = run.attempt.clone();
            match to {
                Rewind::Start => {
                    run.announced = false;
                    run.give_up(calls).await?;
                    let journal = Journal::new(old.journal.header().clone())?;
                    run.attempt = Attempt::new(id, old.over, old.tables, journal, None);
                    announce(calls, &run.keys, &run.attempt).await?;
                }
                Rewind::Checkpoint => {
                    run.discard(calls).await?;
                    let journal = old.journal.clone();
                    let next = Attempt::new(id, old.over.clone(), old.tables.clone(), journal, Some(&old));
                    announce(calls, &run.keys, &next).await?;
                    // Only now is it certain that nobody removes what it goes on from. That others do not go on from it is no harm.
                    if !publish::is_alive(calls, &run.keys, old.id).await? {
                        calls.delete(&run.keys.journal(id, 0)?).await?;
                        return Err(Error::io(format!("attempt {} is over", old.id)));
                    }
                    run.attempt = next;
                    sweep::sweep(calls, &run.keys, &old.tables, Doomed::Own(&[old.id]), false).await?;
                }
            }
            run.announced = true;
            run.begun = 0;
            run.ours.push(id);
            run.attempt.journal.kept()
        });
        self.ended(result)
    }

    fn publish(&mut self, mut manifest: Manifest) -> Result<Receipt> {
        let outcome = self.with(async |calls, run| {
            if !run.open.is_empty() || !run.closed.is_empty() {
                return Err(Error::internal("a segment was not ended before the run was published"));
            }
            manifest.attempt = run.attempt.id.to_string();
            manifest.files = publish::files(&run.keys, &run.attempt)?;
            manifest.replaces = run.over.as_ref().map(|(old, _)| Replaced {
                attempt: old.attempt.clone(),
                tables: old.tables.iter().map(|t| t.name.clone()).collect(),
            });
            if let Some(winner) = run.winner(calls).await? {
                return Ok(Outcome::Other(Box::new(winner)));
            }
            refuse_overlap(calls, &run.keys).await?;
            let outcome = run.commit(calls, &manifest).await;
            if !run.committing {
                publish::renounce(calls, &run.keys, run.attempt.id).await;
            }
            outcome
        });
        let (published, in_doubt) = match self.ended(outcome)? {
            Outcome::Ours { in_doubt } => (manifest, in_doubt),
            Outcome::Other(other) => {
                if other.config != manifest.config || other.tables != manifest.tables || other.input != manifest.input {
                    tracing::warn!("{} was published meanwhile, by a run with other options or input", other.run);
                }
                let receipt =
                    self.with(async |_, run| Ok(run.keys.clone())).and_then(|k| self.receipt(&k, &other, true))?;
                self.with(async |calls, run| {
                    run.settle(calls).await;
                    Ok(())
                })?;
                self.run = None;
                return Ok(receipt);
            }
        };
        let keys = self.with(async |calls, run| {
            if calls.single_writer && !in_doubt {
                // No put of it is on its way any more, so that it need not be spared.
                publish::renounce(calls, &run.keys, run.attempt.id).await;
            }
            run.settle(calls).await;
            Ok(run.keys.clone())
        })?;
        self.run = None;
        self.receipt(&keys, &published, false)
    }

    fn suspend(&mut self) -> Result<()> {
        let result = self.with(async |calls, run| {
            if run.committing {
                return Ok(());
            }
            if run.attempt.journal.is_empty() {
                return run.give_up(calls).await;
            }
            if run.attempt.journal.len() == run.attempt.inherited()
                && run.attempt.sources().all(|id| !run.ours.contains(&id))
            {
                // It has added nothing to what it went on from.
                return run.forget_attempt(calls).await;
            }
            run.discard(calls).await
        });
        self.run = None;
        result
    }

    fn abort(&mut self) -> Result<()> {
        let result = self.with(async |calls, run| match run.committing {
            // What may be published is left as it is.
            true => Ok(()),
            false => run.give_up(calls).await,
        });
        self.run = None;
        result
    }
}
