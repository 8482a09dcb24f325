//! `memstats` is what readers of Go's take it for, and true: with the hook in place.

use std::collections::HashSet;
use std::fmt;
use std::sync::Mutex;

use expvar::alloc::Counting;
use expvar::memstats::{MemStats, read, read_now};
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

#[global_allocator]
static ALLOC: Counting = Counting::new();

const MIB: u64 = 1 << 20;

/// Large blocks of one test must not show in another.
static ALONE: Mutex<()> = Mutex::new(());

/// The keys of an object in the order in which they are written; `Value` would sort them.
fn keys(json: &str) -> Vec<String> {
    struct Keys;
    impl<'de> Visitor<'de> for Keys {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Vec<String>, A::Error> {
            let mut keys = Vec::new();
            while let Some((key, IgnoredAny)) = members.next_entry()? {
                keys.push(key);
            }
            Ok(keys)
        }
    }
    serde_json::Deserializer::from_str(json).deserialize_map(Keys).unwrap()
}

#[test]
fn every_key_type_sign_and_order_is_go_s() {
    let expected: Value = serde_json::from_str(include_str!("memstats/fields.json")).unwrap();
    let shown = expvar::global().get("memstats").unwrap().to_string();
    assert!(!shown.contains([' ', '\n']), "one line without spaces, as Go writes it");

    let fields = expected["fields"].as_array().unwrap();
    let names: Vec<&str> = fields.iter().map(|field| field["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 32);
    assert_eq!(keys(&shown), names);

    let document: Value = serde_json::from_str(&shown).unwrap();
    let unsigned = |value: &Value| value.as_u64().is_some_and(|n| n <= i64::MAX as u64);
    for field in fields {
        let name = field["name"].as_str().unwrap();
        let value = &document[name];
        match field["go_type"].as_str().unwrap() {
            "uint64" => assert!(unsigned(value), "{name}: {value}"),
            "uint32" => assert!(value.as_u64().is_some_and(|n| n <= u32::MAX.into()), "{name}"),
            "bool" => assert!(value.is_boolean(), "{name}"),
            "float64" => assert!(value.as_f64().is_some_and(|share| share == 0.0), "{name}"),
            "[256]uint64" => {
                assert_eq!(*value, Value::from(vec![0; 256]), "{name}");
            }
            "[61]struct" => {
                let sizes: Vec<&Value> =
                    value.as_array().unwrap().iter().map(|class| &class["Size"]).collect();
                let go: Vec<&Value> =
                    expected["by_size_classes_go1.27_amd64"].as_array().unwrap().iter().collect();
                assert_eq!(sizes, go);
                for class in value.as_array().unwrap() {
                    assert_eq!(class.as_object().unwrap().len(), 3);
                    assert!(unsigned(&class["Mallocs"]) && unsigned(&class["Frees"]), "{class}");
                    assert!(class["Mallocs"].as_u64() >= class["Frees"].as_u64(), "{class}");
                }
                assert!(shown.contains(r#""BySize":[{"Size":0,"Mallocs":0,"Frees":0},{"Size":8,"#));
            }
            other => panic!("{name} is of type {other}"),
        }
    }
    // `GCCPUFraction` is Go's one float: written without a point when it is whole, as Go does.
    assert!(
        shown.contains(r#""NumForcedGC":0,"GCCPUFraction":0,"EnableGC":false,"DebugGC":false"#)
    );
    let own: HashSet<&str> = names.iter().copied().collect();
    assert_eq!(own.len(), 32);
}

#[track_caller]
fn sums_are_go_s(stats: &MemStats) {
    assert_eq!(stats.alloc, stats.heap_alloc);
    assert_eq!(stats.heap_sys, stats.heap_idle + stats.heap_inuse);
    assert!(stats.heap_inuse >= stats.heap_alloc && stats.heap_idle >= stats.heap_released);
    assert_eq!(stats.heap_objects, stats.mallocs - stats.frees);
    let parts = [
        stats.heap_sys,
        stats.stack_sys,
        stats.mspan_sys,
        stats.mcache_sys,
        stats.buck_hash_sys,
        stats.gc_sys,
        stats.other_sys,
    ];
    assert_eq!(stats.sys, parts.iter().sum::<u64>());
}

#[test]
fn what_is_summed_sums_up() {
    let _alone = ALONE.lock();
    sums_are_go_s(&read_now());
}

#[test]
fn touching_256_mib_moves_every_figure_by_256_mib() {
    let _alone = ALONE.lock();
    let before = (read_now(), expvar::process::read_now());
    let block = std::hint::black_box(vec![1_u8; 256 << 20]);
    let during = (read_now(), expvar::process::read_now());
    drop(block);
    let after = (read_now(), expvar::process::read_now());
    sums_are_go_s(&during.0);

    #[track_caller]
    fn moved(before: u64, during: u64, after: u64) {
        let near = 256 * MIB * 98 / 100..=256 * MIB * 102 / 100;
        assert!(near.contains(&during.abs_diff(before)) && during > before, "{before} {during}");
        assert!(near.contains(&during.abs_diff(after)) && during > after, "{during} {after}");
    }
    let figures: [fn(&MemStats) -> u64; 5] = [
        |stats| stats.alloc,
        |stats| stats.heap_alloc,
        |stats| stats.heap_sys,
        |stats| stats.heap_inuse,
        |stats| stats.sys,
    ];
    for figure in figures {
        moved(figure(&before.0), figure(&during.0), figure(&after.0));
    }
    moved(
        before.1.resident_bytes.unwrap(),
        during.1.resident_bytes.unwrap(),
        after.1.resident_bytes.unwrap(),
    );
    moved(
        before.1.anonymous_bytes.unwrap(),
        during.1.anonymous_bytes.unwrap(),
        after.1.anonymous_bytes.unwrap(),
    );
    let peak = after.1.peak_resident_bytes.unwrap();
    assert!(peak + MIB >= during.1.resident_bytes.unwrap(), "the kernel sums it up in batches");
    assert!(after.0.total_alloc - before.0.total_alloc >= 256 * MIB);
}

#[test]
fn memory_that_is_never_touched_is_live_and_not_resident() {
    let _alone = ALONE.lock();
    let before = (read_now(), expvar::process::read_now());
    let block: Vec<u8> = std::hint::black_box(Vec::with_capacity(1 << 30));
    let during = (read_now(), expvar::process::read_now());
    assert!(during.0.alloc - before.0.alloc >= 1024 * MIB);
    assert!(during.0.heap_inuse >= during.0.heap_alloc, "no reader sees a negative difference");
    let resident = |process: &expvar::process::Process| process.resident_bytes.unwrap();
    assert!(resident(&during.1).abs_diff(resident(&before.1)) < 16 * MIB);
    sums_are_go_s(&during.0);
    drop(block);
}

#[test]
fn a_value_is_at_most_a_second_old() {
    let _alone = ALONE.lock();
    let first = read_now();
    let block = std::hint::black_box(vec![1_u8; 64 << 20]);
    // Within a second it is cached; a later read gets a new one.
    let start = std::time::Instant::now();
    while read().alloc < first.alloc + 32 * MIB {
        assert!(start.elapsed().as_secs() < 60, "it was never refreshed");
        std::thread::yield_now();
    }
    drop(block);
}
