//! Distributions: how long, how large, how many at a time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use once_cell::sync::OnceCell;

use crate::cells::{self, Cells, Slabs};
use crate::sync::AtomicU64;

mod buckets;
mod snapshot;
mod window;

use buckets::Buckets;
pub use snapshot::{Bucket, Quantiles, Reading, Snapshot};
use window::Window;

/// A distribution of whole numbers: latencies in nanoseconds, sizes in bytes.
///
/// Buckets are log-linear and cover all of `u64`. By default a quantile is within 3.2 % of the
/// exact one; [`with_precision`](Self::with_precision) chooses otherwise. Recording adds to three
/// cells of the calling thread: no lock, no allocation, no clock.
///
/// `count` and `sum` cover the life of the process. Quantiles, minimum, maximum and mean are shown
/// over a sliding window, the last 60 to 70 seconds: one thread for all histograms of the process,
/// started by the first record, notes every 10 seconds where those that moved stand. A histogram
/// that nobody records into keeps one such note and costs nothing else.
///
/// ```
/// let latency = expvar::Histogram::new();
/// for millis in 1..=100 {
///     latency.record(millis);
/// }
/// let seen = latency.snapshot();
/// assert_eq!((seen.count(), seen.sum()), (100, 5050));
/// assert!((48..=52).contains(&seen.quantile(0.5)));
/// ```
pub struct Histogram {
    buckets: Buckets,
    /// How many cells: count, sum, and one a bucket.
    len: u32,
    cells: Cells,
    window: OnceCell<Arc<Window>>,
}

/// Cells before the buckets: the count and the sum.
const HEAD: u32 = 2;

impl Histogram {
    /// An empty histogram with 16 buckets to a factor of two: a relative error of at most 3.2 %,
    /// 978 cells (8 KiB of address space) a thread that records.
    pub const fn new() -> Self {
        Self::with_precision(4)
    }

    /// An empty histogram with 2^`bits` buckets to a factor of two: a relative error of at most
    /// 1 / 2^(`bits` + 1). `bits` from 1 (25 %) to 8 (0.2 %, 115 KiB of address space a thread that
    /// records); others are taken as the nearest of these.
    pub const fn with_precision(bits: u8) -> Self {
        let buckets = Buckets::new(bits);
        let len = HEAD + buckets.len() as u32;
        Self { buckets, len, cells: Cells::new(), window: OnceCell::new() }
    }

    /// An empty histogram of fractions: latencies in seconds, shares. What is from 2⁻³⁰ (about a
    /// billionth) to 2⁶⁴ is within 3.2 %, the sum is exact as far as floats are; 1,507 cells
    /// (12 KiB of address space) a thread that records.
    pub const fn floats() -> Self {
        let buckets = Buckets::of_floats();
        let len = HEAD + buckets.len() as u32;
        Self { buckets, len, cells: Cells::new(), window: OnceCell::new() }
    }

    /// Records a fraction into a histogram made by [`floats`](Self::floats); any other records its
    /// whole part. What is below zero counts as the lowest bucket, what is no number not at all.
    #[inline]
    pub fn record_float(&self, value: f64) {
        if !self.buckets.floats {
            return self.record(value as u64);
        }
        let Some(index) = Buckets::index_float(value) else { return };
        let index = HEAD as usize + index;
        if let Some([count, sum, bucket]) = self.cells.first_two_and(index) {
            bump(count, 1);
            bump_float(sum, value);
            bump(bucket, 1);
        } else {
            self.record_cold(index as u32, move |sum| (f64::from_bits(sum) + value).to_bits());
        }
    }

    /// Records one value.
    #[inline]
    pub fn record(&self, value: u64) {
        if self.buckets.floats {
            return self.record_whole(value);
        }
        let index = HEAD as usize + self.buckets.index(value);
        if let Some([count, sum, bucket]) = self.cells.first_two_and(index) {
            bump(count, 1);
            bump(sum, value);
            bump(bucket, 1);
        } else {
            self.record_cold(index as u32, move |sum| sum.wrapping_add(value));
        }
    }

    /// Records a whole number among fractions.
    #[cold]
    #[inline(never)]
    fn record_whole(&self, value: u64) {
        self.record_float(value as f64);
    }

