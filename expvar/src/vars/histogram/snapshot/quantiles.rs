//! Quantiles of a snapshot.

use std::time::Duration;

use super::Snapshot;

impl Snapshot {
    /// The value at quantile `q` (clamped to 0 to 1), within the histogram's relative error. 0 when
    /// empty.
    pub fn quantile(&self, q: f64) -> u64 {
        self.middle(self.rank(q))
    }

    /// [`quantile`](Self::quantile) of recorded durations.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let latency = expvar::Histogram::new();
    /// latency.record_duration(Duration::from_millis(250));
    /// let median = latency.snapshot().quantile_duration(0.5);
    /// assert!(median.abs_diff(Duration::from_millis(250)) < Duration::from_millis(9));
    /// ```
    pub fn quantile_duration(&self, q: f64) -> Duration {
        if !self.buckets.floats {
            let (whole, nanos) = (self.quantile(q), 1_000_000_000 / self.per_second);
            let rest = (whole % self.per_second) * nanos;
            return Duration::new(whole / self.per_second, rest as u32);
        }
        let seconds = self.quantile_float(q) / self.per_second as f64;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    /// [`quantile`](Self::quantile) with its fraction.
    pub fn quantile_float(&self, q: f64) -> f64 {
        self.middle_float(self.rank(q))
    }

    /// The buckets of the values at these shares, which must ascend: in one pass over the counts.
    pub(crate) fn ranks(
        &self,
        quantiles: impl Iterator<Item = f64>,
    ) -> impl Iterator<Item = Option<usize>> {
        let count = self.count();
        // At least the first, at most the last; NaN gives the first.
        let rank = move |q: f64| ((q * count as f64).ceil() as u64).clamp(1, count.max(1));
        let (mut seen, mut counts) = (0u64, self.counts.iter().enumerate());
        let mut last = None;
        quantiles.map(move |q| {
            let rank = rank(q);
            while seen < rank {
                let (at, n) = counts.next()?;
                seen = seen.saturating_add(*n);
                last = Some(self.start + at);
            }
            last
        })
    }

    /// The bucket of the value at quantile `q`.
    fn rank(&self, q: f64) -> Option<usize> {
        self.ranks(std::iter::once(q)).next().flatten()
    }

    /// A bucket's representative value; 0 without a bucket.
    pub(crate) fn middle(&self, index: Option<usize>) -> u64 {
        index.map_or(0, |index| self.buckets.middle(index))
    }

    /// The same with its fraction.
    pub(crate) fn middle_float(&self, index: Option<usize>) -> f64 {
        index.map_or(0.0, |index| self.buckets.middle_float(index))
    }
}
