//! Histograms: distributions of latencies, sizes and the like.

use std::fmt;
use std::sync::Arc;

use once_cell::sync::OnceCell;

use crate::cells::{Reader, Run};
use crate::clock::Time;
use crate::info::Unit;

mod buckets;
mod declared;
pub(crate) mod detail;
mod join;
mod place;
mod reading;
mod record;
mod snapshot;
mod stamp;
mod timed;
mod window;

use buckets::Buckets;
use detail::Detail;
use place::Place;
pub use reading::{Quantiles, Reading};
pub use record::Timer;
pub use snapshot::{Bucket, Snapshot};
pub use stamp::Stamp;
pub(crate) use timed::Timed;
pub(crate) use window::Moment;
use window::Window;
#[doc(hidden)]
pub use window::roll_windows;

/// A distribution of whole numbers: latencies in nanoseconds, sizes in bytes.
///
/// Buckets are log-linear and cover all of `u64`. By default quantiles are within 3.2 % of the
/// exact value; [`with_precision`](Self::with_precision) sets another error. Recording adds to
/// three cells of one page, a bucket, the page's count and its sum, without a lock or a clock. A
/// page has 64 buckets, covers four factors of two and exists only if a value falls into it. It
/// takes 576 bytes, and as much again in each thread that records into it often, within the limit
/// for all threads ([`set_limit`](crate::set_limit)). Latencies over three decades take three or
/// four pages.
///
/// `count` and `sum` cover the life of the process. Quantiles, minimum, maximum and mean are shown
/// over a sliding window of the last 60 to 70 seconds. One thread for all histograms of the process
/// takes a note every 10 seconds of each histogram that changed. It starts when a histogram is
/// first published or read, never on recording. The window starts then too; earlier values count as
/// recent for the first minute. An idle histogram keeps one note and costs nothing else.
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
#[doc(alias("HistogramVec", "Summary", "Distribution"))]
pub struct Histogram {
    buckets: Buckets,
    /// Never nanoseconds for fractions: see [`Timed::is_nanoseconds`].
    timed: Timed,
    run: Run,
    window: OnceCell<Arc<Window>>,
    detail: Detail,
    /// The histogram that owns these cells, for a [`twin`](Self::twin).
    of: Option<Arc<Histogram>>,
}

impl Histogram {
    /// Creates an empty histogram with 16 buckets per factor of two: a relative error of at most
    /// 3.2 %.
    pub const fn new() -> Self {
        Self::with_precision(4)
    }

    /// Creates an empty histogram with 2^`bits` buckets per factor of two: a relative error of at
    /// most 1 / 2^(`bits` + 1). `bits` is clamped to 1 (25 %, one page for 32 factors of two) to 8
    /// (0.2 %, four pages for each factor of two).
    pub const fn with_precision(bits: u8) -> Self {
        Self::of(Buckets::new(bits))
    }

    /// Creates an empty histogram of fractions: latencies in seconds, ratios. Values from 2⁻³⁰
    /// (about a billionth) to 2⁶⁴ are within 3.2 %; the sum has the precision of a float.
    pub const fn floats() -> Self {
        Self::of(Buckets::of_floats())
    }

    const fn of(buckets: Buckets) -> Self {
        let timed = Timed::of(buckets.floats);
        let run = Run::new(buckets.len());
        let detail = Detail::none();
        Self { buckets, timed, run, window: OnceCell::new(), detail, of: None }
    }

    /// Another handle on the same cells with its own reference count, so that cloning and dropping
    /// it writes no shared cache line. `None` for a histogram with bounds or exemplars, where the
    /// reference count does not matter.
    pub(crate) fn twin(self: &Arc<Self>) -> Option<Arc<Self>> {
        let of = self.of.as_ref().unwrap_or(self);
        if !of.detail.wanted.is_nothing() {
            return None;
        }
        let mut twin = Self::of(of.buckets);
        if let Some(first) = of.run.first() {
            twin.run.share(first);
        }
        twin.of = Some(Arc::clone(of));
        Some(Arc::new(twin))
    }

