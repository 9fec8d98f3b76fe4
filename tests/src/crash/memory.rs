//! A file system in memory that knows which states a power cut may leave.
//!
//! What it promises is what POSIX does and no more: the bytes and the mode of a file are durable after a sync of the file, its
//! name after a sync of the folder that has the name, and of a file just made one does not follow from the other. A
//! rename is one step, durable when both folders were synced; until then each step may have reached the disk or not,
//! whatever came before or after it. Bytes that were not synced may be there, be missing, be there in part, or be zeros.
//! After a failed sync of a file, what was not durable is lost for good, although reads still show it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use pagemill::sink::{Disk, disk::Stat};

use super::tree::{Entry, Medium, Place, Tree};

/// The folder that everything is below.
const ROOT: &str = "/memory";

type Ino = usize;

#[derive(Clone)]
struct Node {
    mode: u32,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Dir(BTreeMap<String, Ino>),
    File(Arc<Vec<u8>>),
}

/// Files and folders.
#[derive(Clone)]
pub struct Image {
    /// The first is the root.
    nodes: Vec<Node>,
}

impl Image {
    fn empty() -> Self {
        Self { nodes: vec![Node { mode: 0o755, kind: Kind::Dir(BTreeMap::new()) }] }
    }

    /// One that holds `tree`.
    #[must_use]
    pub fn holding(tree: &Tree) -> Self {
        let mut image = Self::empty();
        for (path, entry) in tree {
            let kind = match &entry.data {
                None => Kind::Dir(BTreeMap::new()),
                Some(data) => Kind::File(Arc::clone(data)),
            };
            image.nodes.push(Node { mode: entry.mode, kind });
            let ino = image.nodes.len() - 1;
            if let Some((dir, name)) = image.parent(Path::new(ROOT).join(path).as_path()) {
                image.set(dir, &name, Some(ino));
            }
        }
        image
    }

    /// What it holds.
    #[must_use]
    pub fn tree(&self) -> Tree {
        let mut tree = Tree::new();
        self.walk(0, "", &mut tree);
        tree
    }

    fn walk(&self, at: Ino, path: &str, into: &mut Tree) {
        for (name, &ino) in self.dir(at).into_iter().flatten() {
            let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            let Some(node) = self.nodes.get(ino) else { continue };
            let data = match &node.kind {
                Kind::Dir(_) => None,
                Kind::File(data) => Some(Arc::clone(data)),
            };
            into.insert(path.clone(), Entry { mode: node.mode, data });
            self.walk(ino, &path, into);
        }
    }

    /// Equal for images that hold the same.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (path, entry) in self.tree() {
            (path, entry.mode, entry.data).hash(&mut hasher);
        }
        hasher.finish()
    }

    fn dir(&self, at: Ino) -> Option<&BTreeMap<String, Ino>> {
        match &self.nodes.get(at)?.kind {
            Kind::Dir(names) => Some(names),
            Kind::File(_) => None,
        }
    }

    fn set(&mut self, dir: Ino, name: &str, to: Option<Ino>) {
        if let Some(Node { kind: Kind::Dir(names), .. }) = self.nodes.get_mut(dir) {
            match to {
                Some(ino) => names.insert(name.to_owned(), ino),
                None => names.remove(name),
            };
        }
    }

    fn find(&self, path: &Path) -> Option<Ino> {
        // What is above the root is there, and is nobody's business.
        let Ok(below) = path.strip_prefix(ROOT) else {
            return Path::new(ROOT).starts_with(path).then_some(0);
        };
        let mut at = 0;
        for part in below.components() {
            at = *self.dir(at)?.get(part.as_os_str().to_str()?)?;
        }
        Some(at)
    }

    /// The folder that a path's name is in, and the name.
    fn parent(&self, path: &Path) -> Option<(Ino, String)> {
        let dir = self.find(path.parent()?).filter(|dir| self.dir(*dir).is_some())?;
        Some((dir, path.file_name()?.to_str()?.to_owned()))
    }
}

