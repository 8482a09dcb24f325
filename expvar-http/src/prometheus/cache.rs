//! What was written of plain numbers the last time, so that it need not be made again. The benchmark
//! `prometheus` shows what that saves.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use expvar::{Generation, Info};

use super::MediaType;
use super::samples::Type;
use super::taken::{Hashed, Taken};

/// What the last text was made of.
#[derive(Debug, Default)]
pub(super) struct Known {
    media_type: Option<MediaType>,
    /// The names of the variables that it was made of, and in which process: a child of a `fork` has
    /// the same names, but started later. While both are the same, so are the entries.
    names: Option<(Generation, u32)>,
    /// The variables, in their order.
    pub(super) entries: Vec<Entry>,
    /// What stands around each number, in the order of the entries.
    pub(super) heads: Vec<u8>,
    /// Bytes of the heads that no entry has any more.
    pub(super) lost: usize,
    pub(super) taken: Taken,
}

impl Known {
    /// Whether the last text was made of these names.
    pub(super) fn is_of(&self, names: Generation) -> bool {
        self.names == Some((names, std::process::id()))
    }

    /// Begins to remember what is made of these names.
    pub(super) fn learn(&mut self, names: Generation) {
        self.clear();
        self.names = Some((names, std::process::id()));
    }

    /// Forgets all but the memory.
    pub(super) fn clear(&mut self) {
        self.names = None;
        self.entries.clear();
        self.heads.clear();
        self.lost = 0;
    }
}

/// A variable of the last text.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Box<str>,
    pub(super) info: Info,
    pub(super) single: Option<Single>,
}

/// A variable that is one number: everything around it.
#[derive(Debug)]
pub(super) struct Single {
    /// Where in the heads lies what precedes the number, and what follows it beside a line feed.
    pub(super) text: Range<usize>,
    /// Bytes that precede it.
    pub(super) head: usize,
    pub(super) hashed: Hashed,
    /// What its family is.
    pub(super) kind: Type,
    pub(super) decimals: u32,
    /// Which of the names that were taken are its own.
    pub(super) took: Range<usize>,
}

/// The last text of each format, in the escaping that it was asked in last. It takes about 350 bytes
/// a variable and format.
#[derive(Debug, Clone, Default)]
pub(super) struct Cache(Arc<[Mutex<Known>; 3]>);

impl Cache {
    /// What the last text was made of; `None` where somebody else writes one.
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
