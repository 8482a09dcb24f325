//! Memory follows what is in use: ids and pages come back.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::sync::{Arc, Barrier};

use expvar::{Counter, Histogram, Map, Registry, usage};

/// One test, because all tests of a file share the process and its pages.
#[test]
fn memory_returns_to_its_plateau() {
    short_threads();
    threads_in_teardown();
    ids_come_back();
    nine_bytes_a_counter();
}

fn short_threads() {
    let (counter, map, histogram) = (Counter::new(), Map::new(), Histogram::new());
    let round = |threads: usize| {
        for _ in 0..threads / 50 {
            std::thread::scope(|scope| {
                for _ in 0..50 {
                    scope.spawn(|| {
                        counter.inc();
                        map.add("key", 1);
                        histogram.record(7);
                    });
                }
            });
        }
    };
    round(500);
    let plateau = usage().shared_bytes;
    round(10_000);
    assert_eq!(counter.get(), 10_500);
    assert_eq!(map.get("key").unwrap().to_string(), "10500");
    assert_eq!((histogram.snapshot().count(), histogram.snapshot().sum()), (10_500, 73_500));
    assert_eq!(usage().shared_bytes, plateau);
}

fn threads_in_teardown() {
    static LATE: Counter = Counter::new();
    static LATE_HISTOGRAM: Histogram = Histogram::new();
    static LATE_MAP: Map = Map::new();

    struct Recorder;
    impl Drop for Recorder {
        fn drop(&mut self) {
            LATE.inc();
            LATE_HISTOGRAM.record(3);
            LATE_MAP.add("late", 1);
        }
    }
    thread_local! {
        static FIRST: RefCell<Option<Recorder>> = const { RefCell::new(None) };
    }
    for early in [true, false] {
        for _ in 0..100 {
            let recording = move || {
                // Registered before or after the guard of what the thread holds, so dropped after or before it.
                if early {
                    FIRST.with(|first| *first.borrow_mut() = Some(Recorder));
                    LATE.inc();
                } else {
                    LATE.inc();
                    FIRST.with(|first| *first.borrow_mut() = Some(Recorder));
                }
            };
            std::thread::spawn(recording).join().unwrap();
        }
    }
    assert_eq!(LATE.get(), 400);
    assert_eq!(LATE_HISTOGRAM.snapshot().sum(), 600);
    assert_eq!(LATE_MAP.get("late").unwrap().to_string(), "200");
}

fn ids_come_back() {
    let before = usage();
    for n in 0..100_000u64 {
        let counter = Counter::new();
        counter.add(n);
        assert_eq!(counter.get(), n, "a reused id starts from zero");
    }
    for _ in 0..200 {
        let histogram = Histogram::new();
        histogram.record(1);
        assert_eq!(histogram.snapshot().count(), 1);
    }
    let map = Map::new();
    for n in 0..100_000 {
        let key = n.to_string();
        map.add(&key, 1);
        assert_eq!(map.remove(&key).unwrap().to_string(), "1");
    }
    for n in 0..200 {
        for key in 0..100 {
            map.add(format!("{n}-{key}"), 1);
        }
        map.clear();
    }
    drop(map);
    assert_eq!(usage().cells, before.cells, "every cell was given back");
    // Pages of counters, of keys and of a histogram.
    assert!(usage().shared_bytes <= before.shared_bytes + 8 * 576, "{before:?} {:?}", usage());
}

fn nine_bytes_a_counter() {
    const COUNTERS: usize = 50_000;
    const THREADS: usize = 8;
    let (before, registry) = (usage(), Registry::new());
    let publish = |n| registry.publish(&format!("c{n}"), Counter::new()).unwrap();
    let counters: Vec<Arc<Counter>> = (0..COUNTERS).map(publish).collect();
    let barrier = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                barrier.wait();
                counters.iter().for_each(|counter| counter.inc());
                // All threads are there at once.
                barrier.wait();
            });
        }
    });
    let taken = usage().shared_bytes - before.shared_bytes;
    assert!(taken <= 9 * COUNTERS + 576, "{taken} bytes");
    assert!(counters.iter().all(|counter| counter.get() == THREADS as u64));
    let cells = usage().cells;
    drop((counters, registry));
    assert_eq!(cells - usage().cells, COUNTERS);
}
