//! Native histograms: converts our log-linear buckets to Prometheus' exponential ones.
//!
//! Both divide each factor of two, ours into equal parts, theirs into equal ratios, so only powers
//! of two are bounds of both. Each of our buckets goes as a whole into the bucket of schema 8, 0.27
//! % wide, that holds its middle. A quantile computed by Prometheus is then at most that much
//! further from the exact one than ours: 3.5 % instead of 3.2 %. With schema 3, whose buckets are 9
//! % wide, it could be 12 %. Custom buckets (schema -53) have no field in this format.

use expvar::Snapshot;

/// 2⁸ buckets per factor of two: Prometheus' finest.
pub(super) const SCHEMA: i64 = 8;
const PER_OCTAVE: f64 = 256.0;
/// The zero bucket of whole numbers holds only zeros, with any bound below one. This is the bound
/// of Prometheus' own libraries.
const ZERO_THRESHOLD: f64 = 1.0 / (1u128 << 127) as f64 / 2.0;

/// The buckets of one histogram.
#[derive(Debug, Default)]
pub(super) struct Native {
    pub(super) zero_threshold: f64,
    pub(super) zero_count: u64,
    /// Runs of buckets: the gap to the previous run, or the first's index, and the length.
    pub(super) spans: Vec<(i64, u64)>,
    /// Each bucket's count, less that of the previous one.
    pub(super) deltas: Vec<i64>,
}

impl Native {
    /// Loads a histogram, its values divided by `scale`; keeps the memory.
    pub(super) fn set(&mut self, snapshot: &Snapshot, scale: f64) {
        self.spans.clear();
        self.deltas.clear();
        self.zero_count = 0;
        self.zero_threshold = ZERO_THRESHOLD;
        // The index of the next bucket, and the last one's count.
        let (mut next, mut last) = (0, 0);
        for (low, high, count) in snapshot.buckets_float() {
            let is_lowest = if snapshot.is_float() { low == 0.0 } else { high == 0.0 };
            if is_lowest {
                // Of fractions: zeros, negative values, and values up to a billionth.
                self.zero_count = count;
                self.zero_threshold = ZERO_THRESHOLD.max(high / scale);
                continue;
            }
            let bucket = number(low, high, scale);
            let count = count as i64;
            match (self.spans.last_mut(), self.deltas.last_mut()) {
                // Where ours are as narrow, two may have their middles in one of theirs.
                (Some(_), Some(delta)) if bucket < next => {
                    *delta += count;
                    last += count;
                    continue;
                }
                (Some((_, length)), _) if bucket == next => *length += 1,
                _ => self.spans.push((bucket - next, 1)),
            }
            self.deltas.push(count - last);
            (next, last) = (bucket + 1, count);
        }
    }
}

/// The index of the bucket that holds the middle of one of ours: its upper bound is 2^(index /
/// 256).
fn number(low: f64, high: f64, scale: f64) -> i64 {
    // The relative error is the same at both ends.
    let middle = if low == high { low } else { 2.0 * low * high / (low + high) };
    ((middle / scale).log2() * PER_OCTAVE).ceil() as i64
}

#[cfg(test)]
mod tests {
    use expvar::Histogram;

    use super::*;

    /// Bounds and counts, as a reader makes them.
    fn buckets(native: &Native) -> Vec<(f64, f64, i64)> {
        let (mut at, mut count, mut deltas) = (0, 0, native.deltas.iter());
        let mut buckets = Vec::new();
        for &(offset, length) in &native.spans {
            at += offset;
            for _ in 0..length {
                count += deltas.next().expect("a delta for each bucket");
                let bound = |at: i64| 2f64.powf(at as f64 / PER_OCTAVE);
                buckets.push((bound(at - 1), bound(at), count));
                at += 1;
            }
        }
        assert_eq!(deltas.next(), None, "a bucket for each delta");
        buckets
    }

    #[test]
    fn each_value_is_within_the_error_of_its_bucket() {
        for (bits, scale) in [(1, 1.0), (4, 1.0), (4, 1e9), (6, 1e3), (8, 1e6)] {
            let error = 1.0 / f64::from(2u32 << bits) + 0.0028;
            for exponent in 0..63 {
                for step in 0..50u64 {
                    let value =
                        (1u64 << exponent) + ((1u128 << exponent) * step as u128 / 50) as u64;
                    let histogram = Histogram::with_precision(bits);
                    histogram.record(value);
                    let mut native = Native::default();
                    native.set(&histogram.snapshot(), scale);
                    let [(low, high, 1)] = buckets(&native)[..] else { panic!("one bucket") };
                    let shown = value as f64 / scale;
                    let found = [low, high].map(|bound| (bound - shown).abs() / shown);
                    assert!(found.iter().all(|found| *found <= error), "{bits} {value}: {found:?}");
                }
            }
        }
    }

    #[test]
    fn counts_lie_in_order_and_nothing_is_lost() {
        let mut native = Native::default();
        for bits in 1..=8 {
            let histogram = Histogram::with_precision(bits);
            (0..5000).for_each(|value| histogram.record(value));
            native.set(&histogram.snapshot(), 1e3);
            let buckets = buckets(&native);
            assert!(buckets.windows(2).all(|pair| pair[0].1 <= pair[1].0 * 1.000001), "{bits}");
            let count: i64 = buckets.iter().map(|(_, _, count)| count).sum();
            assert_eq!((count, native.zero_count), (4999, 1), "{bits}");
            assert!(native.spans[1..].iter().all(|span| span.0 > 0), "{bits}");
        }
        let floats = Histogram::floats();
        for value in [-1.0, 0.0, 1e-12, 0.5, 1.0, f64::INFINITY] {
            floats.record_float(value);
        }
        native.set(&floats.snapshot(), 1.0);
        assert_eq!((native.zero_count, native.zero_threshold), (3, 2f64.powi(-30)));
        assert_eq!(native.deltas, [1, 0, 0]);
        native.set(&Histogram::new().snapshot(), 1.0);
        assert_eq!((native.zero_count, native.zero_threshold), (0, 2f64.powi(-128)));
        assert!(native.spans.is_empty() && native.deltas.is_empty());
    }
}
