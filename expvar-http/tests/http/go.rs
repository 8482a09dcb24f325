//! Go's answers, recorded from Go 1.27, and each place where ours differs on purpose.

use std::collections::BTreeMap;

use expvar::{FloatGauge, Func, Gauge, Map, Registry, Text};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::client::{get, request, serve};

const CASES: &str = include_str!("../data/go_http.json");
const BODY: &str = include_str!("../data/go_body.json");

/// Where ours differs from Go's, and why.
const DIFFERENCES: [(&str, &str); 8] = [
    (
        "framing",
        "a document is rendered before it is sent, so its length is known: \
                 Content-Length instead of chunks, and to HEAD and HTTP/1.0 too",
    ),
    ("get_query", "?r= selects variables; Go has no filter"),
    ("get_gzip", "a client that asks for gzip gets it; Go never compresses"),
    ("vary", "a document that another client would get compressed says so to caches"),
    ("post_handler_mounted_by_hand", "mounted or not, only GET and HEAD are answered"),
    ("bad_nan, bad_inf", "NaN and infinities are null, so that the document stays JSON"),
    ("bad_func-nan, bad_func-chan", "a function that fails is null, not nothing"),
    ("bad_func-panic", "a function that panics is null, and the document is answered"),
];

/// The variables of the program that answered `BODY`.
///
/// What only a Go process can know is taken from its answer as it stands.
fn reference() -> Registry {
    let registry = Registry::new();
    let recorded: BTreeMap<String, Box<RawValue>> = serde_json::from_str(BODY).unwrap();
    for name in ["cmdline", "memstats", "goroutines", "uptime_seconds", "runtime", "build"] {
        let value = recorded[name].clone();
        registry.publish(name, Func::new(move || value.clone())).unwrap();
    }
    let gauge = |name, value| registry.publish(name, Gauge::new()).unwrap().set(value);
    gauge("requests", 42);
    gauge("int_max", i64::MAX);
    gauge("int_min", i64::MIN);
    gauge("int_zero", 0);
    let float = |name, value| registry.publish(name, FloatGauge::new()).unwrap().set(value);
    float("ratio", 0.25);
    float("float_million", 1e6);
    float("float_whole", 3.0);
    float("float_tiny", 1.5e-7);
    let text = |name, value: &str| registry.publish(name, Text::new()).unwrap().set(value);
    text("greeting", "hello");
    text("escaped", "h\u{e9} <b>&\"q\" \\ \t\n\u{2028}\u{1F600}");
    text("string_empty", "");
    let counters = registry.publish("counters", Map::new()).unwrap();
    counters.add("cnt1", 7);
    counters.add_float("cnt2", 2.5);
    let name = Text::new();
    name.set("nested string");
    counters.set("name", name);
    let (sub, deep) = (Map::new(), Map::new());
    sub.add("hits", 100);
    sub.add("misses", 3);
    deep.add("leaf", 1);
    sub.set("deep", deep);
    counters.set("sub", sub);
    counters.set("null", Func::new(|| ()));
    counters.add("key with space", 1);
    counters.add("dotted.key", 2);
    registry.publish("map_empty", Map::new()).unwrap();
    let status = registry.publish("http_status", Map::new()).unwrap();
    status.add("200", 5);
    status.add("404", 2);
    status.add("500", 0);
    registry.publish("func_bool", Func::new(|| true)).unwrap();
    registry.publish("func_nil", Func::new(|| ())).unwrap();
    registry.publish("func_string", Func::new(|| "a<b>&c")).unwrap();
    let list = || (1, 2.5, "three", (), true, [4]);
    registry.publish("func_list", Func::new(list)).unwrap();
    registry.publish("func_float_million", Func::new(|| 1e6)).unwrap();
    registry
}

fn case(name: &str) -> Value {
    let cases: Value = serde_json::from_str(CASES).unwrap();
    let cases = cases["cases"].as_array().unwrap();
    cases.iter().find(|case| case["name"] == name).expect(name).clone()
}

