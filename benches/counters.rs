//! Adding one to a counter, alone and with two threads on the same one.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use contatori::counters::unsigned::Unsigned;
use expvar_benches::{Race, print_machine};
use metriken::{ShardedCounterGroup, metric};

expvar::vars! {
    /// What everybody else is measured against.
    static COUNTER: Counter = "counter";
}

static ATOMIC: AtomicU64 = AtomicU64::new(0);
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
        ((ours, 1), (atomic, 1), 0.55),
        ((ours, 1), (floor, 1), 1.25),
        ((ours, 2), (atomic, 2), 0.2),
        ((ours, 2), (ours, 1), 1.15),
    ]);
}
