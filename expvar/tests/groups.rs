//! A group's variables come and go with what owns them, and leave nothing behind.

#![forbid(unsafe_code)]

use expvar::{Counter, Map, Registry};

expvar::group! {
    /// What a pool of connections shows.
    pub struct PoolVars = "pool", label: "pool" {
        /// Connections that were there
        /// when asked for.
        pub hits: Counter = "hits";
        /// Connections in use.
        pub used: Gauge = "used";
        /// Time to connect.
        pub connect: Histogram = "connect", unit: Nanoseconds, init: Histogram::with_precision(2);
        /// Errors by kind.
        pub errors: Map = "errors", label: "kind", counter;
    }
}

#[test]
fn instances_share_names_and_go_one_by_one() {
    let registry = Registry::new();
    let main = PoolVars::publish(&registry, "main").unwrap();
    let spare = PoolVars::publish(&registry, "spare").unwrap();
    main.hits.add(3);
    spare.used.set(2);
    main.errors.add("refused", 1);
    spare.connect.record(1);
    assert_eq!(main.instance(), "main");
    let json = registry.to_json();
    for part in [
        "\"pool.hits\": {\"main\": 3, \"spare\": 0}",
        "\"pool.used\": {\"main\": 0, \"spare\": 2}",
        "\"pool.errors\": {\"main\": {\"refused\": 1}, \"spare\": {}}",
    ] {
        assert!(json.contains(part), "{json}");
    }
    let info = registry.info("pool.hits").unwrap();
    assert_eq!(info.get_help(), "Connections that were there when asked for.");
    assert_eq!(info.get_labels(), ["pool"]);
    let info = registry.info("pool.errors").unwrap();
    assert_eq!((info.get_labels(), info.is_counter()), (&["pool".into(), "kind".into()][..], true));

    drop(main);
    assert!(registry.to_json().contains("\"pool.hits\": {\"spare\": 0}"));
    drop(spare);
    assert_eq!(registry.to_json(), "{\n\n}\n");
}

#[test]
fn what_is_there_already_is_an_error_that_leaves_nothing() {
    let registry = Registry::new();
    registry.publish("pool.used", Counter::new()).unwrap();
    let error = PoolVars::publish(&registry, "main").unwrap_err();
    assert_eq!(error.name(), "pool.used");
    assert_eq!(registry.to_json(), "{\n\"pool.used\": 0\n}\n");
    registry.remove("pool.used");

    let first = PoolVars::publish(&registry, "main").unwrap();
    let error = PoolVars::publish(&registry, "main").unwrap_err();
    assert_eq!(error.name(), "pool.hits.main");
    first.hits.inc();
    assert!(registry.to_json().contains("\"pool.hits\": {\"main\": 1}"), "the first one stays");
}

#[test]
fn a_map_that_was_published_by_hand_is_not_taken_away() {
    static HITS: Map = Map::new();
    let registry = Registry::new();
    registry.publish("pool.hits", &HITS).unwrap();
    drop(PoolVars::publish(&registry, "main").unwrap());
    assert_eq!(registry.to_json(), "{\n\"pool.hits\": {}\n}\n");
}

expvar::group! {
    struct Outer = "outer" {
        parts: Map = "parts";
    }
    struct Inner = "inner" {
        hits: Counter = "hits";
    }
}

#[test]
fn the_default_label_is_one_that_prometheus_keeps() {
    let registry = Registry::new();
    let _inner = Inner::publish(&registry, "main").unwrap();
    // `instance` and `job` are the target's: Prometheus would show ours as `exported_instance`.
    assert_eq!(registry.info("inner.hits").unwrap().get_labels(), ["name"]);
}

#[test]
fn a_group_that_owns_another_by_what_it_shows_is_dropped() {
    let registry = Registry::new();
    let outer = Outer::publish(&registry, "main").unwrap();
    let inner = Inner::publish(&registry, "main").unwrap();
    outer.parts.set("inner", expvar::Func::new(move || inner.hits.get()));
    assert!(registry.to_json().contains("\"inner\": 0"));
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        drop(outer);
        done.send(()).unwrap();
    });
    is_done.recv_timeout(std::time::Duration::from_secs(60)).expect("the drop returns");
    assert_eq!(registry.to_json(), "{\n\n}\n");
}
