//! Counters that only go up.

use std::fmt;

use crate::cells::{Cells, Fixed, Reader, Use};
use crate::join::Rest;

/// A counter that only goes up: requests, bytes, errors.
///
/// Recording takes about one nanosecond however many threads do it, does not allocate and never
/// blocks. A thread that records often adds to its own cell, any other thread to a shared one;
/// reading sums the cells. The counter starts at zero and wraps at 2⁶⁴. Apart from wrapping, no
/// reader ever sees it go back.
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

    /// The counter's cell. A static's can change when it is merged; any other counter's is fixed
    /// until drop.
    #[doc(hidden)]
    pub fn __cell(&self) -> Option<Fixed> {
        self.cells.claim(Use::Up).map(Fixed::new)
    }

    /// Returns the value: the sum over all threads' cells, read one after the other.
    pub fn get(&self) -> u64 {
        self.cells.sum()
    }

    pub(crate) fn read(&self, reader: &Reader) -> u64 {
        self.cells.id().map_or(0, |id| reader.sum(id))
    }

    /// Takes a cell before the first recording, so that cells lie in name order for readers.
    pub(crate) fn claim(&self) {
        self.cells.claim(Use::Up);
    }

    /// The cell, which stays the same from then on.
    pub(crate) fn cell(&self) -> Option<u32> {
        self.cells.id()
    }

    /// Counts in another counter's cell. `other` must outlive `self`, which must never be dropped.
    pub(crate) fn count_in(&self, other: &Self) {
        if let Some(id) = other.cells.claim(Use::Up) {
            self.cells.share(id);
        }
    }

    /// Merges `self`, a static, into `first`'s cell. Adds the value so far and returns a rest for
    /// additions still in progress.
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
