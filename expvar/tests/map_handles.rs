//! Histograms that threads ask a map for again and again are the same histogram for all.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use expvar::{Histogram, Info, Map, Registry, Unit};

/// More often than it takes a thread to get a handle of its own.
const OFTEN: u64 = 200;

fn ask_often(map: &Map) -> Arc<Histogram> {
    (0..OFTEN).for_each(|_| map.histogram("key").record(1));
    map.histogram("key")
}

#[test]
fn what_all_threads_record_is_in_one_histogram() {
    let registry = Registry::new();
    let map = registry.publish("map", Map::new()).unwrap();
    let handles: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| ask_often(&map))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    // The threads have ended; what they handed on is as good as before.
    handles.iter().for_each(|handle| handle.record(1));
    for handle in &handles {
        assert_eq!(handle.snapshot().count(), 4 * OFTEN + 4);
        assert_eq!(handle.recent().count(), 4 * OFTEN + 4);
    }
    assert_eq!(map.histogram("key").snapshot().count(), 4 * OFTEN + 4);
    assert!(
        registry.to_json().contains("{\"key\": {\"count\":804,\"sum\":804,"),
        "{}",
        registry.to_json()
    );

    // Taken out, it lives on in the handles alone.
    map.remove("key");
    handles[3].record(1);
    assert_eq!(handles[0].snapshot().count(), 4 * OFTEN + 5);
    assert_eq!(map.histogram("key").snapshot().count(), 0);
}

#[test]
fn a_unit_that_is_declared_later_counts_for_every_handle() {
    let map = Arc::new(Map::new());
    let handles: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(|| ask_often(&map))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let info = Info::new().unit(Unit::Milliseconds);
    Registry::new().publish_with("map", Arc::clone(&map), info).unwrap();
    for handle in &handles {
        let before = handle.snapshot().sum();
        handle.record_duration(Duration::from_millis(7));
        assert_eq!(handle.snapshot().sum() - before, 7);
    }
}

#[test]
fn a_key_that_somebody_holds_does_not_expire() {
    let map = Map::new().expire_after(Duration::from_millis(1));
    let handles: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(|| ask_often(&map))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut handles = handles.into_iter();
    // Whichever of them has a count of its own.
    while let Some(handle) = handles.next() {
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(2));
            assert_eq!(map.len(), 1, "{} are left", handles.len());
            assert_eq!(map.keys(), ["key"]);
        }
        drop(handle);
    }
    while !map.keys().is_empty() {
        std::thread::sleep(Duration::from_millis(2));
    }
}
