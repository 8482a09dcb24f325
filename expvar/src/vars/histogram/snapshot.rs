//! A histogram's values at one moment, or between two.

use std::sync::Arc;

use super::buckets::Buckets;
use super::place::Place;
use crate::cells::page::{CELLS, SUM};
use crate::cells::{Reader, float_sum};

mod powers;
mod quantiles;

/// A histogram's values at one moment, or between two. See [`Snapshot::since`].
///
/// ```
/// let sizes = expvar::Histogram::new();
/// let before = sizes.snapshot();
/// (1..=100).for_each(|size| sizes.record(size));
/// let snapshot = sizes.snapshot();
/// assert_eq!((snapshot.count(), snapshot.sum(), snapshot.min()), (100, 5050, 1));
/// assert!((48..=52).contains(&snapshot.quantile(0.5)));
/// assert_eq!(snapshot.since(&before).count(), 100);
/// ```
#[derive(Debug, Clone)]
pub struct Snapshot {
    buckets: Buckets,
    /// How many of the duration's unit make a second.
    pub(super) per_second: u64,
    /// The sum of whole numbers, or the bits of a float.
    sum: u64,
    /// The bucket of `counts[0]`. Buckets outside `counts` are empty.
    start: usize,
    counts: Vec<u64>,
    pub(super) exact: Exact,
}

/// Exact counts at declared bounds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Exact {
    /// Ascending; `None` without bounds.
    pub(super) bounds: Option<Arc<[f64]>>,
    /// For each bound, how many values in its bucket are at most the bound.
    pub(super) within: Vec<u64>,
}

impl Exact {
    fn clear(&mut self) {
        self.bounds = None;
        self.within.clear();
    }
}

/// A range of values, `low` and `high` included, and how many were recorded in it.
///
/// ```
/// let sizes = expvar::Histogram::new();
/// sizes.record(3);
/// sizes.record(3);
/// let bucket = sizes.snapshot().buckets().next().unwrap();
/// assert_eq!((bucket.low, bucket.high, bucket.count), (3, 3, 2));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// The lowest value of the range.
    pub low: u64,
    /// The highest value of the range.
    pub high: u64,
    /// How many were recorded.
    pub count: u64,
}

