//! The lock of a directory.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use fs4::FileExt;

/// Locks a directory against other processes: a lock on a file in it and, where the system supports
/// that, on the directory itself, so that the file may be removed.
#[derive(Debug)]
pub(super) struct Hold {
    _file: File,
    #[cfg(unix)]
    dir: File,
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
            _file: file,
            #[cfg(unix)]
            dir,
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
