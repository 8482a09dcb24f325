//! A walk shows of every variable what the variable itself says.

use std::collections::BTreeMap;
use std::sync::Arc;

use expvar::{Counter, FloatGauge, Gauge, Info, Map, Registry, Text, Value, Var, Visitor};
use proptest::prelude::*;

static COUNTER: Counter = Counter::new();
static GAUGE: Gauge = Gauge::new();
static FLOAT: FloatGauge = FloatGauge::new();

/// Numbers that threads recorded or nobody did, statics, and what is no number.
fn variable(kind: usize, n: u64) -> Var {
    match kind {
        0 => {
            let counter = Arc::new(Counter::new());
            counter.add(n);
            counter.into()
        }
        1 => Arc::new(Counter::new()).into(),
        2 => {
            let gauge = Arc::new(Gauge::new());
            gauge.set(n as i64);
            gauge.into()
        }
        3 => {
            let gauge = Arc::new(Gauge::new());
            gauge.add(n as i64);
            gauge.into()
        }
        4 => {
            let gauge = Arc::new(FloatGauge::new());
            gauge.set(n as f64 / 8.0);
            gauge.into()
        }
        5 => {
            let text = Arc::new(Text::new());
            text.set(n.to_string());
            text.into()
        }
        6 => Var::Counter(expvar::Handle::Static(&COUNTER)),
        7 => Var::Gauge(expvar::Handle::Static(&GAUGE)),
        _ => Var::FloatGauge(expvar::Handle::Static(&FLOAT)),
    }
}

/// Takes every second number before its name is looked up.
#[derive(Default)]
struct Halves {
    numbers: Vec<String>,
    names: BTreeMap<String, String>,
    turn: usize,
}

fn said(value: Value<'_>) -> String {
    let mut buffer = Vec::new();
    expvar::json::write_value(&mut buffer, value);
    String::from_utf8(buffer).unwrap()
}

impl Visitor for Halves {
    fn begin(&mut self, _: expvar::Generation) -> bool {
        false
    }

    fn number(&mut self, value: Value<'_>) -> bool {
        self.turn += 1;
        let is_enough = self.turn.is_multiple_of(2);
        if is_enough {
            self.numbers.push(said(value));
        }
        is_enough
    }

    fn variable(&mut self, name: &str, _: &Info, value: Value<'_>) {
        self.names.insert(name.to_owned(), said(value));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_walk_shows_what_each_variable_says(
        kinds in prop::collection::vec((0..9_usize, any::<u32>()), 0..700),
        removed in any::<prop::sample::Index>(),
    ) {
        COUNTER.add(3);
        GAUGE.inc();
        FLOAT.add(0.5);
        let (registry, map) = (Registry::new(), Arc::new(Map::new()));
        for (at, &(kind, n)) in kinds.iter().enumerate() {
            registry.publish(&format!("{at:03}"), variable(kind, n.into())).unwrap();
            map.set(&format!("{at:03}"), variable(kind, n.into()));
        }
        if !kinds.is_empty() {
            let name = format!("{:03}", removed.index(kinds.len()));
            registry.remove(&name);
            map.remove(&name);
        }
        let (mut lines, mut members, mut expected) = (Vec::new(), Vec::new(), Vec::new());
        registry.for_each(|name, var| {
            lines.push(format!("\"{name}\": {var}"));
            expected.push((name.to_owned(), var.to_string()));
        });
        map.for_each(|key, var| members.push(format!("\"{key}\": {var}")));
        prop_assert_eq!(registry.to_json(), format!("{{\n{}\n}}\n", lines.join(",\n")));
        let map = Var::from(map);
        prop_assert_eq!(map.to_string(), format!("{{{}}}", members.join(", ")));

        let mut halves = Halves::default();
        registry.visit(&mut halves);
        prop_assert_eq!(halves.names.len() + halves.numbers.len(), expected.len());
        let unnamed = expected.iter().filter(|(name, _)| !halves.names.contains_key(name));
        let unnamed: Vec<_> = unnamed.map(|(_, value)| value.clone()).collect();
        prop_assert_eq!(unnamed, halves.numbers);
        for (name, value) in &halves.names {
            prop_assert!(expected.contains(&(name.clone(), value.clone())), "{} {}", name, value);
        }
    }
}
