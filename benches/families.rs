//! Variables by labels: closed sets by `Family`, others by `Map`, beside their peers.
//!
//! `prometheus` 0.14, its `make_static_metric!` (0.5), `prometheus-client` 0.26 and `metrics` 0.24
//! are maintained; so is `measured` 0.0.25, which calls itself experimental.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use expvar_benches::{Race, print_machine};
use measured::{CounterVec, FixedCardinalityLabel, LabelGroup};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::{counter, family};
use prometheus_static_metric::make_static_metric;

expvar::label! {
    enum Method { Get = "get", Post = "post" }
    enum Status { Ok = "ok", Failed = "failed" }
}

expvar::vars! {
    /// What a family's variable costs more than.
    static ALONE: Counter = "alone";
    static REQUESTS: Family<Counter, (Method, Status)> = "requests", labels: ["method", "status"];
    static ROUTES: Map = "routes", labels: ["method", "status"];
    static LATENCY: Map = "latency", label: "route", unit: Nanoseconds;
    static LATENCIES: Family<Histogram, Method> = "latencies", label: "method", unit: Nanoseconds;
}

make_static_metric! {
    struct StaticRequests: IntCounter {
        "method" => { get, post },
        "status" => { ok, failed },
    }
}

#[derive(FixedCardinalityLabel, Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum MeasuredMethod {
    Get,
    Post,
}

#[derive(FixedCardinalityLabel, Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum MeasuredStatus {
    Ok,
    Failed,
}

#[derive(LabelGroup)]
#[label(set = MeasuredSet)]
struct MeasuredLabels {
    method: MeasuredMethod,
    status: MeasuredStatus,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelValue)]
enum ClientValue {
    Get,
    Post,
    Ok,
    Failed,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ClientLabels {
    method: ClientValue,
    status: ClientValue,
}

fn main() {
    print_machine("families");
    let vec = IntCounterVec::new(Opts::new("requests", "help"), &["method", "status"])
        .expect("a valid name");
    let fixed = StaticRequests::from(&vec);
    let measured = CounterVec::<MeasuredSet>::dense();
    let client = family::Family::<ClientLabels, counter::Counter>::default();
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let atomics: [AtomicU64; 4] = Default::default();
    let histograms =
        HistogramVec::new(HistogramOpts::new("latency", "help"), &["route"]).expect("a valid name");
    let method = |at: usize| if at & 1 == 0 { Method::Get } else { Method::Post };
    let status = |at: usize| if at & 2 == 0 { Status::Ok } else { Status::Failed };
    let text = |at: usize| [["get", "post"][at & 1], ["ok", "failed"][at >> 1 & 1]];
    let route = |at: usize| ["/login", "/logout", "/things", "/users/{id}"][at & 3];
    let nanos = |at: usize| 10_000 + (at as u64 & 1023) * 1_000;

    let mut race = Race::new("families", &[1, 2]);
    race.peer("expvar Counter::inc", |_| ALONE.inc());
    race.peer("expvar Family::with().inc()", |at| REQUESTS.with((method(at), status(at))).inc());
    race.peer("an array of atomics", |at| {
        atomics[at & 3].fetch_add(1, Relaxed);
    });
    race.peer("prometheus make_static_metric!", |at| {
        let by_status = if at & 1 == 0 { &fixed.get } else { &fixed.post };
        if at & 2 == 0 { by_status.ok.inc() } else { by_status.failed.inc() }
    });
    race.peer("measured CounterVec::inc", |at| {
        measured.inc(MeasuredLabels {
            method: if at & 1 == 0 { MeasuredMethod::Get } else { MeasuredMethod::Post },
            status: if at & 2 == 0 { MeasuredStatus::Ok } else { MeasuredStatus::Failed },
        });
    });
    race.peer("prometheus with_label_values().inc()", |at| vec.with_label_values(&text(at)).inc());
    race.peer("prometheus-client get_or_create().inc()", |at| {
        let method = if at & 1 == 0 { ClientValue::Get } else { ClientValue::Post };
        let status = if at & 2 == 0 { ClientValue::Ok } else { ClientValue::Failed };
        client.get_or_create(&ClientLabels { method, status }).inc();
    });
    race.peer("metrics counter! with labels", |at| {
        let [method, status] = text(at);
        metrics::with_local_recorder(&recorder, || {
            metrics::counter!("requests", "method" => method, "status" => status).increment(1);
        });
    });
    race.peer("expvar Map::add_at", |at| ROUTES.add_at(text(at), 1));
    race.peer("expvar Family::with().record()", |at| LATENCIES.with(method(at)).record(nanos(at)));
    race.peer("expvar map.histogram().record()", |at| {
        LATENCY.histogram(route(at)).record(nanos(at));
    });
    race.peer("prometheus with_label_values().observe()", |at| {
        histograms.with_label_values(&[route(at)]).observe(nanos(at) as f64 * 1e-9);
    });

    let with = "expvar Family::with().inc()";
    let (open, observe) =
        ("expvar map.histogram().record()", "prometheus with_label_values().observe()");
    race.run().print_ratios(&[
        ((with, 1), ("expvar Counter::inc", 1), 1.5),
        ((with, 2), ("expvar Counter::inc", 2), 1.5),
        ((with, 1), ("prometheus with_label_values().inc()", 1), 0.15),
        ((with, 2), ("prometheus with_label_values().inc()", 2), 0.02),
        ((with, 1), ("prometheus make_static_metric!", 1), 1.0),
        ((with, 2), ("prometheus make_static_metric!", 2), 1.0),
        ((with, 1), ("measured CounterVec::inc", 1), 1.0),
        ((with, 2), ("measured CounterVec::inc", 2), 1.0),
        ((open, 1), (observe, 1), 0.6),
        ((open, 2), (observe, 2), 0.1),
    ]);
}
