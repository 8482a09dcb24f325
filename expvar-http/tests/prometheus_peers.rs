//! The metrics as real readers take them: Prometheus itself, its linter, and a strict parser.

#![forbid(unsafe_code)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use expvar::{Counter, FloatGauge, Func, Gauge, Histogram, Info, Map, Registry, Text, Unit};
use expvar_http::{Format, Mapping, Prometheus, Server};
use expvar_peers::python;
use serde_json::Value;

/// A registry with every kind of variable, and mappings.
fn service() -> (Registry, Prometheus) {
    let registry = Registry::new();
    let info = || Info::new().help("Help with \"quotes\", a \\ and\na line feed.");
    let counter = registry.publish_with("http.requests", Counter::new(), info()).unwrap();
    counter.add(42);
    registry.publish_with("queue", Gauge::new(), info()).unwrap().set(-7);
    registry.publish_with("queue_peak", Counter::new(), info()).unwrap();
    let load = registry.publish_with("load", FloatGauge::new(), info().unit(Unit::Percent));
    load.unwrap().set(12.5);
    registry.publish_with("nothing", FloatGauge::new(), info()).unwrap().set(f64::NAN);
    let routes = Map::new();
    routes.set("/\"quoted\"\\\n", Map::new()).set("GET", Counter::new()).add(3);
    routes.set("/größe", Map::new()).set("PUT", Counter::new()).add(4);
    registry.publish_with("routes", routes, info().labels(["route", "method"])).unwrap();
    let mixed = registry.publish_with("mixed", Map::new(), info()).unwrap();
    mixed.set("a", Counter::new()).add(1);
    mixed.add("b", 2);
    mixed.set("c", Histogram::new()).record(3);
    let took =
        registry.publish_with("took", Histogram::new(), info().unit(Unit::Nanoseconds)).unwrap();
    (1..=100u64).for_each(|n| took.record(n * 1_000_000));
    let sizes = Map::new();
    sizes.set("/", Histogram::floats()).record_float(100.0);
    registry.publish_with("sizes", sizes, info().unit(Unit::Bytes).label("route")).unwrap();
    registry.publish_with("build", Text::new(), info().label("version")).unwrap().set("1.2");
    registry.publish("limits", Func::new(|| serde_json::json!({"files": 9, "a": [1, 2]}))).unwrap();
    registry.publish("code", Func::new(|| serde_json::json!({"200": 5, "500": 1}))).unwrap();
    registry.publish("a.clash", Gauge::new()).unwrap();
    registry.publish("a_clash", Gauge::new()).unwrap();
    // What cost a target its scrape.
    registry.publish_with("bytes", Counter::new(), info().unit(Unit::Bytes)).unwrap().add(8);
    let index = registry.publish_with("shards", Map::new(), info().label("index")).unwrap();
    index.set("a", Func::new(|| [1, 2]));
    let zone = registry.publish_with("zones", Map::new(), info().label("zone")).unwrap();
    zone.add("eu", 5);
    let stats = || serde_json::json!({"cache.hit": 1, "cache_hit": 2, "count": 3});
    registry.publish_with("s", Func::new(stats), info()).unwrap();
    let drift = registry.publish_with("drift", Histogram::floats(), info()).unwrap();
    drift.record_float(-2.0);
    drift.record_float(0.5);
    let built = registry.publish_with("built_info", Map::new(), info()).unwrap();
    built.set("version", Text::new()).set("1.2");
    built.set("commit", Text::new()).set("abc");
    for name in ["process", "memstats"] {
        if let Some(var) = expvar::global().get(name) {
            registry.publish(name, var).unwrap();
        }
    }
    let mapping = Mapping::new("code").family("responses").labels(["code"]).counter();
    let mapping = mapping.help("Responses by code.");
    let constant = Mapping::new("zones").constant("zone", "all");
    (registry, Prometheus::new().map(mapping).and_then(|it| it.map(constant)).unwrap())
}

/// Gives a program a text and returns what it says; it must be content.
fn content(program: &Path, args: &[&str], input: &str, remedy: &str) -> String {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}: {remedy}", program.display()));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (said(&output.stdout), said(&output.stderr));
    assert!(output.status.success(), "{out}{err}\nof\n{input}");
    out + &err
}

