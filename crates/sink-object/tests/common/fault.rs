//! A store in memory that fails as it is told to.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartId, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    memory::InMemory,
    multipart::{MultipartStore, PartId},
    path::Path,
};

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// 503, before anything was done.
    Fail,
    /// It was done, and the answer was lost.
    Lost,
    /// 409, before anything was done.
    Conflict,
    /// 412, before anything was done.
    Precondition,
    /// 403, before anything was done.
    Denied,
    /// No answer, and nothing was done.
    Timeout,
    /// No answer, and what was put arrives when the world [delivers](World::deliver) it.
    Late,
    /// What is put, got, or listed is not all of it, and the answer is success.
    Short,
    /// What is put or got has another byte, a listing has stale and double keys, and the answer is success.
    Wrong,
}

impl Fault {
    pub const ALL: [Self; 8] = [
        Self::Fail,
        Self::Lost,
        Self::Conflict,
        Self::Precondition,
        Self::Denied,
        Self::Timeout,
        Self::Short,
        Self::Wrong,
    ];
}

/// Which calls it goes wrong with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// The k-th.
    Once,
    /// The k-th and all after it.
    FromThenOn,
    /// The k-th, not the one after it, and all after that.
    AllButTheNext,
}

/// Kinds of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    Put,
    Create,
    Update,
    Begin,
    Piece,
    Complete,
    Drop,
    Get,
    Head,
    List,
    Delete,
}

/// Something that is done beside the calls.
type Deed = Arc<dyn Fn() + Send + Sync>;

type Uploads = HashMap<String, (Path, BTreeMap<usize, Bytes>)>;

/// What is stored. Stores of the same world see the same.
#[derive(Clone, Debug, Default)]
pub struct World {
    objects: Arc<InMemory>,
    uploads: Arc<Mutex<Uploads>>,
    next: Arc<AtomicU64>,
    /// Keys that were there and were removed.
    removed: Arc<Mutex<Vec<ObjectMeta>>>,
    /// What is still on its way.
    late: Arc<Mutex<Vec<(Path, PutPayload, PutOptions)>>>,
}

impl World {
    fn lock(&self) -> MutexGuard<'_, Uploads> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn keys(&self) -> Vec<String> {
        let all = futures::executor::block_on(self.objects.list(None).try_collect::<Vec<_>>()).expect("lists");
        all.into_iter().map(|meta| meta.location.to_string()).collect()
    }

    pub fn uploads(&self) -> Vec<String> {
        self.lock().values().map(|(path, _)| format!("upload of {path}")).collect()
    }

    /// Pieces of uploads that were not ended.
    pub fn pieces(&self) -> usize {
        self.lock().values().map(|(_, pieces)| pieces.len()).sum()
    }

    pub fn read(&self, key: &str) -> Option<Bytes> {
        let path = Path::parse(key).expect("a key");
        futures::executor::block_on(async { self.objects.get(&path).await.ok()?.bytes().await.ok() })
    }

    /// Lets arrive what is still on its way. Whether it is let in is for its conditions to say. Gives how much it was.
    pub fn deliver(&self) -> usize {
        let late = std::mem::take(&mut *self.late.lock().unwrap_or_else(PoisonError::into_inner));
        let count = late.len();
        for (key, payload, options) in late {
            // Nobody hears the answer.
            let _ = futures::executor::block_on(self.objects.put_opts(&key, payload, options));
        }
        count
    }

    pub fn write(&self, key: &str, bytes: &[u8]) {
        let path = Path::parse(key).expect("a key");
        let payload = PutPayload::from(bytes.to_vec());
        futures::executor::block_on(self.objects.put(&path, payload)).expect("puts");
    }

    pub fn remove(&self, key: &str) {
        let path = Path::parse(key).expect("a key");
        futures::executor::block_on(self.objects.delete(&path)).expect("removes");
    }
}

/// A way to a world, on which calls fail.
pub struct FaultStore {
    world: World,
    fault: Option<(Fault, Mode, u64)>,
    /// Conditions of a put that it knows and heeds.
    pub conditions: Conditions,
    calls: Arc<AtomicU64>,
    /// What the calls were, by kind, and what the faulty ones were put to.
    pub log: Arc<Mutex<Vec<(Op, String)>>>,
    /// Lets others go first now and then; from a seed.
    jumble: Option<AtomicU64>,
    /// What is done before some calls, by their numbers.
    before: Option<(Vec<u64>, Deed)>,
}

/// What a store makes of conditions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Conditions {
    Heeded,
    /// Create is; update is not known.
    CreateAlone,
    Unknown,
    Disregarded,
}

impl FaultStore {
    pub fn clean(world: &World) -> Self {
        Self {
            world: world.clone(),
            fault: None,
            conditions: Conditions::Heeded,
            calls: Arc::default(),
            log: Arc::default(),
            jumble: None,
            before: None,
        }
    }

