//! What a thread has not used for long serves others. Alone in its process, whose clock it turns.

#![forbid(unsafe_code)]

use std::sync::{Barrier, Mutex};

use expvar::__private::age;
use expvar::{Counter, Histogram, Registry, set_limit, usage};

/// Pages of cells.
const PAGES: usize = 6;
const PAGE_BYTES: usize = 576;

struct All {
    counters: Vec<std::sync::Arc<Counter>>,
    histogram: std::sync::Arc<Histogram>,
}

impl All {
    /// Records often enough to earn all pages; how many into each.
    fn heat(&self) -> u64 {
        const TIMES: u64 = 3_000;
        for _ in 0..TIMES {
            self.counters.iter().for_each(|counter| counter.inc());
            self.histogram.record(1_000);
        }
        TIMES
    }

    fn assert(&self, each: u64) {
        assert!(self.counters.iter().all(|counter| counter.get() == each));
        let seen = self.histogram.snapshot();
        assert_eq!((seen.count(), seen.sum()), (each, each * 1_000));
    }
}

#[test]
fn what_a_thread_has_not_used_for_long_serves_others() {
    assert!(set_limit(PAGES * PAGE_BYTES));
    let registry = Registry::new();
    // One counter in each of five pages, and a page of a histogram.
    let counters: Vec<_> = (0..64 * 5)
        .map(|at| registry.publish(&format!("c{at:03}"), Counter::new()).unwrap())
        .step_by(64)
        .collect();
    let histogram = registry.publish("h", Histogram::new()).unwrap();
    let all = All { counters, histogram };
    let (turn, records) = (Barrier::new(2), Mutex::new(0));
    std::thread::scope(|scope| {
        let (all, turn, records) = (&all, &turn, &records);
        let idle = scope.spawn(move || {
            for _ in 0..3 {
                *records.lock().unwrap() += all.heat();
                turn.wait();
                turn.wait();
            }
        });
        turn.wait();
        let held = usage().private_bytes;
        assert!(held >= (PAGES - 2) * PAGE_BYTES, "{held}");
        let _ = registry.to_json();
        assert_eq!(usage().private_bytes, held, "in use until a minute ago");

        // The thread lives, and does nothing.
        age();
        let _ = registry.to_json();
        assert_eq!(usage().private_bytes, 0);
        all.assert(*records.lock().unwrap());

        // Another gets what it had.
        let other = || {
            let before = expvar::__private::shared_records();
            let times = all.heat();
            assert!(usage().private_bytes >= (PAGES - 2) * PAGE_BYTES);
            let shared = expvar::__private::shared_records() - before;
            assert!(shared < times * 3, "{shared} of {}", times * 6);
            times
        };
        let times = scope.spawn(other).join().unwrap();
        *records.lock().unwrap() += times;

        // The first comes back, while others read.
        turn.wait();
        turn.wait();
        all.assert(*records.lock().unwrap());
        age();
        // It comes back at the moment at which its pages are taken.
        let total = *records.lock().unwrap();
        let reader = scope.spawn(move || {
            let mut last = (total, total);
            for _ in 0..2_000 {
                let now = (all.counters[0].get(), all.histogram.snapshot().count());
                assert!(now.0 >= last.0 && now.1 >= last.1, "{now:?} after {last:?}");
                last = now;
            }
        });
        turn.wait();
        turn.wait();
        reader.join().unwrap();
        all.assert(*records.lock().unwrap());
        turn.wait();
        // The scope alone does not wait for what the end of a thread gives back.
        idle.join().unwrap();
    });
    all.assert(*records.lock().unwrap());
    let _ = registry.to_json();
    assert_eq!(usage().private_bytes, 0);
}
