//! Maps: keys, limits, other kinds, removal.

#![forbid(unsafe_code)]

use expvar::{Counter, FloatGauge, Kind, Map, Registry, Text};

fn own(name: &str) -> u64 {
    expvar::global().get(name).unwrap().to_string().parse().unwrap()
}

#[test]
fn past_the_limit_values_go_to_other_and_are_counted() {
    let map = Map::with_limit(2);
    let before = own("expvar.overflows");
    for (key, n) in [("a", 1), ("b", 2), ("c", 3), ("d", 4), ("a", 5)] {
        map.add(key, n);
    }
    map.add_float("e", 1.0);
    assert_eq!(map.keys(), ["(other)", "a", "b"]);
    assert_eq!(map.get("(other)").unwrap().to_string(), "7");
    assert_eq!(map.get("a").unwrap().to_string(), "6");
    assert_eq!(own("expvar.overflows") - before, 3);
    // Every addition is counted, not only a key's first.
    map.add("c", 1);
    map.add("c", 1);
    assert_eq!(own("expvar.overflows") - before, 5);
    assert_eq!(map.get("(other)").unwrap().to_string(), "9");
    // A place that comes free is taken by the next key without one, old or new.
    map.remove("b");
    map.add("c", 1);
    assert_eq!(map.keys(), ["(other)", "a", "c"]);
    assert_eq!(map.get("c").unwrap().to_string(), "1");
    map.remove("a");
    map.add("f", 1);
    assert_eq!(map.keys(), ["(other)", "c", "f"]);
}

#[test]
fn another_kind_is_left_alone_counted_and_said_by_try_add() {
    let map = Map::new();
    map.set("text", Text::new()).set("words");
    map.set("float", FloatGauge::new()).set(1.5);
    let counter = map.set("counter", Counter::new());
    let before = own("expvar.mismatches");
    map.add("text", 1);
    map.add_float("text", 1.0);
    map.add("counter", 2);
    map.add("counter", -1);
    map.add_float("float", 0.5);
    assert_eq!(own("expvar.mismatches") - before, 3);
    let error = map.try_add("float", 1).unwrap_err();
    assert_eq!((error.key(), error.kind()), ("float", Kind::FloatGauge));
    assert!(error.to_string().contains("\"float\" holds a float gauge"));
    assert_eq!(counter.get(), 2);
    let registry = Registry::new();
    registry.publish("m", map).unwrap();
    let document = "{\n\"m\": {\"counter\": 2, \"float\": 2, \"text\": \"words\"}\n}\n";
    assert_eq!(registry.to_json(), document);
}

#[test]
fn what_is_removed_is_gone_for_readers_and_begins_anew() {
    let map = Map::new();
    map.add("k", 5);
    let held = map.remove("k").unwrap();
    assert!(map.keys().is_empty() && map.get("k").is_none());
    map.add("k", 1);
    assert_eq!((map.get("k").unwrap().to_string(), held.to_string()), ("1".into(), "5".into()));
    map.clear();
    map.add("k", 2);
    assert_eq!(map.get("k").unwrap().to_string(), "2");
    map.set("k", Text::new()).set("now a text");
    map.add("k", 2);
    assert_eq!(map.get("k").unwrap().to_string(), "\"now a text\"");
}

#[test]
fn maps_of_one_thread_do_not_mix() {
    let maps: Vec<Map> = (0..100).map(|_| Map::new()).collect();
    for (n, map) in maps.iter().enumerate() {
        for key in 0..20 {
            map.add(format!("key{key}"), n as i64);
        }
    }
    for (n, map) in maps.iter().enumerate() {
        map.for_each(|_, var| assert_eq!(var.to_string(), n.to_string()));
        assert_eq!(map.keys().len(), 20);
    }
}

#[test]
fn more_keys_than_a_thread_remembers_are_right_all_the_same() {
    let map = Map::with_limit(100_000);
    let keys: Vec<String> = (0..40_000).map(|n| format!("/path/{n}")).collect();
    for round in 0..2 {
        for key in &keys {
            map.add(key, 1 + round);
        }
    }
    let mut seen = 0;
    map.for_each(|_, var| {
        assert_eq!(var.to_string(), "3");
        seen += 1;
    });
    assert_eq!(seen, 40_000);
}
