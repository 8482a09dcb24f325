//! What a program logs is what the registry shows.

#![forbid(unsafe_code)]

use expvar::{Registry, Var};
use expvar_tracing::Layer;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::with_default;
use tracing_subscriber::Layer as _;
use tracing_subscriber::prelude::*;

fn shown(registry: &Registry, name: &str) -> String {
    registry.get(name).unwrap().to_string()
}

#[test]
fn events_are_counted_by_level_and_target() {
    let registry = Registry::new();
    let layer = Layer::publish(&registry, "log").unwrap();
    with_default(tracing_subscriber::registry().with(layer), || {
        for _ in 0..3 {
            tracing::error!(target: "shop::cart", code = 7, "failed");
        }
        tracing::warn!(target: "shop::cart", "slow");
        tracing::info!("from here");
    });
    assert_eq!(
        shown(&registry, "log.events"),
        "{\"ERROR\": {\"shop::cart\": 3}, \"INFO\": {\"layer\": 1}, \"WARN\": {\"shop::cart\": 1}}"
    );
    let info = registry.info("log.events").unwrap();
    assert_eq!((info.get_labels().len(), info.is_counter()), (2, true));
}

#[test]
fn spans_are_timed_by_name_from_start_to_end() {
    let registry = Registry::new();
    let layer = Layer::publish(&registry, "log").unwrap();
    with_default(tracing_subscriber::registry().with(layer), || {
        let outer = tracing::info_span!("outer");
        let open = tracing::info_span!("open");
        for _ in 0..2 {
            // Entered twice, timed once.
            let inner = tracing::info_span!(parent: &outer, "inner");
            inner.in_scope(|| ());
            inner.in_scope(|| ());
        }
        drop(outer);
        let count = |name: &str| {
            let Some(Var::Map(spans)) = registry.get("log.spans") else { panic!() };
            spans.histogram(name).snapshot().count()
        };
        assert_eq!((count("outer"), count("inner"), count("open")), (1, 2, 0));
        drop(open);
        assert_eq!(count("open"), 1);
    });
}

#[test]
fn a_filter_decides_what_is_counted() {
    let registry = Registry::new();
    let layer = Layer::publish(&registry, "log").unwrap().with_filter(LevelFilter::WARN);
    with_default(tracing_subscriber::registry().with(layer), || {
        tracing::info!("not this");
        tracing::warn!(target: "t", "this");
    });
    assert_eq!(shown(&registry, "log.events"), "{\"WARN\": {\"t\": 1}}");
}

#[test]
fn layers_share_variables_and_a_name_that_is_taken_is_an_error() {
    let registry = Registry::new();
    let (first, second) =
        (Layer::publish(&registry, "log").unwrap(), Layer::publish(&registry, "log").unwrap());
    for layer in [first, second] {
        with_default(tracing_subscriber::registry().with(layer), || {
            tracing::warn!(target: "t", "one");
        });
    }
    assert_eq!(shown(&registry, "log.events"), "{\"WARN\": {\"t\": 2}}");
    registry.publish("taken.events", expvar::Counter::new()).unwrap();
    assert_eq!(Layer::publish(&registry, "taken").unwrap_err().name(), "taken.events");
}

#[test]
fn threads_together_lose_nothing() {
    let registry = Registry::new();
    let layer = Layer::publish(&registry, "log").unwrap();
    let dispatch = tracing::Dispatch::new(tracing_subscriber::registry().with(layer));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                tracing::dispatcher::with_default(&dispatch, || {
                    for _ in 0..500 {
                        tracing::error!(target: "a", "x");
                        let _span = tracing::info_span!("s").entered();
                    }
                });
            });
        }
    });
    assert_eq!(shown(&registry, "log.events"), "{\"ERROR\": {\"a\": 2000}}");
    let Some(Var::Map(spans)) = registry.get("log.spans") else { panic!() };
    assert_eq!(spans.histogram("s").snapshot().count(), 2000);
}
