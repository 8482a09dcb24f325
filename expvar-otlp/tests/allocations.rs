//! A reading allocates nothing a point once it has seen them all.

use std::cell::Cell;

use expvar::{Counter, FloatGauge, Gauge, Histogram, Info, Map, Registry};
use expvar_otlp::{Histograms, Otlp, Temporality};

#[global_allocator]
static ALLOC: expvar::alloc::Counting = expvar::alloc::Counting::new();

fn allocations() -> u64 {
    expvar::alloc::counts().unwrap().allocations
}

#[test]
fn a_reading_allocates_for_itself_and_nothing_for_its_points() {
    let registry = Registry::new();
    let mut counters = Vec::new();
    for n in 0..500 {
        counters.push(registry.publish(&format!("a.counter.{n}"), Counter::new()).unwrap());
        registry.publish(&format!("a.gauge {n}"), Gauge::new()).unwrap().set(-3);
        registry.publish(&format!("a.float.{n}"), FloatGauge::new()).unwrap().set(0.1);
    }
    let map = registry.publish("map", Map::new()).unwrap();
    (0..500).for_each(|n| map.add(format!("key {n}"), n));
    let nested =
        registry.publish_with("nested", Map::new(), Info::new().labels(["a", "b"])).unwrap();
    for outer in 0..50 {
        (0..10).for_each(|inner| nested.map(format!("{outer}")).add(format!("{inner}"), 1));
    }
    let mut histograms = Vec::new();
    for n in 0..300 {
        histograms.push(registry.publish(&format!("h.{n}"), Histogram::new()).unwrap());
    }
    for temporality in [Temporality::Cumulative, Temporality::Delta] {
        for kind in [Histograms::Exponential, Histograms::Explicit] {
            let otlp = Otlp::new("http://localhost:4318").without_env().registry(&registry);
            let otlp = otlp.temporality(temporality).histograms(kind).without_library();
            let mut renderer = otlp.renderer().unwrap();
            let time = Cell::new(10_000_000_000_000_000_000);
            let mut read = || {
                counters.iter().for_each(|counter| counter.add(1));
                histograms.iter().for_each(|h| (0..100).for_each(|n| h.record(n * n * n)));
                time.set(time.get() + 1);
                let before = allocations();
                let (points, _) = renderer.encode(time.get());
                (allocations() - before, points)
            };
            let first = read().1;
            read();
            let (allocated, points) = (0..5).map(|_| read()).min().unwrap();
            assert_eq!(first, 500 * 3 + 500 + 500 + 300);
            assert!(points >= 500 + 300, "{points}");
            // The walk's own, and a level of maps each: no kind of variable has so few.
            assert!(allocated < 150, "{allocated} for {points} points: {temporality:?} {kind:?}");
        }
    }
}
