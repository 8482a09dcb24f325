//! What a renderer keeps of names from one reading to the next shows in nothing but its speed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use expvar::{Counter, FloatGauge, Func, Gauge, Histogram, Map, Registry, Text};
use expvar_carbon::{Carbon, Counters, Refusal, Renderer};
use proptest::prelude::*;

/// Some of which are the same once they are safe.
const NAMES: [&str; 9] = ["a", "a b", "a_b", "a.b", "b", "", "m", "m.a", "drop me"];

#[derive(Debug, Clone)]
enum Change {
    Publish(usize, usize, u64),
    Remove(usize),
    Set(usize, usize, usize, u64),
    Unset(usize, usize),
}

fn any_change() -> impl Strategy<Value = Change> {
    let name = || 0..NAMES.len();
    prop_oneof![
        (name(), 0..8_usize, any::<u64>()).prop_map(|(at, kind, n)| Change::Publish(at, kind, n)),
        name().prop_map(Change::Remove),
        (name(), name(), 0..8_usize, any::<u64>())
            .prop_map(|(at, key, kind, n)| Change::Set(at, key, kind, n)),
        (name(), name()).prop_map(|(at, key)| Change::Unset(at, key)),
    ]
}

fn variable(kind: usize, n: u64) -> expvar::Var {
    match kind {
        0 => {
            let counter = Counter::new();
            counter.add(n);
            Arc::new(counter).into()
        }
        1 => {
            let gauge = Gauge::new();
            gauge.set(n as i64);
            Arc::new(gauge).into()
        }
        2 => {
            let gauge = FloatGauge::new();
            gauge.set(f64::from_bits(n));
            Arc::new(gauge).into()
        }
        3 => Arc::new(Func::new(move || BTreeMap::from([("b", n)]))).into(),
        4 => Arc::new(Text::new()).into(),
        5 => Arc::new(Func::number(move || n)).into(),
        6 => Arc::new(Func::new(move || n)).into(),
        _ => Arc::new(Map::new()).into(),
    }
}

fn map(registry: &Registry, at: usize) -> Option<expvar::Handle<Map>> {
    match registry.get(NAMES[at])? {
        expvar::Var::Map(map) => Some(map),
        _ => None,
    }
}

fn apply(registry: &Registry, change: Change) {
    match change {
        Change::Publish(at, kind, n) => {
            let _ = registry.publish(NAMES[at], variable(kind, n));
        }
        Change::Remove(at) => {
            registry.remove(NAMES[at]);
        }
        Change::Set(at, key, kind, n) => {
            if let Some(map) = map(registry, at) {
                map.set(NAMES[key], variable(kind, n));
            }
        }
        Change::Unset(at, key) => {
            if let Some(map) = map(registry, at) {
                map.remove(NAMES[key]);
            }
        }
    }
}

fn renderer(registry: &Registry) -> Renderer {
    let carbon = Carbon::new("unused:2003").registry(registry).prefix("p").tag("k", "v");
    carbon.exclude("drop_me").rename("m.a", "a").renderer().unwrap()
}

proptest! {
    #[test]
    fn an_old_renderer_renders_what_a_new_one_does(
        changes in prop::collection::vec(prop::collection::vec(any_change(), 0..4), 1..20)
    ) {
        let registry = Registry::new();
        let mut old = renderer(&registry);
        for (reading, changes) in (1_700_000_000..).zip(changes) {
            changes.into_iter().for_each(|change| apply(&registry, change));
            let mut new = renderer(&registry);
            let (old, new) = (old.render(reading), new.render(reading));
            prop_assert_eq!(
                String::from_utf8_lossy(old.as_bytes()),
                String::from_utf8_lossy(new.as_bytes())
            );
            prop_assert_eq!((old.points(), old.rounded()), (new.points(), new.rounded()));
            prop_assert_eq!(old.refused(), new.refused());
        }
    }
}

