//! What a receiver reads that decodes with Google's generated classes (PyPI's
//! `opentelemetry-proto`), over its restarts; and that names and units are those of the semantic
//! conventions.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use expvar::{Counter, FloatGauge, Func, Gauge, Histogram, Info, Map, Registry, Text, Unit};
use expvar_otlp::{Compression, Histograms, Otlp, Protocol, PushHandle, Temporality, View};
use serde_json::{Value, json};

const PACKAGES: [&str; 3] =
    ["opentelemetry-proto==1.45.2", "opentelemetry-semantic-conventions==0.66b2", "protobuf>=5"];

fn python(argument: &str) -> Command {
    let python = expvar_peers::python("otlp", &PACKAGES).join("bin/python");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/collector/receiver.py");
    let mut command = Command::new(python);
    command.arg(script).arg(argument).stdout(Stdio::piped());
    command
}

/// The receiver's process.
struct Collector {
    process: Child,
    lines: BufReader<ChildStdout>,
    port: u16,
}

impl Collector {
    fn start(port: u16) -> Self {
        let mut process = python(&port.to_string()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        Self { process, lines, port: line.trim().parse().unwrap() }
    }

    /// The next request that it has read and answered.
    fn next(&mut self) -> Value {
        let mut line = String::new();
        assert!(self.lines.read_line(&mut line).unwrap() > 0, "the receiver ended");
        serde_json::from_str(&line).unwrap()
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A push from a thread of its own, whose clock jumps to the next boundary on request.
struct Pushed {
    handle: PushHandle,
    clock: Arc<Mutex<Duration>>,
}

impl Pushed {
    fn start(otlp: Otlp) -> Self {
        let (handle, mut push) = otlp.interval(Duration::from_secs(10)).build().unwrap();
        let clock = Arc::new(Mutex::new(Duration::from_secs(10_000_000_003)));
        let now = clock.clone();
        let (asked, asks) = std::sync::mpsc::channel();
        let time = move || {
            let time = *now.lock().unwrap();
            let _ = asked.send(());
            time
        };
        push.in_time(time, 0.0);
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(push.run(std::future::pending()));
        });
        // From now on boundaries count.
        asks.recv().unwrap();
        Self { handle, clock }
    }

    fn pass(&self) {
        *self.clock.lock().unwrap() += Duration::from_secs(10);
    }
}

/// One variable of each kind.
fn every_kind() -> Registry {
    let registry = Registry::new();
    let info = |unit| Info::new().help("What it is.").unit(unit);
    let counter = registry.publish_with("counter", Counter::new(), info(Unit::Other("requests")));
    counter.unwrap().add(u64::MAX / 2);
    registry.publish_with("gauge", Gauge::new(), info(Unit::Bytes)).unwrap().set(i64::MIN);
    registry.publish_with("float", FloatGauge::new(), info(Unit::Seconds)).unwrap().set(-0.125);
    registry.publish("queue", Gauge::new()).unwrap().set(3);
    registry.publish("text", Text::new()).unwrap().set("größer\n\"zwei\"");
    let map = registry.publish_with("map", Map::new(), Info::new().label("route").counter());
    map.unwrap().add("/ä", 7);
    registry.publish("func", Func::new(|| json!({"a": 1.5, "b": [true, false]}))).unwrap();
    let latency = registry.publish_with("latency", Histogram::new(), info(Unit::Nanoseconds));
    let latency = latency.unwrap();
    [0, 3, 1_000_000, 2_000_000, 70_000_000_000].into_iter().for_each(|n| latency.record(n));
    let share = registry.publish_with("share", Histogram::floats(), info(Unit::Ratio)).unwrap();
    [0.0, 0.25, 0.3, 0.75].into_iter().for_each(|n| share.record_float(n));
    registry
}

fn otlp(collector: &Collector, registry: &Registry) -> Otlp {
    Otlp::new(format!("http://127.0.0.1:{}", collector.port))
        .without_env()
        .registry(registry)
        .without_library()
        .service_name("shop")
        .resource("team", "a")
}

/// The metrics of a request by name.
fn metrics(received: &Value) -> BTreeMap<String, Value> {
    let of_resource = &received["request"]["resource_metrics"][0];
    let metrics = of_resource["scope_metrics"][0]["metrics"].as_array().unwrap();
    metrics.iter().map(|m| (m["name"].as_str().unwrap().to_owned(), m.clone())).collect()
}

#[test]
fn every_kind_is_read_back_by_value_and_type() {
    let mut collector = Collector::start(0);
    let registry = every_kind();
    for (protocol, compression) in [
        (Protocol::Protobuf, Compression::None),
        (Protocol::Protobuf, Compression::Gzip),
        (Protocol::Json, Compression::None),
        (Protocol::Json, Compression::Gzip),
    ] {
        let otlp = otlp(&collector, &registry).protocol(protocol).compression(compression);
        let view = View::new("queue").up_down();
        let pushed = Pushed::start(otlp.view(view).header("x-tenant", "7"));
        pushed.pass();
        let received = collector.next();
        let left = pushed.handle.flush_blocking(Duration::from_secs(60));
        assert_eq!(left, Default::default());
        let _ = pushed.handle.close();
        collector.next();

        assert_eq!(received["headers"]["x-tenant"], "7");
        let agent = received["headers"]["user-agent"].as_str().unwrap();
        assert!(agent.starts_with("expvar-otlp/"), "{agent}");
        let resource = &received["request"]["resource_metrics"][0]["resource"]["attributes"];
        let attribute = |key: &str| {
            let found = resource.as_array().unwrap().iter().find(|a| a["key"] == key);
            found.unwrap_or_else(|| panic!("no {key} in {resource}"))["value"].clone()
        };
        assert_eq!(attribute("service.name"), json!({"string_value": "shop"}));
        assert_eq!(attribute("team"), json!({"string_value": "a"}));
        assert_eq!(attribute("telemetry.sdk.language"), json!({"string_value": "rust"}));
        assert_eq!(attribute("process.pid")["int_value"], std::process::id().to_string());
        assert_eq!(attribute("service.instance.id")["string_value"].as_str().unwrap().len(), 36);
        assert!(attribute("host.name")["string_value"].is_string());

        let found = metrics(&received);
        let names: Vec<_> = found.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "counter",
                "float",
                "func.a",
                "func.b",
                "gauge",
                "latency",
                "map",
                "queue",
                "share",
                "text.info"
            ]
        );
        let point = |name: &str, kind: &str| found[name][kind]["data_points"][0].clone();
        let time = "10000000010000000000";
        let counter = point("counter", "sum");
        assert_eq!(counter["as_int"], (u64::MAX / 2).to_string());
        assert_eq!(counter["time_unix_nano"], time, "the boundary");
        assert_eq!(found["counter"]["unit"], "{requests}");
        assert_eq!(found["counter"]["description"], "What it is.");
        assert_eq!(found["counter"]["sum"]["is_monotonic"], true);
        assert_eq!(
            found["counter"]["sum"]["aggregation_temporality"],
            "AGGREGATION_TEMPORALITY_CUMULATIVE"
        );
        assert_eq!(
            point("gauge", "gauge"),
            json!({"time_unix_nano": time, "as_int": i64::MIN.to_string()})
        );
        assert_eq!(point("float", "gauge"), json!({"time_unix_nano": time, "as_double": -0.125}));
        assert_eq!(found["float"]["unit"], "s");
        assert_eq!(point("queue", "sum")["as_int"], "3");
        assert!(found["queue"]["sum"]["is_monotonic"].is_null());
        assert_eq!(
            point("text.info", "gauge")["attributes"],
            json!([
            {"key": "value", "value": {"string_value": "größer\n\"zwei\""}}])
        );
        assert_eq!(
            point("map", "sum")["attributes"],
            json!([
            {"key": "route", "value": {"string_value": "/ä"}}])
        );
        assert_eq!(point("func.a", "gauge")["as_double"], 1.5);
        assert_eq!(
            found["func.b"]["gauge"]["data_points"][1]["attributes"],
            json!([
            {"key": "index", "value": {"int_value": "1"}}])
        );

