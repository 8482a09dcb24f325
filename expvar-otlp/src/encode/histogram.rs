//! Converts a histogram's buckets to OTLP's.
//!
//! See [`Histograms`](crate::Histograms) for the bounds.

use expvar::protobuf::Message;
use expvar::{Exemplar, Snapshot, Unit};

use crate::encode::attributes::{self, Attributes, OF_EXPONENTIAL, OF_HISTOGRAM, OF_NUMBER};

/// The upper bound of the lowest bucket of fractions, with zeros and negative values.
const LEAST: f64 = 1.0 / (1_u64 << 30) as f64;
/// Buckets that an exponential histogram has at most, as SDKs have.
const MOST: i32 = 160;
/// The finest scale that SDKs use.
const FINEST: i32 = 20;

/// The exemplars of a histogram, and the time from which they are new.
pub(crate) struct Exemplars<'e> {
    pub(crate) all: &'e [Exemplar],
    pub(crate) since: u64,
}

/// Buffers for the buckets of one point.
#[derive(Default)]
pub(crate) struct Buckets {
    counts: Vec<u64>,
    bounds: Vec<f64>,
}

impl Buckets {
    /// Appends a point of an exponential histogram.
    pub(crate) fn write_exponential(
        &mut self,
        points: &mut Message,
        attributes: &Attributes,
        (start, time): (u64, u64),
        snapshot: &Snapshot,
        exemplars: &Exemplars<'_>,
    ) {
        let (scale, offset, zeros) = self.load_exponential(snapshot);
        let counted: u64 = self.counts.iter().fold(zeros, |sum, n| sum.wrapping_add(*n));
        points.nested(1, |point| {
            attributes.put(point, OF_EXPONENTIAL);
            point.fixed64(2, start);
            point.fixed64(3, time);
            point.fixed64(4, counted);
            write_sum(point, 5, snapshot);
            point.sint(6, scale.into());
            point.fixed64(7, zeros);
            if !self.counts.is_empty() {
                point.nested(8, |positive| {
                    positive.sint(1, offset.into());
                    positive.packed(2, self.counts.iter().copied());
                });
            }
            write_exemplars(point, 11, exemplars);
            let (min, max) = known(snapshot);
            for (field, value) in [(12, min), (13, max)] {
                if let Some(value) = value {
                    point.explicit_double(field, value);
                }
            }
            point.double(14, if snapshot.is_float() { LEAST } else { 0.0 });
        });
    }

    /// Loads the counts from the lowest non-empty bucket to the highest; returns the scale, the
    /// lowest bucket's index, and the zero count.
    fn load_exponential(&mut self, snapshot: &Snapshot) -> (i32, i32, u64) {
        self.counts.clear();
        if let (Some(max), Some(_)) = (snapshot.known_max(), snapshot.known_min()) {
            return self.load_values(snapshot, max);
        }
        let (mut zeros, mut offset) = (0, None);
        snapshot.powers(|exponent, count| match exponent {
            None => zeros += count,
            Some(exponent) => {
                let first = *offset.get_or_insert(exponent);
                let at = (exponent - first) as usize;
                if at >= self.counts.len() {
                    self.counts.resize(at + 1, 0);
                }
                self.counts[at] += count;
            }
        });
        (0, offset.unwrap_or(0), zeros)
    }

    /// Like [`load_exponential`](Self::load_exponential), if every value is known exactly and none
    /// exceeds `max`.
    fn load_values(&mut self, snapshot: &Snapshot, max: u64) -> (i32, i32, u64) {
        let mut zeros = 0;
        let mut lowest = None;
        for bucket in snapshot.buckets() {
            match bucket.low {
                0 => zeros += bucket.count,
                value => {
                    lowest.get_or_insert(value);
                }
            }
        }
        let Some(lowest) = lowest else { return (0, 0, zeros) };
        let fits = |scale: &i32| index(max, *scale) - index(lowest, *scale) < MOST;
        let scale = (0..=FINEST).rev().find(fits).unwrap_or(0);
        let offset = index(lowest, scale);
        for bucket in snapshot.buckets().filter(|bucket| bucket.low > 0) {
            let at = (index(bucket.low, scale) - offset) as usize;
            if at >= self.counts.len() {
                self.counts.resize(at + 1, 0);
            }
            self.counts[at] += bucket.count;
        }
        (scale, offset, zeros)
    }

    /// Sets these upper bounds.
    pub(crate) fn set_bounds(&mut self, bounds: &[f64]) {
        self.bounds.clear();
        self.bounds.extend_from_slice(bounds);
    }

    /// Sets powers of two as upper bounds, over the unit's range of values.
    pub(crate) fn set_powers(&mut self, unit: Unit, floats: bool) {
        self.bounds.clear();
        // The bound before is inclusive for whole numbers.
        let less = if floats { 0.0 } else { 1.0 };
        let exponents = unit.bucket_exponents(floats);
        self.bounds.extend(exponents.map(|exponent| 2_f64.powi(exponent) - less));
    }

