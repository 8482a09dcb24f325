//! A cache of the text around numbers. The benchmark `prometheus` measures what it saves.

use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use expvar::{Generation, Info, Number, Snapshot};

use super::taken::Taken;
use super::{Format, MediaType};

mod single;

use single::Single;
pub(super) use single::{Buckets, Family, Numbers};

/// The cache of the last text.
#[derive(Debug, Default)]
pub(super) struct Known {
    media_type: Option<MediaType>,
    /// The names of its variables, and the process: after a `fork` the names are the same but the
    /// start is later. The entries are valid while both are equal.
    names: Option<(Generation, u32)>,
    /// The variables, in their order.
    entries: Vec<Entry>,
    /// The text around the numbers, in the order of the entries.
    heads: Vec<u8>,
    /// Unused bytes in the heads.
    lost: usize,
    pub(super) taken: Taken,
}

/// A cached variable.
#[derive(Debug)]
struct Entry {
    name: Box<str>,
    info: Info,
    single: Option<Single>,
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
    fn clear(&mut self) {
        self.names = None;
        self.entries.clear();
        self.heads.clear();
        self.lost = 0;
    }

    /// Ends a text. Drops the cache if half of its heads are unused: variables that change their
    /// kind would accumulate them.
    pub(super) fn end(&mut self) {
        self.taken.end();
        if self.lost > self.heads.len() / 2 {
            self.clear();
        }
    }

    /// Whether the text of the variable at this index is cached; `None` for an unknown variable.
    pub(super) fn is_kept(&self, at: usize) -> Option<bool> {
        self.entries.get(at).map(|entry| entry.single.is_some())
    }

    /// Appends a variable.
    pub(super) fn push(&mut self, name: &str, info: &Info) {
        self.entries.push(Entry { name: name.into(), info: info.clone(), single: None });
    }

    /// Caches the text around the numbers of the variable at this index.
    pub(super) fn keep<'t>(
        &mut self,
        at: usize,
        text: impl IntoIterator<Item = &'t [u8]>,
        family: Family,
        numbers: Numbers,
    ) {
        let Some(entry) = self.entries.get_mut(at) else { return };
        let start = self.heads.len();
        text.into_iter().for_each(|part| self.heads.extend_from_slice(part));
        entry.single = Some(Single::new(start..self.heads.len(), family, numbers));
    }

    /// Drops the text of a variable that has changed; returns its name and info.
    pub(super) fn forget(&mut self, at: usize) -> Option<(Box<str>, Info)> {
        let entry = self.entries.get_mut(at)?;
        if let Some(single) = entry.single.take() {
            self.lost += single.text.len();
        }
        Some((entry.name.clone(), entry.info.clone()))
    }

    /// What is cached of the variable at this index, its text, and the names that are taken.
    #[inline]
    fn cached(&mut self, at: usize) -> Option<(&mut Single, &[u8], &mut Taken)> {
        let single = self.entries.get_mut(at)?.single.as_mut()?;
        let text = &self.heads[single.text.clone()];
        Some((single, text, &mut self.taken))
    }

    /// Writes a number with its cached text; false if there is none that fits.
    #[inline]
    pub(super) fn write_number(
        &mut self,
        at: usize,
        number: Number,
        format: Format,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some((single, text, taken)) = self.cached(at) else { return false };
        single.write_number(number, text, taken, (format, out))
    }

    /// Writes a histogram with its cached text; false if there is none that fits.
    pub(super) fn write_histogram(
        &mut self,
        at: usize,
        total: &Snapshot,
        format: Format,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some((single, text, taken)) = self.cached(at) else { return false };
        single.write_histogram(total, text, taken, (format, out))
    }
}

/// The last text of each format, in the last requested escaping. About 350 bytes for each variable
/// and format, and 1.5 KiB for a histogram.
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
