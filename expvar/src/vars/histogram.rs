//! Distributions: how long, how large, how many at a time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use once_cell::sync::OnceCell;

use crate::cells::{Reader, Run};
use crate::clock::Time;
use crate::exemplar::{Exemplar, ExemplarLabels, Written};
use crate::info::Unit;
use crate::join::Rest;

mod buckets;
pub(crate) mod detail;
mod place;
mod snapshot;
mod timed;
mod window;

use buckets::Buckets;
use detail::{Detail, Kept, Value, Wanted};
use place::Place;
pub use snapshot::{Bucket, Quantiles, Reading, Snapshot};
pub(crate) use timed::Timed;
pub(crate) use window::Moment;
use window::Window;

/// A distribution of whole numbers: latencies in nanoseconds, sizes in bytes.
///
/// Buckets are log-linear and cover all of `u64`. By default a quantile is within 3.2 % of the
/// exact one; [`with_precision`](Self::with_precision) chooses otherwise. Recording adds to two
/// cells that lie in one page of 64 buckets, four factors of two, and its sum: no lock, no clock.
/// Pages in which no value falls take no memory; each of the others takes 576 bytes, and as much in
/// each thread that records into it often, within the limit for all threads
/// ([`set_limit`](crate::set_limit)). Latencies over three decades take three or four.
///
/// `count` and `sum` cover the life of the process. Quantiles, minimum, maximum and mean are shown
/// over a sliding window, the last 60 to 70 seconds: one thread for all histograms of the process
/// notes every 10 seconds where those that moved stand. It is started when a histogram is published
/// or read, never by a record. The window begins then too; what was recorded before counts as
/// recent for the first minute. A histogram that nobody records into keeps one note and costs
/// nothing else.
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
    /// The histogram whose cells these are: see [`twin`](Self::twin).
    of: Option<Arc<Histogram>>,
}

impl Histogram {
    /// An empty histogram with 16 buckets to a factor of two: a relative error of at most 3.2 %.
    pub const fn new() -> Self {
        Self::with_precision(4)
    }

    /// An empty histogram with 2^`bits` buckets to a factor of two: a relative error of at most
    /// 1 / 2^(`bits` + 1). `bits` from 1 (25 %, a page to 32 factors of two) to 8 (0.2 %, four pages
    /// to a factor of two); others are taken as the nearest of these.
    pub const fn with_precision(bits: u8) -> Self {
        Self::of(Buckets::new(bits))
    }

    /// An empty histogram of fractions: latencies in seconds, shares. What is from 2⁻³⁰ (about a
    /// billionth) to 2⁶⁴ is within 3.2 %, the sum is exact as far as floats are.
    pub const fn floats() -> Self {
        Self::of(Buckets::of_floats())
    }

    const fn of(buckets: Buckets) -> Self {
        let timed = Timed::of(buckets.floats);
        let run = Run::new(buckets.len());
        let detail = Detail::none();
        Self { buckets, timed, run, window: OnceCell::new(), detail, of: None }
    }

    /// A handle on the same cells that has a count of references of its own, so that a thread can
    /// clone and drop it without a cache line that others write. `None` where there are details,
    /// which are slow anyway.
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

    /// With durations recorded in `unit`, for [`start`](Self::start) and
    /// [`record_duration`](Self::record_duration): what is no unit of time changes nothing.
    ///
    /// A unit that is declared ([`vars!`](crate::vars), [`group!`](crate::group), the
    /// [`Info`](crate::Info) of a publication, also that of a map that holds the histogram) does the
    /// same.
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

    /// With exact counts at these bounds, in the unit that is recorded: how many values were at most
    /// 100 ms. Exporters show these buckets.
    ///
    /// At most 64; those that do not ascend, or are below zero or no number, are left out. Recording
    /// into it costs some nanoseconds more.
    ///
    /// ```
    /// let latency = expvar::Histogram::new().buckets(&[100e6, 250e6]);
    /// latency.record(100_000_000);
    /// latency.record(100_000_001);
    /// assert_eq!(latency.snapshot().at_most(100e6), 1);
    /// ```
    #[must_use]
    pub const fn buckets(mut self, bounds: &'static [f64]) -> Self {
        self.detail.wanted.bounds = bounds;
        self
    }

