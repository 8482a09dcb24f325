//! The cells that every recording lands in: one row a thread, written by nobody else.
//!
//! A thread leases a slab (a row of cells) and adds with a plain load and store; reading sums a
//! cell over all slabs. Small slabs are claimed without a lock from a fixed set of starters, so
//! that the allocator hook can count in the same cells; larger ones come from the [`Pool`].

mod pool;

use std::cell::Cell;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use crate::sync::{AtomicU64, Mutex};
use pool::{Pool, Slab, State};

/// Cells at the start of every slab that belong to the allocator hook.
pub(crate) const HOOK_CELLS: u32 = 128;

/// How many threads at a time can hold a starter slab.
const STARTERS: usize = 256;
/// Cells of a starter slab: 2 KiB a thread.
const STARTER_CELLS: usize = 256;

static POOL: Pool = Pool(Mutex::new(State::new(HOOK_CELLS)));
static STARTER: [Starter; STARTERS] = [const { Starter::new() }; STARTERS];
/// Which starters are leased, a bit each.
static CLAIMED: [AtomicU64; STARTERS / 64] = [const { AtomicU64::new(0) }; STARTERS / 64];
/// Starters below this have been leased at least once; the rest are zero.
static STARTERS_USED: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// The slab that this thread holds. It has no destructor, so an access is one load.
    static SLAB: Cell<Slab> = const { Cell::new(&[]) };
    /// Returns the slab when the thread ends.
    static LEASE: Lease = const { Lease };
}

#[repr(align(128))]
struct Starter {
    cells: [AtomicU64; STARTER_CELLS],
}

impl Starter {
    const fn new() -> Self {
        Self { cells: [const { AtomicU64::new(0) }; STARTER_CELLS] }
    }
}

struct Lease;

impl Drop for Lease {
    fn drop(&mut self) {
        give_back(SLAB.replace(&[]));
    }
}

/// Adds to the calling thread's cell, wrapping. About a nanosecond; waits for nobody.
#[inline]
pub(crate) fn add(id: u32, n: u64) {
    match SLAB.get().get(id as usize) {
        // Only this thread writes the cell, so a load and a store lose nothing.
        Some(cell) => cell.store(cell.load(Relaxed).wrapping_add(n), Relaxed),
        None => add_cold(id, n),
    }
}

#[cold]
#[inline(never)]
fn add_cold(id: u32, n: u64) {
    match grow(id) {
        Some(slab) => {
            let cell = &slab[id as usize];
            cell.store(cell.load(Relaxed).wrapping_add(n), Relaxed);
        }
        None => POOL.update(id, id, |sum| sum.wrapping_add(n)),
    }
}

/// The calling thread's cells of a run of ids, in a slab that is leased now if need be. `None` in a
/// thread that is too far into its teardown to hold a slab: use [`update_shared`].
pub(crate) fn row(id: u32, len: u32) -> Option<&'static [AtomicU64]> {
    let range = id as usize..(id + len) as usize;
    let held = SLAB.get().get(range.clone());
    held.or_else(|| grow(id + len - 1).map(|slab| &slab[range]))
}

/// Changes one cell of a run that ends with `last`, for a thread that can hold no slab.
pub(crate) fn update_shared(id: u32, last: u32, change: impl FnOnce(u64) -> u64) {
    POOL.update(id, last, change);
}

/// Leases a slab in which `id` lies; `None` in a thread whose lease was already returned for good.
fn grow(id: u32) -> Option<Slab> {
    let old = SLAB.get();
    if old.is_empty() && (id as usize) < STARTER_CELLS {
        return starter().or_else(|| lease(id, old));
    }
    lease(id, old)
}

fn lease(id: u32, old: Slab) -> Option<Slab> {
    // The guard first: a thread that can no longer return a slab must not take one.
    LEASE.try_with(|_| ()).ok()?;
    let slab = if starter_index(old).is_some() {
        let slab = POOL.lease(id, &[]);
        give_back(old);
        slab
    } else {
        POOL.lease(id, old)
    };
    SLAB.set(slab);
    Some(slab)
}

fn give_back(slab: Slab) {
    if let Some(index) = starter_index(slab) {
        // Pairs with the claim in `starter`: the next holder sees our last values.
        CLAIMED[index / 64].fetch_and(!(1 << (index % 64)), Release);
    } else if !slab.is_empty() {
        POOL.give_back(slab);
    }
}

