//! Quantiles against sorted data.

#![forbid(unsafe_code)]

use expvar::Histogram;

/// A small generator with a fixed seed, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn check(histogram: &Histogram, mut data: Vec<u64>, error: f64) {
    for &value in &data {
        histogram.record(value);
    }
    data.sort_unstable();
    let seen = histogram.snapshot();
    assert_eq!(seen.count(), data.len() as u64);
    assert_eq!(seen.sum(), data.iter().fold(0u64, |sum, n| sum.wrapping_add(*n)));
    let near = |got: u64, exact: u64| got.abs_diff(exact) as f64 <= exact as f64 * error;
    for q in [0.0, 0.001, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0] {
        let rank = ((q * data.len() as f64).ceil() as usize).clamp(1, data.len());
        let (got, exact) = (seen.quantile(q), data[rank - 1]);
        assert!(near(got, exact), "q {q}: {got} against {exact}");
    }
    let (min, max) = (data[0], data[data.len() - 1]);
    assert!(
        seen.min() <= min
            && near(seen.min(), min).max(min - seen.min() <= (min as f64 * 2.0 * error) as u64)
    );
    assert!(seen.max() >= max && seen.max() - max <= (max as f64 * 2.0 * error) as u64);
    assert_eq!(seen.buckets().map(|bucket| bucket.count).sum::<u64>(), seen.count());
}

#[test]
fn quantiles_are_within_the_stated_error() {
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    let uniform: Vec<u64> = (0..20_000).map(|_| random.next() % 1_000_000).collect();
    let exponential: Vec<u64> =
        (0..20_000).map(|_| (-random.unit().max(1e-12).ln() * 5_000_000.0) as u64).collect();
    let bimodal: Vec<u64> = (0..20_000)
        .map(|n| {
            if n % 10 == 0 {
                900_000_000 + random.next() % 1000
            } else {
                40_000 + random.next() % 99
            }
        })
        .collect();
    let constant = vec![123_456_789; 1000];
    let edges = vec![0, 0, u64::MAX, u64::MAX, 1, u64::MAX - 1];
    for data in [uniform, exponential, bimodal, constant, edges] {
        check(&Histogram::new(), data.clone(), 0.032);
        check(&Histogram::with_precision(8), data.clone(), 0.002);
        check(&Histogram::with_precision(1), data, 0.25);
    }
}

#[test]
fn an_empty_histogram_answers_zeros() {
    let empty = Histogram::new().snapshot();
    assert!(empty.is_empty());
    assert_eq!((empty.min(), empty.max(), empty.quantile(0.5), empty.mean()), (0, 0, 0, 0.0));
}

#[test]
fn a_difference_is_what_was_recorded_between() {
    let histogram = Histogram::new();
    histogram.record(5);
    let earlier = histogram.snapshot();
    histogram.record(7);
    histogram.record(7);
    let between = histogram.snapshot().since(&earlier);
    assert_eq!((between.count(), between.sum(), between.min(), between.max()), (2, 14, 7, 7));
    assert_eq!(histogram.snapshot().since(&Default::default()).count(), 3);
}

#[test]
fn a_timer_records_when_dropped_unless_discarded() {
    let histogram = Histogram::new();
    drop(histogram.start());
    histogram.start().discard();
    histogram.record_duration(std::time::Duration::MAX);
    let seen = histogram.snapshot();
    assert_eq!((seen.count(), seen.max()), (2, u64::MAX));
}