        let latency = point("latency", "exponential_histogram");
        assert_eq!((&latency["count"], &latency["zero_count"]), (&json!("5"), &json!("1")));
        assert_eq!(latency["sum"], 70_003_000_003.0);
        assert_eq!(latency["min"], 0.0);
        assert!(latency["scale"].is_null() && latency["max"].is_null());
        assert_eq!(
            counted(&latency),
            [
                (2.0, 4.0, 1),
                (524_288.0, 1_048_576.0, 1),
                (1_048_576.0, 2_097_152.0, 1),
                (68_719_476_736.0, 137_438_953_472.0, 1)
            ]
        );
        let share = point("share", "exponential_histogram");
        // The reader of JSON rounds the last digit.
        let threshold = share["zero_threshold"].as_f64().unwrap();
        assert!((threshold * 2_f64.powi(30) - 1.0).abs() < 1e-12);
        assert_eq!(counted(&share), [(0.125, 0.25, 1), (0.25, 0.5, 1), (0.5, 1.0, 1)]);
    }
    let explicit = otlp(&collector, &registry).histograms(Histograms::Explicit);
    let pushed = Pushed::start(explicit);
    pushed.pass();
    let found = metrics(&collector.next());
    let latency = &found["latency"]["histogram"]["data_points"][0];
    let bounds = latency["explicit_bounds"].as_array().unwrap();
    let counts: Vec<u64> = latency["bucket_counts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n.as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(bounds[0], 16_383.0);
    assert_eq!((counts.len(), counts.iter().sum::<u64>(), counts[0]), (bounds.len() + 1, 5, 2));
    assert_eq!(counts.last(), Some(&1), "70 s");
}

