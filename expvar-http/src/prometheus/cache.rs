//! A cache of the text around plain numbers. The benchmark `prometheus` measures what it saves.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use expvar::{Generation, Info};

use super::MediaType;
use super::samples::Type;
use super::taken::{Hashed, Taken};

/// The cache of the last text.
#[derive(Debug, Default)]
pub(super) struct Known {
    media_type: Option<MediaType>,
    /// The names of its variables, and the process: after a `fork` the names are the same but the
    /// start is later. The entries are valid while both are equal.
    names: Option<(Generation, u32)>,
    /// The variables, in their order.
    pub(super) entries: Vec<Entry>,
    /// The text around each number, in the order of the entries.
    pub(super) heads: Vec<u8>,
    /// Unused bytes in the heads.
    pub(super) lost: usize,
    pub(super) taken: Taken,
}

impl Known {
    /// Whether the cache is for these names.
    pub(super) fn is_of(&self, names: Generation) -> bool {
        self.names == Some((names, std::process::id()))
    }

    /// Restarts the cache for these names.
    pub(super) fn learn(&mut self, names: Generation) {
        self.clear();
        self.names = Some((names, std::process::id()));
    }

    /// Empties the cache, and keeps its memory.
    pub(super) fn clear(&mut self) {
        self.names = None;
        self.entries.clear();
        self.heads.clear();
        self.lost = 0;
    }
}

/// A cached variable.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Box<str>,
    pub(super) info: Info,
    pub(super) single: Option<Single>,
}

/// A variable that is one number: the text around it.
#[derive(Debug)]
pub(super) struct Single {
    /// The text before the number, and what follows it except a line feed, in the heads.
    pub(super) text: Range<usize>,
    /// Length of the text before.
    pub(super) head: usize,
    pub(super) hashed: Hashed,
    /// The type of its family.
    pub(super) kind: Type,
    pub(super) decimals: u32,
    /// Its own names among those taken.
    pub(super) took: Range<usize>,
}

/// The last text of each format, in the last requested escaping. About 350 bytes for each variable
/// and format.
#[derive(Debug, Clone, Default)]
pub(super) struct Cache(Arc<[Mutex<Known>; 3]>);

impl Cache {
    /// The cache for a media type; `None` if another thread uses it.
    pub(super) fn lock(&self, media_type: MediaType) -> Option<MutexGuard<'_, Known>> {
        let mut known = match self.0[media_type.format() as usize].try_lock() {
            Ok(known) => known,
            Err(TryLockError::Poisoned(poisoned)) => {
                let mut known = poisoned.into_inner();
                *known = Known::default();
                known
            }
            Err(TryLockError::WouldBlock) => return None,
        };
        if known.media_type.replace(media_type) != Some(media_type) {
            known.clear();
        }
        Some(known)
    }
}
