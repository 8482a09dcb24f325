use expvar::{Counter, FloatGauge, Func, Gauge, Histogram, Map, Registry, Text};

use super::*;

/// Each leaf as `path kind unit value`.
fn lines(registry: &Registry) -> Vec<String> {
    let mut sample = Sample::default();
    registry.visit(&mut sample);
    let line = |item: &Item| {
        let value = match &item.found {
            Found::Number(number) => number.to_f64().to_string(),
            Found::Distribution(of) => format!("{} {:?}", of.count, of.quantiles),
            Found::Text(range) => format!("{:?}", sample.text(range)),
        };
        format!("{} {:?} {:?} {value}", sample.path(item), item.kind, item.unit)
    };
    sample.items().iter().map(line).collect()
}

#[test]
fn every_kind_becomes_lines() {
    let registry = Registry::new();
    let map = Map::new();
    map.add("b", 2);
    map.add("a.x", 1);
    map.set("inner", Map::new());
    registry.publish("counter", Counter::new()).unwrap().add(7);
    registry.publish("gauge", Gauge::new()).unwrap().set(-3);
    registry.publish("float", FloatGauge::new()).unwrap().set(0.5);
    registry.publish("text", Text::new()).unwrap().set("hello");
    registry.publish("wait_ms", Histogram::new()).unwrap().record(5);
    let wait = registry.publish("wait_seconds", Histogram::floats()).unwrap();
    wait.record_float(0.05);
    wait.record_float(0.05);
    registry.publish("map", map).unwrap();
    let expected = [
        "counter Counter \"\" 7",
        "float Gauge \"\" 0.5",
        "gauge Gauge \"\" -3",
        "map.a.x Gauge \"\" 1",
        "map.b Gauge \"\" 2",
        "map.inner Json \"\" \"{}\"",
        "text Text \"\" \"hello\"",
        "wait_ms Histogram \"milliseconds\" 1 [5.0, 5.0, 5.0]",
        "wait_seconds Histogram \"seconds\" 2 [0.0498046875, 0.0498046875, 0.0498046875]",
    ];
    assert_eq!(lines(&registry), expected);
}

#[test]
fn what_is_kept_of_histograms_is_what_reading_them_gives() {
    let registry = Registry::new();
    let publish = |name: &str| registry.publish(name, Histogram::new()).unwrap();
    let (b, d) = (publish("b"), publish("d"));
    d.record(9);
    let mut kept = Sample::default();
    let mut compare = || {
        kept.clear();
        registry.visit(&mut kept);
        let mut fresh = Sample::default();
        registry.visit(&mut fresh);
        let of = |sample: &Sample| format!("{:?}", sample.items());
        assert_eq!(of(&kept), of(&fresh));
        of(&fresh)
    };
    let first = compare();
    assert_eq!(compare(), first);
    b.record(0);
    assert_ne!(compare(), first);
    d.record(1 << 40);
    compare();
    // One before the others, and others of the same names.
    publish("a").record(9);
    compare();
    registry.remove("b");
    registry.remove("d");
    drop((b, d));
    compare();
    publish("b").record(9);
    publish("d").record(0);
    compare();
}

#[test]
fn what_a_function_returns_is_taken_apart_but_for_arrays() {
    let registry = Registry::new();
    let value = serde_json::json!({
        "a": {"n": 1, "t": "x", "f": 1.5, "b": true, "z": null},
        "list": [1, [2, {"k": "v"}], null],
        "size_bytes": 9,
    });
    registry.publish("f", Func::new(move || value.clone())).unwrap();
    registry.publish("none", Func::new(Vec::<u8>::new)).unwrap();
    registry.publish("number", Func::new(|| -5)).unwrap();
    let expected = [
        "f.a.b Text \"\" \"true\"",
        "f.a.f Gauge \"\" 1.5",
        "f.a.n Gauge \"\" 1",
        "f.a.t Text \"\" \"x\"",
        "f.a.z Json \"\" \"null\"",
        "f.list Json \"\" \"1, 2, v, null\"",
        "f.size_bytes Gauge \"bytes\" 9",
        "none Json \"\" \"[]\"",
        "number Gauge \"\" -5",
    ];
    assert_eq!(lines(&registry), expected);
}

#[test]
fn long_texts_and_arrays_are_cut() {
    let registry = Registry::new();
    registry.publish("array", Func::new(|| vec![7; 10_000])).unwrap();
    registry.publish("text", Text::new()).unwrap().set("é".repeat(10_000));
    let mut sample = Sample::default();
    registry.visit(&mut sample);
    for item in sample.items() {
        let Found::Text(range) = &item.found else { panic!("{item:?}") };
        assert!(range.len() <= MAX_TEXT_BYTES + '…'.len_utf8(), "{}", range.len());
    }
    assert!(sample.text.len() < 500, "{}", sample.text.len());
}

#[test]
fn members_have_their_own_kind_unit_and_help() {
    let mut sample = Sample::default();
    expvar::global().visit(&mut sample);
    let find = |path: &str| {
        let item = sample.items().iter().find(|item| sample.path(item) == path);
        item.map(|item| (item.kind, item.unit, sample.help(item)))
    };
    let (kind, unit, help) = find("process.cpu_user_seconds").unwrap();
    assert_eq!((kind, unit), (Kind::Counter, "seconds"));
    assert!(help.starts_with("Processor time in the program"), "{help}");
    let (kind, unit, _) = find("process.start_time_seconds").unwrap();
    assert_eq!((kind, unit), (Kind::Gauge, "unix"));
    let (kind, unit, _) = find("process.resident_bytes").unwrap();
    assert_eq!((kind, unit), (Kind::Gauge, "bytes"));
    let (kind, unit, _) = find("memstats.HeapSys").unwrap();
    assert_eq!((kind, unit), (Kind::Gauge, "bytes"));
    assert_eq!(find("memstats.NumGC"), None, "nobody measures it");
}

#[test]
fn what_is_empty_is_shown_as_that_and_the_next_stands_beside_it() {
    let registry = Registry::new();
    let value = serde_json::json!({"a": [], "b": {}, "c": [[], {}], "d": 1});
    registry.publish("f", Func::new(move || value.clone())).unwrap();
    let expected = [
        "f.a Json \"\" \"[]\"",
        "f.b Json \"\" \"{}\"",
        "f.c Json \"\" \"[]\"",
        "f.d Gauge \"\" 1",
    ];
    assert_eq!(lines(&registry), expected);
}