fn difference(name: &str) -> &'static str {
    DIFFERENCES.iter().find(|(names, _)| names.contains(name)).expect(name).1
}

#[test]
fn the_document_is_gos_to_the_byte() {
    let server = serve(&reference());
    let reply = get(&server, "/debug/vars");
    assert_eq!(reply.text(), BODY);
    server.shutdown();
}

#[test]
fn statuses_headers_and_short_bodies_are_gos() {
    let server = serve(&reference());
    let mut compared = 0;
    let cases: Value = serde_json::from_str(CASES).unwrap();
    for case in cases["cases"].as_array().unwrap() {
        let (name, sent) = (case["name"].as_str().unwrap(), case["request"].as_str().unwrap());
        if name.contains("mounted_by_hand") || !sent.ends_with("\r\n\r\n") {
            continue; // See the tests below, and `mounted`.
        }
        let reply = request(&server, sent);
        let expected = &case["expected"];
        assert_eq!(reply.status_line, expected["status_line"], "{name}");
        let mut headers: Vec<String> = serde_json::from_value(expected["headers"].clone()).unwrap();
        let is_document = headers.iter().any(|header| header.contains("application/json"));
        if is_document {
            // The difference called "framing".
            headers.retain(|header| header != "Transfer-Encoding: chunked");
            headers.push(format!("Content-Length: {}", reply.header("Content-Length").unwrap()));
            // The difference called "vary"; the filter makes the document too short for it.
            if name != "get_query" {
                headers.push("Vary: Accept-Encoding".to_owned());
            }
        }
        match name {
            "get_gzip" => headers.push("Content-Encoding: gzip".to_owned()),
            "get_query" => assert!(reply.text().starts_with("{\n\"counters\": {")),
            "head" => assert_eq!(reply.header("Content-Length"), Some(&*BODY.len().to_string())),
            _ if is_document => assert_eq!(reply.text(), BODY, "{name}"),
            _ => {}
        }
        headers.sort();
        assert_eq!(reply.headers, headers, "{name}");
        if let Some(body) = expected["body"].as_str() {
            assert_eq!(reply.text(), body, "{name}");
        }
        compared += 1;
    }
    assert_eq!(compared, 16);
    server.shutdown();
}

#[test]
fn what_go_cannot_write_as_json_is_null() {
    for (name, publish) in [
        (
            "bad_nan",
            (|r| r.publish("bad", FloatGauge::new()).unwrap().set(f64::NAN)) as fn(&Registry),
        ),
        ("bad_inf", |r| r.publish("bad", FloatGauge::new()).unwrap().set(f64::INFINITY)),
        ("bad_func-nan", |r| drop(r.publish("bad", Func::new(|| f64::NAN)).unwrap())),
        ("bad_func-chan", |r| {
            // A map whose keys are no strings is what serde cannot write as JSON.
            let keys_are_lists = || BTreeMap::from([([1], 2)]);
            drop(r.publish("bad", Func::new(keys_are_lists)).unwrap());
        }),
        ("bad_func-panic", |r| {
            let panics = || -> u8 { panic!("boom") };
            drop(r.publish("bad", Func::new(panics)).unwrap());
        }),
    ] {
        assert!(!difference(name).is_empty());
        assert_ne!(case(name)["expected"]["strict_json"], true, "{name} is no difference");
        let registry = Registry::new();
        registry.publish("after", Gauge::new()).unwrap().set(1);
        registry.publish("zero", Gauge::new()).unwrap();
        publish(&registry);
        let server = serve(&registry);
        let reply = get(&server, "/debug/vars");
        assert_eq!(reply.text(), "{\n\"after\": 1,\n\"bad\": null,\n\"zero\": 0\n}\n", "{name}");
        server.shutdown();
    }
}

#[test]
fn an_empty_registry() {
    let server = serve(&Registry::new());
    assert_eq!(get(&server, "/debug/vars").text(), "{\n\n}\n");
    server.shutdown();
}
