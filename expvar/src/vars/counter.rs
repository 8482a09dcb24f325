//! Counts that only go up.

use std::fmt;

use crate::cells::{Cells, Slabs};

/// A count that only goes up: requests, bytes, errors.
///
/// Recording costs about one nanosecond however many threads do it, allocates nothing and never
/// waits; each thread adds to a cell of its own and reading sums the cells. The count starts at
/// zero and wraps after 2⁶⁴.
///
/// A counter can be a static, a field, or an `Arc` that the registry shares:
///
/// ```
/// let requests = expvar::Registry::new().publish("requests", expvar::Counter::new())?;
/// requests.inc();
/// requests.add(2);
/// assert_eq!(requests.get(), 3);
/// # Ok::<(), expvar::PublishError>(())
/// ```
pub struct Counter {
    cells: Cells,
}

impl Counter {
    /// A counter at zero.
    pub const fn new() -> Self {
        Self { cells: Cells::new() }
    }

    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.cells.add(1);
    }

    /// Adds `n`, wrapping after 2⁶⁴.
    #[inline]
    pub fn add(&self, n: u64) {
        self.cells.add(n);
    }

    /// The count: a sum over the threads' cells, taken one after the other.
    pub fn get(&self) -> u64 {
        self.cells.sum()
    }

    pub(crate) fn read(&self, slabs: &Slabs) -> u64 {
        self.cells.id().map_or(0, |id| slabs.sum(id))
    }

    /// Takes a cell before the first recording, so that threads that all begin at once find every
    /// counter in the first slab that they lease, and readers find the cells in name order.
    pub(crate) fn claim(&self) {
        if self.cell().is_none() {
            self.cells.claim_unsettled(1);
        }
    }

    /// The cell, which it keeps once it has it.
    pub(crate) fn cell(&self) -> Option<u32> {
        self.cells.id()
    }

    /// Makes `self`, a static that nothing was recorded in, count in `first`'s cells.
    pub(crate) fn join(&'static self, first: &'static Self) {
        let id = first.cells.id().unwrap_or_else(|| first.cells.claim_unsettled(1));
        self.cells.share(id);
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.cells.release(1);
    }
}

impl Default for Counter {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Counter").field(&self.get()).finish()
    }
}
