//! Native histograms, names and exemplars as real readers take them.

#![forbid(unsafe_code)]

use std::io::Write;
use std::process::{Command, Stdio};

use expvar::{Counter, Histogram, Info, Map, Registry, Unit};
use expvar_http::{Escaping, Format, MediaType, Prometheus, Server};
use expvar_peers::python;
use serde_json::Value;

/// What Prometheus may add to our error: the width of its buckets.
const SCHEMA_8: f64 = 0.0028;

/// Latencies whose quantiles are known, some in each of our buckets over seven decades.
fn values() -> Vec<u64> {
    let mut value = 1_000.0;
    std::iter::from_fn(|| {
        value *= 1.0009;
        (value < 1e10).then_some(value as u64)
    })
    .collect()
}

fn exact(values: &[u64], quantile: f64) -> f64 {
    values[((quantile * values.len() as f64).ceil() as usize).max(1) - 1] as f64
}

#[test]
#[ignore = "needs prometheus"]
fn a_real_prometheus_answers_quantiles_of_native_histograms() {
    let registry = Registry::new();
    let values = values();
    for bits in [2, 4, 6] {
        let info = Info::new().unit(Unit::Nanoseconds);
        let histogram = Histogram::with_precision(bits).exemplars();
        let name = format!("latency.{bits}");
        let histogram = registry.publish_with(&name, histogram, info).unwrap();
        values.iter().for_each(|&value| histogram.record_with(value, "4bf92f3577b34da6"));
    }
    let seconds = registry.publish("f_seconds", Histogram::floats()).unwrap();
    values.iter().for_each(|&value| seconds.record_float(value as f64 / 1e9));
    registry.publish("empty", Histogram::new()).unwrap();
    registry.publish("http.requests", Counter::new()).unwrap().add(42);
    let server = Server::builder().registry(&registry).spawn("127.0.0.1:0").unwrap();
    let targets = [server.local_addr().to_string()];
    let features = "--enable-feature=native-histograms,exemplar-storage";
    let prometheus = expvar_peers::Prometheus::start(&targets, &[features]);
    prometheus.await_scrape();
    let query = |query: &str| prometheus.number(query);
    assert_eq!(query("http_requests_total"), Some(42.0));
    let count = values.len() as f64;
    for (name, bits) in [
        ("latency_2_seconds", 2),
        ("latency_4_seconds", 4),
        ("latency_6_seconds", 6),
        ("f_seconds", 4),
    ] {
        assert_eq!(query(&format!("histogram_count({name})")), Some(count), "{name} is native");
        assert_eq!(query(&format!("{name}_bucket")), None, "and not classic");
        let sum: f64 = values.iter().map(|&value| value as f64 / 1e9).sum();
        let told = query(&format!("histogram_sum({name})")).unwrap();
        assert!((told - sum).abs() < 1e-6 * sum, "{told} and {sum}");
        let error = 1.0 / f64::from(2u32 << bits) + SCHEMA_8;
        for quantile in [0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999] {
            let told = query(&format!("histogram_quantile({quantile}, {name})")).unwrap();
            let exact = exact(&values, quantile) / 1e9;
            let found = (told - exact).abs() / exact;
            assert!(found <= error, "{name} {quantile}: {told}, exactly {exact}: {found}");
        }
    }
    assert_eq!(query("histogram_count(empty)"), Some(0.0));
}

