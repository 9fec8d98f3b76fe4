//! What is on a disk, and the place that a run writes to.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use pagemill::sink::{Disk, RealDisk, disk::Stat};
use tempfile::TempDir;

/// A file or a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its permission bits.
    pub mode: u32,
    /// The bytes of a file; none for a folder.
    pub data: Option<Arc<Vec<u8>>>,
}

/// All files and folders below a place, by path from there, with `/` between parts.
pub type Tree = BTreeMap<String, Entry>;

/// A disk with a say in what becomes of a file whose sync failed.
pub trait Medium: Disk {
    /// A sync of this open file has failed: what was not durable never will be, though reads still show it.
    fn sync_failed(&mut self, path: &Path);
}

/// Where runs write to: below it, `out` and `out.pagemill`.
pub trait Place: Sync {
    /// The output folder.
    fn out(&self) -> PathBuf;
    /// A disk for one run.
    fn disk(&self) -> Box<dyn Medium>;
    /// What is there.
    fn tree(&self) -> Tree;
    /// Says how many calls were made so far, where that is known.
    fn clock(&self) -> Box<dyn Fn() -> u64 + Send + Sync> {
        Box::new(|| 0)
    }
}

/// A folder of the real file system; in memory where there is such a one.
pub struct Folder(TempDir);

impl Folder {
    /// An empty one.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn new() -> Self {
        let shared = Path::new("/dev/shm");
        let made = if shared.is_dir() { TempDir::new_in(shared) } else { TempDir::new() };
        Self(made.expect("a folder"))
    }

    /// One that holds `tree`.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn holding(tree: &Tree) -> Self {
        let folder = Self::new();
        write(tree, folder.0.path());
        folder
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Place for Folder {
    fn out(&self) -> PathBuf {
        self.0.path().join("out")
    }

    fn disk(&self) -> Box<dyn Medium> {
        Box::new(Unsynced(RealDisk::new()))
    }

    fn tree(&self) -> Tree {
        let mut tree = Tree::new();
        read(self.0.path(), self.0.path(), &mut tree).expect("a tree");
        tree
    }
}

fn read(root: &Path, at: &Path, into: &mut Tree) -> io::Result<()> {
    for entry in fs::read_dir(at)? {
        let path = entry?.path();
        let found = fs::symlink_metadata(&path)?;
        let data = if found.is_dir() { None } else { Some(Arc::new(fs::read(&path)?)) };
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        into.insert(name, Entry { mode: found.permissions().mode() & 0o7777, data });
        if found.is_dir() {
            read(root, &path, into)?;
        }
    }
    Ok(())
}

/// Writes a tree below a folder.
///
/// # Panics
/// When it cannot be written.
pub fn write(tree: &Tree, root: &Path) {
    // In the order of their paths, folders come before what is in them.
    for (name, entry) in tree {
        let path = root.join(name);
        match &entry.data {
            None => fs::create_dir_all(&path).expect("a folder"),
            Some(data) => fs::write(&path, &**data).expect("a file"),
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(entry.mode)).expect("a mode");
    }
}

/// The real disk without its syncs: where no power is cut they change nothing, and they take most of the time.
struct Unsynced(RealDisk);

impl Medium for Unsynced {
    fn sync_failed(&mut self, _: &Path) {}
}

macro_rules! as_it_is {
    ($(fn $name:ident($($arg:ident: $type:ty),*) -> $result:ty;)*) => {
        impl Disk for Unsynced {
            fn sync_file(&mut self, _: &Path) -> io::Result<()> {
                Ok(())
            }
            fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
                fs::read_dir(path).map(drop)
            }
        $(
            fn $name(&mut self, $($arg: $type),*) -> io::Result<$result> {
                self.0.$name($($arg),*)
            }
        )*}
    };
}

as_it_is! {
    fn lock(path: &Path) -> bool;
    fn unlock() -> ();
    fn stat(path: &Path) -> Option<Stat>;
    fn list(path: &Path) -> Vec<String>;
    fn read(path: &Path, limit: u64) -> Vec<u8>;
    fn hash(path: &Path) -> (u64, String);
    fn create_dir(path: &Path, mode: u32) -> ();
    fn create(path: &Path) -> ();
    fn append(path: &Path, bytes: &[u8]) -> ();
    fn set_mode(path: &Path, mode: u32) -> ();
    fn close(path: &Path) -> ();
    fn link(from: &Path, to: &Path) -> ();
    fn rename_noreplace(from: &Path, to: &Path) -> ();
    fn rename(from: &Path, to: &Path) -> ();
    fn exchange(one: &Path, other: &Path) -> ();
    fn remove_file(path: &Path) -> ();
    fn remove_tree(path: &Path) -> ();
}