    pub fn failing(world: &World, fault: Fault, mode: Mode, at: u64) -> Self {
        Self { fault: Some((fault, mode, at)), ..Self::clean(world) }
    }

    pub fn jumbled(world: &World, seed: u64) -> Self {
        Self { jumble: Some(AtomicU64::new(seed | 1)), ..Self::clean(world) }
    }

    /// Does something else before each of these calls.
    pub fn before(mut self, calls: &[u64], what: impl Fn() + Send + Sync + 'static) -> Self {
        self.before = Some((calls.to_vec(), Arc::new(what)));
        self
    }

    pub fn calls(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.calls)
    }

    /// Counts a call, and says what goes wrong with it.
    async fn count(&self, op: Op, key: &Path) -> Option<Fault> {
        if let Some(state) = &self.jumble {
            let mut x = state.load(Ordering::Relaxed);
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            state.store(x, Ordering::Relaxed);
            for _ in 0..x % 4 {
                std::thread::yield_now();
                tokio::task::yield_now().await;
            }
        }
        let at = self.calls.fetch_add(1, Ordering::SeqCst);
        if let Some((calls, what)) = &self.before
            && calls.contains(&at)
        {
            what();
        }
        let (fault, mode, k) = self.fault?;
        let hit = match mode {
            Mode::Once => at == k,
            Mode::FromThenOn => at >= k,
            Mode::AllButTheNext => at >= k && at != k + 1,
        };
        if hit {
            self.log.lock().unwrap_or_else(PoisonError::into_inner).push((op, key.to_string()));
        }
        hit.then_some(fault)
    }

    /// Does `call` between what goes wrong before it and after it.
    async fn faulty<T>(&self, op: Op, key: &Path, call: impl AsyncFnOnce(Option<Fault>) -> Result<T>) -> Result<T> {
        let path = key.to_string();
        let generic = |what: &str| Error::Generic { store: "faulty", source: what.to_owned().into() };
        match self.count(op, key).await {
            Some(Fault::Fail) => Err(generic("503 SlowDown")),
            Some(Fault::Timeout) => Err(generic("timed out")),
            Some(Fault::Conflict) => Err(Error::AlreadyExists { path, source: "409".into() }),
            Some(Fault::Precondition) => Err(Error::Precondition { path, source: "412".into() }),
            Some(Fault::Denied) => Err(Error::PermissionDenied { path, source: "403".into() }),
            Some(Fault::Lost) => {
                call(None).await?;
                Err(generic("connection reset"))
            }
            fault => call(fault).await,
        }
    }
}

/// The payload, or what a faulty store makes of it.
fn spoilt(bytes: &Bytes, fault: Option<Fault>) -> Bytes {
    match fault {
        Some(Fault::Short) => bytes.slice(..bytes.len() / 2),
        Some(Fault::Wrong) => {
            let mut bytes = bytes.to_vec();
            let middle = bytes.len() / 2;
            if let Some(byte) = bytes.get_mut(middle) {
                *byte ^= 1;
            }
            bytes.into()
        }
        _ => bytes.clone(),
    }
}

impl fmt::Debug for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultStore { key: \"SECRET-CANARY\" }")
    }
}

impl fmt::Display for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultStore")
    }
}

#[async_trait]
impl ObjectStore for FaultStore {
    async fn put_opts(&self, key: &Path, payload: PutPayload, mut opts: PutOptions) -> Result<PutResult> {
        let op = match &opts.mode {
            PutMode::Overwrite => Op::Put,
            PutMode::Create => Op::Create,
            PutMode::Update(_) => Op::Update,
        };
        match (self.conditions, op) {
            (_, Op::Put) | (Conditions::Heeded, _) | (Conditions::CreateAlone, Op::Create) => {}
            (Conditions::Disregarded, _) => opts.mode = PutMode::Overwrite,
            _ => {
                return Err(Error::NotImplemented { operation: "a condition".into(), implementer: "faulty".into() });
            }
        }
        self.faulty(op, key, async |fault| {
            if fault == Some(Fault::Late) {
                let mut late = self.world.late.lock().unwrap_or_else(PoisonError::into_inner);
                late.push((key.clone(), payload, opts));
                return Err(Error::Generic { store: "faulty", source: "timed out".into() });
            }
            let bytes = spoilt(&Bytes::from(payload), fault);
            self.world.objects.put_opts(key, bytes.into(), opts).await
        })
        .await
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(Error::NotImplemented { operation: "put_multipart".into(), implementer: "faulty".into() })
    }

