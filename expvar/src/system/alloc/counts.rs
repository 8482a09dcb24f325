//! The allocator hook's counts.

use super::class::{CLASS_SIZES, CLASSES};
use crate::cells::hook;
use crate::cells::page::{CELLS, SUM};

// The hook's pages. Frees are read first, so that a block freed by another thread meanwhile is
// never counted as freed but not allocated.
const FREED: usize = 0;
const ALLOCATED: usize = 1;

// Cells of the second page, after the size classes. Bytes are the pages' sums.
const IN_PLACE: usize = CLASSES;
const MOVED: usize = IN_PLACE + 1;
const _: () = assert!(MOVED < CELLS);

#[inline(always)]
pub(super) fn allocated(class: usize, size: usize) {
    hook::add(ALLOCATED, class, size as u64);
}

#[inline(always)]
pub(super) fn freed(class: usize, size: usize) {
    hook::add(FREED, class, size as u64);
}

#[inline(always)]
pub(super) fn reallocated(in_place: bool) {
    hook::add(ALLOCATED, if in_place { IN_PLACE } else { MOVED }, 0);
}

/// Allocations and frees since the process started.
///
/// ```
/// // `None` in a program whose allocator is not `Counting`.
/// if let Some(counts) = expvar::alloc::counts() {
///     println!("{} bytes in {} blocks", counts.live_bytes(), counts.live_blocks());
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Blocks allocated.
    pub allocations: u64,
    /// Blocks freed.
    pub frees: u64,
    /// Bytes requested.
    pub allocated_bytes: u64,
    /// Bytes of the blocks freed.
    pub freed_bytes: u64,
    /// Reallocations in place.
    pub reallocations_in_place: u64,
    /// Reallocations that moved the block.
    pub reallocations_moved: u64,
    /// By size class; all zero without `BY_SIZE`. Blocks larger than the last class are in the
    /// totals alone.
    pub by_size: [SizeCounts; CLASSES],
}

/// Blocks of one size class.
///
/// ```
/// if let Some(counts) = expvar::alloc::counts() {
///     let live = |class: &expvar::alloc::SizeCounts| class.allocations - class.frees;
///     let fullest = counts.by_size.iter().max_by_key(|class| live(class)).unwrap();
///     println!("most blocks have up to {} bytes", fullest.size);
/// }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SizeCounts {
    /// The largest size of the class, in bytes.
    pub size: u32,
    /// Blocks allocated.
    pub allocations: u64,
    /// Blocks freed.
    pub frees: u64,
}

impl Counts {
    #[cfg(test)]
    pub(crate) const ZERO: Self = Self {
        allocations: 0,
        frees: 0,
        allocated_bytes: 0,
        freed_bytes: 0,
        reallocations_in_place: 0,
        reallocations_moved: 0,
        by_size: [SizeCounts { size: 0, allocations: 0, frees: 0 }; CLASSES],
    };

    /// Bytes allocated now.
    pub fn live_bytes(&self) -> u64 {
        self.allocated_bytes.saturating_sub(self.freed_bytes)
    }

    /// Blocks allocated now.
    pub fn live_blocks(&self) -> u64 {
        self.allocations.saturating_sub(self.frees)
    }
}

/// Returns the counts of all threads so far; `None` if [`Counting`](super::Counting) is not the
/// program's allocator.
///
/// Takes a few microseconds and does not allocate. Exact for what happened before the call. While
/// other threads allocate, the numbers are of slightly different moments, but no block is counted
/// as freed and not allocated.
pub fn counts() -> Option<Counts> {
    let freed = hook::read(FREED);
    let allocated = hook::read(ALLOCATED);
    let allocations: u64 = allocated[..CLASSES].iter().sum();
    if allocations == 0 {
        return None;
    }
    let mut by_size = [SizeCounts::default(); CLASSES];
    for (class, counts) in by_size.iter_mut().enumerate() {
        counts.size = CLASS_SIZES[class];
        // The first class's cells count the blocks that are too large for any.
        if class > 0 {
            counts.allocations = allocated[class];
            counts.frees = freed[class];
        }
    }
    Some(Counts {
        allocations,
        frees: freed[..CLASSES].iter().sum(),
        allocated_bytes: allocated[SUM],
        freed_bytes: freed[SUM],
        reallocations_in_place: allocated[IN_PLACE],
        reallocations_moved: allocated[MOVED],
        by_size,
    })
}
