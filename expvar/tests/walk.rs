//! A walk shows what was recorded.

use std::collections::BTreeMap;
use std::sync::{Arc, Once};

use expvar::{
    Counter, FloatGauge, Gauge, Generation, Info, Map, Number, Recall, Registry, Step, Text, Var,
    Visitor,
};
use proptest::prelude::*;

static STATICS: Once = Once::new();
static COUNTER: Counter = Counter::new();
static GAUGE: Gauge = Gauge::new();
static FLOAT: FloatGauge = FloatGauge::new();

/// A variable, and what was recorded in it so far.
#[derive(Clone)]
enum Kept {
    Counter(Arc<Counter>, u64),
    Gauge(Arc<Gauge>, i64),
    Float(Arc<FloatGauge>, f64),
    Text(Arc<Text>, String),
    StaticCounter,
    StaticGauge,
    StaticFloat,
}

impl Kept {
    fn new(kind: usize) -> Self {
        match kind {
            0..3 => Self::Counter(Arc::default(), 0),
            3..6 => Self::Gauge(Arc::default(), 0),
            6..10 => Self::Float(Arc::default(), 0.0),
            10 => Self::Text(Arc::default(), String::new()),
            11 => Self::StaticCounter,
            12 => Self::StaticGauge,
            _ => Self::StaticFloat,
        }
    }

    fn var(&self) -> Var {
        match self {
            Self::Counter(var, _) => var.clone().into(),
            Self::Gauge(var, _) => var.clone().into(),
            Self::Float(var, _) => var.clone().into(),
            Self::Text(var, _) => var.clone().into(),
            Self::StaticCounter => Var::Counter((&COUNTER).into()),
            Self::StaticGauge => Var::Gauge((&GAUGE).into()),
            Self::StaticFloat => Var::FloatGauge((&FLOAT).into()),
        }
    }

    /// An odd number is added to a gauge, an even one set.
    fn record(&mut self, n: u32) {
        match self {
            Self::Counter(var, sum) => {
                var.add(n.into());
                *sum += u64::from(n);
            }
            Self::Gauge(var, value) if n % 2 == 1 => {
                var.add(n.into());
                *value += i64::from(n);
            }
            Self::Gauge(var, value) => {
                var.set(n.into());
                *value = n.into();
            }
            Self::Float(var, value) => {
                *value = f64::from(n) + 0.5;
                var.set(*value);
            }
            Self::Text(var, value) => {
                *value = n.to_string();
                var.set(value.clone());
            }
            _ => {}
        }
    }

    /// Whether a walk finds it without its name.
    fn is_in_a_column(&self) -> bool {
        !matches!(self, Self::Text(..) | Self::StaticGauge | Self::StaticFloat)
    }

    fn said(&self) -> String {
        match self {
            Self::Counter(_, sum) => sum.to_string(),
            Self::Gauge(_, value) => value.to_string(),
            Self::Float(_, value) => said(Number::Float(*value)),
            Self::Text(_, n) => format!("\"{n}\""),
            Self::StaticCounter => "3".into(),
            Self::StaticGauge => "-1".into(),
            Self::StaticFloat => "0.5".into(),
        }
    }
}

/// Takes none, one or two of the numbers that it is offered without their names, by turns.
#[derive(Default)]
struct Picky {
    numbers: Vec<String>,
    names: BTreeMap<String, String>,
    name: String,
    turn: usize,
    refused: usize,
}

fn said(number: Number) -> String {
    let mut buffer = Vec::new();
    match number {
        Number::Unsigned(n) => expvar::json::write_unsigned(&mut buffer, n),
        Number::Signed(n) => expvar::json::write_signed(&mut buffer, n),
        Number::Float(n) => expvar::json::write_float(&mut buffer, n),
    }
    String::from_utf8(buffer).unwrap()
}

impl Visitor for Picky {
    fn enter(&mut self, step: Step<'_>, _: &Info) {
        self.name = step.to_string();
    }

    fn leave(&mut self) {}

    fn number(&mut self, number: Number) {
        self.names.insert(self.name.clone(), said(number));
    }

    fn text(&mut self, text: &str) {
        self.names.insert(self.name.clone(), format!("{text:?}"));
    }
}

impl Recall for Picky {
    fn names(&mut self, _: Generation) -> bool {
        false
    }

    fn numbers(&mut self, numbers: &[Number]) -> usize {
        assert!(!numbers.is_empty());
        let taken = numbers.len().min(self.turn % 3);
        self.turn += 1;
        self.refused += usize::from(taken < numbers.len());
        self.numbers.extend(numbers[..taken].iter().map(|&number| said(number)));
        taken
    }
}

/// What the registry and the map must say, and do.
fn compare(registry: &Registry, map: &Arc<Map>, kept: &BTreeMap<String, Kept>) {
    let member = |(name, kept): (&String, &Kept)| format!("\"{name}\": {}", kept.said());
    let members: Vec<_> = kept.iter().map(member).collect();
    assert_eq!(registry.to_json(), format!("{{\n{}\n}}\n", members.join(",\n")));
    assert_eq!(Var::from(map.clone()).to_string(), format!("{{{}}}", members.join(", ")));

    let mut picky = Picky::default();
    registry.visit_recalling(|_| {}, &mut picky);
    let in_columns = kept.values().filter(|kept| kept.is_in_a_column()).count();
    assert_eq!(picky.numbers.len() + picky.refused, in_columns);
    let unnamed = kept.iter().filter(|(name, _)| !picky.names.contains_key(*name));
    let unnamed: Vec<_> = unnamed.map(|(_, kept)| kept.said()).collect();
    assert_eq!(unnamed, picky.numbers);
    for (name, value) in &picky.names {
        assert_eq!(*value, kept[name].said(), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_walk_shows_what_was_recorded(
        kinds in prop::collection::vec((0..14_usize, any::<u32>()), 0..900),
        removed in any::<prop::sample::Index>(),
    ) {
        STATICS.call_once(|| {
            COUNTER.add(3);
            GAUGE.dec();
            FLOAT.add(0.5);
        });
        let (registry, map) = (Registry::new(), Arc::new(Map::new()));
        let mut kept = BTreeMap::new();
        for (at, &(kind, _)) in kinds.iter().enumerate() {
            kept.insert(format!("{at:03}"), Kept::new(kind));
        }
        kept.iter().for_each(|(key, one)| drop(map.set(key, one.var())));
        // The map lists its counters before they have a cell, which they get when published.
        prop_assert_eq!(map.keys().len(), kinds.len());
        kept.iter().for_each(|(name, one)| drop(registry.publish(name, one.var()).unwrap()));
        for round in 0..3 {
            compare(&registry, &map, &kept);
            for (at, (one, &(_, n))) in kept.values_mut().zip(&kinds).enumerate() {
                if at % 3 <= round {
                    one.record(n);
                }
            }
        }
        if !kinds.is_empty() {
            let name = format!("{:03}", removed.index(kinds.len()));
            registry.remove(&name);
            map.remove(&name);
            kept.remove(&name);
        }
        compare(&registry, &map, &kept);
    }
}
