//! A disk that dies, fails or panics at the k-th call.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use pagemill::sink::{Disk, disk::Stat};

use super::tree::Medium;

/// Where in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Before it has done anything.
    Before,
    /// With half of it done: half the bytes of an append, half the files of a tree that is removed. Other calls are one step.
    Middle,
    /// When it is done, before anybody is told.
    After,
}

/// What goes wrong. Calls are counted from 0.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Nothing.
    None,
    /// The process dies at a call; it does nothing any more.
    Die {
        /// The call.
        at: u64,
        /// Where in it.
        when: When,
    },
    /// A call fails with this error of the system's.
    Fail {
        /// The call.
        at: u64,
        /// The error's number.
        code: i32,
        /// With half of it done, where it has halves.
        half: bool,
        /// Whether every later call that changes something fails as well.
        lasting: bool,
    },
    /// A call panics.
    Panic {
        /// The call.
        at: u64,
    },
}

/// What a disk has come to.
#[derive(Debug, Default)]
pub struct Watch {
    calls: AtomicU64,
    struck: AtomicBool,
    dead: AtomicBool,
}

impl Watch {
    /// Calls so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// True when the fault has happened. One in the middle of a call that has no middle never does.
    #[must_use]
    pub fn struck(&self) -> bool {
        self.struck.load(Ordering::SeqCst)
    }

    /// True when the process is dead.
    #[must_use]
    pub fn dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }
}

/// The disk.
pub struct Faulty {
    inner: Box<dyn Medium>,
    fault: Fault,
    watch: Arc<Watch>,
}

/// How a call goes.
enum Way {
    Whole,
    /// Half, and then this error.
    Half(io::Error),
    /// Whole, but nobody is told.
    Unheard,
}

/// The error of calls by the dead.
fn dead() -> io::Error {
    io::Error::other("the process is dead")
}

impl Faulty {
    /// `inner`, with a fault.
    #[must_use]
    pub fn new(inner: Box<dyn Medium>, fault: Fault, watch: Arc<Watch>) -> Self {
        Self { inner, fault, watch }
    }

    fn die(&self) {
        self.watch.struck.store(true, Ordering::SeqCst);
        self.watch.dead.store(true, Ordering::SeqCst);
    }

    fn turn(&mut self, changes: bool, has_halves: bool) -> io::Result<Way> {
        let call = self.watch.calls.fetch_add(1, Ordering::SeqCst);
        if self.watch.dead() {
            return Err(dead());
        }
        match self.fault {
            Fault::Die { at, when } if at == call => match when {
                When::Middle if !has_halves => Ok(Way::Whole),
                When::Before => {
                    self.die();
                    Err(dead())
                }
                When::Middle => {
                    self.die();
                    Ok(Way::Half(dead()))
                }
                When::After => {
                    self.die();
                    Ok(Way::Unheard)
                }
            },
            Fault::Fail { at, code, half, lasting } if at == call || (lasting && changes && call > at) => {
                self.watch.struck.store(true, Ordering::SeqCst);
                let error = io::Error::from_raw_os_error(code);
                if half && has_halves { Ok(Way::Half(error)) } else { Err(error) }
            }
            Fault::Panic { at } if at == call => {
                self.watch.struck.store(true, Ordering::SeqCst);
                panic!("on purpose")
            }
            _ => Ok(Way::Whole),
        }
    }

    /// Removes the first half of the files below a folder.
    fn remove_half(&mut self, path: &Path) -> io::Result<()> {
        let mut files = Vec::new();
        let mut dirs = vec![path.to_owned()];
        while let Some(dir) = dirs.pop() {
            for name in self.inner.list(&dir)? {
                let path = dir.join(name);
                match self.inner.stat(&path)? {
                    Some(stat) if stat.is_dir => dirs.push(path),
                    _ => files.push(path),
                }
            }
        }
        files.truncate(files.len().div_ceil(2));
        files.iter().try_for_each(|file| self.inner.remove_file(file))
    }
}

macro_rules! one_step {
    ($($changes:literal fn $name:ident($($arg:ident: $type:ty),*) -> $result:ty;)*) => {$(
        fn $name(&mut self, $($arg: $type),*) -> io::Result<$result> {
            match self.turn($changes, false)? {
                Way::Whole => self.inner.$name($($arg),*),
                Way::Half(error) => Err(error),
                Way::Unheard => self.inner.$name($($arg),*).and(Err(dead())),
            }
        }
    )*};
}

impl Disk for Faulty {
    one_step! {
        false fn lock(path: &Path) -> bool;
        false fn unlock() -> ();
        false fn stat(path: &Path) -> Option<Stat>;
        false fn list(path: &Path) -> Vec<String>;
        false fn read(path: &Path, limit: u64) -> Vec<u8>;
        false fn hash(path: &Path) -> (u64, String);
        true fn create_dir(path: &Path, mode: u32) -> ();
        true fn create(path: &Path) -> ();
        true fn set_mode(path: &Path, mode: u32) -> ();
        false fn close(path: &Path) -> ();
        true fn sync_dir(path: &Path) -> ();
        true fn link(from: &Path, to: &Path) -> ();
        true fn rename_noreplace(from: &Path, to: &Path) -> ();
        true fn rename(from: &Path, to: &Path) -> ();
        true fn exchange(one: &Path, other: &Path) -> ();
        true fn remove_file(path: &Path) -> ();
    }

    fn append(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        match self.turn(true, true)? {
            Way::Whole => self.inner.append(path, bytes),
            Way::Half(error) => self.inner.append(path, &bytes[..bytes.len() / 2]).and(Err(error)),
            Way::Unheard => self.inner.append(path, bytes).and(Err(dead())),
        }
    }

    fn sync_file(&mut self, path: &Path) -> io::Result<()> {
        match self.turn(true, false) {
            Ok(Way::Whole) => self.inner.sync_file(path),
            Ok(_) => self.inner.sync_file(path).and(Err(dead())),
            Err(error) => {
                if !self.watch.dead() {
                    self.inner.sync_failed(path);
                }
                Err(error)
            }
        }
    }

    fn remove_tree(&mut self, path: &Path) -> io::Result<()> {
        match self.turn(true, true)? {
            Way::Whole => self.inner.remove_tree(path),
            Way::Half(error) => self.remove_half(path).and(Err(error)),
            Way::Unheard => self.inner.remove_tree(path).and(Err(dead())),
        }
    }
}
