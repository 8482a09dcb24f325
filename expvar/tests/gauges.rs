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
    one::WAITING.set(5);
    another::WAITING.add(1);
    let registry = Registry::new();
    registry.publish("one", &one::WAITING).unwrap();
    registry.publish("another", &another::WAITING).unwrap();
    assert_eq!((one::WAITING.get(), another::WAITING.get()), (6, 6));
    assert_eq!(registry.to_json(), "{\n\"another\": 6,\n\"one\": 6\n}\n");
}
