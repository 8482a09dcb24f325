//! Pages of cells, shared or private, and the lock of a shared one.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

pub(crate) use super::sizes::CELLS;
use crate::sync::{AtomicU64, pause};

/// The cell behind those: a sum of whole numbers, so that a histogram's record needs one page only.
pub(crate) const SUM: usize = CELLS;
/// The cell behind that one: how often a histogram's cells of the page were added to.
pub(crate) const COUNT: usize = CELLS + 1;
/// The last: a sum of floats, as the bits of one.
pub(crate) const FLOAT_SUM: usize = CELLS + 2;
/// How many numbers of a page are read together: its cells and what is behind them.
pub(crate) const READ: usize = CELLS + 3;

/// What follows is under the lock of the shared copy. Of a private copy, the next one in the list
/// of its shared copy or of what is free; of a shared one, the first. 0 is none, 1 the page 0.
pub(super) const NEXT: usize = CELLS + 3;
/// Of a private copy, the one before it in the list, or 0 if it is the first.
pub(super) const BEFORE: usize = CELLS + 4;
/// Of a shared copy, the process whose thread holds its lock, or 0.
const LOCK: usize = CELLS + 5;
/// Of a private copy, the epoch in which its thread last made sure that it has it; of a shared one,
/// the epoch in which its private ones were last looked through.
pub(super) const EPOCH: usize = CELLS + 6;

/// Eight cache lines of cells, and one of sums and links. What is written often lies at least a
/// line away from the next page's, wherever memory is aligned to 16 bytes.
pub(crate) const WORDS: usize = CELLS + 8;
pub(crate) type Page = [AtomicU64; WORDS];

/// What a page takes.
pub(crate) const BYTES: usize = WORDS * 8;

/// The numbers of a page: the sums of each over all copies.
pub(crate) type Sums = [u64; READ];

/// Adds to a cell of a private copy, wrapping: only its owner writes it, so that a load and a store
/// lose nothing.
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

/// Holds the lock of a shared copy.
///
/// The lock names the process of its holder. After a `fork` the threads of the parent are not there
/// to release what they held; whoever finds such a lock takes it over. All that it guards are
/// atomics, so that the worst is a page whose fold was cut short.
pub(crate) struct Guard<'p>(&'p Page);

/// Waits for the lock.
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
