//! Every call on the file system that a run makes.
//!
//! One thread owns a [`Disk`] and makes all its calls, in one order. So a test can put a disk of its own in the place of
//! [`RealDisk`]: one that fails at the k-th call, or one that remembers what was made durable.

use std::{
    collections::HashMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::{
        fd::AsFd,
        unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::fs::{CWD, FlockOperation, OFlags, RenameFlags};
use sha2::{Digest, Sha256};

use crate::manifest::hex;

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// A folder; not a symbolic link to one.
    pub is_dir: bool,
    /// A file; not a symbolic link to one.
    pub is_file: bool,
    /// Bytes, of a file.
    pub len: u64,
    /// The permission bits.
    pub mode: u32,
    /// The device it is on.
    pub device: u64,
    /// True when this process's user owns it, or is the superuser.
    pub mine: bool,
}

/// Calls on a file system. Paths are absolute; an open file goes by its path.
///
/// No method repeats, repairs or hides anything: each is one step that happens or fails with the system's error.
#[allow(clippy::missing_errors_doc, reason = "said above, once for all")]
pub trait Disk: Send {
    /// Takes the lock file at `path`, made if absent. False when somebody else holds it.
    fn lock(&mut self, path: &Path) -> io::Result<bool>;
    /// Lets the lock go; so does dropping the disk.
    fn unlock(&mut self) -> io::Result<()>;
    /// What is at `path`, symbolic links not followed; `None` when nothing is.
    fn stat(&mut self, path: &Path) -> io::Result<Option<Stat>>;
    /// The names in a folder.
    fn list(&mut self, path: &Path) -> io::Result<Vec<String>>;
    /// The bytes of a file, at most `limit`; an error when there are more.
    fn read(&mut self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;
    /// The length and the SHA-256, in lower-case hexadecimal, of a file.
    fn hash(&mut self, path: &Path) -> io::Result<(u64, String)>;
    /// Makes a folder; `mode` is lessened by the umask.
    fn create_dir(&mut self, path: &Path, mode: u32) -> io::Result<()>;
    /// Makes a file that must not exist, mode 0600, and keeps it open.
    fn create(&mut self, path: &Path) -> io::Result<()>;
    /// Appends to an open file.
    fn append(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Says that an open file will be synced, and that its bytes may go to the device before: then the sync has less to wait for.
    ///
    /// Promises nothing, and has no error of its own: one of the device is the sync's to report.
    fn write_ahead(&mut self, _path: &Path) {}
    /// Sets the permission bits of a file or folder; the umask plays no part.
    fn set_mode(&mut self, path: &Path, mode: u32) -> io::Result<()>;
    /// Makes an open file's bytes and mode durable. After an error its content is unknown: it is not tried again.
    fn sync_file(&mut self, path: &Path) -> io::Result<()>;
    /// Closes an open file.
    fn close(&mut self, path: &Path) -> io::Result<()>;
    /// Makes a folder's entries and mode durable.
    fn sync_dir(&mut self, path: &Path) -> io::Result<()>;
    /// Makes several open files, and the entries of several folders, durable, in any order; an error comes with its path.
    ///
    /// Each costs a write to the device; a file system makes one of several that are asked for at the same time.
    fn sync_all(&mut self, files: &[PathBuf], dirs: &[PathBuf]) -> Result<(), (PathBuf, io::Error)> {
        files.iter().try_for_each(|path| self.sync_file(path).map_err(|e| (path.clone(), e)))?;
        dirs.iter().try_for_each(|path| self.sync_dir(path).map_err(|e| (path.clone(), e)))
    }
    /// Gives the file at `from` a second name, which must be free.
    fn link(&mut self, from: &Path, to: &Path) -> io::Result<()>;
    /// Renames; the new name must be free.
    fn rename_noreplace(&mut self, from: &Path, to: &Path) -> io::Result<()>;
    /// Renames a file; one that has the new name is replaced.
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;
    /// Has two folders change places, in one step where the file system can.
    fn exchange(&mut self, one: &Path, other: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&mut self, path: &Path) -> io::Result<()>;
    /// Removes a folder and all below it; symbolic links are removed, never followed.
    fn remove_tree(&mut self, path: &Path) -> io::Result<()>;
}

/// The file system itself.
#[derive(Debug, Default)]
pub struct RealDisk {
    lock: Option<File>,
    open: HashMap<PathBuf, Open>,
}

/// A file that is open for appending.
#[derive(Debug)]
struct Open {
    file: File,
    /// Bytes since the last sync of any kind was asked for.
    dirty: u64,
    /// True while a thread writes ahead.
    ahead: Arc<AtomicBool>,
}

/// So many bytes of a file are worth a write to the device.
const AHEAD: u64 = 1 << 20;

impl RealDisk {
    /// The file system itself.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn file(&mut self, path: &Path) -> io::Result<&mut Open> {
        self.open.get_mut(path).ok_or_else(|| io::Error::other("the file is not open"))
    }
}

fn no_follow() -> i32 {
    OFlags::NOFOLLOW.bits().cast_signed()
}

impl Disk for RealDisk {
    fn lock(&mut self, path: &Path) -> io::Result<bool> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(no_follow())
            .open(path)?;
        match rustix::fs::flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                self.lock = Some(file);
                Ok(true)
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn unlock(&mut self) -> io::Result<()> {
        self.lock = None;
        Ok(())
    }

    fn stat(&mut self, path: &Path) -> io::Result<Option<Stat>> {
        let found = match fs::symlink_metadata(path) {
            Ok(found) => found,
            // Where a folder should be, there may be a file.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let user = rustix::process::geteuid();
        Ok(Some(Stat {
            is_dir: found.is_dir(),
            is_file: found.is_file(),
            len: found.len(),
            mode: found.mode() & 0o7777,
            device: found.dev(),
            mine: user.is_root() || user.as_raw() == found.uid(),
        }))
    }

    fn list(&mut self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            // A name that is not UTF-8 is none of ours.
            names.extend(entry?.file_name().into_string().ok());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn read(&mut self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = OpenOptions::new().read(true).custom_flags(no_follow()).open(path)?;
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("the file has more than {limit} bytes")));
        }
        Ok(bytes)
    }

    fn hash(&mut self, path: &Path) -> io::Result<(u64, String)> {
        let mut file = OpenOptions::new().read(true).custom_flags(no_follow()).open(path)?;
        hash(&mut file)
    }

    fn create_dir(&mut self, path: &Path, mode: u32) -> io::Result<()> {
        DirBuilder::new().mode(mode).create(path)
    }

    fn create(&mut self, path: &Path) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(no_follow()).open(path)?;
        self.open.insert(path.to_owned(), Open { file, dirty: 0, ahead: Arc::default() });
        Ok(())
    }

    fn append(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let open = self.file(path)?;
        open.file.write_all(bytes)?;
        open.dirty += bytes.len() as u64;
        Ok(())
    }

    fn write_ahead(&mut self, path: &Path) {
        // Linux tells an error of the device to every opening of the file: so that the sync that counts is told as well. Others may not.
        if !cfg!(target_os = "linux") {
            return;
        }
        let Ok(open) = self.file(path) else { return };
        if open.dirty < AHEAD || open.ahead.swap(true, Ordering::AcqRel) {
            return;
        }
        open.dirty = 0;
        let (path, ahead) = (path.to_owned(), Arc::clone(&open.ahead));
        let work = move || {
            let _ = File::open(path).and_then(|file| file.sync_data());
            ahead.store(false, Ordering::Release);
        };
        if std::thread::Builder::new().name("write-ahead".into()).spawn(work).is_err() {
            open.ahead.store(false, Ordering::Release);
        }
    }

    fn set_mode(&mut self, path: &Path, mode: u32) -> io::Result<()> {
        match self.open.get(path) {
            Some(open) => open.file.set_permissions(fs::Permissions::from_mode(mode)),
            None => fs::set_permissions(path, fs::Permissions::from_mode(mode)),
        }
    }

    fn sync_file(&mut self, path: &Path) -> io::Result<()> {
        self.file(path)?.file.sync_all()
    }

    fn close(&mut self, path: &Path) -> io::Result<()> {
        // What close could still report, the sync before it has reported.
        self.open.remove(path).map(drop).ok_or_else(|| io::Error::other("the file is not open"))
    }

    fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn sync_all(&mut self, files: &[PathBuf], dirs: &[PathBuf]) -> Result<(), (PathBuf, io::Error)> {
        let open = &self.open;
        let one = |path: &PathBuf| match open.get(path) {
            Some(open) => open.file.sync_all().map_err(|e| (path.clone(), e)),
            None => Err((path.clone(), io::Error::other("the file is not open"))),
        };
        let folder = |path: &PathBuf| File::open(path).and_then(|dir| dir.sync_all()).map_err(|e| (path.clone(), e));
        std::thread::scope(|scope| {
            let mut waiting = Vec::new();
            let mut result = Ok(());
            for (at, path) in files.iter().chain(dirs).enumerate() {
                let work = move || if at < files.len() { one(path) } else { folder(path) };
                // The last one here, the others on threads of their own; where there can be none, one after another.
                let alone = at + 1 == files.len() + dirs.len();
                match (!alone).then(|| std::thread::Builder::new().spawn_scoped(scope, work)) {
                    Some(Ok(thread)) => waiting.push((path, thread)),
                    Some(Err(_)) | None => result = result.and(work()),
                }
            }
            for (path, thread) in waiting {
                let lost = |_| Err((path.clone(), io::Error::other("a thread was lost")));
                result = result.and(thread.join().unwrap_or_else(lost));
            }
            result
        })
    }

    fn link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn rename_noreplace(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        use rustix::io::Errno;
        match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(()),
            // A file system without this call: the lock keeps our own runs apart, and a plain rename never
            // replaces a folder that has something in it.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                if self.stat(to)?.is_some() {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                fs::rename(from, to)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn exchange(&mut self, one: &Path, other: &Path) -> io::Result<()> {
        use rustix::io::Errno;
        match rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
            Ok(()) => Ok(()),
            // A file system without this call: for a moment there is nothing at `other`.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                let mut name = one.file_name().unwrap_or_default().to_owned();
                name.push(".exchanged");
                let aside = one.with_file_name(name);
                fs::rename(other, &aside)?;
                fs::rename(one, other)?;
                fs::rename(&aside, one)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_tree(&mut self, path: &Path) -> io::Result<()> {
        self.open.retain(|open, _| !open.starts_with(path));
        fs::remove_dir_all(path)
    }
}

/// The length and the SHA-256, in lower-case hexadecimal, of what is left to read.
///
/// # Errors
/// The reader's.
pub fn hash(reader: &mut dyn Read) -> io::Result<(u64, String)> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    let mut bytes = 0u64;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok((bytes, hex(&hash.finalize()))),
            Ok(n) => {
                hash.update(buffer.get(..n).unwrap_or_default());
                bytes += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The permissions that `wanted` become under this process's umask.
///
/// Read from what the system says rather than set and reset, which other threads would see.
#[must_use]
pub(crate) fn umask() -> u32 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("Umask:"));
    line.and_then(|l| u32::from_str_radix(l.trim(), 8).ok()).unwrap_or(0o022)
}

