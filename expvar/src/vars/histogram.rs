//! Histograms: distributions of latencies, sizes and the like.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use once_cell::sync::OnceCell;

use crate::cells::{Reader, Run};
use crate::clock::Time;
use crate::info::Unit;
use crate::join::Rest;

mod buckets;
mod declared;
pub(crate) mod detail;
mod place;
mod snapshot;
mod stamp;
mod timed;
mod window;

use buckets::Buckets;
use detail::{Detail, Value};
use place::Place;
pub use snapshot::{Bucket, Quantiles, Reading, Snapshot};
pub use stamp::Stamp;
pub(crate) use timed::Timed;
pub(crate) use window::Moment;
use window::Window;
#[doc(hidden)]
pub use window::roll_windows;

/// A distribution of whole numbers: latencies in nanoseconds, sizes in bytes.
///
/// Buckets are log-linear and cover all of `u64`. By default quantiles are within 3.2 % of the
/// exact value; [`with_precision`](Self::with_precision) sets another error. Recording adds to two
/// cells, one in a page of 64 buckets and one for the sum, without a lock or a clock. A page covers
/// four factors of two and exists only if a value falls into it. It takes 576 bytes, and as much
/// again in each thread that records into it often, within the limit for all threads
/// ([`set_limit`](crate::set_limit)). Latencies over three decades take three or four pages.
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

    /// Records a fraction into a histogram made by [`floats`](Self::floats); any other records its
    /// whole part. Negative values count in the lowest bucket; NaN is ignored. In a histogram of
    /// whole numbers, values of 2⁶⁴ or more count in the highest bucket and add nothing to the sum.
    #[doc(alias = "observe")]
    #[inline]
    pub fn record_float(&self, value: f64) {
        if !self.buckets.floats {
            return self.record_part(value);
        }
        let Some(index) = Buckets::index_float(value) else { return };
        if !self.run.try_record_float(index as u32, value) {
            self.record_float_cold(index as u32, value);
        }
    }

    /// Records one value.
    #[doc(alias = "observe")]
    #[inline]
    pub fn record(&self, value: u64) {
        if self.buckets.floats {
            return self.record_whole(value);
        }
        self.add(value);
    }

    /// Records a value into a histogram of whole numbers.
    #[inline]
    fn add(&self, value: u64) {
        let index = self.buckets.index(value) as u32;
        if !self.run.try_record(index, value) {
            self.add_cold(index, value);
        }
    }

    #[cold]
    #[inline(never)]
    fn add_cold(&self, index: u32, value: u64) {
        match self.this().kept() {
            Some(kept) => self.this().record_kept(kept, index, Value::Whole(value), None),
            None => self.record_cold(index, value, 0.0),
        }
    }

    #[cold]
    #[inline(never)]
    fn record_float_cold(&self, index: u32, value: f64) {
        match self.this().kept() {
            Some(kept) => self.this().record_kept(kept, index, Value::Float(value), None),
            None => self.record_cold(index, 0, value),
        }
    }

    /// Records the whole part of a fraction.
    #[inline(never)]
    fn record_part(&self, value: f64) {
        /// 2⁶⁴.
        const BEYOND: f64 = u64::MAX as f64;
        if value < BEYOND {
            // The cast makes negative values zero.
            self.add(value as u64);
        } else if !value.is_nan() {
            self.record_beyond();
        }
    }

    /// Records a value that is too large for the sum.
    #[cold]
    #[inline(never)]
    fn record_beyond(&self) {
        if let Some(kept) = self.this().kept() {
            let index = self.buckets.index(u64::MAX) as u32;
            return self.this().record_kept(kept, index, Value::Beyond, None);
        }
        self.record_cold(self.buckets.index(u64::MAX) as u32, 0, 0.0);
    }

    /// Records a whole number among fractions.
    #[cold]
    #[inline(never)]
    fn record_whole(&self, value: u64) {
        self.record_float(value as f64);
    }

    #[cold]
    #[inline(never)]
    fn record_cold(&self, index: u32, n: u64, float: f64) {
        let run = self.run();
        if run.first().is_none() {
            self.begin();
        }
        run.record_cold(index, n, float);
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

    /// Records a duration in the declared unit. Default: nanoseconds (at most 584 years), or
    /// seconds for a histogram of fractions. Whole numbers are rounded down.
    #[inline]
    pub fn record_duration(&self, duration: Duration) {
        if !self.timed().is_nanoseconds() {
            return self.record_scaled(duration);
        }
        self.add_or_beyond(duration.as_nanos());
    }

    #[inline]
    fn add_or_beyond(&self, value: u128) {
        match u64::try_from(value) {
            Ok(value) => self.add(value),
            Err(_) => self.record_beyond(),
        }
    }

    /// Records a duration in any unit but whole nanoseconds.
    #[inline(never)]
    fn record_scaled(&self, duration: Duration) {
        if self.buckets.floats {
            self.record_float(self.timed().float(duration));
        } else {
            self.add_or_beyond(self.timed().whole(duration));
        }
    }

    /// Starts a timer that records the time until it is dropped, as
    /// [`record_duration`](Self::record_duration) does.
    #[doc(alias("start_timer", "time"))]
    #[inline]
    pub fn start(&self) -> Timer<'_> {
        Timer { histogram: Some(self), start: Time::now() }
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

    /// Merges `self`, a static, into `first`; `None` if their buckets differ. Records the values so
    /// far into `first` and returns a rest for recordings still in progress.
    pub(crate) fn join(&'static self, first: &'static Self) -> Option<Option<Rest>> {
        if !first.has_buckets_of(self) {
            return None;
        }
        if let Some(kept) = self.kept() {
            let _ = kept.first.set(first);
            let mut recorded = Snapshot::default();
            let mut rest = Rest::new(move || first.record_rest(self, &mut recorded));
            rest.add();
            return Some(Some(rest));
        }
        let Some(id) = first.begin() else { return Some(None) };
        let window = first.window.get_or_init(Window::start);
        let _ = self.window.set(Arc::clone(window));
        let Some(run) = self.run.share(id) else { return Some(None) };
        let mut rest = Self::of(self.buckets);
        rest.run = run;
        let mut recorded = Snapshot::default();
        let mut rest = Rest::new(move || first.record_rest(&rest, &mut recorded));
        rest.add();
        Some(Some(rest))
    }

    pub(crate) fn has_buckets_of(&self, other: &Self) -> bool {
        self.buckets == other.buckets && self.detail.wanted == other.detail.wanted
    }

    /// Records what `other` holds beyond `recorded`.
    pub(crate) fn record_rest(&self, other: &Self, recorded: &mut Snapshot) {
        let mut now = Snapshot::default();
        other.read_own(&Reader::now(), &mut now);
        let new = now.since(recorded);
        // A recording in progress may be in the sum alone; the next call gets it.
        if !new.is_empty() {
            self.record_all(&new);
            *recorded = now;
        }
    }

    /// Records the values of another histogram with the same buckets one by one; the first gets the
    /// sum.
    fn record_all(&self, other: &Snapshot) {
        let floats = self.buckets.floats;
        let (mut sum, mut float) = (other.sum(), other.sum_float());
        for (index, count) in other.held() {
            for _ in 0..count {
                let (n, of) = (std::mem::take(&mut sum), std::mem::take(&mut float));
                let (n, of) = if floats { (0, of) } else { (n, 0.0) };
                self.record_cold(index as u32, n, of);
            }
        }
        if let Some(kept) = self.kept() {
            kept.add(&other.exact);
        }
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

/// A running measurement: records the time since [`Histogram::start`] when dropped.
///
/// ```
/// let took = expvar::Histogram::new();
/// let timer = took.start();
/// drop(timer);
/// took.start().discard();
/// assert_eq!(took.snapshot().count(), 1);
/// ```
#[doc(alias = "HistogramTimer")]
#[must_use = "a timer records when it is dropped: bind it to a name that lives as long as the work"]
#[derive(Debug)]
pub struct Timer<'a> {
    histogram: Option<&'a Histogram>,
    start: Time,
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