/// Something that happened, in its order.
enum Event {
    /// A file or folder was made; it has no name yet.
    Made(Node),
    /// Names were given or taken, all in one step.
    Names(Vec<(Ino, String, Option<Ino>)>),
    Mode(Ino, u32),
    Append(Ino, Arc<Vec<u8>>),
    Synced(Ino),
    SyncFailed(Ino),
}

struct World {
    base: Image,
    live: Image,
    /// Each with the number of the call that it was part of.
    log: Vec<(u64, Event)>,
    calls: u64,
    locked: HashSet<PathBuf>,
}

/// The file system. Copies of this are the same one.
#[derive(Clone)]
pub struct Memory(Arc<Mutex<World>>);

/// What becomes of bytes that were not synced.
#[derive(Clone, Copy)]
enum Bytes {
    Missing,
    There,
    /// The last append of each file is there by half.
    Torn,
    Zeros,
}

const BYTES: [Bytes; 4] = [Bytes::Missing, Bytes::There, Bytes::Torn, Bytes::Zeros];

impl Memory {
    /// A file system that holds `image`, all of it durable.
    #[must_use]
    pub fn new(image: Image) -> Self {
        let live = image.clone();
        let world = World { base: image, live, log: Vec::new(), calls: 0, locked: HashSet::new() };
        Self(Arc::new(Mutex::new(world)))
    }

    /// An empty file system.
    #[must_use]
    pub fn empty() -> Self {
        Self::new(Image::empty())
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a process sees; also what is left when it dies and the power stays on.
    #[must_use]
    pub fn image(&self) -> Image {
        self.world().live.clone()
    }

    /// How many calls were made.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.world().calls
    }

    /// The calls after which a power cut may leave something else than after the one before, in their order.
    #[must_use]
    pub fn moments(&self) -> Vec<u64> {
        let calls: BTreeSet<_> = self.world().log.iter().map(|(call, _)| *call).collect();
        std::iter::once(0).chain(calls).collect()
    }

    /// What a power cut after call `upto` may leave, each state once.
    ///
    /// Of the steps that are not durable: none, all, each alone, all but each, all up to each; with each fate of the bytes. And
    /// `more` states in which chance decides about each step and each file.
    #[must_use]
    pub fn states(&self, upto: u64, more: usize, chance: &mut Chance) -> Vec<Image> {
        let world = self.world();
        let end = world.log.partition_point(|(call, _)| *call <= upto);
        let past = Past::new(&world, end);
        let pending = &past.steps;
        let mut chosen: Vec<BTreeSet<usize>> = vec![BTreeSet::new(), pending.iter().copied().collect()];
        for (at, step) in pending.iter().enumerate() {
            chosen.push([*step].into());
            chosen.push(pending.iter().copied().filter(|other| other != step).collect());
            chosen.push(pending.iter().copied().take(at).collect());
        }
        chosen.sort();
        chosen.dedup();
        let fates = if past.unsynced.is_empty() { &BYTES[..1] } else { &BYTES[..] };
        let mut seen = HashSet::new();
        let mut images = Vec::new();
        let mut add = |image: Image| {
            if seen.insert(image.digest()) {
                images.push(image);
            }
        };
        for steps in &chosen {
            for fate in fates {
                add(past.image(steps, &|_| *fate));
            }
        }
        for _ in 0..more {
            let steps = pending.iter().copied().filter(|_| chance.below(2) == 0).collect();
            let by_file: HashMap<_, _> =
                past.unsynced.iter().map(|ino| (*ino, BYTES[chance.below(BYTES.len())])).collect();
            add(past.image(&steps, &|ino| by_file.get(&ino).copied().unwrap_or(Bytes::There)));
        }
        images
    }
}

/// The log up to some point, and what of it is durable there.
struct Past<'a> {
    world: &'a World,
    end: usize,
    /// Names and modes that are not durable, by their place in the log.
    steps: Vec<usize>,
    /// Files with bytes that are not durable and not lost.
    unsynced: BTreeSet<Ino>,
    /// Appends, by their place in the log, whose bytes are not durable; true where they are lost.
    appends: HashMap<usize, bool>,
}

