//! All pages: the shared copy of each, with its private copies.
//!
//! The sum of a cell is its shared copy plus all private ones. Readers and folds hold the shared
//! copy's lock, so no read misses a value or counts it twice, and no sum goes back. Recording takes
//! no lock.

use std::sync::atomic::Ordering::Relaxed;

use super::arena::Arena;
use super::index::Index;
use super::page::{
    self, BEFORE, CELLS, COUNT, EPOCH, FLOAT_SUM, Guard, NEXT, Page, READ, SUM, Sums, add_float,
    lock, try_lock,
};
use super::sizes::{OLD, PRIVATE, SHARED};
use crate::sync::{AtomicU32, Zeroes, constant};

/// The default limit on all private copies together, in bytes.
pub(crate) const LIMIT: usize = 16 << 20;

/// How often a gauge's cells are read until two reads agree.
const TRIES: usize = 8;

/// The increment of the epoch: more than any id.
const STEP: u64 = 1 << 32;
/// Replaces the epoch of a private copy that is being reclaimed.
const TAKEN: u64 = u64::MAX;

pub(crate) struct Store {
    /// Read by every recording, so on its own cache line.
    epoch: Zeroes<8>,
    index: Index,
    shared: Arena<SHARED>,
    private: Arena<PRIVATE>,
    /// The limit in private copies, plus one; 0 for the default.
    limit: AtomicU32,
}

impl Store {
    constant! {
        pub(crate) fn new() -> Self {
            Self {
                epoch: Zeroes::new(),
                index: Index::new(),
                shared: Arena::new(),
                private: Arena::new(),
                limit: AtomicU32::new(0),
            }
        }
    }