#[test]
fn a_strict_openmetrics_parser_reads_what_was_recorded() {
    let python = python("prometheus-client", &["prometheus_client==0.22.1"]).join("bin/python");
    let (registry, prometheus) = service();
    let text = prometheus.to_text(&registry, Format::OpenMetrics);
    let program = "\
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
families = {}
for f in parse(sys.stdin.buffer.read().decode()):
    families[f.name] = [f.type, f.unit, f.documentation, [[s.name, s.labels, float(s.value)] for s in f.samples]]
print(json.dumps(families))
";
    let families = content(&python, &["-c", program], &text, "it is not there");
    // Python's JSON says NaN.
    let families: Value = serde_json::from_str(&families.replace("NaN", "null")).unwrap();
    let help = "Help with \"quotes\", a \\ and\na line feed.";
    for (family, kind, unit, sample) in [
        ("http_requests", "counter", "", r#"["http_requests_total", {}, 42.0]"#),
        ("queue", "gauge", "", r#"["queue", {}, -7.0]"#),
        ("load_ratio", "gauge", "ratio", r#"["load_ratio", {}, 0.125]"#),
        ("nothing", "gauge", "", r#"["nothing", {}, null]"#),
        (
            "routes",
            "counter",
            "",
            r#"["routes_total", {"route": "/\"quoted\"\\\n", "method": "GET"}, 3.0]"#,
        ),
        ("routes", "counter", "", r#"["routes_total", {"route": "/größe", "method": "PUT"}, 4.0]"#),
        ("mixed", "gauge", "", r#"["mixed", {"key": "b"}, 2.0]"#),
        ("took_seconds", "histogram", "seconds", r#"["took_seconds_sum", {}, 5.05]"#),
        ("took_seconds", "histogram", "seconds", r#"["took_seconds_count", {}, 100.0]"#),
        (
            "sizes_bytes",
            "histogram",
            "bytes",
            r#"["sizes_bytes_bucket", {"route": "/", "le": "256.0"}, 1.0]"#,
        ),
        ("build", "info", "", r#"["build_info", {"version": "1.2"}, 1.0]"#),
        ("bytes", "counter", "", r#"["bytes_total", {}, 8.0]"#),
        ("shards", "gauge", "", r#"["shards", {"index": "a", "index_": "1"}, 2.0]"#),
        ("zones", "gauge", "", r#"["zones", {"zone": "all", "zone_": "eu"}, 5.0]"#),
        ("s_cache_hit", "gauge", "", r#"["s_cache_hit", {}, 1.0]"#),
        ("s_count_", "gauge", "", r#"["s_count_", {}, 3.0]"#),
        ("drift", "histogram", "", r#"["drift_bucket", {"le": "+Inf"}, 2.0]"#),
        ("built", "info", "", r#"["built_info", {"commit": "abc", "version": "1.2"}, 1.0]"#),
    ] {
        let found = &families[family];
        assert_eq!(found[0], kind, "{family}: {found}");
        assert_eq!((&found[1], &found[2]), (&unit.into(), &help.into()), "{family}");
        let sample: Value = serde_json::from_str(sample).unwrap();
        assert!(found[3].as_array().unwrap().contains(&sample), "{sample} in {found}");
    }
    assert_eq!(families["responses"][0], "counter");
    assert_eq!(families["mixed_total"][0], "unknown");
}

#[test]
#[ignore = "needs prometheus"]
fn promtool_has_no_complaint() {
    let (registry, prometheus) = service();
    // What the test names badly on purpose is left to the parser above.
    let wanted = |name: &str| name != "mixed";
    let mut text = Vec::new();
    prometheus.render_where(&registry, wanted, Format::Text, &mut text);
    let text = String::from_utf8(text).unwrap();
    let remedy = "this test needs promtool: apt-get install prometheus";
    let said = content(Path::new("promtool"), &["check", "metrics"], &text, remedy);
    assert_eq!(said, "", "{text}");
}

#[test]
#[ignore = "needs prometheus, and user namespaces (unshare)"]
fn a_real_prometheus_scrapes_by_the_names_that_hosts_allows() {
    let (registry, prometheus) = service();
    // As the README has it for `web:8123` in Compose and a service in Kubernetes.
    let server = Server::builder().registry(&registry).prometheus(prometheus);
    let server = server.hosts(["web", "web.default.svc"]).spawn("0.0.0.0:0").unwrap();
    let own = gethostname::gethostname().into_string().unwrap();
    let names = ["web", "web.default.svc", &own, "elsewhere"];
    let port = server.local_addr().port();
    let target = |name: &str| format!("{name}:{port}");
    let peer = expvar_peers::Prometheus::start_with_names(&names.map(target), &names);
    let health = |name: &str| -> Option<(String, String)> {
        let answer: Value = serde_json::from_str(&peer.get("/api/v1/targets")?).unwrap();
        let targets = answer["data"]["activeTargets"].as_array()?.clone();
        let found = targets.iter().find(|at| at["labels"]["instance"] == target(name))?;
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        Some((text("health"), text("lastError")))
    };
    // A scrape that takes longer than a second fails, as some do on a busy machine.
    for name in &names[..3] {
        let up = ("up".to_owned(), String::new());
        peer.eventually(name, || health(name).filter(|health| *health == up));
    }
    let refused = |(health, error): &(String, String)| {
        health == "down" && error.contains("421 Misdirected Request")
    };
    peer.eventually("a refusal", || health("elsewhere").filter(refused));
}

#[test]
#[ignore = "needs prometheus"]
fn a_real_prometheus_scrapes_and_answers() {
    let (registry, prometheus) = service();
    let server = Server::builder().registry(&registry).prometheus(prometheus);
    let server = server.spawn("127.0.0.1:0").unwrap();
    let targets = [server.local_addr().to_string()];
    let peer = expvar_peers::Prometheus::start(&targets, &[]);
    peer.await_scrape();
    let query = |query: &str| peer.query(query);
    for (asked, value) in [
        ("http_requests_total", "42"),
        ("queue", "-7"),
        ("load_ratio", "0.125"),
        ("nothing", "NaN"),
        ("routes_total{route=\"/\\\"quoted\\\"\\\\\\n\",method=\"GET\"}", "3"),
        ("routes_total{route=\"/größe\",method=\"PUT\"}", "4"),
        ("mixed", "2"),
        ("mixed_total", "1"),
        ("took_seconds_sum", "5.05"),
        ("took_seconds_count", "100"),
        ("took_seconds_bucket{le=\"0.016777215\"}", "16"),
        ("sizes_bytes_bucket{route=\"/\",le=\"256.0\"}", "1"),
        ("build_info{version=\"1.2\"}", "1"),
        ("limits_files", "9"),
        ("limits_a{index=\"1\"}", "2"),
        ("responses_total{code=\"200\"}", "5"),
        ("count(expvar_prometheus_left_out{variable=\"a_clash\"})", "1"),
        ("bytes_total", "8"),
        ("shards{index=\"a\",index_=\"1\"}", "2"),
        ("zones{zone=\"all\",zone_=\"eu\"}", "5"),
        ("s_cache_hit", "1"),
        ("count(expvar_prometheus_left_out{variable=\"s\"})", "1"),
        ("s_count_", "3"),
        ("drift_bucket{le=\"+Inf\"}", "2"),
        ("drift_bucket{le=\"0.25\"}", "1"),
        ("built_info{commit=\"abc\",version=\"1.2\"}", "1"),
    ] {
        let result = query(asked).unwrap_or_else(|| panic!("no answer to {asked}"));
        assert_eq!(result["value"][1], value, "{asked}");
    }
    let median = query("histogram_quantile(0.5, took_seconds_bucket)").unwrap();
    let median: f64 = median["value"][1].as_str().unwrap().parse().unwrap();
    assert!((0.033..0.068).contains(&median), "{median}");
    let metadata = peer.get("/api/v1/metadata").unwrap();
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    for (family, kind, unit) in [
        ("http_requests", "counter", ""),
        ("queue", "gauge", ""),
        ("load_ratio", "gauge", "ratio"),
        ("routes", "counter", ""),
        ("took_seconds", "histogram", "seconds"),
        ("build", "info", ""),
    ] {
        let found = &metadata["data"][family][0];
        assert_eq!((&found["type"], &found["unit"]), (&kind.into(), &unit.into()), "{family}");
        assert_eq!(found["help"], "Help with \"quotes\", a \\ and\na line feed.", "{family}");
    }
    if expvar::global().get("process").is_some() {
        let resident = query("process_resident_memory_bytes").unwrap();
        let resident: f64 = resident["value"][1].as_str().unwrap().parse().unwrap();
        assert!(resident > 1e6, "{resident}");
        assert!(query("process_cpu_seconds_total").is_some());
        assert!(query("count(process_thread_cpu_seconds_total{thread!=\"\"})").is_some());
        assert!(query("go_memstats_sys_bytes").is_some());
    }
}
