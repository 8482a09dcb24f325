//! Memory for pages: chunks allocated on demand, up to a limit.
//!
//! Lock-free, and recycled pages are linked in place, so that an allocator that records can
//! interrupt any of it.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::page::{NEXT, Page, WORDS};
use super::sizes::{AHEAD, CHUNK};
use crate::sync::{AtomicU32, AtomicU64, Table, Zeroes, constant, zeroed};

const CHUNK_WORDS: usize = CHUNK * WORDS;

/// Pages by index, in a static first chunk and at most `CHUNKS` more.
pub(crate) struct Arena<const CHUNKS: usize> {
    first: Zeroes<CHUNK_WORDS>,
    chunks: Table<[AtomicU64; CHUNK_WORDS], CHUNKS>,
    /// Pages from here on were never used.
    fresh: AtomicU32,
    /// The free page released last, plus one; in the upper half a tag that changes each time.
    free: AtomicU64,
    /// The number of pages in use.
    held: AtomicU32,
}

impl<const CHUNKS: usize> Arena<CHUNKS> {
    /// The maximum number of pages.
    pub(crate) const MOST: u32 = ((1 + CHUNKS) * CHUNK) as u32;

    constant! {
        pub(crate) fn new() -> Self {
            Self {
                first: Zeroes::new(),
                chunks: Table::new(),
                fresh: AtomicU32::new(0),
                free: AtomicU64::new(0),
                held: AtomicU32::new(0),
            }
        }
    }

    /// A page in use.
    #[inline]
    pub(crate) fn page(&self, index: u32) -> Option<&Page> {
        let (chunk, at) = (index as usize / CHUNK, index as usize % CHUNK);
        let words = match chunk.checked_sub(1) {
            None => &self.first.0,
            Some(chunk) => self.chunks.get(chunk)?,
        };
        words[at * WORDS..].first_chunk()
    }

    /// Takes a page of zeroes. `None` if `limit` pages are in use, if the system refuses memory, or
    /// if memory is needed and `grow` is false.
    pub(crate) fn take(&self, limit: u32, grow: bool) -> Option<u32> {
        let index = self.take_free().or_else(|| self.take_fresh(limit, grow))?;
        self.held.fetch_add(1, Relaxed);
        Some(index)
    }

    fn take_free(&self) -> Option<u32> {
        // Pairs with the release in `give_back`: a thread that takes the page sees it zeroed.
        let mut free = self.free.load(Acquire);
        loop {
            let index = (free as u32).checked_sub(1)?;
            // If another thread takes the page first, this value is garbage and the exchange below
            // fails.
            let next = self.page(index)?[NEXT].load(Relaxed);
            match self.free.compare_exchange(free, after(free, next), Acquire, Acquire) {
                Ok(_) => {
                    self.page(index)?[NEXT].store(0, Relaxed);
                    return Some(index);
                }
                Err(now) => free = now,
            }
        }
    }

    fn take_fresh(&self, limit: u32, grow: bool) -> Option<u32> {
        let limit = limit.min(Self::MOST);
        let mut index = self.fresh.load(Relaxed);
        loop {
            if index >= limit {
                return None;
            }
            let ahead = (index + AHEAD).min(limit - 1);
            if grow
                && self.page(ahead).is_none()
                && let Some(chunk) = zeroed()
            {
                self.chunks.set(ahead as usize / CHUNK - 1, chunk);
            }
            self.page(index)?;
            match self.fresh.compare_exchange(index, index + 1, Relaxed, Relaxed) {
                Ok(_) => return Some(index),
                Err(now) => index = now,
            }
        }
    }

    /// Releases a page whose words are zero.
    pub(crate) fn give_back(&self, index: u32) {
        let Some(page) = self.page(index) else { return };
        let mut free = self.free.load(Relaxed);
        loop {
            page[NEXT].store(free & u64::from(u32::MAX), Relaxed);
            let first = u64::from(index + 1);
            // Pairs with the acquire in `take_free`.
            match self.free.compare_exchange(free, after(free, first), Release, Relaxed) {
                Ok(_) => break,
                Err(now) => free = now,
            }
        }
        self.held.fetch_sub(1, Relaxed);
    }

    /// The number of pages in use.
    pub(crate) fn held(&self) -> u32 {
        self.held.load(Relaxed)
    }
}

/// The word that follows `free` when `first` is the first free page, plus one.
fn after(free: u64, first: u64) -> u64 {
    ((free >> 32).wrapping_add(1) << 32) | first
}