    #[cold]
    #[inline(never)]
    fn record_cold(&self, index: u32, add_to: impl FnOnce(u64) -> u64) {
        let id = self.cells.id_or_claim(self.len);
        self.window.get_or_init(|| Window::start(id, self.buckets));
        match cells::row(id, self.len) {
            Some(row) => {
                bump(&row[0], 1);
                row[1].store(add_to(row[1].load(Relaxed)), Relaxed);
                bump(&row[index as usize], 1);
            }
            None => {
                let last = id + self.len - 1;
                cells::update_shared(id, last, |count| count.wrapping_add(1));
                cells::update_shared(id + 1, last, add_to);
                cells::update_shared(id + index, last, |count| count.wrapping_add(1));
            }
        }
    }

    /// Records a duration in nanoseconds (at most 584 years); a histogram of fractions records
    /// seconds.
    #[inline]
    pub fn record_duration(&self, duration: Duration) {
        if self.buckets.floats {
            return self.record_float(duration.as_secs_f64());
        }
        self.record(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Starts a timer that records the nanoseconds until it is dropped.
    #[inline]
    pub fn start(&self) -> Timer<'_> {
        Timer { histogram: Some(self), start: Instant::now() }
    }

    /// Everything recorded so far.
    pub fn snapshot(&self) -> Snapshot {
        let mut total = Snapshot::default();
        self.read_total(&Slabs::now(), &mut total);
        total
    }

    /// What was recorded in the last 60 to 70 seconds.
    pub fn recent(&self) -> Snapshot {
        let mut reading = Reading::default();
        self.read(&Slabs::now(), &mut reading);
        reading.recent
    }

    pub(crate) fn read(&self, slabs: &Slabs, reading: &mut Reading) {
        self.read_total(slabs, &mut reading.total);
        self.read_recent(reading);
    }

    /// What was recorded of late, of the total in `reading`.
    pub(crate) fn read_recent(&self, reading: &mut Reading) {
        match self.window.get() {
            Some(window) => {
                window.recent(Instant::now(), &reading.total, &mut reading.recent);
            }
            None => reading.recent.clone_from(&reading.total),
        }
    }

    /// How many values were recorded, without reading the buckets.
    pub(crate) fn read_count(&self, slabs: &Slabs) -> u64 {
        self.cells.id().map_or(0, |id| slabs.sum(id))
    }

    pub(crate) fn is_float(&self) -> bool {
        self.buckets.floats
    }

    pub(crate) fn read_total(&self, slabs: &Slabs, total: &mut Snapshot) {
        total.clear(self.buckets);
        if let Some(id) = self.cells.id() {
            total.load(id, slabs);
        }
    }

    /// Makes `self`, a static that nothing was recorded in, record into `first`'s cells. A
    /// different precision keeps the first one's.
    pub(crate) fn join(&'static self, first: &'static Self) -> bool {
        if self.buckets != first.buckets {
            return false;
        }
        let id = first.cells.id().unwrap_or_else(|| first.cells.claim_unsettled(first.len));
        let window = first.window.get_or_init(|| Window::start(id, first.buckets));
        let _ = self.window.set(Arc::clone(window));
        self.cells.share(id);
        true
    }
}

#[inline]
fn bump(cell: &AtomicU64, n: u64) {
    cell.store(cell.load(Relaxed).wrapping_add(n), Relaxed);
}

#[inline]
fn bump_float(cell: &AtomicU64, n: f64) {
    cell.store((f64::from_bits(cell.load(Relaxed)) + n).to_bits(), Relaxed);
}

impl Drop for Histogram {
    fn drop(&mut self) {
        if let Some(window) = self.window.take() {
            window.stop();
        }
        self.cells.release(self.len);
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.snapshot();
        f.debug_struct("Histogram")
            .field("count", &total.count())
            .field("sum", &total.sum())
            .finish()
    }
}

/// A running measurement: records the nanoseconds since [`Histogram::start`] when dropped.
#[must_use = "a timer records when it is dropped: bind it to a name that lives as long as the work"]
#[derive(Debug)]
pub struct Timer<'a> {
    histogram: Option<&'a Histogram>,
    start: Instant,
}

impl Timer<'_> {
    /// Ends without recording anything.
    pub fn discard(mut self) {
        self.histogram = None;
    }

    /// The time since the start.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        if let Some(histogram) = self.histogram {
            histogram.record_duration(self.start.elapsed());
        }
    }
}
