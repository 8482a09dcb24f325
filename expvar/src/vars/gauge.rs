//! Integers that go up and down.

use std::fmt;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use once_cell::race::OnceRef;

use crate::cells::{Cells, Slabs};
use crate::prefetch::Touch;

/// An integer that goes up and down: requests in flight, a queue's length. Go's `Int`.
///
/// `add`, `inc`, `dec` and `sub` cost what [`Counter::add`](crate::Counter::add) costs: a cell of
/// the calling thread. `set` on a gauge that nobody ever added to is one atomic store; once
/// somebody has, it takes a lock and reads the cells. Of adds that run at the same time as a `set`,
/// each is either kept on top of the new value or replaced by it; a walk over a whole registry,
/// which takes no lock for a gauge, may see the `set` without them. Arithmetic wraps.
// In this order the two fields that a reader needs lie in one cache line wherever memory is aligned
// to 16 bytes, as allocators' is; also inside an `Arc`.
#[repr(C)]
pub struct Gauge {
    /// What was last set, less the cells' sum at that moment.
    base: AtomicI64,
    /// What was added.
    cells: Cells,
    /// The static of the same name that this one stands for.
    first: OnceRef<'static, Gauge>,
}

impl Gauge {
    /// A gauge at zero.
    pub const fn new() -> Self {
        Self { base: AtomicI64::new(0), cells: Cells::new(), first: OnceRef::new() }
    }

    /// Sets the value.
    #[inline]
    pub fn set(&self, value: i64) {
        let this = self.first.get().unwrap_or(self);
        if this.cells.id().is_none() {
            this.base.store(value, Release);
            // Somebody may have begun to add meanwhile.
            if this.cells.id().is_none() {
                return;
            }
        }
        // What was added so far is to be replaced, at once for those who read.
        this.cells.locked(|sum| this.base.store(value.wrapping_sub(sum as i64), Release));
    }

    /// Adds `n`, which may be negative.
    #[inline]
    pub fn add(&self, n: i64) {
        self.cells.add(n as u64);
    }

    /// Subtracts `n`.
    #[inline]
    pub fn sub(&self, n: i64) {
        self.cells.add(n.wrapping_neg() as u64);
    }

    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// Subtracts one.
    #[inline]
    pub fn dec(&self) {
        self.sub(1);
    }

    /// The value.
    pub fn get(&self) -> i64 {
        let this = self.first.get().unwrap_or(self);
        this.cells.locked(|sum| this.base.load(Acquire).wrapping_add(sum as i64))
    }

    pub(crate) fn read(&self, slabs: &Slabs) -> i64 {
        self.first.get().unwrap_or(self).read_own(slabs)
    }

    /// The same of one that stands for no other, as only statics do.
    #[inline]
    pub(crate) fn read_own(&self, slabs: &Slabs) -> i64 {
        let sum = self.cells.id().map_or(0, |id| slabs.sum(id));
        self.base.load(Relaxed).wrapping_add(sum as i64)
    }

    /// The id of the cell that adds go to, given out now if there is none yet.
    pub(crate) fn cell(&self) -> u32 {
        self.cells.id_or_claim(1)
    }

    /// Makes `self`, a static, stand for `first`.
    pub(crate) fn join(&'static self, first: &'static Self) {
        let id = first.cells.id().unwrap_or_else(|| first.cells.claim_unsettled(1));
        let early = self.base.swap(0, Relaxed);
        self.cells.share(id);
        let _ = self.first.set(first);
        if early != 0 {
            first.set(early);
        }
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.cells.release(1);
    }
}

impl Touch for Gauge {
    fn touch(&self) -> u64 {
        self.base.load(Relaxed) as u64
    }
}

impl Default for Gauge {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gauge").field(&self.get()).finish()
    }
}
