//! Integer gauges.

use std::fmt;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use once_cell::race::OnceRef;

use crate::cells::{self, Cells, Reader, Use};
use crate::join::Rest;
use crate::prefetch::Target;

/// An integer that goes up and down: requests in flight, a queue's length. Go's `Int`.
///
/// `add`, `inc`, `dec` and `sub` cost as much as [`Counter::add`](crate::Counter::add). `set` is
/// one atomic store until something is added; from then on it takes a lock and reads the cells. An
/// `add` concurrent with a `set` is either kept on top of the new value or replaced by it.
///
/// Readers only see values that the gauge held, never one between a `set` and the value it replaces.
/// A reader does not see one thread's `dec` without another thread's earlier `inc`, unless the gauge
/// changes during nine attempts to read it. Arithmetic wraps.
///
/// ```
/// let waiting = expvar::Registry::new().publish("waiting", expvar::Gauge::new())?;
/// waiting.inc();
/// waiting.add(2);
/// waiting.dec();
/// assert_eq!(waiting.get(), 2);
/// # Ok::<(), expvar::PublishError>(())
/// ```
// In this order the fields that a read needs share a cache line at any 16-byte alignment, also
// inside an `Arc`.
#[doc(alias("Int", "IntGauge", "NewInt", "UpDownCounter", "ObservableGauge"))]
#[repr(C)]
pub struct Gauge {
    /// The value while there is no cell; then `MOVED`, except while a `set` is in progress.
    value: AtomicI64,
    /// The sum of additions, and later the value.
    cells: Cells,
    /// The last value set and moved into the cell. Changes under the lock of the cell's page.
    set: AtomicI64,
    /// The static of the same name that this one is merged into.
    first: OnceRef<'static, Gauge>,
}

/// Marks a value that has moved into the cell.
const MOVED: i64 = i64::MIN;

impl Gauge {
    /// A gauge at zero.
    pub const fn new() -> Self {
        Self {
            value: AtomicI64::new(0),
            cells: Cells::new(),
            set: AtomicI64::new(0),
            first: OnceRef::new(),
        }
    }

    /// Sets the value.
    #[inline]
    pub fn set(&self, value: i64) {
        let this = self.this();
        if this.cells.id().is_none() && value != MOVED {
            this.value.store(value, Release);
            // If another thread takes a cell at the same moment, the next read moves the value
            // there.
        } else {
            this.set_cell(value);
        }
    }

    #[cold]
    #[inline(never)]
    fn set_cell(&self, value: i64) {
        if let Some(id) = self.cell() {
            cells::set(id, |_| {
                // Also discards an earlier value that has not been moved yet.
                self.value.swap(MOVED, AcqRel);
                self.set.store(value, Relaxed);
                value as u64
            });
        }
    }

    /// Moves a value into the cell that was set before there was one. Keeps additions.
    #[cold]
    #[inline(never)]
    fn move_value(&self) {
        let Some(id) = self.cells.id() else { return };
        cells::set(id, |sum| {
            // Under the lock, so that only one thread moves the value.
            match self.value.swap(MOVED, AcqRel) {
                MOVED => sum,
                value => {
                    let before = self.set.swap(value, Relaxed);
                    sum.wrapping_sub(before as u64).wrapping_add(value as u64)
                }
            }
        });
    }

    /// Adds `n`, which may be negative.
    #[inline]
    pub fn add(&self, n: i64) {
        if !self.cells.try_add(n as u64) {
            self.add_cold(n);
        }
    }

    #[cold]
    #[inline(never)]
    fn add_cold(&self, n: i64) {
        if self.cell().is_some() {
            self.cells.add_cold(Use::UpAndDown, n as u64);
        }
    }

    /// Subtracts `n`.
    #[inline]
    pub fn sub(&self, n: i64) {
        self.add(n.wrapping_neg());
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
        self.this().read_by(cells::settled)
    }

    pub(crate) fn read(&self, reader: &Reader) -> i64 {
        self.this().read_own(reader)
    }

    /// The value, of a gauge that is not merged into another.
    #[inline]
    pub(crate) fn read_own(&self, reader: &Reader) -> i64 {
        self.read_by(|id| reader.settled(id))
    }

    #[inline]
    fn read_by(&self, settled: impl FnOnce(u32) -> u64) -> i64 {
        // Pairs with the swap in `move_value`: a thread that sees the value moved sees the cell.
        let value = self.value.load(Acquire);
        if value != MOVED {
            if self.cells.id().is_none() {
                return value;
            }
            self.move_value();
            let id = self.cells.id();
            return id.map_or(value, |id| cells::settled(id) as i64);
        }
        self.cells.id().map_or(0, |id| settled(id) as i64)
    }

    /// The cell for additions, taken now if there is none.
    pub(crate) fn cell(&self) -> Option<u32> {
        self.claim()
    }

    fn claim(&self) -> Option<u32> {
        let this = self.this();
        let id = this.cells.claim(Use::UpAndDown);
        if this.value.load(Acquire) != MOVED {
            this.move_value();
        }
        id
    }

    #[inline]
    fn this(&self) -> &Self {
        self.first.get().unwrap_or(self)
    }

    /// Merges `self`, a static, into `first`. A value that was set replaces that of `first`; mere
    /// additions are added. Returns a rest for additions still in progress.
    pub(crate) fn join(&'static self, first: &'static Self) -> Option<Rest> {
        let early = self.get();
        let was_set = !matches!(self.value.load(Acquire), 0 | MOVED) || self.set.load(Relaxed) != 0;
        if was_set {
            first.set(early);
        } else if early != 0 {
            first.add(early);
        }
        let own = first.claim().and_then(|id| self.cells.share(id));
        let _ = self.first.set(first);
        let rest = Self {
            value: AtomicI64::new(MOVED),
            cells: Cells::of(own?),
            set: AtomicI64::new(0),
            first: OnceRef::new(),
        };
        let mut added = early;
        Some(Rest::new(move || {
            let now = rest.get();
            first.add(now.wrapping_sub(added));
            added = now;
        }))
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.cells.release(Use::UpAndDown);
    }
}

impl Target for Gauge {
    fn prefetch(&self) -> u64 {
        self.value.load(Relaxed) as u64
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
