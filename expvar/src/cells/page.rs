//! Pages of cells, shared or private, and the lock of a shared page.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

pub(crate) use super::sizes::CELLS;
use crate::sync::{AtomicU64, pause};

/// The cell for a sum of whole numbers, so that a histogram's recording needs one page only.
pub(crate) const SUM: usize = CELLS;
/// The cell for the number of additions to a histogram's cells in this page.
pub(crate) const COUNT: usize = CELLS + 1;
/// The cell for a sum of floats, stored as bits.
pub(crate) const FLOAT_SUM: usize = CELLS + 2;
/// How many numbers of a page are read together: its cells and the three above.
pub(crate) const READ: usize = CELLS + 3;

/// The links from here on are guarded by the shared copy's lock. In a private copy, the next one of
/// its shared copy's list or of the free list; in a shared copy, the first. 0 is none, 1 is page 0.
pub(super) const NEXT: usize = CELLS + 3;
/// In a private copy, the previous one of the list, or 0 for the first.
pub(super) const BEFORE: usize = CELLS + 4;
/// In a shared copy, the process that holds its lock, or 0.
const LOCK: usize = CELLS + 5;
/// In a private copy, the epoch in which its thread last verified ownership; in a shared copy, the
/// epoch of the last reclamation.
pub(super) const EPOCH: usize = CELLS + 6;

/// Eight cache lines of cells and one of sums and links. Frequently written words are at least a
/// line away from the next page's at any 16-byte alignment.
pub(crate) const WORDS: usize = CELLS + 8;
pub(crate) type Page = [AtomicU64; WORDS];

/// The size of a page.
pub(crate) const BYTES: usize = WORDS * 8;

/// The numbers of a page, each summed over all copies.
pub(crate) type Sums = [u64; READ];

/// Adds to a cell of a private copy, wrapping. A load and a store suffice, because only the owner
/// writes it.
#[inline(always)]
pub(crate) fn bump(cell: &AtomicU64, n: u64) {
    cell.store(cell.load(Relaxed).wrapping_add(n), Relaxed);
}

/// The same for a cell that holds a float.
#[inline(always)]
pub(crate) fn bump_float(cell: &AtomicU64, n: f64) {
    cell.store(add_float(cell.load(Relaxed), n), Relaxed);
}

/// Adds to a cell of a shared copy that holds a float.
pub(crate) fn share_float(cell: &AtomicU64, n: f64) {
    let mut old = cell.load(Relaxed);
    while let Err(now) = cell.compare_exchange_weak(old, add_float(old, n), Relaxed, Relaxed) {
        old = now;
    }
}

pub(super) fn add_float(bits: u64, n: f64) -> u64 {
    (f64::from_bits(bits) + n).to_bits()
}

/// Holds the lock of a shared page.
///
/// The lock word is the holder's process id. After a `fork` the parent's threads do not exist to
/// release their locks, so the child takes over such a lock. The lock guards atomics only; at worst
/// one fold is incomplete.
pub(crate) struct Guard<'p>(&'p Page);

/// Acquires the lock, waiting if necessary.
pub(super) fn lock(page: &Page, process: u64) -> Guard<'_> {
    let mut times = 0;
    loop {
        if let Some(guard) = try_lock(page, process) {
            return guard;
        }
        pause(times);
        times = times.saturating_add(1);
    }
}

pub(super) fn try_lock(page: &Page, process: u64) -> Option<Guard<'_>> {
    let lock = &page[LOCK];
    // Pairs with the release in `drop`.
    let held = lock.compare_exchange(0, process, Acquire, Relaxed);
    let taken = held.or_else(|holder| {
        if holder == process {
            return Err(holder);
        }
        lock.compare_exchange(holder, process, Acquire, Relaxed)
    });
    taken.ok().map(|_| Guard(page))
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0[LOCK].store(0, Release);
    }
}
