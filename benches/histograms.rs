//! Recording a latency, alone and with two threads in the same histogram.

use std::cell::Cell;
use std::hint::black_box;

use expvar_benches::{Race, print_machine};
use metriken::{AtomicCounterHistogram, ShardedCounterHistogram, metric};
use prometheus::HistogramOpts;
use prometheus_client::metrics::histogram::exponential_buckets;

expvar::vars! {
    /// The reference for all peers.
    static LATENCY: Histogram = "latency", unit: Nanoseconds;
}

/// As fine as ours: 16 buckets to a factor of two.
#[metric(name = "atomic")]
static METRIKEN: AtomicCounterHistogram = AtomicCounterHistogram::new(4, 64);
#[metric(name = "sharded")]
static METRIKEN_SHARDED: ShardedCounterHistogram = ShardedCounterHistogram::new(4, 64);

thread_local! {
    /// What three additions cost that no other thread can read: buckets, count and sum.
    static FLOOR: [Cell<u64>; 1026] = const { [const { Cell::new(0) }; 1026] };
}

/// A histogram of one thread, with the same buckets.
fn record_alone(value: u64) {
    let bucket = ((value as f64).to_bits() >> 48) as usize % 1024;
    FLOOR.with(|cells| {
        let cells = black_box(cells);
        for (at, n) in [(1024, value), (bucket, 1), (1025, 1)] {
            cells[at].set(cells[at].get().wrapping_add(n));
        }
    });
}

/// Latencies between 10 µs and 10 s, as many in each factor of ten, in no order.
fn latencies() -> Vec<u64> {
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..1024).map(|_| 10f64.powf(4.0 + 6.0 * random()) as u64).collect()
}

fn main() {
    print_machine("histograms");
    let nanos: [u64; 1024] = latencies().try_into().expect("1024 of them");
    let secs = nanos.map(|nanos| nanos as f64 * 1e-9);
    let (nanos, secs) = (|at: usize| nanos[at % 1024], |at: usize| secs[at % 1024]);

    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new();
    let recorder = recorder.install_recorder().expect("the first recorder of the process");
    let metrics = metrics::histogram!("latency");
    let opts = HistogramOpts::new("latency", "help");
    let prometheus = prometheus::Histogram::with_opts(opts).expect("a valid name");
    let client =
        prometheus_client::metrics::histogram::Histogram::new(exponential_buckets(0.005, 2.0, 11));

    let mut race = Race::new("histograms", &[1, 2]);
    race.peer("thread-local cells (the floor)", |at| record_alone(nanos(at)));
    race.peer("expvar Histogram::record", |at| LATENCY.record(nanos(at)));
    race.peer("metriken AtomicCounterHistogram", |at| drop(METRIKEN.increment(nanos(at))));
    race.peer("metriken ShardedCounterHistogram", |at| {
        drop(METRIKEN_SHARDED.increment(nanos(at)));
    });
    // Its recorder keeps every value until somebody reads.
    race.peer_with_pause(
        "metrics handle, Prometheus recorder",
        |at| metrics.record(secs(at)),
        || recorder.run_upkeep(),
    );
    race.peer("prometheus Histogram::observe", |at| prometheus.observe(secs(at)));
    race.peer("prometheus-client Histogram::observe", |at| client.observe(secs(at)));

    let (ours, theirs) = ("expvar Histogram::record", "prometheus Histogram::observe");
    let sharded = "metriken ShardedCounterHistogram";
    let floor = "thread-local cells (the floor)";
    // A slab of cells for each thread took 0.37 of the time of `observe`.
    race.run().print_ratios(&[
        ((ours, 1), (theirs, 1), 0.3),
        ((ours, 2), (theirs, 2), 0.03),
        ((ours, 1), (sharded, 1), 1.0),
        ((ours, 2), (sharded, 2), 1.0),
        ((floor, 1), (sharded, 1), 1.0),
        ((floor, 2), (sharded, 2), 1.0),
    ]);
}