    /// With exemplars: the newest value of each bucket that was recorded with a trace id
    /// ([`record_with`](Self::record_with)) or while the thread worked for a trace
    /// ([`set_trace_hook`](crate::set_trace_hook)).
    ///
    /// Each takes about 100 bytes, at most 600, for the buckets in which such values fell. Recording
    /// into it costs some tens of nanoseconds more, and never waits.
    #[must_use]
    pub const fn exemplars(mut self) -> Self {
        self.detail.wanted.exemplars = true;
        self
    }

    /// Keeps what a map declares, unless it has something of its own.
    pub(crate) fn want(&mut self, wanted: Wanted) {
        if self.detail.wanted.is_nothing() {
            self.detail.wanted = wanted;
        }
    }

    /// The same for one that may be in use.
    pub(crate) fn set_timed_in(&self, unit: Unit) {
        if let Some(timed) = Timed::of_unit(unit, self.buckets.floats) {
            self.timed().set(&timed);
        }
    }

    /// Records a fraction into a histogram made by [`floats`](Self::floats); any other records its
    /// whole part. What is below zero counts as the lowest bucket, what is no number not at all.
    /// Among whole numbers, what is 2⁶⁴ or more counts in the highest bucket and adds nothing to the
    /// sum, which never goes back.
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

    /// Records one value among whole numbers.
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

    /// Records one value with the trace that it comes from: a trace id, or labels
    /// ([`ExemplarLabels`]). Where no [`exemplars`](Self::exemplars) are declared, it is
    /// [`record`](Self::record).
    ///
    /// Labels have at most 128 characters, names included, which are ASCII letters, digits and `_`;
    /// values have no control characters. With others the value alone is recorded, and the variable
    /// `expvar.rejected_exemplars` counts it.
    pub fn record_with(&self, value: u64, labels: impl ExemplarLabels) {
        if self.buckets.floats {
            return self.record_float_with(value as f64, labels);
        }
        self.record_labelled(self.buckets.index(value), Value::Whole(value), &labels);
    }

    /// The same for a fraction: see [`record_float`](Self::record_float).
    pub fn record_float_with(&self, value: f64, labels: impl ExemplarLabels) {
        if !self.buckets.floats {
            const BEYOND: f64 = u64::MAX as f64;
            return match value < BEYOND {
                true => self.record_with(value as u64, labels),
                false => self.record_float(value),
            };
        }
        if let Some(index) = Buckets::index_float(value) {
            self.record_labelled(index, Value::Float(value), &labels);
        }
    }

    /// The same for a duration: see [`record_duration`](Self::record_duration).
    pub fn record_duration_with(&self, duration: Duration, labels: impl ExemplarLabels) {
        if self.buckets.floats {
            return self.record_float_with(self.timed().float(duration), labels);
        }
        match u64::try_from(self.timed().whole(duration)) {
            Ok(value) => self.record_with(value, labels),
            Err(_) => self.record_beyond(),
        }
    }

    fn record_labelled(&self, index: usize, value: Value, labels: &impl ExemplarLabels) {
        let (this, index) = (self.this(), index as u32);
        match (this.kept(), value) {
            (Some(kept), value) if this.detail.wanted.exemplars => {
                this.record_kept(kept, index, value, Written::new(labels).as_ref());
            }
            (_, Value::Whole(value)) => self.add(value),
            (_, Value::Float(value)) => self.record_float(value),
            (_, Value::Beyond) => self.record_beyond(),
        }
    }

    /// Records into a histogram with details.
    fn record_kept(&self, kept: &Kept, index: u32, value: Value, labels: Option<&Written>) {
        if kept.run.first().is_none() {
            self.begin();
        }
        kept.record(index, value, labels);
    }