impl Snapshot {
    /// How many values were recorded.
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, n| sum.wrapping_add(*n))
    }

    /// Their sum, modulo 2⁶⁴. For fractions, its whole part.
    pub fn sum(&self) -> u64 {
        if self.buckets.floats { f64::from_bits(self.sum) as u64 } else { self.sum }
    }

    /// Their sum as a float.
    pub fn sum_float(&self) -> f64 {
        if self.buckets.floats { f64::from_bits(self.sum) } else { self.sum as f64 }
    }

    /// Whether the histogram holds fractions. See [`Histogram::floats`](super::Histogram::floats).
    /// Methods that return whole numbers then truncate.
    pub fn is_float(&self) -> bool {
        self.buckets.floats
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.counts.iter().all(|&n| n == 0)
    }

    /// The lower bound of the lowest bucket with values: at most one bucket's width below the
    /// smallest recorded value. 0 when empty.
    pub fn min(&self) -> u64 {
        self.buckets().next().map_or(0, |bucket| bucket.low)
    }

    /// The upper bound of the highest bucket with values: at most one bucket's width above the
    /// largest recorded value. 0 when empty.
    pub fn max(&self) -> u64 {
        self.last().map_or(0, |index| self.buckets.bounds(index).1)
    }

    /// [`min`](Self::min) with its fraction.
    pub fn min_float(&self) -> f64 {
        self.buckets_float().next().map_or(0.0, |(low, _, _)| low)
    }

    /// [`max`](Self::max) with its fraction.
    pub fn max_float(&self) -> f64 {
        self.last().map_or(0.0, |index| self.buckets.bounds_float(index).1)
    }

    fn last(&self) -> Option<usize> {
        self.counts.iter().rposition(|&n| n != 0).map(|at| self.start + at)
    }

    /// Sum divided by count; 0 when empty. Exact unless the sum wrapped.
    pub fn mean(&self) -> f64 {
        match self.count() {
            0 => 0.0,
            count => self.sum_float() / count as f64,
        }
    }

    /// What was recorded after `earlier`, a snapshot of the same histogram.
    pub fn since(&self, earlier: &Snapshot) -> Snapshot {
        let mut difference = self.clone();
        difference.subtract(earlier.sum, earlier.held());
        difference.subtract_exact(earlier);
        difference
    }

    fn subtract_exact(&mut self, earlier: &Snapshot) {
        let earlier = earlier.exact.within.iter();
        self.exact.within.iter_mut().zip(earlier).for_each(|(n, m)| *n = n.saturating_sub(*m));
    }

    /// Sets this snapshot to what was recorded between `earlier` and `later`. Like
    /// [`since`](Self::since), but reuses memory and does not allocate.
    pub fn assign_since(&mut self, later: &Snapshot, earlier: &Snapshot) {
        self.copy(later);
        self.exact.clone_from(&later.exact);
        self.subtract(earlier.sum, earlier.held());
        self.subtract_exact(earlier);
    }

    /// The declared bounds. See [`Histogram::buckets`](super::Histogram::buckets). Empty without
    /// bounds, and for a recent snapshot.
    pub fn bounds(&self) -> &[f64] {
        self.exact.bounds.as_deref().unwrap_or_default()
    }

    /// How many values were at most `bound`. Exact for one of [`bounds`](Self::bounds). For any
    /// other, counts only buckets that lie wholly at or below it, so it may miss values within one
    /// bucket's width below.
    pub fn at_most(&self, bound: f64) -> u64 {
        let exact = self.bounds().iter().position(|&exact| exact == bound);
        let mut count = 0u64;
        for (low, high, held) in self.buckets_float() {
            // Zeros and negative values are in the lowest bucket of fractions.
            let is_lowest = self.buckets.floats && low == 0.0;
            if high <= bound || (is_lowest && exact.is_none() && bound >= 0.0) {
                count = count.wrapping_add(held);
            } else if !is_lowest && (low > bound || self.buckets.floats && low == bound) {
                break;
            } else {
                // Incremented after the bucket; may be read before or after it.
                let within = exact.and_then(|at| self.exact.within.get(at));
                count = count.wrapping_add(within.copied().unwrap_or(0).min(held));
            }
        }
        count
    }

    /// The buckets with values, in ascending order.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> + '_ {
        self.held().map(|(index, count)| {
            let (low, high) = self.buckets.bounds(index);
            Bucket { low, high, count }
        })
    }

    /// Like [`buckets`](Self::buckets) for fractions: lower bound, upper bound, count.
    pub fn buckets_float(&self) -> impl Iterator<Item = (f64, f64, u64)> + '_ {
        self.held().map(|(index, count)| {
            let (low, high) = self.buckets.bounds_float(index);
            (low, high, count)
        })
    }

    /// The lowest value, if its bucket holds no other.
    #[doc(hidden)]
    pub fn known_min(&self) -> Option<u64> {
        self.known(self.counts.iter().position(|&n| n != 0).map(|at| self.start + at))
    }

    /// The highest value, if its bucket holds no other.
    #[doc(hidden)]
    pub fn known_max(&self) -> Option<u64> {
        self.known(self.last())
    }

    fn known(&self, index: Option<usize>) -> Option<u64> {
        let (low, high) = self.buckets.bounds(index.filter(|_| !self.buckets.floats)?);
        (low == high).then_some(low)
    }

    /// The indices and counts of the buckets with values.
    pub(super) fn held(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let counts = self.counts.iter().enumerate().filter(|&(_, &count)| count != 0);
        counts.map(|(at, &count)| (self.start + at, count))
    }

    /// The sum in its stored form.
    pub(super) fn raw_sum(&self) -> u64 {
        self.sum
    }

    /// Empties the snapshot for a histogram of this shape, and keeps its memory.
    pub(super) fn clear(&mut self, buckets: Buckets) {
        self.buckets = buckets;
        self.sum = 0;
        self.start = 0;
        self.counts.clear();
        self.exact.clear();
    }

    /// Adds a histogram's values. The snapshot must be empty.
    pub(super) fn load(&mut self, place: &Place, reader: &Reader) {
        reader.run(place.first, place.pages, |at, sums| {
            if self.counts.is_empty() {
                self.start = at;
            }
            self.counts.resize(at - self.start, 0);
            self.counts.extend_from_slice(&sums[..CELLS]);
            if self.buckets.floats {
                let sum = f64::from_bits(self.sum) + float_sum(sums);
                self.sum = sum.to_bits();
            } else {
                self.sum = self.sum.wrapping_add(sums[SUM]);
            }
        });
    }

    pub(super) fn subtract(&mut self, sum: u64, earlier: impl Iterator<Item = (usize, u64)>) {
        self.sum = if self.buckets.floats {
            (f64::from_bits(self.sum) - f64::from_bits(sum)).to_bits()
        } else {
            self.sum.wrapping_sub(sum)
        };
        for (index, n) in earlier {
            let at = index.checked_sub(self.start);
            if let Some(count) = at.and_then(|at| self.counts.get_mut(at)) {
                // A count that seems to shrink is from another histogram.
                *count = count.saturating_sub(n);
            }
        }
    }

    pub(super) fn copy(&mut self, other: &Snapshot) {
        self.buckets = other.buckets;
        self.per_second = other.per_second;
        self.sum = other.sum;
        self.start = other.start;
        self.counts.clone_from(&other.counts);
        self.exact.clear();
    }
}

impl PartialEq for Snapshot {
    fn eq(&self, other: &Self) -> bool {
        let shape = |snapshot: &Self| (snapshot.buckets, snapshot.sum);
        shape(self) == shape(other) && self.held().eq(other.held())
    }
}

impl Default for Snapshot {
    /// An empty snapshot.
    fn default() -> Self {
        Self {
            buckets: Buckets::new(4),
            per_second: 1_000_000_000,
            sum: 0,
            start: 0,
            counts: Vec::new(),
            exact: Exact::default(),
        }
    }
}