/// The registry's names stay the same, but not what comes out of them.
#[test]
fn what_a_function_names_may_come_and_go_before_what_is_known() {
    let registry = Registry::new();
    registry.publish("a.b", Gauge::new()).unwrap().set(7);
    let sets: [&[&str]; 10] = [
        &["b"],
        &["b"],
        &[],
        &["b"],
        &["c"],
        &["b"],
        &["b", "c", "d"],
        &["c", "d"],
        &["b", "d"],
        &["d", "e"],
    ];
    let at = Arc::new(AtomicUsize::new(0));
    let now = Arc::clone(&at);
    let object =
        move || sets[now.load(Relaxed)].iter().map(|key| (*key, 1)).collect::<BTreeMap<_, _>>();
    registry.publish("a", Func::new(object)).unwrap();
    let mut old = renderer(&registry);
    for (reading, keys) in (1_700_000_000..).zip(&sets) {
        let mut new = renderer(&registry);
        let (old, new) = (old.render(reading), new.render(reading));
        assert_eq!(
            String::from_utf8_lossy(old.as_bytes()),
            String::from_utf8_lossy(new.as_bytes()),
            "{keys:?}"
        );
        assert_eq!(old.refused(), new.refused(), "{keys:?}");
        at.fetch_add(1, Relaxed);
    }
}

#[test]
fn deltas_go_with_the_name_whatever_comes_and_goes_around_it() {
    let registry = Registry::new();
    let counter = registry.publish("m", Counter::new()).unwrap();
    let carbon = Carbon::new("unused:2003").registry(&registry).counters(Counters::Deltas);
    let mut renderer = carbon.renderer().unwrap();
    let mut line = |n: u64| {
        counter.add(n);
        let lines = renderer.render(60);
        let text = String::from_utf8_lossy(lines.as_bytes()).into_owned();
        text.lines().find(|line| line.starts_with("m ")).map(str::to_owned)
    };
    assert_eq!(line(5).unwrap(), "m 5 60");
    registry.publish("a", Gauge::new()).unwrap();
    assert_eq!(line(6).unwrap(), "m 6 60");
    let known = registry.remove("m").unwrap();
    assert_eq!(line(1), None);
    registry.publish("m", known).unwrap();
    // It was forgotten while it was gone.
    assert_eq!(line(1).unwrap(), "m 13 60");
    registry.remove("a");
    assert_eq!(line(2).unwrap(), "m 2 60");
}

/// Keeps each write for itself, and fails from one on.
#[derive(Default)]
struct Writes {
    parts: Vec<Vec<u8>>,
    room: Option<usize>,
}

