//! Exact counts at bounds, and exemplars.

use std::time::Duration;

use super::buckets::Buckets;
use super::detail::{Kept, Value, Wanted};
use super::{Histogram, Timed};
use crate::cells::Run;
use crate::exemplar::{Exemplar, ExemplarLabels, Written};

impl Histogram {
    /// Adds exact counts at these bounds, in the recorded unit: how many values were at most 100
    /// ms. Exporters show them as buckets.
    ///
    /// At most 64 bounds; those that do not ascend, are negative or are not finite are ignored.
    /// Recording costs some nanoseconds more.
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

    /// Keeps exemplars: for each bucket the newest value recorded with a trace id
    /// ([`record_with`](Self::record_with)) or while the thread had a current trace
    /// ([`set_trace_hook`](crate::set_trace_hook)).
    ///
    /// An exemplar takes about 100 bytes, at most 600, in each bucket that has one. Recording costs
    /// some tens of nanoseconds more, and never blocks.
    #[must_use]
    pub const fn exemplars(mut self) -> Self {
        self.detail.wanted.exemplars = true;
        self
    }

    /// Applies a map's options, unless the histogram has its own.
    pub(crate) fn want(&mut self, wanted: Wanted) {
        if self.detail.wanted.is_nothing() {
            self.detail.wanted = wanted;
        }
    }

    /// Records one value with its trace: a trace id, or labels ([`ExemplarLabels`]). The same as
    /// [`record`](Self::record) for a histogram without [`exemplars`](Self::exemplars).
    ///
    /// Labels have at most 128 characters, names included. Names are ASCII letters, digits and `_`;
    /// values contain no control characters. With other labels only the value is recorded, and the
    /// variable `expvar.rejected_exemplars` counts it.
    pub fn record_with(&self, value: u64, labels: impl ExemplarLabels) {
        if self.buckets.floats {
            return self.record_float_with(value as f64, labels);
        }
        self.record_labelled(self.buckets.index(value), Value::Whole(value), &labels);
    }

    /// Records a fraction with its trace. See [`record_float`](Self::record_float).
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

    /// Records a duration with its trace. See [`record_duration`](Self::record_duration).
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
            (_, Value::Whole(value)) => self.record(value),
            (_, Value::Float(value)) => self.record_float(value),
            (_, Value::Beyond) => self.record_beyond(),
        }
    }

    /// Records into a histogram with bounds or exemplars.
    pub(super) fn record_kept(
        &self,
        kept: &Kept,
        index: u32,
        value: Value,
        labels: Option<&Written>,
    ) {
        if kept.run.first().is_none() {
            self.begin();
        }
        kept.record(index, value, labels);
    }

    /// The bounds' counts and exemplars, if declared.
    pub(super) fn kept(&self) -> Option<&Kept> {
        self.detail.kept(self.buckets)
    }

    /// The histogram that records for this one: the owner of a twin, the static it is merged into,
    /// or itself.
    pub(super) fn this(&self) -> &Self {
        match &self.of {
            Some(of) => of,
            None => self.detail.first().unwrap_or(self),
        }
    }

    /// The unit of durations.
    #[inline]
    pub(super) fn timed(&self) -> &Timed {
        self.of.as_ref().map_or(&self.timed, |of| &of.timed)
    }

    /// The cells.
    pub(super) fn run(&self) -> &Run {
        self.kept().map_or(&self.run, |kept| &kept.run)
    }

    /// Returns the stored exemplars, ascending by value. Empty unless they are declared.
    pub fn recorded_exemplars(&self) -> Vec<Exemplar> {
        self.this().kept().map_or_else(Vec::new, Kept::exemplars)
    }
}