/// Debian's package has the messages of client_model 0.3: what later ones added is unknown to it.
#[test]
#[ignore = "needs golang-github-prometheus-client-model-dev, and PyPI"]
fn official_classes_read_the_protobuf() {
    const PROTO: &str = "/usr/share/gocode/src/github.com/prometheus/client_model";
    const PROGRAM: &str = "\
import json, sys
import metrics_pb2
from google.protobuf import json_format
from google.protobuf.internal.decoder import _DecodeVarint32 as varint
data, at, families = sys.stdin.buffer.read(), 0, []
while at < len(data):
    size, at = varint(data, at)
    family = metrics_pb2.MetricFamily()
    assert family.ParseFromString(data[at:at + size]) == size
    families.append(json_format.MessageToDict(family, preserving_proto_field_name=True))
    at += size
print(json.dumps(families))
";
    let venv = python("client-model", &["grpcio-tools==1.76.0"]);
    let program = venv.join("bin/python");
    let out = tempfile::tempdir().unwrap();
    let (include, to) = (
        format!("-I{PROTO}/io/prometheus/client"),
        format!("--python_out={}", out.path().display()),
    );
    let made = Command::new(&program)
        .args(["-m", "grpc_tools.protoc", &include, &to, "metrics.proto"])
        .status()
        .unwrap();
    let remedy = "this test needs golang-github-prometheus-client-model-dev: apt-get install it";
    assert!(made.success(), "{remedy}");
    let registry = Registry::new();
    let routes = Map::new();
    routes.set("/größe", Counter::new()).add(4);
    registry.publish_with("routes", routes, Info::new().help("Routes.").label("route")).unwrap();
    let histogram = Histogram::new().buckets(&[100.0]).exemplars();
    let histogram = registry.publish("took", histogram).unwrap();
    histogram.record(0);
    // Alone in its bucket, and the upper bound of one of Prometheus'.
    histogram.record_with(8, "trace");
    let mut bytes = Vec::new();
    Prometheus::new().render(&registry, Format::Protobuf, &mut bytes);
    let mut child = Command::new(&program)
        .args(["-c", PROGRAM])
        .env("PYTHONPATH", out.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let families: Value = serde_json::from_slice(&output.stdout).unwrap();
    let routes = serde_json::json!({
        "name": "routes_total", "help": "Routes.", "type": "COUNTER",
        "metric": [{"label": [{"name": "route", "value": "/größe"}], "counter": {"value": 4.0}}],
    });
    assert_eq!(families[0], routes);
    assert_eq!(families[1]["type"], "HISTOGRAM");
    let histogram = &families[1]["metric"][0]["histogram"];
    let upper = serde_json::json!({"cumulative_count": "2", "upper_bound": 100.0});
    let bucket = &histogram["bucket"][0];
    assert_eq!(bucket["cumulative_count"], upper["cumulative_count"]);
    assert_eq!(bucket["upper_bound"], upper["upper_bound"]);
    assert_eq!(bucket["exemplar"]["label"][0]["value"], "trace");
    assert_eq!((&histogram["sample_count"], &histogram["sample_sum"]), (&"2".into(), &8.0.into()));
    assert_eq!((&histogram["schema"], &histogram["zero_count"]), (&8.into(), &"1".into()));
    let span = serde_json::json!([{"offset": 3 * 256, "length": 1}]);
    assert_eq!(
        (&histogram["positive_span"], &histogram["positive_delta"][0]),
        (&span, &"1".into())
    );
}

#[test]
#[ignore = "needs prometheus_client of PyPI, which takes UTF-8 names"]
fn prometheus_own_parsers_read_utf_8_names_and_exemplars() {
    const PROGRAM: &str = "\
import json, sys
if sys.argv[1] == 'open':
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
else:
    from prometheus_client.parser import text_string_to_metric_families as parse
families = {}
for f in parse(sys.stdin.buffer.read().decode()):
    families[f.name] = [f.type, f.unit, [[s.name, s.labels, s.value, s.exemplar and s.exemplar.labels] for s in f.samples]]
print(json.dumps(families))
";
    let program =
        python("prometheus-client-utf-8", &["prometheus_client==0.26.0"]).join("bin/python");
    let registry = Registry::new();
    let routes = Map::new();
    routes.set("/\"x\"\\\n", Counter::new()).add(4);
    registry.publish_with("http.größe", routes, Info::new().label("http.route")).unwrap();
    let info = Info::new().unit(Unit::Milliseconds);
    let histogram = Histogram::new().buckets(&[100.0]).exemplars();
    let histogram = registry.publish_with("http.took", histogram, info).unwrap();
    // Of an escaped quote in an exemplar the parser thinks that it ends the text.
    histogram.record_with(64, "tra\\ce");
    let prometheus = Prometheus::new().created();
    for (format, kind) in [(Format::OpenMetrics, "open"), (Format::Text, "text")] {
        let text = prometheus.to_text(&registry, MediaType::new(format, Escaping::Utf8));
        let mut child = Command::new(&program)
            .args(["-c", PROGRAM, kind])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{text}");
        let families: Value = serde_json::from_slice(&output.stdout).unwrap();
        let sizes = &families["http.größe"];
        assert_eq!(sizes[0], "counter", "{families}");
        let sample = &sizes[2][0];
        assert_eq!((&sample[0], sample[2].as_f64()), (&"http.größe_total".into(), Some(4.0)));
        assert_eq!(sample[1], serde_json::json!({"http.route": "/\"x\"\\\n"}));
        let took = &families["http.took_seconds"];
        assert_eq!(took[0], "histogram");
        let bucket = &took[2][0];
        let value = bucket[2].as_f64();
        assert_eq!((&bucket[0], value), (&"http.took_seconds_bucket".into(), Some(1.0)));
        assert_eq!(bucket[1]["le"], "0.1");
        if kind == "open" {
            assert_eq!(took[1], "seconds");
            assert_eq!(bucket[3], serde_json::json!({"trace_id": "tra\\ce"}));
            let samples = took[2].as_array().unwrap();
            assert!(samples.iter().any(|sample| sample[0] == "http.took_seconds_created"));
        }
    }
}