/// The buckets of an exponential histogram that hold anything: bounds and count.
fn counted(point: &Value) -> Vec<(f64, f64, u64)> {
    let scale = point["scale"].as_i64().unwrap_or(0);
    let base = 2_f64.powf(2_f64.powi(-scale as i32));
    let positive = &point["positive"];
    let offset = positive["offset"].as_i64().unwrap_or(0);
    let counts = positive["bucket_counts"].as_array().unwrap().iter();
    let counts = counts.map(|n| n.as_str().unwrap().parse::<u64>().unwrap());
    let bound = |at: i64| base.powi(at as i32);
    let buckets = (offset..).zip(counts).filter(|(_, count)| *count > 0);
    buckets.map(|(at, count)| (bound(at), bound(at + 1), count)).collect()
}

#[test]
#[ignore = "slow: restarts a receiver"]
fn nothing_is_lost_or_counted_twice_over_restarts() {
    for temporality in [Temporality::Cumulative, Temporality::Delta] {
        let mut collector = Collector::start(expvar_peers::free_port());
        let registry = Registry::new();
        let counter = registry.publish("n", Counter::new()).unwrap();
        let histogram = registry.publish("h", Histogram::new()).unwrap();
        let pushed = Pushed::start(otlp(&collector, &registry).temporality(temporality));
        let mut points: Vec<(u64, u64, u64, u64)> = Vec::new();
        let mut take = |received: Value| {
            let found = metrics(&received);
            let number = |value: &Value| value.as_str().unwrap().parse::<u64>().unwrap();
            let n = &found["n"]["sum"]["data_points"][0];
            let h = &found["h"]["exponential_histogram"]["data_points"][0];
            points.push((
                number(&n["start_time_unix_nano"]),
                number(&n["time_unix_nano"]),
                number(&n["as_int"]),
                number(&h["count"]),
            ));
        };
        let record = |n: u64| {
            counter.add(n);
            (0..n).for_each(|n| histogram.record(n));
            pushed.pass();
        };
        record(1);
        take(collector.next());
        pushed.handle.flush_blocking(Duration::from_secs(60));
        for _ in 0..3 {
            collector.kill();
            // Each of these is collected while the collector is down.
            for n in [10, 100] {
                let before = collections(&registry);
                record(n);
                while collections(&registry) == before {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            collector = Collector::start(collector.port);
            let left = pushed.handle.flush_blocking(Duration::from_secs(120));
            assert_eq!(left, Default::default());
            take(collector.next());
            take(collector.next());
        }
        let stats = pushed.handle.stats();
        assert_eq!((stats.accepted, stats.dropped, stats.unanswered), (14, 0, 0));
        assert!(points.windows(2).all(|two| two[0].1 < two[1].1), "{points:?}");
        let values: Vec<_> = points.iter().map(|point| point.2).collect();
        assert_eq!(values, points.iter().map(|point| point.3).collect::<Vec<_>>());
        match temporality {
            Temporality::Delta => {
                assert_eq!(values, [1, 10, 100, 10, 100, 10, 100]);
                assert!(points.windows(2).all(|two| two[0].1 == two[1].0), "no gap: {points:?}");
            }
            _ => {
                assert_eq!(values, [1, 11, 111, 121, 221, 231, 331]);
                assert!(points.windows(2).all(|two| two[0].0 == two[1].0), "{points:?}");
            }
        }
    }
}

fn collections(registry: &Registry) -> u64 {
    let map = registry.get("expvar.otlp").unwrap().to_string();
    serde_json::from_str::<Value>(&map).unwrap()["collections"].as_u64().unwrap()
}

#[test]
fn names_and_units_are_those_of_the_conventions() {
    let listed = python("conventions").output().unwrap();
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let registry = Registry::new();
    registry.publish("process", expvar::process::variable()).unwrap();
    registry.publish("memstats", expvar::memstats::variable()).unwrap();
    let mut renderer =
        Otlp::new("http://localhost:4318").without_env().registry(&registry).renderer().unwrap();
    let request: Value = serde_json::from_str(&renderer.to_json()).unwrap();
    let metrics = &request["resourceMetrics"][0]["scopeMetrics"][0]["metrics"];
    let mut conventional = Vec::new();
    for metric in metrics.as_array().unwrap() {
        let name = metric["name"].as_str().unwrap();
        let (instrument, points) = match (&metric["sum"], &metric["gauge"]) {
            (sum, Value::Null) if sum["isMonotonic"] == true => ("counter", &sum["dataPoints"]),
            (sum, Value::Null) => ("updowncounter", &sum["dataPoints"]),
            (_, gauge) => ("gauge", &gauge["dataPoints"]),
        };
        if !name.starts_with("process.") {
            assert!(name.starts_with("expvar.process.") || name.starts_with("memstats."), "{name}");
            continue;
        }
        let unit = metric["unit"].as_str().unwrap();
        let help = metric["description"].as_str().unwrap();
        assert_eq!(listed["metrics"][name], json!([instrument, unit, help]), "{name}");
        for attribute in points.as_array().unwrap().iter().flat_map(|p| p["attributes"].as_array())
        {
            for attribute in attribute {
                let known = listed["attributes"].as_array().unwrap();
                assert!(known.contains(&attribute["key"]), "{attribute}");
            }
        }
        conventional.push(name.to_owned());
    }
    conventional.sort();
    for name in [
        "process.context_switches",
        "process.cpu.time",
        "process.memory.usage",
        "process.memory.virtual",
        "process.paging.faults",
        "process.thread.count",
        "process.unix.file_descriptor.count",
        "process.uptime",
    ] {
        assert!(conventional.contains(&name.to_owned()), "{name} is not in {conventional:?}");
    }
}
