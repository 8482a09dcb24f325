//! What each kind of variable becomes, by what a reader of the JSON sees.

use std::borrow::Cow;
use std::collections::BTreeMap;

use expvar::{Counter, FloatGauge, Func, Gauge, Histogram, Info, Map, Registry, Text, Unit};
use expvar_otlp::{Histograms, Otlp, Temporality, View};
use serde_json::{Value, json};

const SECOND: u64 = 1_000_000_000;
/// A time that no program was started after.
const LATER: u64 = 10_000_000_000 * SECOND;

fn otlp(registry: &Registry) -> Otlp {
    Otlp::new("http://localhost:4318").without_env().registry(registry)
}

/// The metrics of one reading.
fn metrics(otlp: Otlp) -> Vec<Value> {
    let json = otlp.renderer().unwrap().to_json();
    let request: Value = serde_json::from_str(&json).unwrap();
    request["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array().unwrap().clone()
}

/// A metric whose points have no times: those are looked at elsewhere.
fn without_times(mut metric: Value) -> Value {
    for kind in ["gauge", "sum", "histogram", "exponentialHistogram"] {
        let Some(data) = metric.get_mut(kind) else { continue };
        for point in data["dataPoints"].as_array_mut().unwrap() {
            let point = point.as_object_mut().unwrap();
            assert!(point.remove("timeUnixNano").is_some());
            assert_eq!(point.remove("startTimeUnixNano").is_some(), kind != "gauge");
        }
    }
    metric
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

#[test]
fn numbers_are_sums_and_gauges_of_their_type() {
    let registry = Registry::new();
    let info = |help: &str| Info::new().help(help.to_owned());
    registry
        .publish_with("requests", Counter::new(), info("Requests.").unit(Unit::Other("requests")))
        .unwrap()
        .add(3);
    registry.publish("huge", Counter::new()).unwrap().add(u64::MAX);
    registry.publish_with("in use", Gauge::new(), info("Used.").unit(Unit::Bytes)).unwrap().set(-7);
    registry.publish("load", FloatGauge::new()).unwrap().set(0.5);
    registry.publish("nan", FloatGauge::new()).unwrap().set(f64::NAN);
    let found: Vec<_> = metrics(otlp(&registry)).into_iter().map(without_times).collect();
    let sum = |value: Value| json!({"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [value]});
    let gauge = |value: Value| json!({"dataPoints": [value]});
    assert_eq!(
        found,
        [
            json!({"name": "huge", "sum": sum(json!({"asDouble": 18_446_744_073_709_551_615_u64 as f64}))}),
            json!({"name": "in_use", "description": "Used.", "unit": "By", "gauge": gauge(json!({"asInt": "-7"}))}),
            json!({"name": "load", "gauge": gauge(json!({"asDouble": 0.5}))}),
            json!({"name": "nan", "gauge": gauge(json!({"asDouble": "NaN"}))}),
            json!({"name": "requests", "description": "Requests.", "unit": "{requests}", "sum": sum(json!({"asInt": "3"}))}),
        ]
    );
}

#[test]
fn keys_are_attributes_by_their_labels_names() {
    let registry = Registry::new();
    let info = Info::new().labels(["route", "method"]).counter();
    let routes = registry.publish_with("routes", Map::new(), info).unwrap();
    routes.map("/login").add("GET", 2);
    routes.map("/login").add("POST", 3);
    let plain = registry.publish("plain", Map::new()).unwrap();
    plain.add("a", 1);
    plain.add_float("b", 0.5);
    plain.counter("c").add(9);
    let found: Vec<_> = metrics(otlp(&registry)).into_iter().map(without_times).collect();
    assert_eq!(
        found,
        [
            json!({"name": "plain", "gauge": {"dataPoints": [
                {"attributes": [text("key", "a")], "asInt": "1"},
                {"attributes": [text("key", "b")], "asDouble": 0.5},
            ]}}),
            json!({"name": "plain", "sum": {"aggregationTemporality": 2, "isMonotonic": true,
                "dataPoints": [{"attributes": [text("key", "c")], "asInt": "9"}]}}),
            json!({"name": "routes", "sum": {"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [
                {"attributes": [text("route", "/login"), text("method", "GET")], "asInt": "2"},
                {"attributes": [text("route", "/login"), text("method", "POST")], "asInt": "3"},
            ]}}),
        ]
    );
}

#[test]
fn members_are_names_and_elements_an_index() {
    let registry = Registry::new();
    #[derive(serde::Serialize)]
    struct Pool {
        size: u64,
        busy: [f64; 2],
        ok: bool,
        name: &'static str,
    }
    let pool = || Pool { size: 4, busy: [0.25, 0.5], ok: true, name: "left out" };
    registry.publish("pool", Func::new(pool)).unwrap();
    let shards = || BTreeMap::from([("a", 1), ("b", 2)]);
    registry.publish_with("shards", Func::new(shards), Info::new().label("shard")).unwrap();
    let found: Vec<_> = metrics(otlp(&registry)).into_iter().map(without_times).collect();
    let index = |n: i64| json!({"key": "index", "value": {"intValue": n.to_string()}});
    assert_eq!(
        found,
        [
            json!({"name": "pool.size", "gauge": {"dataPoints": [{"asInt": "4"}]}}),
            json!({"name": "pool.busy", "gauge": {"dataPoints": [
                {"attributes": [index(0)], "asDouble": 0.25},
                {"attributes": [index(1)], "asDouble": 0.5},
            ]}}),
            json!({"name": "pool.ok", "gauge": {"dataPoints": [{"asInt": "1"}]}}),
            json!({"name": "shards", "gauge": {"dataPoints": [
                {"attributes": [text("shard", "a")], "asInt": "1"},
                {"attributes": [text("shard", "b")], "asInt": "2"},
            ]}}),
        ]
    );
}

#[test]
fn known_keys_of_a_map_are_names_with_units_of_their_own() {
    const REASON: &[Cow<'static, str>] = &[Cow::Borrowed("reason")];
    const MEMBERS: &[(&str, Info)] = &[
        ("size", Info::with_help("Size of all.").unit(Unit::Bytes)),
        ("refused", Info::with_help("What was refused.").keyed(REASON)),
        ("took", Info::with_help("How long.").unit(Unit::Milliseconds)),
    ];
    let registry = Registry::new();
    let cache = registry.publish("cache", Map::new().members(MEMBERS)).unwrap();
    cache.set("size", Gauge::new()).set(4096);
    cache.set("refused", Map::new()).set("old", Counter::new()).add(2);
    let mut renderer = otlp(&registry).renderer().unwrap();
    let mut read = || {
        let request: Value = serde_json::from_str(&renderer.to_json()).unwrap();
        let metrics = request["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].clone();
        let metrics = metrics.as_array().unwrap().clone();
        metrics.into_iter().map(|metric| (metric["name"].clone(), metric)).collect::<Vec<_>>()
    };
    let found = read();
    let names: Vec<_> = found.iter().map(|(name, _)| name.as_str().unwrap()).collect();
    assert_eq!(names, ["cache.refused", "cache.size"]);
    let refused = &found[0].1["sum"]["dataPoints"][0];
    assert_eq!(
        (&refused["asInt"], &refused["attributes"][0]),
        (&json!("2"), &text("reason", "old"))
    );
    assert_eq!(
        (&found[1].1["unit"], &found[1].1["description"]),
        (&json!("By"), &json!("Size of all."))
    );
    // One more key, which is a histogram, and one less.
    cache.set("took", Histogram::new()).record(1);
    let found = read();
    assert_eq!(found[2].0, "cache.took");
    assert_eq!(found[2].1["exponentialHistogram"]["dataPoints"][0]["count"], "1");
    cache.remove("size");
    let names: Vec<_> = read().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["cache.refused", "cache.took"]);
}

#[test]
fn texts_are_info() {
    let registry = Registry::new();
    registry.publish("version", Text::new()).unwrap().set("1.2");
    let build = registry.publish("build_info", Map::new()).unwrap();
    build.set("branch", Text::new()).set("main");
    build.set("commit", Text::new()).set("abc");
    let states = registry.publish_with("state", Map::new(), Info::new().label("part")).unwrap();
    states.set("disk", Text::new()).set("full");
    let found: Vec<_> = metrics(otlp(&registry)).into_iter().map(without_times).collect();
    let one =
        |attributes: Vec<Value>| json!({"dataPoints": [{"attributes": attributes, "asInt": "1"}]});
    assert_eq!(
        found,
        [
            json!({"name": "build_info", "gauge": one(vec![text("branch", "main"), text("commit", "abc")])}),
            json!({"name": "state.info", "gauge": one(vec![text("part", "disk"), text("value", "full")])}),
            json!({"name": "version.info", "gauge": one(vec![text("value", "1.2")])}),
        ]
    );
}

#[test]
fn histograms_are_exponential_explicit_or_as_they_are() {
    let registry = Registry::new();
    let latency = registry
        .publish_with("latency", Histogram::new(), Info::new().unit(Unit::Nanoseconds))
        .unwrap();
    [0, 1_000, 1_500, 3_000].into_iter().for_each(|n| latency.record(n));
    let share = registry.publish("share", Histogram::floats()).unwrap();
    [0.0, 0.5, 0.75].into_iter().for_each(|n| share.record_float(n));
    let found: Vec<_> = metrics(otlp(&registry)).into_iter().map(without_times).collect();
    assert_eq!(
        found[0]["exponentialHistogram"],
        json!({"aggregationTemporality": 2, "dataPoints": [{
            "count": "4", "sum": 5500, "zeroCount": "1",
            "positive": {"offset": 9, "bucketCounts": ["1", "1", "1"]}, "min": 0,
        }]})
    );
    let mut share = found[1]["exponentialHistogram"]["dataPoints"][0].clone();
    let threshold = share.as_object_mut().unwrap().remove("zeroThreshold").unwrap();
    assert!((threshold.as_f64().unwrap() * f64::from(1 << 30) - 1.0).abs() < 1e-9);
    assert_eq!(
        share,
        json!({"count": "3", "sum": 1.25, "zeroCount": "1",
            "positive": {"offset": -2, "bucketCounts": ["1", "1"]}})
    );

    let explicit = otlp(&registry).histograms(Histograms::Explicit);
    let found: Vec<_> = metrics(explicit).into_iter().map(without_times).collect();
    let point = &found[0]["histogram"]["dataPoints"][0];
    assert_eq!(point["explicitBounds"].as_array().unwrap().len(), 21);
    assert_eq!(point["bucketCounts"][0], "4", "all below 2^14 ns");

    let bounds = View::new("latency").buckets([999.0, 2_000.0]);
    let found: Vec<_> =
        metrics(otlp(&registry).view(bounds)).into_iter().map(without_times).collect();
    let point = &found[0]["histogram"]["dataPoints"][0];
    assert_eq!(point["bucketCounts"], json!(["1", "2", "1"]));

    let own = otlp(&registry).histograms(Histograms::Own);
    let found: Vec<_> = metrics(own).into_iter().map(without_times).collect();
    let point = &found[0]["histogram"]["dataPoints"][0];
    assert_eq!(point["explicitBounds"], json!([0, 991, 1023, 1471, 1535, 2943, 3071]));
    assert_eq!(point["bucketCounts"], json!(["1", "0", "1", "0", "1", "0", "1", "0"]));
}

#[test]
fn totals_keep_their_start_and_deltas_follow_each_other() {
    let registry = Registry::new();
    let counter = registry.publish("n", Counter::new()).unwrap();
    let histogram = registry.publish("h", Histogram::new()).unwrap();
    let points = |renderer: &mut expvar_otlp::Renderer, time: u64| -> Vec<(String, Value)> {
        let requests = renderer.to_requests_at(time);
        assert!(requests.len() <= 1);
        decode(requests.first().map_or(&[], |request| &request[..]))
    };
    counter.add(5);
    histogram.record(9);
    let mut totals = otlp(&registry).renderer().unwrap();
    let mut deltas = otlp(&registry).temporality(Temporality::Delta).renderer().unwrap();
    let first = points(&mut totals, LATER);
    let first_delta = points(&mut deltas, LATER);
    let start = |points: &[(String, Value)], at: usize| points[at].1["start"].as_u64().unwrap();
    assert_eq!(start(&first, 0), start(&first_delta, 0), "since the program began");
    assert_eq!(first[1].1["value"], 5);

    counter.add(2);
    registry.publish("late", Counter::new()).unwrap().add(1);
    let second = points(&mut totals, LATER + SECOND);
    assert_eq!((start(&second, 2), &second[2].1["value"]), (start(&first, 1), &json!(7)));
    assert!(start(&second, 1) > start(&first, 0), "since it was registered");
    let second = points(&mut deltas, LATER + SECOND);
    let names: Vec<_> = second.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["late", "n"], "nothing was recorded into h");
    assert_eq!(second[1].1, json!({"start": LATER, "time": LATER + SECOND, "value": 2}));

    histogram.record(20);
    let third = points(&mut deltas, LATER + 2 * SECOND);
    assert_eq!(third.len(), 1);
    let since_the_last_one =
        json!({"start": LATER, "time": LATER + 2 * SECOND, "count": 1, "sum": 20.0});
    assert_eq!(third[0], ("h".to_owned(), since_the_last_one));
}

/// Name and point of each metric of a request: what the tests of times look at.
fn decode(request: &[u8]) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for of_resource in messages(request, 1) {
        for of_scope in messages(of_resource, 2) {
            for metric in messages(of_scope, 2) {
                let name = String::from_utf8(messages(metric, 1)[0].to_vec()).unwrap();
                for data in [5, 7].iter().flat_map(|field| messages(metric, *field)) {
                    for point in messages(data, 1) {
                        let value = numbers(point, 6)[0];
                        let (start, time) = (numbers(point, 2)[0], numbers(point, 3)[0]);
                        let point = json!({"start": start, "time": time, "value": value});
                        found.push((name.clone(), point));
                    }
                }
                for data in messages(metric, 10) {
                    for point in messages(data, 1) {
                        let (start, time) = (numbers(point, 2)[0], numbers(point, 3)[0]);
                        let (count, sum) =
                            (numbers(point, 4)[0], f64::from_bits(numbers(point, 5)[0]));
                        let point =
                            json!({"start": start, "time": time, "count": count, "sum": sum});
                        found.push((name.clone(), point));
                    }
                }
            }
        }
    }
    found
}

/// The fields of a message: number, integer or bytes.
fn fields(mut message: &[u8]) -> Vec<(u64, u64, &[u8])> {
    let mut found = Vec::new();
    let varint = |message: &mut &[u8]| {
        let (mut value, mut shift) = (0_u64, 0);
        loop {
            let byte = message[0];
            *message = &message[1..];
            value |= u64::from(byte & 127) << shift;
            shift += 7;
            if byte < 128 {
                return value;
            }
        }
    };
    while !message.is_empty() {
        let key = varint(&mut message);
        match key & 7 {
            0 => found.push((key >> 3, varint(&mut message), &message[..0])),
            1 => {
                let (number, rest) = message.split_at(8);
                found.push((
                    key >> 3,
                    u64::from_le_bytes(number.try_into().unwrap()),
                    &number[..0],
                ));
                message = rest;
            }
            2 => {
                let len = varint(&mut message) as usize;
                found.push((key >> 3, 0, &message[..len]));
                message = &message[len..];
            }
            other => panic!("wire type {other}"),
        }
    }
    found
}

fn messages(message: &[u8], number: u64) -> Vec<&[u8]> {
    fields(message).into_iter().filter(|f| f.0 == number).map(|f| f.2).collect()
}

fn numbers(message: &[u8], number: u64) -> Vec<u64> {
    fields(message).into_iter().filter(|f| f.0 == number).map(|f| f.1).collect()
}

#[test]
fn a_mapping_changes_name_kind_unit_and_attributes() {
    let registry = Registry::new();
    registry.publish("queue", Gauge::new()).unwrap().set(4);
    registry.publish("up", Gauge::new()).unwrap().set(4);
    registry.publish("gone", Gauge::new()).unwrap();
    let view = View::new("queue")
        .name("work.queue.length")
        .up_down()
        .constant("zone", "eu")
        .unit(Unit::Other("items"))
        .help("What waits.");
    let otlp = otlp(&registry).view(view).view(View::new("up").counter());
    let found = metrics(otlp.view(View::new("gone").hide()));
    let found: Vec<_> = found.into_iter().map(without_times).collect();
    assert_eq!(
        found,
        [
            json!({"name": "up", "sum": {"aggregationTemporality": 2, "isMonotonic": true,
                "dataPoints": [{"asInt": "4"}]}}),
            json!({"name": "work.queue.length", "description": "What waits.", "unit": "{items}",
                "sum": {"aggregationTemporality": 2,
                    "dataPoints": [{"attributes": [text("zone", "eu")], "asInt": "4"}]}}),
        ]
        .into_iter()
        .rev()
        .collect::<Vec<_>>()
    );
    for (view, problem) in [
        (View::new("x").name("1st"), "no name for a metric"),
        (View::new("x").labels(["a", "a"]), "two have the same"),
        (View::new("x").labels(["a"]).constant("a", "b"), "two have the same"),
        (View::new("x").buckets([2.0, 1.0]), "do not ascend"),
    ] {
        let error = Otlp::new("http://localhost").without_env().view(view).renderer().err();
        assert!(error.unwrap().to_string().contains(problem), "{problem}");
    }
}

#[test]
fn what_nobody_could_store_is_refused_and_counted() {
    let registry = Registry::new();
    registry.publish("a.b", Gauge::new()).unwrap().set(1);
    registry.publish("a b", Gauge::new()).unwrap();
    registry.publish("a_b", Gauge::new()).unwrap();
    registry.publish(&"x".repeat(300), Gauge::new()).unwrap();
    let falling = Func::new(|| -1);
    registry.publish_with("below", falling, Info::new().counter()).unwrap();
    let mut renderer = otlp(&registry).renderer().unwrap();
    for reading in 0..3 {
        let json = renderer.to_json();
        assert_eq!(json.matches(r#""name":"a_b""#).count(), 1, "{reading} {json}");
        assert_eq!(json.matches(r#""name":"a.b""#).count(), 1);
        let refused = renderer.refused();
        assert_eq!(
            (refused.conflict, refused.long_name, refused.bad_counter),
            (1, 1, 1),
            "{reading}"
        );
    }
    registry.remove("a b");
    renderer.to_json();
    assert_eq!(renderer.refused().conflict, 0);
}

#[test]
fn declared_bounds_count_exactly_and_exemplars_are_sent_once() {
    let registry = Registry::new();
    let latency = Histogram::new().buckets(&[100.0, 1_000.0]).exemplars();
    let latency = registry.publish("latency", latency).unwrap();
    [99, 100, 101, 1_000, 5_000].into_iter().for_each(|n| latency.record(n));
    latency.record_with(
        7,
        [
            ("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"),
            ("span_id", "00f067aa0ba902b7"),
            ("shard", "3"),
        ],
    );
    let mut renderer = otlp(&registry).renderer().unwrap();
    let mut point = || -> Value {
        let request: Value = serde_json::from_str(&renderer.to_json()).unwrap();
        let metric = &request["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0];
        metric["histogram"]["dataPoints"][0].clone()
    };
    let first = point();
    assert_eq!(first["explicitBounds"], json!([100, 1000]));
    assert_eq!(first["bucketCounts"], json!(["3", "2", "1"]));
    let exemplar = &first["exemplars"][0];
    assert_eq!(exemplar["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(
        (&exemplar["spanId"], &exemplar["asDouble"]),
        (&json!("00f067aa0ba902b7"), &json!(7))
    );
    assert_eq!(exemplar["filteredAttributes"], json!([text("shard", "3")]));
    assert!(point()["exemplars"].is_null(), "no news");
    latency.record_with(2_000, "no id of a trace");
    let attributes = &point()["exemplars"][0]["filteredAttributes"];
    assert_eq!(*attributes, json!([text("trace_id", "no id of a trace")]));
}

#[test]
fn many_points_go_in_requests_of_about_a_mebibyte() {
    let registry = Registry::new();
    let many: Vec<u64> = (0..60_000).collect();
    registry.publish("a.function", Func::new(move || many.clone())).unwrap();
    for n in 0..10_000 {
        registry.publish(&format!("some.longer.name.{n}"), Gauge::new()).unwrap();
    }
    let mut renderer = otlp(&registry).renderer().unwrap();
    for _ in 0..2 {
        let requests = renderer.to_requests();
        assert!(requests.len() >= 3, "{}", requests.len());
        assert!(requests.iter().all(|request| request.len() < 1_100_000));
        let points: usize = requests.iter().map(|request| decode_gauges(request)).sum();
        assert_eq!(points, 70_000);
    }
}

fn decode_gauges(request: &[u8]) -> usize {
    let metrics = messages(messages(messages(request, 1)[0], 2)[0], 2);
    let points = |metric: &&[u8]| messages(messages(metric, 5)[0], 1).len();
    metrics.iter().map(points).sum()
}

#[test]
fn variables_come_and_go_and_functions_change_what_they_return() {
    let registry = Registry::new();
    let counter = registry.publish("b", Counter::new()).unwrap();
    counter.add(1);
    let map = registry.publish("m", Map::new()).unwrap();
    map.add("one", 1);
    let turn = std::sync::atomic::AtomicU64::new(0);
    let changing =
        Func::new(move || match turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 4 {
            0 => json!(1),
            1 => json!({"a": 1, "b": 2}),
            2 => json!(null),
            _ => json!([1, 2, 3]),
        });
    registry.publish("f", changing).unwrap();
    registry.publish("z", Gauge::new()).unwrap().set(26);
    let mut renderer = otlp(&registry).renderer().unwrap();
    for reading in 0..12 {
        match reading {
            3 => drop(registry.publish("a", Gauge::new()).unwrap()),
            5 => map.add("zwei", 2),
            7 => drop(registry.remove("a")),
            8 => drop(map.remove("one")),
            _ => {}
        }
        let json = renderer.to_json();
        assert!(json.contains(r#"{"name":"b","sum":"#), "{reading} {json}");
        assert!(json.contains(r#"{"name":"z","gauge":"#), "{reading} {json}");
        assert_eq!(json.contains(r#"{"name":"a","#), (3..7).contains(&reading), "{reading} {json}");
        assert_eq!(json.contains(r#""stringValue":"zwei""#), reading >= 5, "{reading} {json}");
        assert_eq!(json.contains(r#""stringValue":"one""#), reading < 8, "{reading} {json}");
        assert_eq!(renderer.refused(), Default::default());
    }
}
