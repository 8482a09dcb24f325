//! The metrics of 10,000 counters as text for Prometheus.

use std::sync::Mutex;

use expvar::{Counter, Info, Registry};
use expvar_benches::{Race, print_machine};
use expvar_http::{Format, Prometheus};
use metrics_exporter_prometheus::PrometheusBuilder;
use prometheus::{Encoder, IntCounter, TextEncoder};

const VARIABLES: usize = 10_000;

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

    let prometheus = Prometheus::new();
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
    race.peer("prometheus gather and TextEncoder", |_| fill(&gather));
    race.peer("metrics-exporter-prometheus render", |_| drop(handle.render()));

    race.run().print_ratios(&[
        (("expvar-http, text", 1), ("prometheus gather and TextEncoder", 1), 0.25),
        (("expvar-http, text", 1), ("metrics-exporter-prometheus render", 1), 0.4),
    ]);
}
