//! Concurrent requests for a key or name share one variable.

#![forbid(unsafe_code)]

use std::sync::{Arc, Barrier};

use expvar::{Counter, Gauge, Histogram, Kind, Map, Registry, global};

fn count(name: &str) -> u64 {
    global().get(name).unwrap().to_string().parse().unwrap()
}

/// Runs `f` in four threads that begin at once.
fn in_four_threads(f: impl Fn(usize) + Sync) {
    let start = Barrier::new(4);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (f, start) = (&f, &start);
            scope.spawn(move || {
                start.wait();
                f(thread);
            });
        }
    });
}

#[test]
fn four_threads_at_new_keys_lose_nothing() {
    let registry = Registry::new();
    let map = registry.publish("map", Map::new()).unwrap();
    in_four_threads(|_| {
        for key in 0..500 {
            map.counter(format!("c{key}")).inc();
            map.gauge(format!("g{key}")).add(2);
            map.float_gauge(format!("f{key}")).add(0.5);
            map.histogram(format!("h{key}")).record(3);
            map.map(format!("m{key}")).counter("inner").inc();
            map.counter_at([format!("m{key}"), "at".to_owned()]).inc();
            registry.get_or_publish(&format!("r{key}"), Counter::new()).unwrap().inc();
        }
    });
    for key in 0..500 {
        assert_eq!(map.counter(format!("c{key}")).get(), 4);
        assert_eq!(map.gauge(format!("g{key}")).get(), 8);
        assert_eq!(map.float_gauge(format!("f{key}")).get(), 2.0);
        assert_eq!(map.histogram(format!("h{key}")).snapshot().count(), 4);
        let inner = map.get(format!("m{key}")).unwrap().to_string();
        assert_eq!(inner, "{\"at\": 4, \"inner\": 4}");
        assert_eq!(registry.get(&format!("r{key}")).unwrap().to_string(), "4");
    }
}

#[test]
fn what_is_past_the_limit_is_the_one_of_other_and_counted() {
    let map = Map::with_limit(2);
    let before = count("expvar.overflows");
    map.counter("a").inc();
    map.counter("b").inc();
    for key in ["c", "d", "c"] {
        map.counter(key).inc();
    }
    assert_eq!(map.keys(), ["(other)", "a", "b"]);
    assert!(Arc::ptr_eq(&map.counter("(other)"), &map.counter("e")));
    assert_eq!(map.counter("(other)").get(), 3);
    assert!(count("expvar.overflows") - before >= 4);
    // A place that becomes free is taken.
    map.remove("a");
    map.counter("c").inc();
    assert_eq!(map.keys(), ["(other)", "b", "c"]);
}

#[test]
fn several_keys_are_bounded_together() {
    let map = Map::with_limit(3);
    for (route, method) in [("/a", "GET"), ("/a", "PUT"), ("/b", "GET")] {
        map.add_at([route, method], 1);
        map.add_at([route, method], 1);
    }
    map.add_at(["/b", "PUT"], 5);
    map.add_at(["/c", "GET"], 5);
    map.add_at(["1", "2", "3", "4", "5", "6", "7", "8", "9"], 1);
    let json = |map: &Map| {
        let registry = Registry::new();
        let shared = registry.publish("m", Map::new()).unwrap();
        map.for_each(|key, var| {
            shared.set(key, var.clone());
        });
        registry.get("m").unwrap().to_string()
    };
    let shown = json(&map);
    assert!(shown.starts_with("{\"(other)\": {\"(other)\": 10"), "{shown}");
    assert!(shown.ends_with("\"/a\": {\"GET\": 2, \"PUT\": 2}, \"/b\": {\"GET\": 2}}"), "{shown}");

    // Keys that are one text when put together are not the same.
    let map = Map::new();
    let long = "x".repeat(200);
    map.add_at(["a\u{1}b", "c"], 1);
    map.add_at(["a", "b\u{1}c"], 2);
    map.add_at(["ab", "c"], 4);
    map.add_at(["a", "bc"], 8);
    map.add_at([&*long, ""], 16);
    map.add_at(["", &*long], 32);
    for (keys, n) in
        [(["a\u{1}b", "c"], 1), (["a", "b\u{1}c"], 2), (["ab", "c"], 4), (["a", "bc"], 8)]
    {
        assert_eq!(map.gauge_at(keys).get(), n);
    }
    assert_eq!((map.gauge_at([&*long, ""]).get(), map.gauge_at(["", &*long]).get()), (16, 32));
}

#[test]
fn a_key_of_another_kind_stays_and_is_counted() {
    let map = Map::new();
    map.set("text", expvar::Text::of("x"));
    map.add("gauge", 1);
    let before = count("expvar.mismatches");
    map.counter("text").inc();
    map.counter("gauge").inc();
    map.histogram_at(["text", "below"]).record(1);
    assert!(count("expvar.mismatches") - before >= 3);
    assert_eq!(map.get("text").unwrap().to_string(), "\"x\"");
    assert_eq!(map.get("gauge").unwrap().to_string(), "1");
    // What `add` made is a gauge, and is the same.
    map.gauge("gauge").add(1);
    assert_eq!(map.get("gauge").unwrap().to_string(), "2");
}

#[test]
fn what_was_removed_is_made_anew_in_every_thread() {
    let map = Arc::new(Map::new());
    map.counter("key").inc();
    map.counter_at(["a", "b"]).inc();
    let other = Arc::clone(&map);
    std::thread::spawn(move || {
        other.counter("key").inc();
        other.counter_at(["a", "b"]).inc();
        other.remove("key");
        other.remove("a");
    })
    .join()
    .unwrap();
    map.counter("key").add(10);
    map.counter_at(["a", "b"]).add(10);
    assert_eq!((map.counter("key").get(), map.counter_at(["a", "b"]).get()), (10, 10));
}

#[test]
fn names_are_got_or_published() {
    let registry = Registry::new();
    let first = registry.get_or_publish("jobs", Counter::new()).unwrap();
    let second = registry.get_or_publish("jobs", Counter::new()).unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    let error = registry.get_or_publish("jobs", Gauge::new()).unwrap_err();
    assert_eq!(error.existing().unwrap().kind(), Kind::Counter);
    assert!(registry.get_or_publish("", Gauge::new()).is_err());
    static OWN: Histogram = Histogram::new();
    let own: &'static Histogram = registry.get_or_publish("own", &OWN).unwrap();
    assert!(std::ptr::eq(own, registry.get_or_publish("own", &OWN).unwrap()));
    assert!(registry.get_or_publish("own", Histogram::new()).is_err(), "no Arc of a static");
}

#[test]
fn keys_are_any_text() {
    let map = Map::new();
    let owned = String::from("owned");
    map.inc(&owned);
    map.inc(owned.clone());
    map.add(std::borrow::Cow::Borrowed("owned"), 1);
    map.add_float("float", 0.5);
    map.add_float(String::from("float"), 0.5);
    assert_eq!(map.get(&owned).unwrap().as_gauge().unwrap().get(), 3);
    assert_eq!(map.get("float").unwrap().as_float_gauge().unwrap().get(), 1.0);
    assert!(map.get("owned").unwrap().as_counter().is_none());
    assert!(map.remove(owned).is_some());
}