    /// Sets the unit in which [`start`](Self::start) and [`record_duration`](Self::record_duration)
    /// record. Ignored unless it is a unit of time.
    ///
    /// A declared unit does the same: in [`vars!`](crate::vars), [`group!`](crate::group), the
    /// [`Info`](crate::Info) of a publication, or that of the map that holds the histogram.
    ///
    /// ```
    /// use expvar::{Histogram, Unit};
    /// use std::time::Duration;
    ///
    /// let wait = Histogram::new().timed_in(Unit::Milliseconds);
    /// wait.record_duration(Duration::from_millis(10));
    /// assert_eq!(wait.snapshot().sum(), 10);
    /// ```
    #[must_use]
    pub const fn timed_in(mut self, unit: Unit) -> Self {
        if let Some(timed) = Timed::of_unit(unit, self.buckets.floats) {
            self.timed = timed;
        }
        self
    }

    /// Sets the unit of a histogram that may be in use.
    pub(crate) fn set_timed_in(&self, unit: Unit) {
        if let Some(timed) = Timed::of_unit(unit, self.buckets.floats) {
            self.timed().set(&timed);
        }
    }

    /// Takes cells, and informs the window if there is one.
    fn begin(&self) -> Option<u32> {
        if let Some(of) = &self.of {
            let first = of.begin()?;
            self.run.share(first);
            return Some(first);
        }
        let first = self.run().claim()?;
        if let (Some(window), Some(place)) = (self.window.get(), self.place()) {
            window.begin(place);
        }
        Some(first)
    }

    /// Where the cells are, if there are any.
    fn place(&self) -> Option<Place> {
        let run = self.run();
        run.first().map(|first| Place::new(first, run, self.buckets))
    }

    /// Starts the window and its thread. Called when the histogram gets a name or is read, never on
    /// recording.
    pub(crate) fn watch(&self) {
        self.this().window(crate::cells::process());
    }

    fn window(&self, process: u64) -> &Window {
        let window = self.window.get_or_init(Window::start);
        if let Some(place) = self.place() {
            window.begin(place);
        }
        window::watch(process);
        window
    }

    /// Returns everything recorded so far.
    pub fn snapshot(&self) -> Snapshot {
        let mut total = Snapshot::default();
        self.read_total(&Reader::now(), &mut total);
        total
    }

    /// Returns what was recorded in the last 60 to 70 seconds.
    pub fn recent(&self) -> Snapshot {
        let mut reading = Reading::default();
        self.read(&Reader::now(), &mut reading);
        reading.recent
    }

    pub(crate) fn read(&self, reader: &Reader, reading: &mut Reading) {
        let moment = self.read_total(reader, &mut reading.total);
        self.read_recent(moment, reader, reading);
    }

    /// What was recorded in the last minute, given the total in `reading`, read at `moment`.
    pub(crate) fn read_recent(&self, moment: Moment, reader: &Reader, reading: &mut Reading) {
        let window = self.this().window(reader.process());
        window.recent(moment, &reading.total, &mut reading.recent);
    }

    /// A stamp that changes with every recording.
    pub(crate) fn total_stamp(&self, reader: &Reader) -> Stamp {
        Stamp::of(self.place(), reader)
    }

    /// A stamp that changes with every recording, and when values leave the window.
    pub(crate) fn recent_stamp(&self, reader: &Reader) -> Stamp {
        let now = Time::now();
        let stamp = self.total_stamp(reader);
        stamp.within(self.window(reader.process()).since(now, stamp.records()))
    }

    /// The number of recorded values; reads one cell per page.
    pub(crate) fn read_count(&self, reader: &Reader) -> u64 {
        self.this().place().map_or(0, |place| place.count(reader))
    }

    pub(crate) fn is_float(&self) -> bool {
        self.buckets.floats
    }

    pub(crate) fn read_total(&self, reader: &Reader, total: &mut Snapshot) -> Moment {
        self.this().read_own(reader, total)
    }

    /// Reads this histogram's own cells, even if it is merged into another.
    fn read_own(&self, reader: &Reader, total: &mut Snapshot) -> Moment {
        total.clear(self.buckets);
        total.per_second = self.timed.per_second();
        // Take the time first. A note with more than was recorded by then is soon correct; one with
        // less would make the difference look recent.
        let mut moment = Moment { at: Time::now(), stamp: 0 };
        if let Some(place) = self.place() {
            moment.stamp = place.stamp(reader);
            total.load(&place, reader);
        }
        if let Some(kept) = self.kept() {
            kept.load(reader, &mut total.exact);
        }
        moment
    }
}

impl Drop for Histogram {
    fn drop(&mut self) {
        if self.of.is_some() {
            return;
        }
        if let Some(window) = self.window.take() {
            window.stop();
        }
        self.run.release();
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
