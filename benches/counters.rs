//! Adding one to a counter, alone and with two threads on the same one; to each of 16 and 200; and
//! with eight threads on one.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use contatori::counters::unsigned::Unsigned;
use expvar_benches::{Race, print_machine};
use metriken::{ShardedCounterGroup, metric};

use expvar::Counter;

expvar::vars! {
    /// The reference for all peers.
    static COUNTER: Counter = "counter";
}

static ATOMIC: AtomicU64 = AtomicU64::new(0);

/// As many counters as a busy handler has, or a busy service.
static COUNTERS: [Counter; 200] = [const { Counter::new() }; 200];
static ATOMICS: [AtomicU64; 200] = [const { AtomicU64::new(0) }; 200];

fn add_to_counters<const N: usize>() {
    COUNTERS[..N].iter().for_each(|counter| counter.add(1));
}

fn add_to_atomics<const N: usize>() {
    ATOMICS[..N].iter().for_each(|atomic| _ = atomic.fetch_add(1, Relaxed));
}
static CONTATORI: Unsigned = Unsigned::new();

#[metric(name = "counter")]
static METRIKEN: metriken::Counter = metriken::Counter::new();
#[metric(name = "sharded")]
static METRIKEN_SHARDED: ShardedCounterGroup = ShardedCounterGroup::new(8);

thread_local! {
    static CELL: Cell<u64> = const { Cell::new(0) };
}

fn main() {
    print_machine("counters");
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new();
    recorder.install_recorder().expect("the first recorder of the process");
    let handle = metrics::counter!("handle");
    let prometheus = prometheus::IntCounter::new("counter", "help").expect("a valid name");
    let client = prometheus_client::metrics::counter::Counter::<u64>::default();

    let mut race = Race::new("counters", &[1, 2]);
    race.peer("thread-local Cell (the floor)", |_| {
        CELL.with(|cell| cell.set(black_box(cell).get().wrapping_add(1)));
    });
    race.peer("AtomicU64::fetch_add(Relaxed)", |_| {
        ATOMIC.fetch_add(1, Relaxed);
    });
    race.peer("expvar Counter::add", |_| COUNTER.add(1));
    race.peer("16 Counter::add", |_| add_to_counters::<16>());
    race.peer("16 AtomicU64::fetch_add", |_| add_to_atomics::<16>());
    race.peer("200 Counter::add", |_| add_to_counters::<200>());
    race.peer("200 AtomicU64::fetch_add", |_| add_to_atomics::<200>());
    race.peer("contatori Unsigned::add", |_| CONTATORI.add(1));
    race.peer("metriken Counter::add", |_| {
        METRIKEN.add(1);
    });
    race.peer("metriken ShardedCounterGroup::add", |_| {
        METRIKEN_SHARDED.add(0, 1);
    });
    race.peer("metrics handle, Prometheus recorder", |_| handle.increment(1));
    race.peer("metrics macro, Prometheus recorder", |_| metrics::counter!("macro").increment(1));
    race.peer("prometheus IntCounter::inc", |_| prometheus.inc());
    race.peer("prometheus-client Counter::inc", |_| {
        client.inc();
    });

    let ours = "expvar Counter::add";
    let (atomic, floor) = ("AtomicU64::fetch_add(Relaxed)", "thread-local Cell (the floor)");
    race.run().print_ratios(&[
        ((ours, 1), (atomic, 1), 0.5),
        ((ours, 1), (floor, 1), 1.25),
        ((ours, 2), (atomic, 2), 0.06),
        // What is left where a count costs nothing but a thread's own memory.
        ((floor, 2), (atomic, 2), 0.06),
        ((ours, 2), (ours, 1), 1.15),
        (("16 Counter::add", 1), ("16 AtomicU64::fetch_add", 1), 0.5),
        (("16 Counter::add", 2), ("16 AtomicU64::fetch_add", 1), 0.5),
        (("200 Counter::add", 1), ("200 AtomicU64::fetch_add", 1), 0.7),
        (("200 Counter::add", 2), ("200 AtomicU64::fetch_add", 1), 0.7),
    ]);

    // More threads than cores. A slab of cells for each thread took 0.12 of the atomic's time.
    let mut race = Race::new("counters", &[8]);
    race.peer("AtomicU64::fetch_add(Relaxed)", |_| {
        ATOMIC.fetch_add(1, Relaxed);
    });
    race.peer("expvar Counter::add", |_| COUNTER.add(1));
    race.run().print_ratios(&[((ours, 8), (atomic, 8), 0.12)]);
}