/// How many bytes an ordinary user can still write on the file system of `path`.
pub(crate) fn free_space(path: &Path) -> Option<u64> {
    let at = path.ancestors().find(|p| p.exists())?;
    let stat = rustix::fs::statvfs(at).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

/// Whether the error means that something exists or a call is not allowed there, rather than a failing device.
pub(crate) fn is_device_error(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let code = Errno::from_io_error(error);
    matches!(code, Some(Errno::IO | Errno::NOSPC | Errno::DQUOT | Errno::ROFS | Errno::FBIG))
}

/// Whether the error means that there is no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::NOSPC | Errno::DQUOT))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_is_overwritten_and_links_are_not_followed() {
        let dir = tempfile::tempdir().expect("dir");
        let at = |name: &str| dir.path().join(name);
        let mut disk = RealDisk::new();
        disk.create(&at("a")).expect("create");
        assert_eq!(disk.create(&at("a")).expect_err("exists").kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(disk.stat(&at("a")).expect("stat").map(|s| s.mode), Some(0o600));
        symlink(at("target"), at("l")).expect("symlink");
        assert_eq!(disk.create(&at("l")).expect_err("exists").kind(), io::ErrorKind::AlreadyExists);
        assert!(disk.lock(&at("l")).is_err());
        assert!(!at("target").exists());
        disk.create(&at("b")).expect("create");
        assert_eq!(disk.rename_noreplace(&at("a"), &at("b")).expect_err("exists").kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(disk.link(&at("a"), &at("b")).expect_err("exists").kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_tree_is_removed_without_what_its_links_point_to() {
        let dir = tempfile::tempdir().expect("dir");
        let (kept, tree) = (dir.path().join("kept"), dir.path().join("tree"));
        fs::create_dir(&kept).expect("dir");
        fs::write(kept.join("file"), "x").expect("file");
        fs::create_dir(&tree).expect("dir");
        symlink(&kept, tree.join("link")).expect("symlink");
        RealDisk::new().remove_tree(&tree).expect("remove");
        assert!(!tree.exists() && kept.join("file").exists());
    }

    #[test]
    fn what_is_written_ahead_is_what_was_appended() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("f");
        let mut disk = RealDisk::new();
        disk.write_ahead(&path);
        disk.create(&path).expect("create");
        let mut whole = Vec::new();
        for n in 0..40 {
            let piece: Vec<u8> = (0..n * 7_001).map(|i| (i * n) as u8).collect();
            disk.append(&path, &piece).expect("append");
            disk.write_ahead(&path);
            whole.extend(piece);
        }
        assert!(whole.len() as u64 > 3 * AHEAD);
        disk.sync_file(&path).expect("sync");
        assert!(fs::read(&path).expect("read") == whole);
    }

    #[test]
    fn a_lock_is_held_by_one() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("lock");
        let (mut one, mut two) = (RealDisk::new(), RealDisk::new());
        assert!(one.lock(&path).expect("lock"));
        assert!(!two.lock(&path).expect("lock"));
        one.unlock().expect("unlock");
        assert!(two.lock(&path).expect("lock"));
    }

    #[test]
    fn reading_stops_at_the_limit() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("f");
        fs::write(&path, "12345").expect("write");
        let mut disk = RealDisk::new();
        assert_eq!(disk.read(&path, 5).expect("read"), b"12345");
        assert!(disk.read(&path, 4).is_err());
    }
}
