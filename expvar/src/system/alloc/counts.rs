//! What the hook has counted, in the cells at the start of every thread's slab.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::class::{CLASS_SIZES, CLASSES};
use crate::cells::{HOOK_CELLS, add_hook_cells, held_slab, hook_slab};

// Ids of the cells. What frees count comes first, and is read first: a block that another thread
// frees meanwhile must not be seen as freed and not as allocated.
const FREES: usize = 0;
const FREED_BYTES: usize = FREES + CLASSES;
const ALLOCATIONS: usize = FREED_BYTES + 1;
const ALLOCATED_BYTES: usize = ALLOCATIONS + CLASSES;
const IN_PLACE: usize = ALLOCATED_BYTES + 1;
const MOVED: usize = IN_PLACE + 1;
const UNUSED: usize = MOVED + 1;
const CELLS: usize = HOOK_CELLS as usize;
const _: () = assert!(UNUSED < CELLS);

/// For threads that can hold no slab of their own.
static SHARED: [AtomicU64; CELLS] = [const { AtomicU64::new(0) }; CELLS];

#[inline(always)]
pub(super) fn allocated(class: usize, size: usize) {
    add(ALLOCATIONS + class, ALLOCATED_BYTES, size as u64);
}

#[inline(always)]
pub(super) fn freed(class: usize, size: usize) {
    add(FREES + class, FREED_BYTES, size as u64);
}

#[inline(always)]
pub(super) fn reallocated(in_place: bool) {
    // The second cell of the pair is one that is not shown.
    add(if in_place { IN_PLACE } else { MOVED }, UNUSED, 0);
}

/// Adds one to a block count and `size` to a byte count.
#[inline(always)]
fn add(blocks: usize, bytes: usize, size: u64) {
    match held_slab().first_chunk::<CELLS>() {
        Some(cells) => add_to(cells, blocks, bytes, size),
        None => add_cold(blocks, bytes, size),
    }
}

#[inline(always)]
fn add_to(cells: &[AtomicU64; CELLS], blocks: usize, bytes: usize, size: u64) {
    // Only this thread writes the cells, so a load and a store lose nothing.
    let add = |cell: &AtomicU64, n| cell.store(cell.load(Relaxed).wrapping_add(n), Relaxed);
    add(&cells[blocks], 1);
    add(&cells[bytes], size);
}

/// The thread's first allocation, or one of a thread that can hold no slab. It takes its arguments
/// in registers, so that the hot path need not put them into memory for it.
#[cold]
#[inline(never)]
fn add_cold(blocks: usize, bytes: usize, size: u64) {
    match hook_slab().and_then(|slab| slab.first_chunk::<CELLS>()) {
        Some(cells) => add_to(cells, blocks, bytes, size),
        None => {
            SHARED[blocks].fetch_add(1, Relaxed);
            SHARED[bytes].fetch_add(size, Relaxed);
        }
    }
}

/// What was allocated and freed since the process started.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Blocks allocated.
    pub allocations: u64,
    /// Blocks freed.
    pub frees: u64,
    /// Bytes asked for.
    pub allocated_bytes: u64,
    /// Bytes of the blocks freed.
    pub freed_bytes: u64,
    /// Reallocations that left the block where it was.
    pub reallocations_in_place: u64,
    /// Reallocations that copied the block.
    pub reallocations_moved: u64,
    /// By size class; all zero without `BY_SIZE`. Blocks larger than the last class are in the
    /// totals alone.
    pub by_size: [SizeCounts; CLASSES],
}

/// Blocks of one size class.
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

    /// Bytes that are allocated now.
    pub fn live_bytes(&self) -> u64 {
        self.allocated_bytes.saturating_sub(self.freed_bytes)
    }

    /// Blocks that are allocated now.
    pub fn live_blocks(&self) -> u64 {
        self.allocations.saturating_sub(self.frees)
    }
}

/// What the hook has counted so far, by all threads; `None` where no
/// [`Counting`](super::Counting) is the program's allocator.
///
/// A few microseconds, and no allocation. Exact for what happened before the call. While other threads allocate, the
/// figures are of slightly different moments, and no block is seen as freed and not as allocated.
pub fn counts() -> Option<Counts> {
    let mut cells = [0; CELLS];
    let (freeing, allocating) = cells.split_at_mut(ALLOCATIONS);
    for (start, row) in [(FREES, freeing), (ALLOCATIONS, allocating)] {
        add_hook_cells(start, row);
        for (total, shared) in row.iter_mut().zip(&SHARED[start..]) {
            *total = total.wrapping_add(shared.load(Relaxed));
        }
    }
    let allocations: u64 = cells[ALLOCATIONS..][..CLASSES].iter().sum();
    if allocations == 0 {
        return None;
    }
    let mut by_size = [SizeCounts::default(); CLASSES];
    for (class, counts) in by_size.iter_mut().enumerate() {
        counts.size = CLASS_SIZES[class];
        // The first class's cells hold the blocks that are too large for any.
        if class > 0 {
            counts.allocations = cells[ALLOCATIONS + class];
            counts.frees = cells[FREES + class];
        }
    }
    Some(Counts {
        allocations,
        frees: cells[FREES..][..CLASSES].iter().sum(),
        allocated_bytes: cells[ALLOCATED_BYTES],
        freed_bytes: cells[FREED_BYTES],
        reallocations_in_place: cells[IN_PLACE],
        reallocations_moved: cells[MOVED],
        by_size,
    })
}