impl std::io::Write for Writes {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.room.is_some_and(|room| self.parts.len() >= room) {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        self.parts.push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_is_written_in_parts_is_what_is_rendered_at_once() {
    let registry = Registry::new();
    let map = registry.publish("map", Map::with_limit(50_000)).unwrap();
    (0..50_000).for_each(|at| map.add(format!("key{at:05}"), at));
    registry.publish("nan", Func::new(|| f64::NAN)).unwrap();
    let (mut whole, mut parts) = (renderer(&registry), renderer(&registry));
    for reading in 1_700_000_000..1_700_000_003 {
        let mut writes = Writes::default();
        let points = parts.render_to(reading, &mut writes).unwrap();
        let lines = whole.render(reading);
        assert_eq!(points, lines.points());
        assert_eq!(writes.parts.concat(), lines.as_bytes());
        assert!(writes.parts.len() > 1);
        assert!(writes.parts.iter().all(|part| part.ends_with(b"\n") && part.len() < 780 << 10));
    }
    let mut broken = Writes { room: Some(1), ..Writes::default() };
    let error = parts.render_to(1_700_000_003, &mut broken).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    let mut writes = Writes::default();
    parts.render_to(1_700_000_004, &mut writes).unwrap();
    assert_eq!(writes.parts.concat(), whole.render(1_700_000_004).as_bytes());
}

/// Renders a registry three times: first as new names, then as known ones.
#[track_caller]
fn are_rendered_each_time(mut expected: Vec<String>, registry: &Registry) {
    expected.sort();
    let mut renderer = Carbon::new("unused:2003").registry(registry).renderer().unwrap();
    for _ in 0..3 {
        let lines = renderer.render(1_700_000_000);
        assert_eq!(String::from_utf8_lossy(lines.as_bytes()), expected.concat());
    }
}

/// A line whose name is of any length comes out whole, the first time and when it is known: short
/// beginnings are copied in one piece, whatever lies behind them.
#[test]
fn names_of_every_length_are_rendered_alike_each_time() {
    let registry = Registry::new();
    let mut expected = Vec::new();
    for len in 1..=200 {
        let name = format!("{len:03}").repeat(70)[..len + 2].to_owned();
        let value = 10_i64.pow(len as u32 % 19) * if len % 2 == 0 { 1 } else { -1 };
        registry.publish(&name, Gauge::new()).unwrap().set(value);
        expected.push(format!("{name} {value} 1700000000\n"));
    }
    are_rendered_each_time(expected, &registry);
}

/// The cache stores of a name only what differs from the name before: shorter and longer ones, equal
/// to it up to any byte, with values of which some interrupt the fast path.
#[test]
fn names_that_share_their_beginnings_are_rendered_alike_each_time() {
    let registry = Registry::new();
    let mut expected = Vec::new();
    let common = "apps.shop.http.".repeat(8);
    for len in 0..400 {
        let name = format!("{}x{:03}", &common[..len * 37 % 100], len * 7 % 400);
        let value = if len % 9 == 0 { -(len as i64) - 1 } else { len as i64 * 123_457 };
        registry.publish(&name, Gauge::new()).unwrap().set(value);
        expected.push(format!("{name} {value} 1700000000\n"));
    }
    are_rendered_each_time(expected, &registry);
}

#[test]
fn a_reading_at_no_time_of_graphites_is_refused_whole_and_the_next_is_not() {
    let registry = Registry::new();
    for name in ["a", "b"] {
        registry.publish(name, Counter::new()).unwrap().add(7);
    }
    let mut renderer = Carbon::new("unused:2003").registry(&registry).renderer().unwrap();
    for secs in [1_700_000_000, 0, 1_700_000_010, u64::MAX, u64::from(u32::MAX), 1_700_000_020] {
        let lines = renderer.render(secs);
        let known = secs / 1_000 == 1_700_000;
        assert_eq!(lines.points(), if known { 2 } else { 0 }, "{secs}");
        assert_eq!(lines.refused().get(Refusal::Timestamp), if known { 0 } else { 2 }, "{secs}");
        let text = String::from_utf8_lossy(lines.as_bytes()).into_owned();
        assert_eq!(text, if known { format!("a 7 {secs}\nb 7 {secs}\n") } else { String::new() });
    }
}

#[test]
fn a_name_too_long_to_be_kept_is_not_taken_for_what_is_left_of_it() {
    let registry = Registry::new();
    let (map, below) = (Map::new(), Map::new());
    below.add("x", 1);
    below.set("z", Histogram::new()).record(5);
    map.set("k".repeat(2_000), below);
    map.set("z", Histogram::new()).record(7);
    registry.publish("m", map).unwrap();
    let carbon = Carbon::new("unused:2003").registry(&registry).rename("m.x", "y");
    let mut renderer = carbon.renderer().unwrap();
    let lines = renderer.render(1_700_000_000);
    assert_eq!(lines.refused().total(), 11);
    assert_eq!(lines.refused().get(Refusal::LongName), 11, "a number, and ten of a histogram");
    let text = String::from_utf8_lossy(lines.as_bytes());
    assert!(text.starts_with("m.z.count 1 1700000000\nm.z.sum 7 "), "{text}");
    assert!(text.lines().all(|line| line.starts_with("m.z.")), "{text}");
}

#[test]
fn a_histogram_whose_name_was_not_kept_takes_no_name_from_another() {
    let registry = Registry::new();
    // What is kept of the first name is the second, once both are safe.
    let long = format!("m!.{}", "k".repeat(2_000));
    registry.publish(&long, Histogram::new()).unwrap().record(5);
    registry.publish("m_", Histogram::new()).unwrap().record(7);
    let mut renderer = Carbon::new("unused:2003").registry(&registry).renderer().unwrap();
    let lines = renderer.render(1_700_000_000);
    let refused = lines.refused();
    assert_eq!((refused.total(), refused.get(Refusal::LongName)), (10, 10));
    let text = String::from_utf8_lossy(lines.as_bytes());
    assert!(text.starts_with("m_.count 1 1700000000\nm_.sum 7 "), "{text}");
    assert_eq!(text.lines().count(), 10);
}

#[test]
fn a_name_that_was_not_kept_is_not_sent_under_what_its_beginning_is_renamed_to() {
    let registry = Registry::new();
    let map = Map::new().key_bytes(2_000);
    map.add("a", 1);
    map.add("k".repeat(2_000), 2);
    registry.publish("m", map).unwrap();
    let carbon = Carbon::new("unused:2003").registry(&registry).rename("m", "n");
    let mut renderer = carbon.renderer().unwrap();
    for _ in 0..2 {
        let lines = renderer.render(1_700_000_000);
        assert_eq!(String::from_utf8_lossy(lines.as_bytes()), "n.a 1 1700000000\n");
        assert_eq!(lines.refused().get(Refusal::LongName), 1);
    }
}

static MEMBERS: [(&str, expvar::Info); 1] = [("hits", expvar::Info::new().counter())];

#[test]
fn a_function_s_members_that_only_go_up_are_sent_as_deltas() {
    let (registry, calls) = (Registry::new(), AtomicUsize::new(0));
    let stats = move || {
        let calls = calls.fetch_add(1, Relaxed);
        BTreeMap::from([("hits", 10 * calls + 5), ("size", calls)])
    };
    registry.publish("cache", Func::new(stats).members(&MEMBERS)).unwrap();
    let carbon = Carbon::new("graphite:2003").registry(&registry).counters(Counters::Deltas);
    let mut renderer = carbon.renderer().unwrap();
    assert_eq!(renderer.render(60).as_bytes(), b"cache.hits 5 60\ncache.size 0 60\n");
    assert_eq!(renderer.render(120).as_bytes(), b"cache.hits 10 120\ncache.size 1 120\n");
}

#[test]
fn a_function_that_returns_a_number_and_then_something_else_is_right_from_the_reading_after() {
    let (registry, calls) = (Registry::new(), AtomicUsize::new(0));
    let value = move || match calls.fetch_add(1, Relaxed) {
        0 | 1 => serde_json::json!(7),
        2 => serde_json::json!(null),
        _ => serde_json::json!({"a": 1}),
    };
    registry.publish("f", Func::new(value)).unwrap();
    registry.publish("g", Gauge::new()).unwrap();
    let mut renderer = Carbon::new("graphite:2003").registry(&registry).renderer().unwrap();
    let expected = ["f 7 1\ng 0 1\n", "f 7 2\ng 0 2\n", "g 0 3\n", "g 0 4\n", "f.a 1 5\ng 0 5\n"];
    for (at, lines) in (1..).zip(expected) {
        assert_eq!(String::from_utf8_lossy(renderer.render(at).as_bytes()), lines);
    }
}

#[test]
fn a_map_whose_keys_are_members_is_sent_as_any_map_whatever_comes_and_goes_in_it() {
    let registry = Registry::new();
    let [known, plain] = [Map::new().members(&MEMBERS), Map::new()].map(|map| {
        let name = if registry.get("known").is_none() { "known" } else { "plain" };
        registry.publish(name, map).unwrap()
    });
    registry.publish("z", Gauge::new()).unwrap().set(9);
    let changes: [fn(&Map); 6] = [
        |map| drop(map.set("hits", Counter::new())),
        |map| map.set("took", Histogram::new()).record(3),
        |map| map.set("by", Map::new()).set("a", Histogram::new()).record(5),
        |map| drop(map.remove("took")),
        |map| drop(map.set("took", Text::new())),
        |map| map.set("took", Histogram::new()).record(7),
    ];
    let mut old = renderer(&registry);
    for (reading, change) in (1_700_000_000..).zip(changes) {
        [&known, &plain].into_iter().for_each(|map| change(map));
        let mut new = renderer(&registry);
        // The old one passes over histograms that did not move, in both alike.
        for lines in [old.render(reading), new.render(reading)] {
            let lines = String::from_utf8_lossy(lines.as_bytes());
            let of = |name: &str| -> Vec<&str> {
                let lines = lines.lines();
                lines.filter_map(|line| line.strip_prefix("p.")?.strip_prefix(name)).collect()
            };
            assert!(!of("known.").is_empty());
            assert_eq!(of("known."), of("plain."));
        }
    }
}
