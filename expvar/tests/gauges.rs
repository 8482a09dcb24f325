//! What a gauge shows while it is set, and where two statics have its name.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use expvar::{Gauge, Registry};

#[test]
fn a_set_shows_nothing_that_nobody_set() {
    let gauge = Gauge::new();
    gauge.add(10);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                gauge.set(10);
            }
        });
        let odd = (0..50_000).map(|_| gauge.get()).find(|&value| value != 10);
        done.store(true, Relaxed);
        assert_eq!(odd, None);
    });
}

mod one {
    expvar::vars! {
        pub static WAITING: Gauge = "waiting";
    }
}

mod another {
    expvar::vars! {
        pub static WAITING: Gauge = "waiting";
    }
}

#[test]
fn a_static_that_stands_for_another_shows_that_one_everywhere() {
    // From the first look at the global registry on they are one.
    assert!(expvar::global().get("waiting").is_some());
    one::WAITING.set(5);
    another::WAITING.add(1);
    let registry = Registry::new();
    registry.publish("one", &one::WAITING).unwrap();
    registry.publish("another", &another::WAITING).unwrap();
    assert_eq!((one::WAITING.get(), another::WAITING.get()), (6, 6));
    assert_eq!(registry.to_json(), "{\n\"another\": 6,\n\"one\": 6\n}\n");
}

/// The lowest and the highest gauge of every walk.
struct Range(i64, i64);

impl expvar::Visitor for Range {
    fn enter(&mut self, _: expvar::Step<'_>, _: &expvar::Info) {}

    fn leave(&mut self) {}

    fn number(&mut self, number: expvar::Number) {
        if let expvar::Number::Signed(n) = number {
            (self.0, self.1) = (self.0.min(n), self.1.max(n));
        }
    }
}

#[test]
fn a_walk_shows_no_value_that_was_not_held() {
    let registry = Registry::new();
    let gauges: Vec<_> =
        (0..200).map(|at| registry.publish(&format!("g{at:03}"), Gauge::new()).unwrap()).collect();
    let done = AtomicBool::new(false);
    let mut range = Range(0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // One writer, which sees 0 to 5.
            while !done.load(Relaxed) {
                for gauge in &gauges {
                    (0..5).for_each(|_| gauge.inc());
                    gauge.set(0);
                }
            }
        });
        for _ in 0..3_000 {
            registry.visit(&mut range);
            let read = gauges[7].get();
            (range.0, range.1) = (range.0.min(read), range.1.max(read));
        }
        done.store(true, Relaxed);
    });
    assert!(range.0 >= 0 && range.1 <= 5, "{} to {}", range.0, range.1);
}

#[test]
fn a_walk_shows_what_a_function_before_it_did() {
    let registry = Registry::new();
    let depth = registry.publish("depth", Gauge::new()).unwrap();
    depth.inc();
    depth.dec();
    registry
        .publish(
            "a",
            expvar::Func::new(move || {
                let work = || {
                    depth.add(1_000);
                    depth.set(5);
                };
                std::thread::scope(|scope| scope.spawn(work).join().unwrap());
            }),
        )
        .unwrap();
    assert_eq!(registry.to_json(), "{\n\"a\": null,\n\"depth\": 5\n}\n");
}

/// Two threads hand a gauge to and fro: each adds, and the other takes away what it added.
#[test]
fn what_one_thread_takes_away_is_not_seen_without_what_another_added() {
    let (gauge, turn) = (Gauge::new(), std::sync::atomic::AtomicU64::new(0));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (gauge, turn, done) = (&gauge, &turn, &done);
            scope.spawn(move || {
                while !done.load(Relaxed) {
                    if turn.load(std::sync::atomic::Ordering::Acquire) % 2 == thread {
                        gauge.add(if thread == 0 { 1 } else { -1 });
                        turn.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
                    } else {
                        std::thread::yield_now();
                    }
                }
            });
        }
        let odd = (0..20_000).map(|_| gauge.get()).find(|value| !(0..=1).contains(value));
        done.store(true, Relaxed);
        assert_eq!(odd, None);
    });
}
