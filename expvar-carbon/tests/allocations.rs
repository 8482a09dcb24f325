//! A push allocates nothing a variable once it has seen them all.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::time::Duration;

use expvar::{Counter, FloatGauge, Func, Gauge, Histogram, Map, Registry, Text};
use expvar_carbon::{Carbon, Counters, Lines};

#[global_allocator]
static ALLOC: expvar::alloc::Counting = expvar::alloc::Counting::new();

fn allocations() -> u64 {
    expvar::alloc::counts().unwrap().allocations
}

/// In one test with the rest, as other threads' allocations count too.
fn rendering_allocates_nothing() {
    let mut lines = Lines::new();
    let render = |_| {
        let before = allocations();
        for n in 0..10_000u64 {
            assert!(lines.point("some.name with spaces", n, 1_700_000_000 + n));
            assert!(lines.point("some.name", n as f64 / 3.0, 1_700_000_000 + n));
        }
        lines.clear();
        allocations() - before
    };
    let rendering = (0..5).map(render).min();
    // Reading the counts allocates too.
    let reading = (0..5).map(|_| std::hint::black_box(allocations()).abs_diff(allocations())).min();
    assert_eq!(rendering, reading);
}

#[test]
fn a_push_allocates_for_itself_and_nothing_for_its_variables() {
    rendering_allocates_nothing();
    let registry = Registry::new();
    for n in 0..500 {
        registry.publish(&format!("a.counter.{n}"), Counter::new()).unwrap().add(n);
        registry.publish(&format!("a.gauge {n}"), Gauge::new()).unwrap().set(-3);
        registry.publish(&format!("a.float.{n}"), FloatGauge::new()).unwrap().set(0.1);
        registry.publish(&format!("a.text.{n}"), Text::new()).unwrap().set("text");
    }
    let map = registry.publish("map", Map::new()).unwrap();
    (0..500).for_each(|n| map.add(format!("key {n}"), n));
    let mut histograms = Vec::new();
    for n in 0..300 {
        histograms.push(registry.publish(&format!("h.{n}"), Histogram::new()).unwrap());
    }
    let document: BTreeMap<_, _> = (0..500).map(|n| (format!("key{n}"), (n, "text"))).collect();
    let document: &'static _ = Box::leak(Box::new(document));
    registry.publish("func", Func::new(move || document)).unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let carbon = Carbon::new(listener.local_addr().unwrap().to_string())
        .registry(&registry)
        .interval(Duration::from_secs(1))
        .arrays(true)
        .exclude("*.17")
        .rename("a.float", "b.float")
        .counters(Counters::Rates)
        .counters_matching("a.counter.1*", Counters::Deltas)
        .shutdown_timeout(Duration::from_millis(100))
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(listener.accept().unwrap().0);
    let (mut line, mut last) = (Vec::new(), Vec::new());
    let (mut readings, mut points, mut before) = (0, 0, 0);
    while readings < 7 {
        line.clear();
        reader.read_until(b'\n', &mut line).unwrap();
        let timestamp = line.rsplit(|&b| b == b' ').next().unwrap();
        if timestamp != last {
            last.clear();
            last.extend_from_slice(timestamp);
            readings += 1;
            histograms.iter().for_each(|h| (0..100).for_each(|n| h.record(n)));
            match readings {
                4 => before = allocations(),
                5.. => {}
                _ => continue,
            }
        }
        points += usize::from(readings >= 4);
    }
    let allocated = allocations() - before;
    drop(carbon);
    assert!(points > 3 * 3_000, "{points}");
    // A push's own, however many variables: its batches, the walk's memory, the timers. One each
    // for any kind of variable would be 900 more at least.
    assert!(allocated < 800, "{allocated} for {points} points");
}