    /// What is kept beside the buckets, if that is declared.
    fn kept(&self) -> Option<&Kept> {
        self.detail.kept(self.buckets)
    }

    /// The histogram whose twin this is, or the static of the same name that this one, which has
    /// details, stands for; or itself.
    fn this(&self) -> &Self {
        match &self.of {
            Some(of) => of,
            None => self.detail.first().unwrap_or(self),
        }
    }

    /// What durations are recorded in.
    #[inline]
    fn timed(&self) -> &Timed {
        self.of.as_ref().map_or(&self.timed, |of| &of.timed)
    }

    /// The cells.
    fn run(&self) -> &Run {
        self.kept().map_or(&self.run, |kept| &kept.run)
    }

    /// The exemplars that are kept, by value: none unless they are declared.
    pub fn recorded_exemplars(&self) -> Vec<Exemplar> {
        self.this().kept().map_or_else(Vec::new, Kept::exemplars)
    }

    /// Records the whole part of a fraction among whole numbers.
    #[inline(never)]
    fn record_part(&self, value: f64) {
        /// 2⁶⁴.
        const BEYOND: f64 = u64::MAX as f64;
        if value < BEYOND {
            // What is below zero becomes zero.
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

    /// Takes cells, and tells the window if there is one.
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

    /// Begins the window, and sees to it that it is rolled. Called when the histogram gets a name or
    /// is read, never to record.
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

    /// Records a duration in the unit that was declared; without one, in nanoseconds (at most 584
    /// years), or in seconds if this is a histogram of fractions. Whole numbers are rounded down.
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

    /// Records a duration in another unit than whole nanoseconds.
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

    /// Everything recorded so far.
    pub fn snapshot(&self) -> Snapshot {
        let mut total = Snapshot::default();
        self.read_total(&Reader::now(), &mut total);
        total
    }

    /// What was recorded in the last 60 to 70 seconds.
    pub fn recent(&self) -> Snapshot {
        let mut reading = Reading::default();
        self.read(&Reader::now(), &mut reading);
        reading.recent
    }

    pub(crate) fn read(&self, reader: &Reader, reading: &mut Reading) {
        let moment = self.read_total(reader, &mut reading.total);
        self.read_recent(moment, reader, reading);
    }

    /// What was recorded in the last minute, of the total in `reading`, which was read at `moment`.
    pub(crate) fn read_recent(&self, moment: Moment, reader: &Reader, reading: &mut Reading) {
        let window = self.this().window(reader.process());
        window.recent(moment, &reading.total, &mut reading.recent);
    }

    /// How many values were recorded: a cell a page.
    pub(crate) fn read_count(&self, reader: &Reader) -> u64 {
        self.this().place().map_or(0, |place| place.count(reader))
    }

    pub(crate) fn is_float(&self) -> bool {
        self.buckets.floats
    }

    pub(crate) fn read_total(&self, reader: &Reader, total: &mut Snapshot) -> Moment {
        self.this().read_own(reader, total)
    }

    /// The same of what this one itself recorded, whatever it stands for.
    fn read_own(&self, reader: &Reader, total: &mut Snapshot) -> Moment {
        total.clear(self.buckets);
        total.per_second = self.timed.per_second();
        // First the time: a note that holds more than was recorded until then is right soon, one
        // that holds less would make what is missing look recent for as long as it took to read.
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

    /// Makes `self`, a static, record into `first`'s cells; `None` where their buckets differ. What
    /// it recorded before is recorded there, and so is what the rest that is returned may still get.
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

    /// Records what `other` holds beyond what was `recorded` of it before.
    pub(crate) fn record_rest(&self, other: &Self, recorded: &mut Snapshot) {
        let mut now = Snapshot::default();
        other.read_own(&Reader::now(), &mut now);
        let new = now.since(recorded);
        // A record that is under way may be in the sum alone: it is whole the next time.
        if !new.is_empty() {
            self.record_all(&new);
            *recorded = now;
        }
    }

    /// Records what another histogram of the same buckets holds, one by one: the first record of
    /// all takes the sum.
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
