//! What a renderer keeps of names from one reading to the next shows in nothing but its speed.

use expvar::{Counter, FloatGauge, Func, Gauge, Map, Registry, Text};
use expvar_carbon::{Carbon, Counters, Renderer};
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
        (name(), 0..6_usize, any::<u64>()).prop_map(|(at, kind, n)| Change::Publish(at, kind, n)),
        name().prop_map(Change::Remove),
        (name(), name(), 0..6_usize, any::<u64>())
            .prop_map(|(at, key, kind, n)| Change::Set(at, key, kind, n)),
        (name(), name()).prop_map(|(at, key)| Change::Unset(at, key)),
    ]
}

fn variable(kind: usize, n: u64) -> expvar::Var {
    use std::sync::Arc;
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
        3 => Arc::new(Func::new(move || std::collections::BTreeMap::from([("b", n)]))).into(),
        4 => Arc::new(Text::new()).into(),
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
            prop_assert_eq!(old.points(), new.points());
            prop_assert_eq!(old.refused(), new.refused());
        }
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
