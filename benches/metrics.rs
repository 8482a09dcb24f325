//! The cost of `metrics` with each recorder: the macro, a held handle, and memory growth by
//! recording.
//!
//! A process has one global recorder, so both are used as local ones, at the same cost for both.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;

use expvar::{Registry, process};
use expvar_benches::{Race, print_machine};
use metrics::{CounterFn, counter, histogram, with_local_recorder};
use metrics_exporter_prometheus::PrometheusBuilder;

const HISTOGRAM_RECORDS: u32 = 4_000_000;

/// A counter that only costs the call through `dyn CounterFn`.
struct Idle;

impl CounterFn for Idle {
    fn increment(&self, n: u64) {
        black_box(n);
    }

    fn absolute(&self, n: u64) {
        black_box(n);
    }
}

thread_local! {
    static CELL: Cell<u64> = const { Cell::new(0) };
}

/// A counter that adds to a thread-local number, which no other thread can read.
struct Alone;

impl CounterFn for Alone {
    fn increment(&self, n: u64) {
        CELL.with(|cell| cell.set(cell.get().wrapping_add(n)));
    }

    fn absolute(&self, n: u64) {
        black_box(n);
    }
}

fn main() {
    print_machine("metrics");
    let ours = expvar_metrics::Recorder::new(&Registry::new());
    let theirs = PrometheusBuilder::new().build_recorder();
    let upkeep = theirs.handle();
    let (our_counter, our_histogram) = with_local_recorder(&ours, || {
        (counter!("held", "route" => "/login"), histogram!("took", "route" => "/login"))
    });
    let (their_counter, their_histogram) = with_local_recorder(&theirs, || {
        (counter!("held", "route" => "/login"), histogram!("took", "route" => "/login"))
    });

    let idle_counter = metrics::Counter::from_arc(Arc::new(Idle));
    let lone_counter = metrics::Counter::from_arc(Arc::new(Alone));

    let mut race = Race::new("metrics", &[1, 2]);
    race.peer("counter! into expvar", |_| {
        with_local_recorder(&ours, || counter!("requests", "route" => "/login").increment(1));
    });
    race.peer("counter! into metrics-exporter-prometheus", |_| {
        with_local_recorder(&theirs, || counter!("requests", "route" => "/login").increment(1));
    });
    race.peer("held counter of expvar", |_| our_counter.increment(1));
    race.peer("held counter of metrics-exporter-prometheus", |_| their_counter.increment(1));
    race.peer("held counter that does nothing (the floor)", |_| idle_counter.increment(1));
    race.peer("held counter that adds to a thread-local", |_| lone_counter.increment(1));
    race.peer("held histogram of expvar", |at| our_histogram.record(at as f64 * 1e-6));
    race.peer_with_pause(
        "held histogram of metrics-exporter-prometheus",
        |at| their_histogram.record(at as f64 * 1e-6),
        || upkeep.run_upkeep(),
    );
    let ratios: Vec<_> = [
        ("counter! into expvar", "counter! into metrics-exporter-prometheus", [0.8, 0.8]),
        ("held counter of expvar", "held counter of metrics-exporter-prometheus", [0.5, 0.5]),
        (
            "held counter that does nothing (the floor)",
            "held counter of metrics-exporter-prometheus",
            [0.5, 0.5],
        ),
        (
            "held counter that adds to a thread-local",
            "held counter of metrics-exporter-prometheus",
            [0.5, 0.5],
        ),
        ("held histogram of expvar", "held histogram of metrics-exporter-prometheus", [0.2, 0.1]),
    ]
    .into_iter()
    .flat_map(|(ours, theirs, most)| [1, 2].map(|n| ((ours, n), (theirs, n), most[n - 1])))
    .collect();
    race.run().print_ratios(&ratios);

    let records = if std::env::args().any(|arg| arg == "--bench") { HISTOGRAM_RECORDS } else { 1 };
    println!("Resident memory that {records} records into a histogram add before it is read:\n");
    for (name, held) in
        [("expvar", &our_histogram), ("metrics-exporter-prometheus", &their_histogram)]
    {
        upkeep.run_upkeep();
        let resident = || process::read_now().resident_bytes.unwrap_or(0);
        let before = resident();
        (0..records).for_each(|at| held.record(f64::from(at) * 1e-6));
        println!("- {name}: {} KiB", resident().saturating_sub(before) / 1024);
    }
    println!();
}
