//! Software prefetch: loads a block of entries before the loop that reads them. The benchmark `render`
//! shows what that saves.

use std::hint::black_box;
use std::slice::{Chunks, Iter};
use std::sync::Arc;

/// Entries of a block: their cache lines together take a quarter of a first-level cache of 32 KiB.
const BLOCK: usize = 128;

/// Iterates over pointers, and loads what a block of them points to before it gives the first.
///
/// A loop that reads one after the other waits for each; loads that depend on nothing but the
/// pointers run all at once.
pub(crate) struct Prefetch<'n, T> {
    block: Iter<'n, T>,
    rest: Chunks<'n, T>,
}

/// What can be loaded into the cache.
pub(crate) trait Touch {
    /// Loads its first bytes; the number means nothing.
    fn touch(&self) -> u64;
}

impl<T: Touch + ?Sized> Touch for Arc<T> {
    fn touch(&self) -> u64 {
        T::touch(self)
    }
}

impl Touch for str {
    fn touch(&self) -> u64 {
        self.as_bytes().first().map_or(0, |&byte| u64::from(byte))
    }
}

impl<'n, T: Touch> Prefetch<'n, T> {
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

    /// Not inlined: the next one is found in a few instructions, and the loop here has all of the
    /// processor's window to itself.
    #[cold]
    #[inline(never)]
    fn begin_block(&mut self) {
        self.block = self.rest.next().unwrap_or_default().iter();
        black_box(self.block.clone().fold(0, |all, one| all ^ one.touch()));
    }
}
