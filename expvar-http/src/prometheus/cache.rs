//! What was written of plain numbers the last time, so that it need not be made again.

use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use expvar::Info;

use super::MediaType;
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
    /// What follows the number beside a line feed.
    pub(super) tail: Box<[u8]>,
    /// When it was registered, in nanoseconds since 1970; 0 where that is not shown.
    pub(super) created: u64,
    pub(super) hashed: Hashed,
    /// What its family is, and what it would be if no name were taken.
    pub(super) kind: Type,
    pub(super) decimals: u32,
}

/// The last text of each format, in the escaping that it was asked in last. It takes about 300 bytes
/// a variable and format.
#[derive(Debug, Clone, Default)]
pub(super) struct Cache(Arc<[Mutex<Known>; 3]>);

/// The variables of the last text, and what that was.
#[derive(Debug, Default)]
pub(super) struct Known {
    media_type: Option<MediaType>,
    pub(super) entries: Vec<Entry>,
}

impl Cache {
    /// The last text's variables; `None` where somebody else writes one.
    pub(super) fn lock(&self, media_type: MediaType) -> Option<MutexGuard<'_, Known>> {
        let mut known = match self.0[media_type.format() as usize].try_lock() {
            Ok(known) => known,
            Err(TryLockError::Poisoned(poisoned)) => {
                let mut known = poisoned.into_inner();
                known.entries.clear();
                known
            }
            Err(TryLockError::WouldBlock) => return None,
        };
        if known.media_type.replace(media_type) != Some(media_type) {
            known.entries.clear();
        }
        Some(known)
    }
}
