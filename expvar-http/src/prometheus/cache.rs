//! What was written of plain numbers the last time, so that it need not be made again.

use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use expvar::Info;

use super::Format;
use super::samples::Type;
use super::taken::Hashed;

/// A variable of the last text, in its place.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Box<str>,
    pub(super) single: Option<Single>,
}

/// A variable that is one number: everything that precedes it.
#[derive(Debug)]
pub(super) struct Single {
    pub(super) info: Info,
    pub(super) head: Box<[u8]>,
    pub(super) hashed: Hashed,
    /// What its family is, and what it would be if no name were taken.
    pub(super) kind: Type,
    pub(super) decimals: u32,
}

/// The last text of each format. It takes about 300 bytes a variable.
#[derive(Debug, Clone, Default)]
pub(super) struct Cache(Arc<[Mutex<Vec<Entry>>; 2]>);

impl Cache {
    /// The last text's variables; `None` where somebody else writes one.
    pub(super) fn lock(&self, format: Format) -> Option<MutexGuard<'_, Vec<Entry>>> {
        match self.0[format as usize].try_lock() {
            Ok(entries) => Some(entries),
            Err(TryLockError::Poisoned(poisoned)) => {
                let mut entries = poisoned.into_inner();
                entries.clear();
                Some(entries)
            }
            Err(TryLockError::WouldBlock) => None,
        }
    }
}