impl<'a> Past<'a> {
    fn new(world: &'a World, end: usize) -> Self {
        // The way back sees, for each node, whether a sync comes later, and for each file what the next one is.
        let (mut synced, mut next_fails) = (HashSet::new(), HashMap::new());
        let mut past = Self { world, end, steps: Vec::new(), unsynced: BTreeSet::new(), appends: HashMap::new() };
        for (at, (_, event)) in world.log[..end].iter().enumerate().rev() {
            match event {
                Event::Made(_) => {}
                Event::Synced(ino) => {
                    synced.insert(*ino);
                    next_fails.insert(*ino, false);
                }
                Event::SyncFailed(ino) => {
                    next_fails.insert(*ino, true);
                }
                Event::Mode(ino, _) if synced.contains(ino) => {}
                Event::Names(names) if names.iter().all(|(dir, _, _)| synced.contains(dir)) => {}
                Event::Mode(..) | Event::Names(_) => past.steps.push(at),
                Event::Append(ino, _) => match next_fails.get(ino) {
                    Some(false) => {}
                    Some(true) => {
                        past.appends.insert(at, true);
                    }
                    None => {
                        past.appends.insert(at, false);
                        past.unsynced.insert(*ino);
                    }
                },
            }
        }
        past.steps.reverse();
        past
    }

    /// What is left when of the steps that are not durable those in `steps` are there, and of the bytes what `fate` says.
    fn image(&self, steps: &BTreeSet<usize>, fate: &dyn Fn(Ino) -> Bytes) -> Image {
        let mut image = self.world.base.clone();
        let mut lengths: HashMap<Ino, usize> = HashMap::new();
        let mut last: HashMap<Ino, usize> = HashMap::new();
        for (at, (_, event)) in self.world.log[..self.end].iter().enumerate() {
            if let Event::Append(ino, _) = event {
                last.insert(*ino, at);
            }
        }
        for (at, (_, event)) in self.world.log[..self.end].iter().enumerate() {
            let there = self.steps.binary_search(&at).is_err() || steps.contains(&at);
            match event {
                Event::Made(node) => image.nodes.push(node.clone()),
                Event::Names(names) if there => {
                    for (dir, name, to) in names {
                        image.set(*dir, name, *to);
                    }
                }
                Event::Mode(ino, mode) if there => {
                    if let Some(node) = image.nodes.get_mut(*ino) {
                        node.mode = *mode;
                    }
                }
                Event::Append(ino, bytes) => {
                    let Some(Node { kind: Kind::File(data), .. }) = image.nodes.get_mut(*ino) else { continue };
                    let data = Arc::make_mut(data);
                    let from = *lengths.entry(*ino).or_insert(data.len());
                    lengths.insert(*ino, from + bytes.len());
                    let kept = match self.appends.get(&at) {
                        None => bytes.to_vec(),
                        Some(true) => continue,
                        Some(false) => match fate(*ino) {
                            Bytes::Missing => continue,
                            Bytes::Torn if last.get(ino) == Some(&at) => bytes[..bytes.len() / 2].to_vec(),
                            Bytes::There | Bytes::Torn => bytes.to_vec(),
                            Bytes::Zeros => vec![0; bytes.len()],
                        },
                    };
                    // What is missing before it is a hole.
                    data.resize(from, 0);
                    data.extend_from_slice(&kept);
                }
                _ => {}
            }
        }
        image
    }
}

impl Place for Memory {
    fn out(&self) -> PathBuf {
        Path::new(ROOT).join("out")
    }

    fn disk(&self) -> Box<dyn Medium> {
        Box::new(MemoryDisk { memory: self.clone(), open: HashMap::new(), lock: None })
    }

    fn tree(&self) -> Tree {
        self.world().live.tree()
    }

