//! Software prefetch: loads a block of entries before the loop that reads them. The benchmark `render`
//! shows what that saves.

use std::hint::black_box;
use std::slice::{Chunks, Iter};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

static IS_ON: AtomicBool = AtomicBool::new(true);

/// Switches prefetching off or on, for the benchmark.
#[doc(hidden)]
pub fn switch_prefetch(on: bool) {
    IS_ON.store(on, Relaxed);
}

/// Entries of a block. Their cache lines take 64 KiB of the second-level cache. Each block waits once
/// for its last loads, which come from memory if the program has used the cache since the last walk.
const BLOCK: usize = 1024;

/// Iterates over pointers, and loads the targets of a block of them before it yields the first.
///
/// Dereferencing them one after the other waits for each; loads that depend only on the pointers
/// run in parallel.
pub(crate) struct Prefetch<'n, T> {
    block: Iter<'n, T>,
    rest: Chunks<'n, T>,
}

/// A type that can be loaded into the cache.
pub(crate) trait Target {
    /// Loads the first bytes. The result has no meaning.
    fn prefetch(&self) -> u64;
}

impl<T: Target + ?Sized> Target for Arc<T> {
    fn prefetch(&self) -> u64 {
        T::prefetch(self)
    }
}

impl Target for str {
    fn prefetch(&self) -> u64 {
        self.as_bytes().first().map_or(0, |&byte| u64::from(byte))
    }
}

impl<'n, T: Target> Prefetch<'n, T> {
    pub(crate) fn new(all: &'n [T]) -> Self {
        Self { block: [].iter(), rest: all.chunks(BLOCK) }
    }

    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<&'n T> {
        if self.block.len() == 0 {
            self.begin_block();
        }
        self.block.next()
    }

    /// Not inlined: `next` stays small, and this loop has the processor's whole reorder window.
    #[cold]
    #[inline(never)]
    fn begin_block(&mut self) {
        self.block = self.rest.next().unwrap_or_default().iter();
        if IS_ON.load(Relaxed) {
            black_box(self.block.clone().fold(0, |all, one| all ^ one.prefetch()));
        }
    }
}
