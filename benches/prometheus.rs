//! The metrics of 10,000 counters as text for Prometheus, and with 200 histograms in protobuf.
//!
//! In protobuf ours are native histograms with classic buckets beside them, and theirs classic ones
//! alone, of as many buckets.

use std::sync::Mutex;

use expvar::{Counter, Histogram, Info, Registry, Unit};
use expvar_benches::{Race, print_machine};
use expvar_http::{Format, Prometheus};
use metrics_exporter_prometheus::PrometheusBuilder;
use prometheus::{Encoder, IntCounter, TextEncoder};
use prometheus_client::encoding::prometheus_protobuf::encode_to_vec;
use prometheus_client::metrics::histogram::exponential_buckets;
use prometheus_client::{metrics as client, registry as client_registry};

const VARIABLES: usize = 10_000;
const HISTOGRAMS: usize = 200;
/// Latencies of each, in milliseconds.
const LATENCIES: [u64; 12] = [1, 1, 2, 2, 3, 5, 8, 13, 40, 90, 300, 2500];

fn main() {
    print_machine("prometheus");
    let ours = Registry::new();
    let theirs = prometheus::Registry::new();
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    for at in 0..VARIABLES {
        let (name, n) = (format!("service_requests_{at:05}"), at as u64 * 1234);
        let info = Info::new().help("Requests that were answered.");
        ours.publish_with(&name, Counter::new(), info).expect("a free name").add(n);
        let peer = IntCounter::new(&name, "Requests that were answered.").expect("a valid name");
        peer.inc_by(n);
        theirs.register(Box::new(peer)).expect("a free name");
        metrics::with_local_recorder(&recorder, || {
            metrics::describe_counter!(name.clone(), "Requests that were answered.");
            metrics::counter!(name).increment(n);
        });
    }

    let (ours_with_histograms, client_registry) = with_histograms();
    let only_histograms = Registry::new();
    ours_with_histograms.for_each(|name, var| {
        if var.as_histogram().is_some() {
            only_histograms.publish(name, var.clone()).expect("a free name");
        }
    });
    let prometheus = Prometheus::new();
    let protobuf = Prometheus::new();
    let buffer = Mutex::new(Vec::new());
    let render = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut buffer = buffer.lock().expect("nobody panics");
        buffer.clear();
        write(&mut buffer);
        let samples = buffer.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"serv"));
        assert!(samples.count() == VARIABLES || buffer.is_empty(), "something was left out");
    };
    let text = |buffer: &mut Vec<u8>| prometheus.render(&ours, Format::Text, buffer);
    let gather = |buffer: &mut Vec<u8>| {
        TextEncoder.encode(&theirs.gather(), buffer).expect("valid families");
    };
    // Each shows all of it once; after that only the text is made.
    render(&text);
    render(&gather);
    let mut families = Vec::new();
    protobuf.render(&ours_with_histograms, Format::Protobuf, &mut families);
    let families = families.windows(8).filter(|bytes| bytes == b"service_");
    assert_eq!(families.count(), VARIABLES + HISTOGRAMS, "something was left out");
    let fill = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut buffer = buffer.lock().expect("nobody panics");
        buffer.clear();
        write(&mut buffer);
    };
    let mut race = Race::new("prometheus", &[1]);
    race.peer("expvar-http, text", |_| fill(&text));
    race.peer("expvar-http, OpenMetrics", |_| {
        fill(&|buffer| prometheus.render(&ours, Format::OpenMetrics, buffer));
    });
    race.peer("expvar-http, text, nothing remembered", |_| {
        fill(&|buffer| prometheus.render_where(&ours, |_| true, Format::Text, buffer));
    });
    race.peer("prometheus gather and TextEncoder", |_| fill(&gather));
    race.peer("metrics-exporter-prometheus render", |_| drop(handle.render()));
    let all = |_: &str| true;
    race.peer("expvar-http, text of 200 histograms", |_| {
        fill(&|buffer| prometheus.render(&only_histograms, Format::Text, buffer));
    });
    race.peer("expvar-http, text of 200 histograms, nothing remembered", |_| {
        fill(&|buffer| prometheus.render_where(&only_histograms, all, Format::Text, buffer));
    });
    race.peer("expvar-http, protobuf", |_| {
        fill(&|buffer| protobuf.render(&ours_with_histograms, Format::Protobuf, buffer));
    });
    race.peer("prometheus-client, protobuf", |_| {
        drop(encode_to_vec(&client_registry).expect("valid families"));
    });

    race.run().print_ratios(&[
        (("expvar-http, text", 1), ("prometheus gather and TextEncoder", 1), 0.05),
        (("expvar-http, text", 1), ("metrics-exporter-prometheus render", 1), 0.05),
        (("expvar-http, text", 1), ("expvar-http, text, nothing remembered", 1), 0.5),
        (
            ("expvar-http, text of 200 histograms", 1),
            ("expvar-http, text of 200 histograms, nothing remembered", 1),
            0.5,
        ),
        (("expvar-http, protobuf", 1), ("prometheus-client, protobuf", 1), 0.4),
    ]);
    println!(
        "prometheus-client (Prometheus' own) and metrics are maintained. prometheus had its last \
         release, 0.14.0, in March 2025.\n"
    );
}

/// 10,000 counters and 200 histograms, here and in prometheus-client.
fn with_histograms() -> (Registry, client_registry::Registry) {
    let (ours, mut theirs) = (Registry::new(), client_registry::Registry::default());
    for at in 0..VARIABLES {
        let (name, n) = (format!("service_requests_{at:05}"), at as u64 * 1234);
        let info = Info::new().help("Requests that were answered.");
        ours.publish_with(&name, Counter::new(), info).expect("a free name").add(n);
        let peer = client::counter::Counter::<u64>::default();
        peer.inc_by(n);
        theirs.register(&name, "Requests that were answered", peer);
    }
    for at in 0..HISTOGRAMS {
        let name = format!("service_latency_{at:03}");
        let info = Info::new().help("Time to answer.").unit(Unit::Milliseconds);
        let ours = ours.publish_with(&name, Histogram::new(), info).expect("a free name");
        let peer = client::histogram::Histogram::new(exponential_buckets(0.001, 2.0, 17));
        for millis in LATENCIES {
            ours.record(millis);
            peer.observe(millis as f64 / 1e3);
        }
        theirs.register(&name, "Time to answer", peer);
    }
    (ours, theirs)
}
