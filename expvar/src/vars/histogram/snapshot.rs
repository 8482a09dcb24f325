//! What a histogram held at one moment, or between two.

use super::HEAD;
use super::buckets::Buckets;
use crate::cells::Slabs;

/// What a histogram held at one moment, or between two: see [`Snapshot::since`].
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    buckets: Buckets,
    /// Count, sum, and a number a bucket, as in the cells.
    cells: Vec<u64>,
}

/// What an exporter sees of a histogram.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// Everything since the process began.
    pub total: Snapshot,
    /// The last 60 to 70 seconds.
    pub recent: Snapshot,
}

/// The quantiles that every exporter shows, by the name each is shown under.
pub struct Quantiles;

impl Quantiles {
    /// Names and quantiles, ascending.
    pub const SHOWN: [(&'static str, f64); 5] =
        [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)];
}

/// Values from `low` to `high`, both included, were recorded `count` times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// The lowest value that counts here.
    pub low: u64,
    /// The highest value that counts here.
    pub high: u64,
    /// How many were recorded.
    pub count: u64,
}

impl Snapshot {
    /// How many values were recorded.
    pub fn count(&self) -> u64 {
        self.counts().iter().fold(0, |sum, n| sum.wrapping_add(*n))
    }

    /// Their sum, modulo 2⁶⁴; of fractions, its whole part.
    pub fn sum(&self) -> u64 {
        match self.cells.get(1) {
            Some(&bits) if self.buckets.floats => f64::from_bits(bits) as u64,
            sum => sum.copied().unwrap_or(0),
        }
    }

    /// Their sum, of fractions as they were recorded.
    pub fn sum_float(&self) -> f64 {
        match self.cells.get(1) {
            Some(&bits) if self.buckets.floats => f64::from_bits(bits),
            _ => self.sum() as f64,
        }
    }

    /// Whether the histogram holds fractions: see [`Histogram::floats`](super::Histogram::floats).
    /// What returns whole numbers here then cuts the fraction off.
    pub fn is_float(&self) -> bool {
        self.buckets.floats
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.counts().iter().all(|&n| n == 0)
    }

    /// The lower bound of the lowest bucket that holds anything: at most one bucket's width below
    /// the smallest value recorded. 0 when empty.
    pub fn min(&self) -> u64 {
        self.buckets().next().map_or(0, |bucket| bucket.low)
    }

    /// The upper bound of the highest bucket that holds anything: at most one bucket's width above
    /// the largest value recorded. 0 when empty.
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
        self.counts().iter().rposition(|&n| n != 0)
    }

    /// Sum divided by count; 0 when empty. Exact unless the sum wrapped.
    pub fn mean(&self) -> f64 {
        match self.count() {
            0 => 0.0,
            count => self.sum_float() / count as f64,
        }
    }

    /// The value below or at which the share `q` (from 0 to 1, others are taken as these) of what
    /// was recorded lies, within the histogram's relative error. 0 when empty.
    pub fn quantile(&self, q: f64) -> u64 {
        self.rank(q).map_or(0, |index| self.buckets.middle(index))
    }

    /// [`quantile`](Self::quantile) with its fraction.
    pub fn quantile_float(&self, q: f64) -> f64 {
        self.rank(q).map_or(0.0, |index| self.buckets.middle_float(index))
    }

    /// The bucket in which the value at the share `q` lies.
    fn rank(&self, q: f64) -> Option<usize> {
        let count = self.count();
        // At least the first, at most the last; NaN asks for the first.
        let rank = ((q * count as f64).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0u64;
        self.counts().iter().position(|&n| {
            seen = seen.saturating_add(n);
            seen >= rank
        })
    }

    /// What was recorded after `earlier` was taken, of the same histogram.
    pub fn since(&self, earlier: &Snapshot) -> Snapshot {
        let mut difference = self.clone();
        difference.subtract(earlier.cells.iter().copied().enumerate());
        difference
    }

    /// Makes this snapshot what was recorded between `earlier` and `later`, of one histogram, and
    /// keeps its memory: what [`since`](Self::since) returns, without an allocation.
    pub fn assign_since(&mut self, later: &Snapshot, earlier: &Snapshot) {
        self.copy(later);
        self.subtract(earlier.cells.iter().copied().enumerate());
    }

    /// The buckets that hold anything, in ascending order.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> + '_ {
        let held = self.counts().iter().enumerate().filter(|&(_, &count)| count != 0);
        held.map(|(index, &count)| {
            let (low, high) = self.buckets.bounds(index);
            Bucket { low, high, count }
        })
    }

    /// Like [`buckets`](Self::buckets), with fractions: lower bound, upper bound, count.
    pub fn buckets_float(&self) -> impl Iterator<Item = (f64, f64, u64)> + '_ {
        let held = self.counts().iter().enumerate().filter(|&(_, &count)| count != 0);
        held.map(|(index, &count)| {
            let (low, high) = self.buckets.bounds_float(index);
            (low, high, count)
        })
    }

    fn counts(&self) -> &[u64] {
        self.cells.get(HEAD as usize..).unwrap_or(&[])
    }

    /// Empties the snapshot for a histogram of this shape; keeps its memory.
    pub(super) fn clear(&mut self, buckets: Buckets) {
        self.buckets = buckets;
        self.cells.clear();
        self.cells.resize(HEAD as usize + buckets.len(), 0);
    }

    pub(super) fn load(&mut self, id: u32, slabs: &Slabs) {
        slabs.add_row(id, &mut self.cells);
        if self.buckets.floats {
            self.cells[1] = slabs.sum_float(id + 1).to_bits();
        }
    }

    pub(super) fn cells(&self) -> &[u64] {
        &self.cells
    }

    pub(super) fn subtract(&mut self, earlier: impl Iterator<Item = (usize, u64)>) {
        for (index, n) in earlier {
            if let Some(cell) = self.cells.get_mut(index) {
                *cell = match index {
                    1 if self.buckets.floats => {
                        (f64::from_bits(*cell) - f64::from_bits(n)).to_bits()
                    }
                    1 => cell.wrapping_sub(n),
                    // Only a sum may shrink: a bucket that seems to belongs to another histogram.
                    _ => cell.saturating_sub(n),
                };
            }
        }
    }

    pub(super) fn copy(&mut self, other: &Snapshot) {
        self.buckets = other.buckets;
        self.cells.clone_from(&other.cells);
    }
}

impl Default for Snapshot {
    /// Nothing recorded.
    fn default() -> Self {
        Self { buckets: Buckets::new(4), cells: Vec::new() }
    }
}