    /// Sets the bounds of the non-empty buckets.
    pub(crate) fn set_own(&mut self, snapshot: &Snapshot) {
        self.bounds.clear();
        let floats = snapshot.is_float();
        for (low, high, _) in snapshot.buckets_float() {
            // Between two of them is an empty bucket.
            let below = if floats { low } else { low - 1.0 };
            if self.bounds.last() != Some(&below) && (low > 0.0) {
                self.bounds.push(below);
            }
            if self.bounds.last().is_none_or(|last| *last < high) {
                self.bounds.push(high);
            }
        }
    }

    /// Loads the counts between the bounds; returns their sum.
    fn load_explicit(&mut self, snapshot: &Snapshot) -> u64 {
        self.counts.clear();
        let counted = snapshot.count();
        if !snapshot.bounds().is_empty() {
            // Some bounds are counted exactly.
            let mut below = 0;
            for &bound in &self.bounds {
                let at_most = snapshot.at_most(bound).max(below);
                self.counts.push(at_most - below);
                below = at_most;
            }
            self.counts.push(counted.saturating_sub(below));
            return counted.max(below);
        }
        self.counts.resize(self.bounds.len() + 1, 0);
        let mut at = 0;
        for (low, high, count) in snapshot.buckets_float() {
            // The lowest bucket of fractions is where zeros and what is below zero are.
            let end = if snapshot.is_float() && low == 0.0 { 0.0 } else { high };
            while self.bounds.get(at).is_some_and(|bound| end > *bound) {
                at += 1;
            }
            self.counts[at] += count;
        }
        counted
    }

    /// Appends a point with explicit bounds.
    pub(crate) fn write_explicit(
        &mut self,
        points: &mut Message,
        attributes: &Attributes,
        (start, time): (u64, u64),
        snapshot: &Snapshot,
        exemplars: &Exemplars<'_>,
    ) {
        let counted = self.load_explicit(snapshot);
        points.nested(1, |point| {
            attributes.put(point, OF_HISTOGRAM);
            point.fixed64(2, start);
            point.fixed64(3, time);
            point.fixed64(4, counted);
            write_sum(point, 5, snapshot);
            point.packed_fixed64(6, self.counts.iter().copied());
            point.packed_double(7, self.bounds.iter().copied());
            write_exemplars(point, 8, exemplars);
            let (min, max) = known(snapshot);
            for (field, value) in [(11, min), (12, max)] {
                if let Some(value) = value {
                    point.explicit_double(field, value);
                }
            }
        });
    }
}

/// Appends the exemplars that are younger than `since`, in nanoseconds since 1970.
fn write_exemplars(point: &mut Message, field: u32, exemplars: &Exemplars<'_>) {
    let younger = exemplars.all.iter().filter(|exemplar| exemplar.unix_nanos() > exemplars.since);
    for exemplar in younger {
        point.nested(field, |message| {
            message.fixed64(2, exemplar.unix_nanos());
            message.explicit_double(3, exemplar.value());
            let mut attributes = Attributes::default();
            for (name, value) in exemplar.labels() {
                match (name, hexadecimal(value)) {
                    ("span_id", Some(id)) if id.len() == 8 => message.bytes(4, &id),
                    ("trace_id", Some(id)) if id.len() == 16 => message.bytes(5, &id),
                    _ => attributes.push(name, attributes::Value::Text(value)),
                }
            }
            attributes.put(message, OF_NUMBER);
        });
    }
}

/// The bytes of an id in hexadecimal.
fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|two| u8::from_str_radix(str::from_utf8(two).ok()?, 16).ok()).collect()
}

/// Omits a sum that is not finite, after an infinite value was recorded.
fn write_sum(point: &mut Message, field: u32, snapshot: &Snapshot) {
    let sum = snapshot.sum_float();
    if sum.is_finite() {
        point.explicit_double(field, sum);
    }
}

/// The lowest and the highest value, if known exactly.
fn known(snapshot: &Snapshot) -> (Option<f64>, Option<f64>) {
    let float = |value: u64| value as f64;
    (snapshot.known_min().map(float), snapshot.known_max().map(float))
}

/// The index of the exponential bucket that a whole number above zero lies in: above
/// 2^(index / 2^scale), at or below the next one.
fn index(value: u64, scale: i32) -> i32 {
    if value.is_power_of_two() {
        return ((value.ilog2() as i32) << scale) - 1;
    }
    // Not a power of two, so its logarithm is not a multiple of the step.
    ((value as f64).log2() * f64::from(1 << scale)).floor() as i32
}

#[cfg(test)]
mod tests {
    use expvar::Histogram;
    use proptest::prelude::*;

    use super::*;

    fn exponential(histogram: &Histogram) -> (i32, i32, u64, Vec<u64>) {
        let mut buckets = Buckets::default();
        let (scale, offset, zeros) = buckets.load_exponential(&histogram.snapshot());
        (scale, offset, zeros, buckets.counts)
    }

