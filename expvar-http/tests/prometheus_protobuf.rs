//! The metrics in protobuf, as Prometheus' own messages read them.

#![forbid(unsafe_code)]

use std::time::UNIX_EPOCH;

use expvar::{Counter, FloatGauge, Func, Gauge, Histogram, Info, Map, Registry, Text, Unit};
use expvar_http::{Escaping, Format, Mapping, MediaType, Prometheus};
use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::{
    Metric, MetricFamily, MetricType,
};
use prost::Message;

fn families(
    prometheus: &Prometheus,
    registry: &Registry,
    media_type: impl Into<MediaType>,
) -> Vec<MetricFamily> {
    let mut bytes = Vec::new();
    prometheus.render(registry, media_type, &mut bytes);
    let (mut rest, mut families) = (bytes.as_slice(), Vec::new());
    while !rest.is_empty() {
        families.push(MetricFamily::decode_length_delimited(&mut rest).unwrap());
    }
    families
}

fn read(registry: &Registry) -> Vec<MetricFamily> {
    families(&Prometheus::new(), registry, Format::Protobuf)
}

fn labels(metric: &Metric) -> Vec<(&str, &str)> {
    metric.label.iter().map(|pair| (pair.name.as_str(), pair.value.as_str())).collect()
}

/// Name, type, help, unit.
fn head(family: &MetricFamily) -> (&str, MetricType, &str, &str) {
    (&family.name, family.r#type(), &family.help, &family.unit)
}

/// A timestamp, in nanoseconds since 1970.
macro_rules! nanos {
    ($at:expr) => {{
        let at = $at.as_ref().expect("a time");
        u128::try_from(at.seconds).unwrap() * 1_000_000_000 + u128::try_from(at.nanos).unwrap()
    }};
}

#[test]
fn every_kind_is_a_family() {
    let before = UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let registry = Registry::new();
    let info = Info::new().help("Bytes \"sent\".\nBack\\slash.").unit(Unit::Bytes);
    registry.publish_with("http.sent", Counter::new(), info).unwrap().add(u64::MAX);
    registry.publish("in-flight", Gauge::new()).unwrap().set(-3);
    let info = Info::new().unit(Unit::Percent);
    registry.publish_with("load", FloatGauge::new(), info).unwrap().set(12.5);
    let build = Info::new().label("version");
    registry.publish_with("build", Text::new(), build).unwrap().set("1.2 \"beta\"\n");
    let info = Info::new().labels(["route", "method"]).counter();
    let routes = registry.publish_with("routes", Map::new(), info).unwrap();
    routes.add_at(["/\"x\"\\\n", "GET"], 2);
    routes.add_at(["/y", "PUT"], 0);
    registry.publish("limits", Func::new(|| serde_json::json!({"files": 9}))).unwrap();
    registry.publish("a.clash", Gauge::new()).unwrap();
    registry.publish("a_clash", Gauge::new()).unwrap();
    // The second time numbers are written by what was made the first time.
    let prometheus = Prometheus::new();
    let first = families(&prometheus, &registry, Format::Protobuf);
    assert_eq!(families(&prometheus, &registry, Format::Protobuf), first);

    let heads: Vec<_> = first.iter().map(head).collect();
    assert_eq!(
        heads,
        [
            ("a_clash", MetricType::Gauge, "Variable a.clash.", ""),
            ("build_info", MetricType::Gauge, "Variable build.", ""),
            (
                "http_sent_bytes_total",
                MetricType::Counter,
                "Bytes \"sent\".\nBack\\slash.",
                "bytes"
            ),
            ("in_flight", MetricType::Gauge, "Variable in-flight.", ""),
            ("limits_files", MetricType::Gauge, "Variable limits.", ""),
            ("load_ratio", MetricType::Gauge, "Variable load.", "ratio"),
            ("routes_total", MetricType::Counter, "Variable routes.", ""),
            (
                "expvar_prometheus_left_out",
                MetricType::Gauge,
                "Variables that cannot be shown, and why.",
                ""
            ),
        ]
    );
    let gauge = |at: usize| first[at].metric[0].gauge.as_ref().unwrap().value;
    assert_eq!([gauge(1), gauge(3), gauge(4), gauge(5), gauge(7)], [1.0, -3.0, 9.0, 0.125, 1.0]);
    assert_eq!(labels(&first[1].metric[0]), [("version", "1.2 \"beta\"\n")]);
    assert_eq!(labels(&first[7].metric[0])[0], ("variable", "a_clash"));
    let sent = first[2].metric[0].counter.as_ref().unwrap();
    assert_eq!(sent.value, u64::MAX as f64);
    let created = nanos!(sent.start_timestamp);
    assert!(before <= created && created <= UNIX_EPOCH.elapsed().unwrap().as_nanos());
    let routes = &first[6].metric;
    assert_eq!(labels(&routes[0]), [("route", "/\"x\"\\\n"), ("method", "GET")]);
    let counts = routes.iter().map(|metric| metric.counter.as_ref().unwrap().value);
    assert_eq!(counts.collect::<Vec<_>>(), [2.0, 0.0]);
}

/// Lower bound, upper bound and count of each native bucket.
fn native(metric: &Metric) -> Vec<(f64, f64, i64)> {
    let histogram = metric.histogram.as_ref().unwrap();
    let (mut at, mut count, mut deltas) = (0i32, 0, histogram.positive_delta.iter());
    let mut buckets = Vec::new();
    for span in &histogram.positive_span {
        at += span.offset;
        for _ in 0..span.length {
            count += deltas.next().unwrap();
            let bound = |at: i32| 2f64.powf(f64::from(at) / 2f64.powi(histogram.schema));
            buckets.push((bound(at - 1), bound(at), count));
            at += 1;
        }
    }
    assert_eq!(deltas.next(), None);
    buckets
}

#[test]
fn a_histogram_is_native_and_classic() {
    let registry = Registry::new();
    let info = Info::new().help("Time.").unit(Unit::Nanoseconds);
    let latency = Histogram::new().buckets(&[100e6]).exemplars();
    let latency = registry.publish_with("latency", latency, info).unwrap();
    latency.record(0);
    latency.record_with(100_000_000, "on time");
    latency.record_with(100_000_001, [("trace_id", "late"), ("shard", "7")]);
    let families = read(&registry);
    assert_eq!(head(&families[0]), ("latency_seconds", MetricType::Histogram, "Time.", "seconds"));
    let metric = &families[0].metric[0];
    let histogram = metric.histogram.as_ref().unwrap();
    assert_eq!((histogram.sample_count, histogram.sample_sum), (3, 0.200000001));
    assert_eq!((histogram.schema, histogram.zero_count), (8, 1));
    assert_eq!(histogram.zero_threshold, 2f64.powi(-128));
    assert!(histogram.negative_span.is_empty() && histogram.negative_delta.is_empty());
    let [(low, high, 2)] = native(metric)[..] else { panic!("{histogram:?}") };
    assert!(low > 0.1 * 0.966 && high < 0.1 * 1.034, "{low} to {high}");
    assert!(histogram.start_timestamp.is_some());

    let buckets: Vec<(u64, f64)> =
        histogram.bucket.iter().map(|it| (it.cumulative_count, it.upper_bound)).collect();
    assert_eq!(buckets, [(2, 0.1), (3, f64::INFINITY)]);
    let exemplar = |at: usize| histogram.bucket[at].exemplar.as_ref();
    assert_eq!(exemplar(0), None, "the newest of its bucket of ours lies above");
    let late = exemplar(1).unwrap();
    assert_eq!((late.value, late.label[0].value.as_str()), (0.100000001, "late"));
    assert_eq!(late.label[1].name, "shard");
    assert_eq!(nanos!(late.timestamp), latency.recorded_exemplars()[0].unix_nanos().into());
    assert_eq!(histogram.exemplars.len(), 1);
    assert_eq!(&histogram.exemplars[0], late);
}

#[test]
fn native_buckets_hold_everything_that_was_recorded() {
    let registry = Registry::new();
    let floats = registry.publish("f", Histogram::floats()).unwrap();
    let whole = registry.publish("w", Map::new()).unwrap();
    let whole = whole.set("key", Histogram::with_precision(8));
    registry.publish("x", Histogram::new()).unwrap();
    for value in 0..100_000u32 {
        floats.record_float(f64::from(value) / 1e4 - 1.0);
        whole.record(u64::from(value));
    }
    let families = read(&registry);
    for (family, zeros) in families.iter().zip([10_001, 1, 0]) {
        let metric = &family.metric[0];
        let histogram = metric.histogram.as_ref().unwrap();
        let buckets = native(metric);
        let counted: i64 = buckets.iter().map(|bucket| bucket.2).sum();
        assert_eq!(histogram.zero_count, zeros, "{}", family.name);
        assert_eq!(counted as u64 + zeros, histogram.sample_count, "{}", family.name);
        assert!(buckets.windows(2).all(|pair| pair[0].1 <= pair[1].0 * 1.000001));
        let classic = histogram.bucket.iter().map(|bucket| bucket.cumulative_count);
        assert!(classic.is_sorted());
        assert!(histogram.zero_threshold > 0.0, "an empty one is native too");
    }
    assert_eq!(labels(&families[1].metric[0]), [("key", "key")]);
}

#[test]
fn quantiles_are_a_summary() {
    let registry = Registry::new();
    let took = registry.publish("took", Histogram::new()).unwrap();
    (1..=100).for_each(|value| took.record(value));
    let prometheus = Prometheus::new().quantiles([0.5, 0.9]);
    let families = families(&prometheus, &registry, Format::Protobuf);
    assert_eq!(families[0].r#type(), MetricType::Summary);
    let summary = families[0].metric[0].summary.as_ref().unwrap();
    assert_eq!((summary.sample_count, summary.sample_sum), (100, 5050.0));
    let [half, most] = &summary.quantile[..] else { panic!("two quantiles") };
    assert_eq!((half.quantile, most.quantile), (0.5, 0.9));
    assert!((48.0..52.0).contains(&half.value) && (87.0..93.0).contains(&most.value));
    assert!(summary.start_timestamp.is_some());
}

#[test]
fn names_are_escaped_as_the_reader_asks() {
    let registry = Registry::new();
    let info = Info::new().label("http.route");
    let requests = registry.publish_with("http.requests", Map::new(), info).unwrap();
    requests.set("/x", Counter::new());
    let summary = Mapping::new("http.requests").constant("app", "web");
    let prometheus = Prometheus::new().map(summary).unwrap();
    for (escaping, name, label) in [
        (Escaping::Underscores, "http_requests_total", "http_route"),
        (Escaping::Utf8, "http.requests_total", "http.route"),
        (Escaping::Dots, "http_dot_requests__total", "http_dot_route"),
        (Escaping::Values, "U__http_2e_requests__total", "U__http_2e_route"),
    ] {
        let media_type = MediaType::new(Format::Protobuf, escaping);
        let families = families(&prometheus, &registry, media_type);
        assert_eq!(families[0].name, name);
        assert_eq!(labels(&families[0].metric[0]), [("app", "web"), (label, "/x")]);
    }
}
