//! Functions that misbehave: the document stays valid, others are not kept waiting.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, mpsc};

use expvar::{Counter, Func, Gauge, Map, Registry, Text};
use serde::ser::{Error, Serialize, SerializeSeq, Serializer};

/// Fails after it wrote something.
struct Failing;

impl Serialize for Failing {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_seq(None)?.serialize_element(&1)?;
        Err(S::Error::custom("cannot say"))
    }
}

fn panics() -> u64 {
    expvar::global().get("expvar.panics").unwrap().to_string().parse().unwrap()
}

#[test]
fn one_that_panics_or_fails_is_null_and_counted() {
    let (registry, before) = (Registry::new(), panics());
    registry.publish("a", Counter::new()).unwrap();
    registry.publish("b", Func::new(|| -> u64 { panic!("a variable's function panics") })).unwrap();
    registry.publish("c", Func::new(|| Failing)).unwrap();
    let nested = registry.publish("d", Map::new()).unwrap();
    nested.set("x", Func::new(|| -> u64 { panic!("so does one in a map") }));
    nested.add("y", 1);
    registry.publish("e", Gauge::new()).unwrap();
    let document =
        "{\n\"a\": 0,\n\"b\": null,\n\"c\": null,\n\"d\": {\"x\": null, \"y\": 1},\n\"e\": 0\n}\n";
    assert_eq!(registry.to_json(), document);
    assert_eq!(panics() - before, 3);
}

#[test]
fn one_that_publishes_removes_and_reads_works() {
    let registry = Registry::new();
    let (inner, runs) = (registry.clone(), AtomicU64::new(0));
    registry
        .publish(
            "m",
            Func::new(move || {
                let run = runs.fetch_add(1, Relaxed);
                inner.publish(&format!("made{run}"), Counter::new()).unwrap().inc();
                inner.remove("z");
                let mut names = Vec::new();
                inner.for_each(|name, _| names.push(name.to_owned()));
                names
            }),
        )
        .unwrap();
    registry.publish("z", Counter::new()).unwrap();
    // A walk shows what was there when it began.
    assert_eq!(registry.to_json(), "{\n\"m\": [\"m\",\"made0\"],\n\"z\": 0\n}\n");
    assert_eq!(registry.to_json(), "{\n\"m\": [\"m\",\"made0\",\"made1\"],\n\"made0\": 1\n}\n");
}

#[test]
fn one_that_takes_its_time_blocks_nobody() {
    let registry = Registry::new();
    let count = registry.publish("count", Counter::new()).unwrap();
    let (begun, has_begun) = mpsc::channel();
    let (end, may_end) = mpsc::channel::<()>();
    let may_end = std::sync::Mutex::new(may_end);
    let slow = Func::new(move || {
        begun.send(()).unwrap();
        may_end.lock().unwrap().recv().unwrap();
        "done"
    });
    registry.publish("slow", slow).unwrap();
    let text = registry.publish("text", Text::new()).unwrap();
    let reader = std::thread::spawn({
        let registry = registry.clone();
        move || registry.to_json()
    });
    has_begun.recv().unwrap();
    // The function is running, and continues until it is released.
    count.inc();
    text.set("changed meanwhile");
    registry.publish("late", Counter::new()).unwrap();
    let mut others = Vec::new();
    registry.render_json_where(|name| name != "slow", &mut others);
    let expected = "{\n\"count\": 1,\n\"late\": 0,\n\"text\": \"changed meanwhile\"\n}\n";
    assert_eq!(String::from_utf8(others).unwrap(), expected);
    end.send(()).unwrap();
    let document = reader.join().unwrap();
    assert_eq!(
        document,
        "{\n\"count\": 0,\n\"slow\": \"done\",\n\"text\": \"changed meanwhile\"\n}\n"
    );
}

#[test]
fn a_map_that_holds_itself_ends_somewhere() {
    let registry = Registry::new();
    let map = registry.publish("m", Map::new()).unwrap();
    map.set("self", Arc::clone(&map));
    let document = registry.to_json();
    let parsed: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert!(parsed["m"]["self"]["self"].is_object());
    assert!(document.contains("\"self\": null"));
    map.clear();
}

#[test]
fn a_number_needs_no_json() {
    let registry = Registry::new();
    registry.publish("float", Func::number(|| 0.5)).unwrap();
    registry.publish("signed", Func::number(|| -3_i64)).unwrap();
    registry.publish("unsigned", Func::number(|| u64::MAX)).unwrap();
    let document = "{\n\"float\": 0.5,\n\"signed\": -3,\n\"unsigned\": 18446744073709551615\n}\n";
    assert_eq!(registry.to_json(), document);
}