    /// The current epoch. In each, a recording thread verifies once per page that it still owns its
    /// copy.
    #[inline(always)]
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.0[0].load(Relaxed)
    }

    /// Begins the next epoch. Calls must not overlap.
    pub(crate) fn begin_epoch(&self) {
        self.epoch.0[0].store(self.epoch() + STEP, Relaxed);
    }

    /// Sets the limit on private copies in bytes; false if it was already set.
    pub(crate) fn set_limit(&self, bytes: usize) -> bool {
        let pages = (bytes / page::BYTES).min(Arena::<PRIVATE>::MOST as usize) as u32;
        self.limit.compare_exchange(0, pages + 1, Relaxed, Relaxed).is_ok()
    }

    /// The limit in private copies.
    pub(crate) fn limit(&self) -> u32 {
        let default = (LIMIT / page::BYTES) as u32;
        self.limit.load(Relaxed).checked_sub(1).unwrap_or(default)
    }

    /// Eighths of the limit in use.
    pub(crate) fn eighths(&self) -> u32 {
        (8 * u64::from(self.private.held()) / u64::from(self.limit().max(1))) as u32
    }

    /// Pages of shared copies in use, and of private ones.
    pub(crate) fn held(&self) -> (u32, u32) {
        (self.shared.held(), self.private.held())
    }

    /// The shared copy of a page, if it was ever recorded into.
    #[inline]
    pub(crate) fn shared(&self, number: u32) -> Option<&Page> {
        self.shared.page(self.index.get(number)?)
    }

    /// The shared copy of a page, created if necessary. `None` if the system refuses memory, or if
    /// memory is needed and `grow` is false.
    pub(crate) fn shared_or_new(&self, number: u32, grow: bool) -> Option<&Page> {
        if let Some(page) = self.shared(number) {
            return Some(page);
        }
        let index = self.shared.take(u32::MAX, grow)?;
        match self.index.set(number, index, grow) {
            Some(Ok(())) => self.shared.page(index),
            other => {
                self.shared.give_back(index);
                self.shared.page(other?.err()?)
            }
        }
    }

    /// Takes a private copy for an epoch and links it to a shared one. `None` if the limit is
    /// reached, the system refuses memory, or the lock is held: this never blocks.
    pub(crate) fn lease(
        &self,
        shared: &Page,
        process: u64,
        grow: bool,
        epoch: u64,
    ) -> Option<(u32, &Page)> {
        let index = self.private.take(self.limit(), grow)?;
        let page = self.private.page(index)?;
        let Some(_guard) = try_lock(shared, process) else {
            self.private.give_back(index);
            return None;
        };
        let next = shared[NEXT].load(Relaxed);
        page[NEXT].store(next, Relaxed);
        page[EPOCH].store(epoch, Relaxed);
        if let Some(next) = self.linked(next) {
            next[BEFORE].store(u64::from(index) + 1, Relaxed);
        }
        shared[NEXT].store(u64::from(index) + 1, Relaxed);
        Some((index, page))
    }

    /// Verifies that a thread still owns the private copy it verified in epoch `before`, and keeps
    /// it for this epoch.
    pub(crate) fn renew(page: &Page, before: u64, epoch: u64) -> bool {
        page[EPOCH].compare_exchange(before, epoch, Relaxed, Relaxed).is_ok()
    }

    /// Folds a private copy into the shared one and releases it, unless it was reclaimed since its
    /// thread last verified it. Called by that thread. False if the lock is held and `wait` is
    /// false.
    pub(crate) fn fold(
        &self,
        shared: &Page,
        index: u32,
        process: u64,
        epoch: u64,
        wait: bool,
    ) -> bool {
        let guard = if wait { Some(lock(shared, process)) } else { try_lock(shared, process) };
        let (Some(guard), Some(page)) = (guard, self.private.page(index)) else { return false };
        // Reclaiming happens under this lock, and no later owner can have it in an earlier epoch.
        if page[EPOCH].load(Relaxed) == epoch {
            self.unlink(&guard, shared, page);
            drop(guard);
            self.private.give_back(index);
        }
        true
    }

    /// Reclaims private copies that their threads have not used for a long time.
    ///
    /// A recording that has just begun is not visible here until it ends, nanoseconds or a time
    /// slice later; hence two epochs of grace.
    fn reclaim(&self, guard: &Guard<'_>, shared: &Page) {
        let epoch = self.epoch();
        if shared[EPOCH].load(Relaxed) == epoch {
            return;
        }
        shared[EPOCH].store(epoch, Relaxed);
        let mut link = shared[NEXT].load(Relaxed);
        while let Some(page) = self.linked(link) {
            let next = page[NEXT].load(Relaxed);
            let used = page[EPOCH].load(Relaxed);
            // Races with the owner's `renew`.
            let take = || page[EPOCH].compare_exchange(used, TAKEN, Relaxed, Relaxed);
            if used.saturating_add(OLD * STEP) <= epoch && take().is_ok() {
                self.unlink(guard, shared, page);
                self.private.give_back(link as u32 - 1);
            }
            link = next;
        }
    }

    /// Folds a private copy into the shared one and unlinks it.
    fn unlink(&self, _: &Guard<'_>, shared: &Page, page: &Page) {
        for (to, from) in shared.iter().zip(&page[..FLOAT_SUM]) {
            let n = from.load(Relaxed);
            if n != 0 {
                to.fetch_add(n, Relaxed);
                from.store(0, Relaxed);
            }
        }
        let float = f64::from_bits(page[FLOAT_SUM].load(Relaxed));
        if float != 0.0 {
            page::share_float(&shared[FLOAT_SUM], float);
        }
        page[FLOAT_SUM].store(0, Relaxed);
        let (before, next) = (page[BEFORE].load(Relaxed), page[NEXT].load(Relaxed));
        self.linked(before).unwrap_or(shared)[NEXT].store(next, Relaxed);
        if let Some(next) = self.linked(next) {
            next[BEFORE].store(before, Relaxed);
        }
        page[BEFORE].store(0, Relaxed);
    }

    /// Reads all numbers of a page.
    pub(crate) fn read(&self, shared: &Page, process: u64, sums: &mut Sums) {
        let guard = lock(shared, process);
        self.add_up(&guard, shared, sums);
    }

    fn add_up(&self, guard: &Guard<'_>, shared: &Page, sums: &mut Sums) {
        self.reclaim(guard, shared);
        for (sum, cell) in sums.iter_mut().zip(shared) {
            *sum = cell.load(Relaxed);
        }
        let mut private = self.private(shared);
        loop {
            // Up to four at a time: a sum is loaded and stored once for them.
            match [(); 4].map(|()| private.next()) {
                [Some(a), Some(b), Some(c), Some(d)] => add_pages(sums, [a, b, c, d]),
                [Some(a), Some(b), Some(c), None] => return add_pages(sums, [a, b, c]),
                [Some(a), Some(b), ..] => return add_pages(sums, [a, b]),
                [Some(a), ..] => return add_pages(sums, [a]),
                [None, ..] => return,
            }
        }
    }

    /// Reads one number of a page.
    pub(crate) fn read_one(&self, shared: &Page, process: u64, at: usize) -> u64 {
        let guard = lock(shared, process);
        self.sum(&guard, shared, at)
    }

    /// Reads the count of additions to a histogram's cells of a page, and both sums.
    pub(crate) fn read_totals(&self, shared: &Page, process: u64) -> (u64, u64) {
        let guard = lock(shared, process);
        (self.sum(&guard, shared, COUNT), self.sum(&guard, shared, SUM))
    }

    fn sum(&self, guard: &Guard<'_>, shared: &Page, at: usize) -> u64 {
        self.reclaim(guard, shared);
        let private = self.private(shared).map(|page| page[at].load(Relaxed));
        private.fold(shared[at].load(Relaxed), u64::wrapping_add)
    }

    /// Reads a cell that goes up and down, repeatedly until two sums agree or the tries are used
    /// up, so that one thread's decrement is not seen without another's earlier increment.
    pub(crate) fn read_settled(&self, shared: &Page, process: u64, at: usize) -> u64 {
        let guard = lock(shared, process);
        self.settled(&guard, shared, at)
    }

    fn settled(&self, guard: &Guard<'_>, shared: &Page, at: usize) -> u64 {
        let mut sum = self.sum(guard, shared, at);
        // A single cell is read at one moment.
        if shared[NEXT].load(Relaxed) != 0 {
            for _ in 0..TRIES {
                let again = self.sum(guard, shared, at);
                if again == sum {
                    break;
                }
                sum = again;
            }
        }
        sum
    }

    /// Reads all numbers of a page whose cells go up and down.
    pub(crate) fn read_all_settled(&self, shared: &Page, process: u64, sums: &mut Sums) {
        let guard = lock(shared, process);
        self.add_up(&guard, shared, sums);
        if shared[NEXT].load(Relaxed) == 0 {
            return;
        }
        let mut again = [0; READ];
        self.add_up(&guard, shared, &mut again);
        for at in 0..CELLS {
            if sums[at] != again[at] {
                sums[at] = self.settled(&guard, shared, at);
            }
        }
    }

    /// Replaces a cell's sum with `change` of it, excluding readers. A concurrent addition is kept
    /// on top or replaced.
    pub(crate) fn set(
        &self,
        shared: &Page,
        process: u64,
        at: usize,
        change: impl FnOnce(u64) -> u64,
    ) {
        let guard = lock(shared, process);
        let sum = self.sum(&guard, shared, at);
        let difference = change(sum).wrapping_sub(sum);
        shared[at].fetch_add(difference, Relaxed);
    }

    /// Zeroes a cell of no variable, in all copies.
    pub(crate) fn zero(&self, shared: &Page, process: u64, cells: std::ops::Range<usize>) {
        let _guard = lock(shared, process);
        for page in self.private(shared).chain([shared]) {
            page[cells.clone()].iter().for_each(|cell| cell.store(0, Relaxed));
        }
    }

    /// The private copies of a shared one, whose lock is held.
    fn private(&self, shared: &Page) -> impl Iterator<Item = &Page> {
        let mut next = shared[NEXT].load(Relaxed);
        std::iter::from_fn(move || {
            let page = self.linked(next)?;
            next = page[NEXT].load(Relaxed);
            Some(page)
        })
    }

    fn linked(&self, link: u64) -> Option<&Page> {
        self.private.page((link as u32).checked_sub(1)?)
    }
}

/// Adds what these copies hold.
fn add_pages<const N: usize>(sums: &mut Sums, pages: [&Page; N]) {
    for at in 0..FLOAT_SUM {
        let cells = pages.map(|page| page[at].load(Relaxed));
        sums[at] = cells.into_iter().fold(sums[at], u64::wrapping_add);
    }
    for page in pages {
        let float = f64::from_bits(page[FLOAT_SUM].load(Relaxed));
        sums[FLOAT_SUM] = add_float(sums[FLOAT_SUM], float);
    }
}

const _: () = assert!(FLOAT_SUM + 1 == READ && READ == NEXT);
