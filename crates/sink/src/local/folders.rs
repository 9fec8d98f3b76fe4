//! Folders and who may write to them; errors that say what was done to which path.

use std::{
    io,
    path::{Path, PathBuf},
};

use pagemill_core::{Error, ErrorKind, Result};

use super::LocalStore;
use crate::{
    disk::{Stat, free_space, is_device_error, is_full},
    layout::Layout,
};

impl LocalStore {
    /// Makes the folders above a published one, and returns the last; its name and those of the folders above it are
    /// durable after the next [`flush`](Self::flush).
    pub(super) fn make_public_parents(&mut self, layout: &Layout, path: &Path) -> Result<PathBuf> {
        let out = layout.out().to_owned();
        let parent = path.parent().unwrap_or(&out).to_owned();
        let mut dirs: Vec<_> = parent.ancestors().take_while(|p| p.starts_with(&out)).map(Path::to_owned).collect();
        dirs.reverse();
        for dir in dirs {
            self.make_dir_if_absent(&dir, 0o750)?;
        }
        Ok(parent)
    }

    /// Makes the folders down to `home`, which only this user may write to.
    pub(super) fn make_private_dirs(&mut self, layout: &Layout) -> Result<()> {
        let (staging, home) = (layout.staging().to_owned(), layout.home());
        let above = staging.parent().unwrap_or(&staging).to_owned();
        let mut missing = Vec::new();
        for dir in above.ancestors() {
            if self.stat(dir)?.is_some() {
                break;
            }
            missing.push(dir.to_owned());
        }
        for dir in missing.iter().rev() {
            self.make_dir_if_absent(dir, 0o755)?;
        }
        let mut dirs: Vec<_> = home.ancestors().take_while(|p| p.starts_with(&staging)).map(Path::to_owned).collect();
        dirs.reverse();
        for dir in dirs {
            self.make_dir_if_absent(&dir, 0o700)?;
            let found = self.stat(&dir)?;
            let private = found.is_some_and(|s| s.is_dir && s.mine && s.mode & 0o022 == 0);
            if !private {
                return Err(Error::config(format!(
                    "{} is not a folder that this user alone may write to",
                    dir.display()
                ))
                .advise("make it so, or choose another output folder"));
            }
        }
        let device = |s: Option<Stat>| s.map(|s| s.device);
        let out = layout.out().to_owned();
        if let Some(on) = device(self.stat(&out)?)
            && device(self.stat(&staging)?) != Some(on)
        {
            return Err(Error::config(format!("{} is the root of a file system of its own", out.display()))
                .advise("name a folder in it: files are staged beside the output folder and moved"));
        }
        Ok(())
    }

    /// Makes a folder if there is none. Its name is to be made durable either way: an earlier run may have made it and
    /// died before it did so.
    fn make_dir_if_absent(&mut self, dir: &Path, mode: u32) -> Result<()> {
        if self.stat(dir)?.is_none() {
            match self.disk.create_dir(dir, mode) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                other => other.during("create", dir)?,
            }
        }
        if let Some(parent) = dir.parent() {
            self.changed(parent);
        }
        Ok(())
    }

    /// Remembers that a folder's entries are not durable yet.
    pub(super) fn changed(&mut self, dir: &Path) {
        self.changed.insert(dir.to_owned());
    }

    /// Makes the open files `files` durable, and the entries of all folders that have changed.
    pub(super) fn flush(&mut self, files: &[PathBuf]) -> Result<()> {
        let dirs: Vec<_> = std::mem::take(&mut self.changed).into_iter().collect();
        self.disk.sync_all(files, &dirs).or_else(|(path, error)| Err(error).during("sync", &path))
    }

    pub(super) fn make_dir(&mut self, dir: &Path, mode: u32) -> Result<()> {
        self.disk.create_dir(dir, mode).during("create", dir)
    }

    pub(super) fn stat(&mut self, path: &Path) -> Result<Option<Stat>> {
        self.disk.stat(path).during("look at", path)
    }

    /// Gives an open file the mode it is published with. The folder around it is private until then.
    pub(super) fn open_to_readers(&mut self, path: &Path) -> Result<()> {
        self.disk.set_mode(path, 0o640 & !self.umask).during("set the mode of", path)
    }
}

/// Says what was being done, and to which path.
pub(super) trait During<T> {
    fn during(self, action: &str, path: &Path) -> Result<T>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, action: &str, path: &Path) -> Result<T> {
        self.map_err(|cause| {
            let creating = matches!(action, "create" | "publish to" | "lock");
            let kind = if creating && !is_device_error(&cause) { ErrorKind::Create } else { ErrorKind::Io };
            let error = Error::new(kind, format!("cannot {action} {}", path.display()));
            let error = match free_space(path).filter(|_| is_full(&cause)) {
                Some(free) => error.advise(format!("{free} bytes are free there; free some and run it again")),
                None => error,
            };
            error.because(cause)
        })
    }
}