    async fn get_opts(&self, key: &Path, options: GetOptions) -> Result<GetResult> {
        let op = if options.head { Op::Head } else { Op::Get };
        self.faulty(op, key, async |fault| {
            let head = options.head;
            let mut found = self.world.objects.get_opts(key, options).await?;
            if head && fault.is_some() {
                found.meta.size = found.meta.size.saturating_sub(1);
            }
            if !head && fault.is_some() {
                let GetResult { meta, range, attributes, payload: _ } = &found;
                let (meta, range, attributes) = (meta.clone(), range.clone(), attributes.clone());
                let bytes = spoilt(&found.bytes().await?, fault);
                let payload = GetResultPayload::Stream(futures::stream::iter([Ok(bytes)]).boxed());
                return Ok(GetResult { payload, meta, range, attributes });
            }
            Ok(found)
        })
        .await
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let mut keys = futures::executor::block_on(keys.try_collect::<Vec<_>>()).expect("keys");
        assert_eq!(keys.len(), 1, "keys are removed one by one");
        let key = keys.remove(0);
        let world = self.world.clone();
        let this = self.again();
        futures::stream::once(async move {
            this.faulty(Op::Delete, &key, async |_| {
                if let Ok(meta) = world.objects.head(&key).await {
                    world.removed.lock().unwrap_or_else(PoisonError::into_inner).push(meta);
                }
                world.objects.delete(&key).await?;
                Ok(key.clone())
            })
            .await
        })
        .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let prefix = prefix.cloned().unwrap_or_default();
        let this = self.again();
        futures::stream::once(async move {
            let found = this
                .faulty(Op::List, &prefix, async |fault| {
                    let mut found: Vec<_> = this.world.objects.list(Some(&prefix)).try_collect().await?;
                    if fault == Some(Fault::Short) {
                        found.truncate(found.len() / 2);
                    }
                    if fault == Some(Fault::Wrong) {
                        let removed = this.world.removed.lock().unwrap_or_else(PoisonError::into_inner).clone();
                        found.extend(removed.into_iter().filter(|meta| meta.location.prefix_matches(&prefix)));
                        found.extend(found.clone());
                        found.reverse();
                    }
                    Ok(found)
                })
                .await;
            let each: Vec<_> = match found {
                Ok(found) => found.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            };
            futures::stream::iter(each)
        })
        .flatten()
        .boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(Error::NotImplemented { operation: "list_with_delimiter".into(), implementer: "faulty".into() })
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(Error::NotImplemented { operation: "copy".into(), implementer: "faulty".into() })
    }
}

impl FaultStore {
    /// The same, for a stream that outlives the borrow.
    fn again(&self) -> Self {
        Self {
            world: self.world.clone(),
            fault: self.fault,
            conditions: self.conditions,
            calls: self.calls(),
            log: Arc::clone(&self.log),
            jumble: self.jumble.as_ref().map(|x| AtomicU64::new(x.load(Ordering::Relaxed))),
            before: self.before.clone(),
        }
    }
}

#[async_trait]
impl MultipartStore for FaultStore {
    async fn create_multipart(&self, key: &Path) -> Result<MultipartId> {
        self.faulty(Op::Begin, key, async |_| {
            let id = self.world.next.fetch_add(1, Ordering::SeqCst).to_string();
            self.world.lock().insert(id.clone(), (key.clone(), BTreeMap::new()));
            Ok(id)
        })
        .await
    }

    async fn put_part(&self, key: &Path, id: &MultipartId, at: usize, payload: PutPayload) -> Result<PartId> {
        self.faulty(Op::Piece, key, async |fault| {
            let bytes = spoilt(&Bytes::from(payload), fault);
            match self.world.lock().get_mut(id) {
                Some((_, pieces)) => pieces.insert(at, bytes),
                None => return Err(Error::NotFound { path: key.to_string(), source: "NoSuchUpload".into() }),
            };
            Ok(PartId { content_id: at.to_string() })
        })
        .await
    }

    async fn complete_multipart(&self, key: &Path, id: &MultipartId, parts: Vec<PartId>) -> Result<PutResult> {
        self.faulty(Op::Complete, key, async |fault| {
            let Some((_, pieces)) = self.world.lock().remove(id) else {
                return Err(Error::NotFound { path: key.to_string(), source: "NoSuchUpload".into() });
            };
            let ids: Vec<_> = pieces.keys().map(ToString::to_string).collect();
            assert_eq!(ids, parts.into_iter().map(|p| p.content_id).collect::<Vec<_>>(), "pieces are out of order");
            let whole: Vec<u8> = pieces.values().flatten().copied().collect();
            self.world.objects.put(key, spoilt(&whole.into(), fault).into()).await
        })
        .await
    }

    async fn abort_multipart(&self, key: &Path, id: &MultipartId) -> Result<()> {
        self.faulty(Op::Drop, key, async |_| match self.world.lock().remove(id) {
            Some(_) => Ok(()),
            None => Err(Error::NotFound { path: key.to_string(), source: "NoSuchUpload".into() }),
        })
        .await
    }
}