/// Claims a starter slab for the calling thread: no lock, no allocation. For the allocator hook
/// too, so the slab is in place before the thread-exit guard is registered, which may allocate.
fn starter() -> Option<Slab> {
    for (word, bits) in CLAIMED.iter().enumerate() {
        let mut seen = bits.load(Relaxed);
        while seen != u64::MAX {
            let bit = seen.trailing_ones();
            // Pairs with the release in `give_back`.
            seen = bits.fetch_or(1 << bit, AcqRel);
            if seen & (1 << bit) == 0 {
                let index = word * 64 + bit as usize;
                // Pairs with the load in `starters`.
                STARTERS_USED.fetch_max(index as u32 + 1, Release);
                let slab: Slab = &STARTER[index].cells;
                SLAB.set(slab);
                if LEASE.try_with(|_| ()).is_err() {
                    give_back(SLAB.replace(&[]));
                    return None;
                }
                return Some(slab);
            }
        }
    }
    None
}

fn starter_index(slab: Slab) -> Option<usize> {
    let offset = (slab.as_ptr() as usize).checked_sub(STARTER.as_ptr() as usize)?;
    (!slab.is_empty() && offset < size_of_val(&STARTER)).then(|| offset / size_of::<Starter>())
}

/// The slab that the calling thread holds, or an empty one.
#[inline(always)]
pub(crate) fn held_slab() -> Slab {
    SLAB.get()
}

/// The calling thread's slab for the allocator hook, whose cells are the first [`HOOK_CELLS`]:
/// no lock, no allocation. `None` where the thread can hold none, or all starters are held.
pub(crate) fn hook_slab() -> Option<Slab> {
    let slab = SLAB.get();
    if slab.is_empty() { starter() } else { Some(slab) }
}

/// Adds the hook's cells from `id` on to `totals`, over all threads, and allocates nothing: what
/// counts allocations must not show up in the count.
pub(crate) fn add_hook_cells(id: usize, totals: &mut [u64]) {
    let range = id..id + totals.len();
    POOL.locked(|slabs| {
        let slabs = slabs.iter().copied().chain(starters());
        for row in slabs.filter_map(|slab| slab.get(range.clone())) {
            for (total, cell) in totals.iter_mut().zip(row) {
                *total = total.wrapping_add(cell.load(Relaxed));
            }
        }
    });
}

/// The slabs as they were at one moment, for reading many cells.
pub(crate) struct Slabs {
    /// Longest first, so that a sum stops at the first one that is too short.
    list: Vec<Slab>,
}

impl Slabs {
    pub(crate) fn now() -> Self {
        let mut list = Vec::new();
        POOL.list(&mut list);
        list.extend(starters());
        list.sort_unstable_by_key(|slab| std::cmp::Reverse(slab.len()));
        Self { list }
    }

    /// The sum of a cell over all threads, wrapping.
    #[inline]
    pub(crate) fn sum(&self, id: u32) -> u64 {
        sum(&self.list, id)
    }

    /// The sum of a cell that holds a float's bits in each thread.
    pub(crate) fn sum_float(&self, id: u32) -> f64 {
        let cells = self.list.iter().map_while(|slab| slab.get(id as usize));
        // From +0, which an empty sum is not.
        cells.fold(0.0, |total, cell| total + f64::from_bits(cell.load(Relaxed)))
    }

    /// Adds the cells from `id` on to `totals`, one by one. A slab may end in the middle of them.
    pub(crate) fn add_row(&self, id: u32, totals: &mut [u64]) {
        for slab in &self.list {
            let Some(cells) = slab.get(id as usize..) else { break };
            for (total, cell) in totals.iter_mut().zip(cells) {
                *total = total.wrapping_add(cell.load(Relaxed));
            }
        }
    }
}

#[inline]
fn sum(longest_first: &[Slab], id: u32) -> u64 {
    let cells = longest_first.iter().map_while(|slab| slab.get(id as usize));
    cells.fold(0, |total, cell| total.wrapping_add(cell.load(Relaxed)))
}

fn starters() -> impl Iterator<Item = Slab> + Clone {
    // Pairs with the maximum in `starter`.
    let used = STARTERS_USED.load(Acquire) as usize;
    STARTER[..used].iter().map(|starter| -> Slab { &starter.cells })
}

/// The cells of one variable: a run of ids that is given out at first use and comes back on drop.
pub(crate) struct Cells {
    /// The first id, or `NONE`.
    first: AtomicU32,
}

