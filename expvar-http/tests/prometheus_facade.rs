//! A service that moves from `metrics-exporter-prometheus` shows the same names and values.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use expvar::Registry;
use expvar_http::{Format, Mapping, Prometheus};
use expvar_metrics::Recorder;
use metrics::{Unit, counter, describe_counter, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};

const QUANTILES: [f64; 4] = [0.5, 0.9, 0.99, 0.999];

/// A program that knows `metrics` alone.
fn program() {
    describe_counter!("http_requests_total", "Requests that were answered.");
    describe_histogram!("http_request_duration_seconds", Unit::Seconds, "Time to answer.");
    counter!("http_requests_total", "route" => "/login", "status" => "200").increment(3);
    counter!("http_requests_total", "route" => "/", "status" => "500").increment(1);
    counter!("jobs.done").absolute(7);
    counter!("bytes").increment(1 << 40);
    gauge!("queue_depth").set(4.0);
    gauge!("queue_depth").decrement(1.5);
    gauge!("temperature", "sensor" => "a \"b\" \\ \n c").set(-40.25);
    for millis in 1..=1000 {
        let seconds = f64::from(millis) / 1e3;
        histogram!("http_request_duration_seconds", "route" => "/login").record(seconds);
    }
    histogram!("batch.size").record(16.0);
}

/// Values by series, labels in alphabetical order; and types by family.
fn parsed(text: &str) -> (BTreeMap<String, f64>, BTreeMap<String, String>) {
    let (mut values, mut types) = (BTreeMap::new(), BTreeMap::new());
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            let (name, kind) = family.split_once(' ').unwrap();
            types.insert(name.to_owned(), kind.to_owned());
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let series = match series.split_once('{') {
                Some((name, labels)) => {
                    let labels = labels.strip_suffix('}').unwrap();
                    // No label of the program has a comma.
                    let mut labels: Vec<&str> = labels.split(',').collect();
                    labels.sort_unstable();
                    format!("{name}{{{}}}", labels.join(","))
                }
                None => series.to_owned(),
            };
            values.insert(series, value.parse().unwrap());
        }
    }
    (values, types)
}

fn beside(theirs: PrometheusBuilder, ours: &Prometheus) {
    beside_with(theirs, ours, |recorder| recorder);
}

fn beside_with(theirs: PrometheusBuilder, ours: &Prometheus, set: impl Fn(Recorder) -> Recorder) {
    let theirs = theirs.build_recorder();
    let registry = Registry::new();
    let recorder = set(Recorder::new(&registry));
    metrics::with_local_recorder(&theirs, program);
    metrics::with_local_recorder(&recorder, program);
    let (their_values, their_types) = parsed(&theirs.handle().render());
    let text = ours.to_text(&registry, Format::Text);
    let (our_values, our_types) = parsed(&text);
    assert_eq!(our_types, their_types, "{text}");
    let names = |values: &BTreeMap<String, f64>| values.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&our_values), names(&their_values), "{text}");
    assert!(our_values.len() > 12);
    for (series, theirs) in &their_values {
        let ours = our_values[series];
        match series.split_once("quantile=\"") {
            None => assert!((ours - theirs).abs() <= 1e-9, "{series}: {ours} and {theirs}"),
            // Theirs are far off: a median of 0.98 s where it is 0.5. Ours are compared with the
            // exact ones.
            Some((_, quantile)) if series.starts_with("http") => {
                let exact: f64 = quantile.split('"').next().unwrap().parse().unwrap();
                assert!((ours - exact).abs() <= 0.032 * exact, "{series}: {ours}");
            }
            Some(_) => assert!((ours - 16.0).abs() <= 0.032 * 16.0, "{series}: {ours}"),
        }
    }
}

#[test]
fn names_are_the_same_with_quantiles() {
    let quantiles = QUANTILES.as_slice();
    let theirs = PrometheusBuilder::new().set_quantiles(quantiles).unwrap();
    beside(theirs, &Prometheus::new().names_as_recorded().quantiles(QUANTILES));
}

/// The bounds of one name make it a histogram; the others are summaries.
#[test]
fn names_and_values_are_the_same_with_buckets_for_one_and_quantiles_for_others() {
    const BOUNDS: &[f64] = &[0.05, 0.1, 0.5, 1.0];
    let name = "http_request_duration_seconds";
    let theirs = |bounds: &[f64]| {
        let theirs = PrometheusBuilder::new().set_quantiles(&QUANTILES).unwrap();
        theirs.set_buckets_for_metric(Matcher::Full(name.to_owned()), bounds).unwrap()
    };
    let ours = Prometheus::new().names_as_recorded().quantiles(QUANTILES);
    beside_with(theirs(BOUNDS), &ours, |recorder| recorder.buckets(name, BOUNDS));
    // A mapping's counts are exact at powers of two.
    let bounds = [0.0625, 0.5];
    beside(theirs(&bounds), &ours.map(Mapping::new(name).buckets(bounds)).unwrap());
}

/// The bounds are powers of two, where both count exactly.
#[test]
fn names_and_values_are_the_same_with_buckets() {
    let bounds = [0.0625, 0.125, 0.25, 0.5, 1.0, 16.0];
    let theirs = PrometheusBuilder::new().set_buckets(&bounds).unwrap();
    let ours = ["http_request_duration_seconds", "batch.size"]
        .iter()
        .fold(Prometheus::new().names_as_recorded(), |ours, name| {
            ours.map(Mapping::new(*name).buckets(bounds)).unwrap()
        });
    beside(theirs, &ours);
}
