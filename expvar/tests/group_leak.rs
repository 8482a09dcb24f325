//! Groups that come and go a hundred thousand times leave no name, no cell and no memory behind.
//! Alone in its process, so that no other cells count.

#![forbid(unsafe_code)]

use expvar::Registry;

expvar::group! {
    struct CacheVars = "cache" {
        hits: Counter = "hits";
        size: Gauge = "size";
        load: Histogram = "load", init: Histogram::with_precision(1);
        errors: Map = "errors";
    }
}

fn live_once(registry: &Registry, instance: &str) {
    let cache = CacheVars::publish(registry, instance).unwrap();
    cache.hits.inc();
    cache.size.add(1);
    cache.load.record(1);
    cache.errors.add("timeout", 1);
}

#[test]
fn a_hundred_thousand_groups_leave_nothing_behind() {
    let registry = Registry::new();
    let keeper = CacheVars::publish(&registry, "keeper").unwrap();
    live_once(&registry, "first");
    // What this thread holds to itself comes and goes, within its limit.
    let taken = || (expvar::usage().cells, expvar::usage().shared_bytes);
    let before = (taken(), registry.to_json());
    for n in 0..100_000 {
        live_once(&registry, &format!("cache-{n}"));
    }
    assert_eq!((taken(), registry.to_json()), before);
    drop(keeper);
    assert_eq!(registry.to_json(), "{\n\n}\n");
}