    fn clock(&self) -> Box<dyn Fn() -> u64 + Send + Sync> {
        let memory = self.clone();
        Box::new(move || memory.calls())
    }
}

/// The disk of one run.
struct MemoryDisk {
    memory: Memory,
    open: HashMap<PathBuf, Ino>,
    lock: Option<PathBuf>,
}

impl Drop for MemoryDisk {
    fn drop(&mut self) {
        if let Some(lock) = self.lock.take() {
            self.memory.world().locked.remove(&lock);
        }
    }
}

fn absent() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl World {
    /// Counts a call.
    fn call(mut world: MutexGuard<'_, Self>) -> MutexGuard<'_, Self> {
        world.calls += 1;
        world
    }

    fn note(&mut self, event: Event) {
        match &event {
            Event::Made(node) => self.live.nodes.push(node.clone()),
            Event::Names(names) => {
                for (dir, name, to) in names {
                    self.live.set(*dir, name, *to);
                }
            }
            Event::Mode(ino, mode) => {
                if let Some(node) = self.live.nodes.get_mut(*ino) {
                    node.mode = *mode;
                }
            }
            Event::Append(ino, bytes) => {
                if let Some(Node { kind: Kind::File(data), .. }) = self.live.nodes.get_mut(*ino) {
                    Arc::make_mut(data).extend_from_slice(bytes);
                }
            }
            Event::Synced(_) | Event::SyncFailed(_) => {}
        }
        self.log.push((self.calls, event));
    }

    fn existing(&self, path: &Path) -> io::Result<Ino> {
        self.live.find(path).ok_or_else(absent)
    }

    fn parent(&self, path: &Path) -> io::Result<(Ino, String)> {
        self.live.parent(path).ok_or_else(absent)
    }

    fn make(&mut self, path: &Path, mode: u32, kind: Kind) -> io::Result<Ino> {
        let (dir, name) = self.parent(path)?;
        if self.live.find(path).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.note(Event::Made(Node { mode, kind }));
        let ino = self.live.nodes.len() - 1;
        self.note(Event::Names(vec![(dir, name, Some(ino))]));
        Ok(ino)
    }

    fn data(&self, path: &Path) -> io::Result<Arc<Vec<u8>>> {
        match &self.live.nodes[self.existing(path)?].kind {
            Kind::File(data) => Ok(Arc::clone(data)),
            Kind::Dir(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    /// Takes a name away, and first those below it.
    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let ino = self.existing(path)?;
        for name in self.live.dir(ino).into_iter().flatten().map(|(n, _)| n.clone()).collect::<Vec<_>>() {
            self.remove(&path.join(name))?;
        }
        let (dir, name) = self.parent(path)?;
        self.note(Event::Names(vec![(dir, name, None)]));
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let ino = self.existing(from)?;
        let ((old, old_name), (new, new_name)) = (self.parent(from)?, self.parent(to)?);
        self.note(Event::Names(vec![(old, old_name, None), (new, new_name, Some(ino))]));
        Ok(())
    }
}

impl MemoryDisk {
    fn world(&self) -> MutexGuard<'_, World> {
        World::call(self.memory.world())
    }

    fn ino(&self, path: &Path) -> io::Result<Ino> {
        self.open.get(path).copied().ok_or_else(|| io::Error::other("the file is not open"))
    }
}

impl Medium for MemoryDisk {
    fn sync_failed(&mut self, path: &Path) {
        if let Ok(ino) = self.ino(path) {
            self.world().note(Event::SyncFailed(ino));
        }
    }
}

impl Disk for MemoryDisk {
    fn lock(&mut self, path: &Path) -> io::Result<bool> {
        let mut world = self.world();
        if world.live.find(path).is_none() {
            world.make(path, 0o600, Kind::File(Arc::default()))?;
        }
        let free = world.locked.insert(path.to_owned());
        drop(world);
        if free {
            self.lock = Some(path.to_owned());
        }
        Ok(free)
    }

    fn unlock(&mut self) -> io::Result<()> {
        let lock = self.lock.take();
        let mut world = self.world();
        if let Some(lock) = lock {
            world.locked.remove(&lock);
        }
        Ok(())
    }

    fn stat(&mut self, path: &Path) -> io::Result<Option<Stat>> {
        let world = self.world();
        let Some(ino) = world.live.find(path) else { return Ok(None) };
        let is_dir = world.live.dir(ino).is_some();
        let node = &world.live.nodes[ino];
        let len = match &node.kind {
            Kind::Dir(_) => 0,
            Kind::File(bytes) => bytes.len() as u64,
        };
        Ok(Some(Stat { is_dir, is_file: !is_dir, len, mode: node.mode, device: 1, mine: true }))
    }

    fn list(&mut self, path: &Path) -> io::Result<Vec<String>> {
        let world = self.world();
        let ino = world.existing(path)?;
        let names = world.live.dir(ino).ok_or(io::ErrorKind::NotADirectory)?;
        Ok(names.keys().cloned().collect())
    }

    fn read(&mut self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let data = self.world().data(path)?;
        match data.len() as u64 > limit {
            true => Err(io::ErrorKind::InvalidData.into()),
            false => Ok(data.to_vec()),
        }
    }

    fn hash(&mut self, path: &Path) -> io::Result<(u64, String)> {
        let data = self.world().data(path)?;
        pagemill::sink::disk::hash(&mut data.as_slice())
    }

    fn create_dir(&mut self, path: &Path, mode: u32) -> io::Result<()> {
        self.world().make(path, mode, Kind::Dir(BTreeMap::new())).map(drop)
    }

    fn create(&mut self, path: &Path) -> io::Result<()> {
        let ino = self.world().make(path, 0o600, Kind::File(Arc::default()))?;
        self.open.insert(path.to_owned(), ino);
        Ok(())
    }

    fn append(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let ino = self.ino(path)?;
        self.world().note(Event::Append(ino, Arc::new(bytes.to_vec())));
        Ok(())
    }

    fn set_mode(&mut self, path: &Path, mode: u32) -> io::Result<()> {
        let mut world = self.world();
        let ino = world.existing(path)?;
        world.note(Event::Mode(ino, mode));
        Ok(())
    }

    fn sync_file(&mut self, path: &Path) -> io::Result<()> {
        let ino = self.ino(path)?;
        self.world().note(Event::Synced(ino));
        Ok(())
    }

    fn close(&mut self, path: &Path) -> io::Result<()> {
        drop(self.world());
        self.open.remove(path).map(drop).ok_or_else(|| io::Error::other("the file is not open"))
    }

    fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        let ino = world.existing(path)?;
        world.note(Event::Synced(ino));
        Ok(())
    }

    fn link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world();
        let (ino, (dir, name)) = (world.existing(from)?, world.parent(to)?);
        if world.live.find(to).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        world.note(Event::Names(vec![(dir, name, Some(ino))]));
        Ok(())
    }

    fn rename_noreplace(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world();
        if world.live.find(to).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        world.rename(from, to)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.world().rename(from, to)
    }

    fn exchange(&mut self, one: &Path, other: &Path) -> io::Result<()> {
        let mut world = self.world();
        let (first, second) = (world.existing(one)?, world.existing(other)?);
        let ((here, name), (there, other_name)) = (world.parent(one)?, world.parent(other)?);
        world.note(Event::Names(vec![(here, name, Some(second)), (there, other_name, Some(first))]));
        Ok(())
    }

    fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        let ino = world.existing(path)?;
        match world.live.dir(ino) {
            Some(_) => Err(io::ErrorKind::IsADirectory.into()),
            None => world.remove(path),
        }
    }

    fn remove_tree(&mut self, path: &Path) -> io::Result<()> {
        self.open.retain(|open, _| !open.starts_with(path));
        self.world().remove(path)
    }
}

/// Numbers that look random, the same for the same seed.
pub struct Chance(u64);

impl Chance {
    /// From a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        // SplitMix64, <https://prng.di.unimi.it/splitmix64.c>.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}
