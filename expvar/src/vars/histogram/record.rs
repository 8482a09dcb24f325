//! Recording a value, or how long something took.

use std::time::Duration;

use super::Histogram;
use super::buckets::Buckets;
use super::detail::Value;
use crate::clock::Time;

impl Histogram {
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
        // No call is made before the last thing that is done, so that nothing need be saved for one.
        match self.buckets.index_exact(value) {
            Some(index) if self.run.try_record(index as u32, value) => {}
            Some(index) => self.add_cold(index as u32, value),
            None => self.record_inexact(value),
        }
    }

    /// Records a whole number among fractions, or one that is no float.
    #[cold]
    #[inline(never)]
    fn record_inexact(&self, value: u64) {
        if self.buckets.floats {
            return self.record_float(value as f64);
        }
        let index = self.buckets.index_large(value) as u32;
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
            self.record(value as u64);
        } else if !value.is_nan() {
            self.record_beyond();
        }
    }

    /// Records a value that is too large for the sum.
    #[cold]
    #[inline(never)]
    pub(super) fn record_beyond(&self) {
        if let Some(kept) = self.this().kept() {
            let index = self.buckets.index(u64::MAX) as u32;
            return self.this().record_kept(kept, index, Value::Beyond, None);
        }
        self.record_cold(self.buckets.index(u64::MAX) as u32, 0, 0.0);
    }

    #[cold]
    #[inline(never)]
    pub(super) fn record_cold(&self, index: u32, n: u64, float: f64) {
        let run = self.run();
        if run.first().is_none() {
            self.begin();
        }
        run.record_cold(index, n, float);
    }

    /// Records a duration in the declared unit. Default: nanoseconds (at most 584 years), or
    /// seconds for a histogram of fractions.
    ///
    /// A histogram of whole numbers rounds down: in whole seconds, 1.5 s is 1 and 0.9 s is 0. Use
    /// [`Histogram::floats`] for seconds, or nanoseconds, which Prometheus gets in seconds.
    ///
    /// ```
    /// use expvar::{Histogram, Unit};
    /// use std::time::Duration;
    ///
    /// let (whole, floats) = (Histogram::new().timed_in(Unit::Seconds), Histogram::floats());
    /// for histogram in [&whole, &floats] {
    ///     histogram.record_duration(Duration::from_millis(1500));
    /// }
    /// assert_eq!((whole.snapshot().sum(), floats.snapshot().sum_float()), (1, 1.5));
    /// ```
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
            Ok(value) => self.record(value),
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
