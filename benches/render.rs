//! The text of 10,000 counters into which eight threads recorded.

use std::collections::BTreeMap;
use std::sync::{Arc, Barrier, Mutex};

use expvar::{Counter, Registry};
use expvar_benches::{Race, print_machine};
use prometheus::{Encoder, IntCounter, TextEncoder};

const VARIABLES: usize = 10_000;
const THREADS: usize = 8;

fn name(at: usize) -> String {
    format!("service.requests.{at:05}")
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
    let theirs = prometheus::Registry::new();
    for at in 0..VARIABLES {
        let counter = IntCounter::new(name(at).replace('.', "_"), "help").expect("a valid name");
        counter.inc_by(at as u64 * 1234);
        theirs.register(Box::new(counter)).expect("a free name");
    }
    let values: BTreeMap<String, u64> =
        (0..VARIABLES).map(|at| (name(at), at as u64 * 1234)).collect();
    let together = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (together, counters) = (&together, &counters);
            scope.spawn(move || {
                // Often enough for the thread to hold cells of all counters to itself.
                for _ in 0..16 {
                    counters.iter().for_each(|counter| counter.add(0));
                }
                together.wait();
                for (at, counter) in counters.iter().enumerate() {
                    let all = at as u64 * 1234;
                    let share = all / THREADS as u64;
                    counter.add(if thread == 0 { all - 7 * share } else { share });
                }
                together.wait();
            });
        }
    });
    let usage = expvar::usage();
    let (shared, private) = (usage.shared_bytes >> 10, usage.private_bytes >> 10);
    println!("{} cells; {shared} KiB shared, {private} KiB private\n", usage.cells);

    let buffer = Mutex::new(Vec::new());
    let render = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut buffer = buffer.lock().expect("nobody panics");
        buffer.clear();
        write(&mut buffer);
        assert!(buffer.len() > VARIABLES * name(0).len(), "something was left out");
    };
    let mut race = Race::new("render", &[1]);
    race.peer("expvar JSON", |_| render(&|buffer| ours.render_json(buffer)));
    race.peer("expvar JSON with cmdline, memstats, process", |_| {
        render(&|buffer| global.render_json(buffer));
    });
    race.peer("serde_json of a BTreeMap of numbers", |_| {
        render(&|buffer| serde_json::to_writer(buffer, &values).expect("numbers serialize"));
    });
    race.peer("prometheus gather and TextEncoder", |_| {
        render(&|buffer| TextEncoder.encode(&theirs.gather(), buffer).expect("valid families"));
    });
    race.go("Go's handler with cmdline, memstats", "render", env!("CARGO_TARGET_TMPDIR"));

    let (plain, full) = ("expvar JSON", "expvar JSON with cmdline, memstats, process");
    race.run().print_ratios(&[
        ((plain, 1), ("Go's handler with cmdline, memstats", 1), 0.04),
        ((full, 1), ("Go's handler with cmdline, memstats", 1), 0.08),
        ((plain, 1), ("serde_json of a BTreeMap of numbers", 1), 0.7),
        ((plain, 1), ("prometheus gather and TextEncoder", 1), 0.4),
    ]);
}
