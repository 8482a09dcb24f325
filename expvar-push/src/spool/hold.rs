//! The lock of a directory.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use fs4::FileExt;

/// Locks a directory against other processes: a lock on a file in it and, where the system supports
/// that, on the directory itself, so that the file may be removed.
#[derive(Debug)]
pub(super) struct Hold {
    file: File,
    #[cfg(unix)]
    dir: File,
    process: u32,
}

impl Hold {
    pub(super) fn take(dir: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(dir.join("lock"))?;
        let in_use =
            || io::Error::new(io::ErrorKind::AddrInUse, "another process uses this directory");
        FileExt::try_lock(&file).map_err(|_| in_use())?;
        #[cfg(unix)]
        let dir = {
            let dir = File::open(dir)?;
            // Network file systems have no locks on directories; the file's lock must suffice.
            if let Err(fs4::TryLockError::WouldBlock) = FileExt::try_lock(&dir) {
                return Err(in_use());
            }
            dir
        };
        Ok(Self {
            file,
            #[cfg(unix)]
            dir,
            process: std::process::id(),
        })
    }

    /// Whether the directory at this path is still the locked one.
    pub(super) fn is_of(&self, path: &Path) -> bool {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let id = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
            let there = std::fs::metadata(path).map(id);
            there.is_ok_and(|there| self.dir.metadata().map(id).is_ok_and(|held| held == there))
        }
        #[cfg(not(unix))]
        path.exists()
    }
}

impl Drop for Hold {
    /// Unlocks, where closing the files is not enough: a child that this process has just forked
    /// has them open too, until it executes its program.
    fn drop(&mut self) {
        if self.process != std::process::id() {
            // A forked child drops its copy: the lock is the parent's.
            return;
        }
        let _ = FileExt::unlock(&self.file);
        #[cfg(unix)]
        let _ = FileExt::unlock(&self.dir);
    }
}

/// Whether a file still has a name.
pub(super) fn is_linked(file: &File) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        file.metadata().is_ok_and(|metadata| metadata.nlink() > 0)
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_while_a_child_has_inherited_the_files() {
        let dir = tempfile::tempdir().unwrap();
        let hold = Hold::take(dir.path()).unwrap();
        let _inherited = hold.file.try_clone().unwrap();
        #[cfg(unix)]
        let _inherited = (_inherited, hold.dir.try_clone().unwrap());
        Hold::take(dir.path()).unwrap_err();
        drop(hold);
        Hold::take(dir.path()).unwrap();
    }
}
