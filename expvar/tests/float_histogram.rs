//! A histogram of fractions keeps them, from every thread and in every reading.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use expvar::{Histogram, Registry};

#[test]
fn fractions_are_kept_and_shown() {
    let registry = Registry::new();
    let seconds = registry.publish("seconds", Histogram::floats()).unwrap();
    for _ in 0..99 {
        seconds.record_float(0.25);
    }
    seconds.record_duration(Duration::from_millis(1500));
    seconds.record_float(f64::NAN);
    let seen = seconds.snapshot();
    assert_eq!((seen.count(), seen.sum_float(), seen.sum()), (100, 26.25, 26));
    assert!((seen.quantile_float(0.5) / 0.25 - 1.0).abs() <= 0.032);
    assert_eq!(
        registry.to_json(),
        "{\n\"seconds\": {\"count\":100,\"sum\":26.25,\"min\":0.2421875,\"max\":1.5,\
         \"mean\":0.2625,\"p50\":0.24609375,\"p90\":0.24609375,\"p95\":0.24609375,\
         \"p99\":0.24609375,\"p999\":1.46875}\n}\n"
    );
}

#[test]
fn whole_numbers_take_no_nonsense_and_their_sum_never_goes_back() {
    let sizes = Histogram::new();
    sizes.record_float(7.9);
    sizes.record_float(f64::NAN);
    assert_eq!((sizes.snapshot().count(), sizes.snapshot().sum()), (1, 7));
    for below in [-0.0, -1.0, -1e300, f64::NEG_INFINITY] {
        sizes.record_float(below);
    }
    let seen = sizes.snapshot();
    assert_eq!((seen.count(), seen.sum(), seen.quantile(0.5)), (5, 7, 0));
    for beyond in [f64::INFINITY, 1e300, 18_446_744_073_709_551_616.0] {
        sizes.record_float(beyond);
        assert_eq!(sizes.snapshot().sum(), 7, "{beyond}");
    }
    sizes.record_duration(Duration::MAX);
    let seen = sizes.snapshot();
    assert_eq!((seen.count(), seen.sum(), seen.max()), (9, 7, u64::MAX));
    let recent = sizes.recent();
    assert_eq!((recent.count(), recent.sum()), (9, 7));
}

#[test]
fn what_was_recorded_between_two_snapshots_is_their_difference() {
    let histogram = Histogram::floats();
    histogram.record_float(0.5);
    let earlier = histogram.snapshot();
    histogram.record_float(0.125);
    histogram.record(3);
    let between = histogram.snapshot().since(&earlier);
    assert_eq!((between.count(), between.sum_float()), (2, 3.125));
    let bounds: Vec<f64> = between.buckets_float().map(|(_, high, _)| high).collect();
    assert_eq!(bounds, [0.125, 3.0], "powers of two end their buckets");
}

#[test]
fn threads_and_their_teardown_lose_nothing() {
    thread_local! {
        static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
    }
    struct Late(Arc<Histogram>);
    impl Drop for Late {
        fn drop(&mut self) {
            self.0.record_float(0.5);
        }
    }
    let histogram = Arc::new(Histogram::floats());
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let histogram = Arc::clone(&histogram);
            std::thread::spawn(move || {
                LATE.set(Some(Late(Arc::clone(&histogram))));
                for _ in 0..1000 {
                    histogram.record_float(0.25);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let seen = histogram.snapshot();
    assert_eq!((seen.count(), seen.sum_float()), (4004, 1002.0));
}
