//! The text of 10,000 counters of which eight live threads hold cells.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Barrier, Mutex};

use expvar::__private::{switch_columns, switch_prefetch};
use expvar::{Counter, FloatGauge, Gauge, Registry};
use expvar_benches::{Race, print_machine};
use prometheus::{Encoder, IntCounter, TextEncoder};

const VARIABLES: usize = 10_000;
const THREADS: usize = 8;

const PLAIN: &str = "expvar JSON";
const FULL: &str = "expvar JSON with cmdline, memstats, process";
const BY_NAME: &str = "expvar JSON, each name escaped anew";
const SERDE: &str = "serde_json of a BTreeMap of numbers";
const TEXT: &str = "prometheus gather and TextEncoder";
const GO: &str = "Go's handler with cmdline, memstats";
const GAUGES: &str = "expvar JSON of gauges and floats that lie scattered";
const GAUGES_BY_NAME: &str = "expvar JSON of those, each name escaped anew";
const BY_VARIABLE: &str = "expvar JSON, each name escaped anew, no columns";
const COLD: &str = "expvar JSON of 200,000 gauges and floats, not in the cache";
const COLD_FAR: &str = "expvar JSON of those, no prefetch";
/// More than a processor's caches, which seconds of other work would use too.
const EVICTED: usize = 64 << 20;

fn name(at: usize) -> String {
    format!("service.requests.{at:05}")
}

/// Gauges and floats that were made in another order than that of their names.
fn scattered(variables: usize) -> Registry {
    let registry = Registry::new();
    for at in (0..variables).map(|at| at * 7_919 % variables) {
        if at % 2 == 0 {
            registry.publish(&name(at), Gauge::new()).expect("a free name").set(at as i64 * 1234);
        } else {
            registry.publish(&name(at), FloatGauge::new()).expect("a free name").set(at as f64);
        }
    }
    registry
}

fn main() {
    print_machine("render");
    let (ours, global) = (Registry::new(), expvar::global());
    let counters: Vec<_> = (0..VARIABLES)
        .map(|at| ours.publish(&name(at), Counter::new()).expect("a free name"))
        .collect();
    for (at, counter) in counters.iter().enumerate() {
        global.publish(&name(at), Arc::clone(counter)).expect("a free name");
    }
    let (together, done) = (Barrier::new(THREADS), Barrier::new(THREADS + 1));
    let recorded = Barrier::new(THREADS + 1);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (together, recorded, done) = (&together, &recorded, &done);
            let counters = &counters;
            scope.spawn(move || {
                // Enough for the thread to get private copies of all counters.
                for _ in 0..16 {
                    counters.iter().for_each(|counter| counter.add(0));
                }
                together.wait();
                for (at, counter) in counters.iter().enumerate() {
                    let all = at as u64 * 1234;
                    let share = all / THREADS as u64;
                    counter.add(if thread == 0 { all - 7 * share } else { share });
                }
                recorded.wait();
                // A thread's copies are read as long as it lives.
                done.wait();
            });
        }
        recorded.wait();
        let usage = expvar::usage();
        let (shared, private) = (usage.shared_bytes >> 10, usage.private_bytes >> 10);
        println!("{} cells; {shared} KiB shared, {private} KiB private\n", usage.cells);
        race(&ours, global);
        done.wait();
    });
}

fn race(ours: &Registry, global: &Registry) {
    let (scattered, many) = (scattered(VARIABLES), scattered(20 * VARIABLES));
    let theirs = prometheus::Registry::new();
    for at in 0..VARIABLES {
        let counter = IntCounter::new(name(at).replace('.', "_"), "help").expect("a valid name");
        counter.inc_by(at as u64 * 1234);
        theirs.register(Box::new(counter)).expect("a free name");
    }
    let values: BTreeMap<String, u64> =
        (0..VARIABLES).map(|at| (name(at), at as u64 * 1234)).collect();
    let buffer = Mutex::new(Vec::new());
    let render = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut buffer = buffer.lock().expect("nobody panics");
        buffer.clear();
        write(&mut buffer);
        assert!(buffer.len() > VARIABLES * name(0).len(), "something was left out");
    };
    let other = RefCell::new(vec![0_u64; EVICTED / 8]);
    let mut race = Race::new("render", &[1]);
    race.peer(PLAIN, |_| render(&|buffer| ours.render_json(buffer)));
    race.peer(FULL, |_| render(&|buffer| global.render_json(buffer)));
    race.peer(BY_NAME, |_| render(&|buffer| ours.render_json_where(|_| true, buffer)));
    race.peer(GAUGES, |_| render(&|buffer| scattered.render_json(buffer)));
    race.peer(GAUGES_BY_NAME, |_| {
        render(&|buffer| scattered.render_json_where(|_| true, buffer));
    });
    race.peer(BY_VARIABLE, |_| {
        switch_columns(false);
        render(&|buffer| ours.render_json_where(|_| true, buffer));
        switch_columns(true);
    });
    let evict = || other.borrow_mut().iter_mut().step_by(8).for_each(|word| *word += 1);
    race.peer_with_pause(COLD, |_| render(&|buffer| many.render_json(buffer)), evict);
    let far = |_| {
        switch_prefetch(false);
        render(&|buffer| many.render_json(buffer));
        switch_prefetch(true);
    };
    race.peer_with_pause(COLD_FAR, far, evict);
    race.peer(SERDE, |_| {
        render(&|buffer| serde_json::to_writer(buffer, &values).expect("numbers serialize"));
    });
    race.peer(TEXT, |_| {
        render(&|buffer| TextEncoder.encode(&theirs.gather(), buffer).expect("valid families"));
    });
    race.go(GO, "render", env!("CARGO_TARGET_TMPDIR"));

    race.run().print_ratios(&[
        ((PLAIN, 1), (GO, 1), 0.04),
        ((FULL, 1), (GO, 1), 0.04),
        ((PLAIN, 1), (SERDE, 1), 0.7),
        ((PLAIN, 1), (TEXT, 1), 0.04),
        ((PLAIN, 1), (BY_NAME, 1), 0.8),
        ((GAUGES, 1), (GAUGES_BY_NAME, 1), 0.9),
        ((BY_NAME, 1), (BY_VARIABLE, 1), 0.9),
        ((COLD, 1), (COLD_FAR, 1), 0.95),
    ]);
}
