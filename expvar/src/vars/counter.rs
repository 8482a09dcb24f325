//! Counts that only go up.

use std::fmt;

use crate::cells::{Cells, Reader, Use};
use crate::join::Rest;

/// A count that only goes up: requests, bytes, errors.
///
/// Recording costs about one nanosecond however many threads do it, allocates nothing and never
/// waits: a thread that does so often adds to a cell of its own, any other to one that all share,
/// and reading sums the cells. The count starts at zero and wraps after 2⁶⁴; no reader ever sees it
/// go back.
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
#[doc(alias("Int", "IntCounter", "NewInt", "ObservableCounter", "Sum"))]
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
        self.add(1);
    }

    /// Adds `n`, wrapping after 2⁶⁴.
    #[inline]
    pub fn add(&self, n: u64) {
        if !self.cells.try_add(n) {
            self.add_cold(n);
        }
    }

    #[cold]
    #[inline(never)]
    fn add_cold(&self, n: u64) {
        self.cells.add_cold(Use::Up, n);
    }

    /// The cell that it counts in. A static's may change; that of any other stays until it is
    /// dropped.
    #[doc(hidden)]
    pub fn __cell(&self) -> Option<u32> {
        self.cells.claim(Use::Up)
    }

    /// The count: a sum over the copies that threads hold, taken one after the other.
    pub fn get(&self) -> u64 {
        self.cells.sum()
    }

    pub(crate) fn read(&self, reader: &Reader) -> u64 {
        self.cells.id().map_or(0, |id| reader.sum(id))
    }

    /// Takes a cell before the first recording, so that readers find the cells in name order.
    pub(crate) fn claim(&self) {
        self.cells.claim(Use::Up);
    }

    /// The cell, which it keeps once it has it.
    pub(crate) fn cell(&self) -> Option<u32> {
        self.cells.id()
    }

    /// Counts in the cell of another counter, which must live longer, and have been dropped by nobody
    /// when this one is used: this one is never dropped.
    pub(crate) fn count_in(&self, other: &Self) {
        if let Some(id) = other.cells.claim(Use::Up) {
            self.cells.share(id);
        }
    }

    /// Makes `self`, a static, count in `first`'s cell. What it counted before is added there, and
    /// so is what the rest that is returned may still get.
    pub(crate) fn join(&'static self, first: &'static Self) -> Option<Rest> {
        let id = first.cells.claim(Use::Up)?;
        // Before the cell is shared, so that no reader of `self` sees it go back.
        let mut added = self.cells.id().filter(|&own| own != id).map_or(0, |_| self.get());
        first.add(added);
        let rest = Self { cells: Cells::of(self.cells.share(id)?) };
        let mut rest = Rest::new(move || {
            let now = rest.get();
            first.add(now.wrapping_sub(added));
            added = now;
        });
        rest.add();
        Some(rest)
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.cells.release(Use::Up);
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