    /// The bounds of an exponential bucket.
    fn bounds(scale: i32, index: i32) -> (f64, f64) {
        let bound = |n: i32| 2_f64.powf(f64::from(n) / 2_f64.powi(scale));
        (bound(index), bound(index + 1))
    }

    #[test]
    fn small_whole_numbers_each_have_a_bucket() {
        let histogram = Histogram::new();
        for value in 0..32 {
            for _ in 0..=value {
                histogram.record(value);
            }
        }
        let (scale, offset, zeros, counts) = exponential(&histogram);
        assert_eq!((scale, zeros), (5, 1));
        let held: Vec<_> = (0..).zip(counts).filter(|(_, count)| *count > 0).collect();
        assert_eq!(held.len(), 31, "each for itself");
        for ((at, count), value) in held.into_iter().zip(1..) {
            let (low, high) = bounds(scale, offset + at);
            assert_eq!(count, value + 1);
            assert!(low < value as f64 && value as f64 <= high + 1e-9, "{low} {value} {high}");
        }
    }

    #[test]
    fn a_power_of_two_is_the_upper_bound_of_its_bucket_where_it_is_known() {
        for exponent in 0..=4 {
            let histogram = Histogram::new();
            histogram.record(1 << exponent);
            histogram.record(100_000);
            let (scale, offset, _, counts) = exponential(&histogram);
            assert_eq!((scale, offset, counts[0]), (0, exponent - 1, 1));
        }
    }

    #[test]
    fn nothing_recorded_is_no_bucket() {
        assert_eq!(exponential(&Histogram::new()), (0, 0, 0, vec![]));
        assert_eq!(exponential(&Histogram::floats()), (0, 0, 0, vec![]));
    }

    proptest! {
        #[test]
        fn every_fraction_lies_in_the_bucket_that_counts_it(
            values in prop::collection::vec(-40.0..63.0_f64, 1..50),
        ) {
            let values: Vec<f64> = values.into_iter().map(f64::exp2).collect();
            let histogram = Histogram::floats();
            values.iter().for_each(|value| histogram.record_float(*value));
            let (scale, offset, zeros, counts) = exponential(&histogram);
            prop_assert_eq!(zeros as usize, values.iter().filter(|value| **value <= LEAST).count());
            for (at, count) in (0..).zip(counts) {
                let (low, high) = bounds(scale, offset + at);
                let inside = |value: &&f64| low.max(LEAST) < **value && **value <= high;
                prop_assert_eq!(count as usize, values.iter().filter(inside).count());
            }
        }

        #[test]
        fn every_whole_number_lies_in_the_bucket_that_counts_it(
            bits in 1..=8_u8, values in prop::collection::vec(any::<(u64, u8)>(), 1..50),
        ) {
            let values: Vec<u64> = values.into_iter().map(|(n, shift)| n >> (shift % 64)).collect();
            let histogram = Histogram::with_precision(bits);
            values.iter().for_each(|value| histogram.record(*value));
            let (scale, offset, zeros, counts) = exponential(&histogram);
            let total = counts.iter().sum::<u64>() + zeros;
            prop_assert_eq!(total as usize, values.len());
            prop_assert_eq!(zeros as usize, values.iter().filter(|value| **value == 0).count());
            // Where a value has no bucket of its own, the lower bound is inclusive.
            let own = 1_u64 << (bits + 1);
            for (at, count) in (0..).zip(counts) {
                let (low, high) = bounds(scale, offset + at);
                let inside = |value: &&u64| match scale {
                    0 if **value == 0 => false,
                    0 => {
                        let is_bound = value.is_power_of_two() && **value < own;
                        value.ilog2() as i32 - i32::from(is_bound) == offset + at
                    }
                    _ => low * (1.0 + 1e-12) < **value as f64 && **value as f64 <= high * (1.0 + 1e-12),
                };
                let inside = values.iter().filter(inside).count();
                prop_assert_eq!(count as usize, inside, "{} {} {:?}", low, high, values);
            }
        }

        #[test]
        fn bounds_of_one_s_own_lose_nothing(values in prop::collection::vec(any::<(u64, u8)>(), 1..50)) {
            let histogram = Histogram::new();
            values.iter().for_each(|(n, shift)| histogram.record(n >> (shift % 64)));
            let snapshot = histogram.snapshot();
            let mut buckets = Buckets::default();
            buckets.set_own(&snapshot);
            prop_assert!(buckets.bounds.windows(2).all(|two| two[0] < two[1]));
            let mut points = Message::default();
            let none = Exemplars { all: &[], since: 0 };
            buckets.write_explicit(&mut points, &Attributes::default(), (1, 2), &snapshot, &none);
            let held: Vec<_> = buckets.counts.iter().filter(|n| **n > 0).copied().collect();
            let own: Vec<_> = snapshot.buckets().map(|bucket| bucket.count).collect();
            prop_assert_eq!(held.iter().sum::<u64>(), own.iter().sum::<u64>());
        }
    }
}