/// No slab is that long, so a hot path that finds it falls into the cold one by itself.
const NONE: u32 = u32::MAX;

impl Cells {
    pub(crate) const fn new() -> Self {
        Self { first: AtomicU32::new(NONE) }
    }

    /// The first id; `None` before anything was recorded.
    #[inline]
    pub(crate) fn id(&self) -> Option<u32> {
        // Pairs with the release in `claim`: whoever sees the id sees its cells zeroed.
        let id = self.first.load(Acquire);
        (id != NONE).then_some(id)
    }

    /// The first id, given out now if there is none yet.
    #[inline]
    pub(crate) fn id_or_claim(&self, len: u32) -> u32 {
        match self.id() {
            Some(id) => id,
            None => self.claim(len),
        }
    }

    #[cold]
    #[inline(never)]
    fn claim(&self, len: u32) -> u32 {
        // Statics of one name share their cells: that is settled before any of them has some.
        crate::global::settle();
        self.claim_unsettled(len)
    }

    pub(crate) fn claim_unsettled(&self, len: u32) -> u32 {
        let fresh = POOL.allocate(len);
        match self.first.compare_exchange(NONE, fresh, AcqRel, Acquire) {
            Ok(_) => fresh,
            Err(other) => {
                release(fresh, len);
                other
            }
        }
    }

    /// Makes a static that has no cells yet share those of another.
    pub(crate) fn share(&self, id: u32) {
        self.first.store(id, Release);
    }

    /// Adds to the first cell.
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        // Pairs with the release in `claim_unsettled`: whoever sees the id sees its cells zeroed.
        let id = self.first.load(Acquire);
        match SLAB.get().get(id as usize) {
            Some(cell) => cell.store(cell.load(Relaxed).wrapping_add(n), Relaxed),
            None => self.add_cold(n),
        }
    }

    /// The calling thread's first cell, the one after it, and the one at `offset`, which is later;
    /// `None` before the first record, or where the thread's slab ends before it.
    #[inline]
    pub(crate) fn first_two_and(&self, offset: usize) -> Option<[&'static AtomicU64; 3]> {
        // Pairs with the release in `claim_unsettled`.
        let id = self.first.load(Acquire) as usize;
        let slab = SLAB.get();
        let last = slab.get(id + offset)?;
        Some([slab.get(id)?, slab.get(id + 1)?, last])
    }

    #[cold]
    #[inline(never)]
    fn add_cold(&self, n: u64) {
        add(self.id_or_claim(1), n);
    }

    /// The first cell's sum.
    pub(crate) fn sum(&self) -> u64 {
        self.id().map_or(0, |id| POOL.locked(|slabs| sum_any(slabs, id)))
    }

    /// Runs `f` on the first cell's sum while no other `locked` runs.
    pub(crate) fn locked<R>(&self, f: impl FnOnce(u64) -> R) -> R {
        POOL.locked(|slabs| f(self.id().map_or(0, |id| sum_any(slabs, id))))
    }

    /// Gives `len` ids back. Called by the owner's `Drop`, once.
    pub(crate) fn release(&mut self, len: u32) {
        let id = std::mem::replace(self.first.get_mut(), NONE);
        if id != NONE {
            release(id, len);
        }
    }
}

fn sum_any(slabs: &[Slab], id: u32) -> u64 {
    let cells = slabs.iter().copied().chain(starters()).filter_map(|slab| slab.get(id as usize));
    cells.fold(0, |total, cell| total.wrapping_add(cell.load(Relaxed)))
}

fn release(id: u32, len: u32) {
    let starters: Vec<Slab> = starters().collect();
    POOL.release(id, len, &starters);
}

/// What the cells take: for tests and for those who want to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Cells that variables hold, 8 bytes in each thread's slab.
    pub cells: usize,
    /// Slabs made so far, leased or waiting.
    pub slabs: usize,
    /// Bytes of all slabs together; untouched pages of them take no memory.
    pub slab_bytes: usize,
}

/// How many cells are in use and what the slabs take; one lock, no walk.
pub fn usage() -> Usage {
    let (cells, slabs, pool_cells) = POOL.usage();
    let starters = starters().count();
    Usage {
        cells: cells - HOOK_CELLS as usize,
        slabs: slabs + starters,
        slab_bytes: (pool_cells + starters * STARTER_CELLS) * size_of::<AtomicU64>(),
    }
}
