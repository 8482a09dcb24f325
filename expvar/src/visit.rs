//! The one walk over the registry, which every exporter is a visitor of.

use crate::cells::Slabs;
use crate::histogram::Reading;
use crate::info::Info;
use crate::map::{Child, Map};
use crate::names::List;
use crate::var::Var;

/// Sees every variable of a registry, in name order: see [`Registry::visit`](crate::Registry::visit).
pub trait Visitor {
    /// Called for each variable. No lock is held: it may change the registry.
    fn variable(&mut self, name: &str, info: &Info, value: Value<'_>);
}

/// A variable's value as the walk found it. Borrowed: an exporter writes it where it needs it.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Value<'a> {
    /// A function that failed, or maps nested too deeply.
    Null,
    /// A count that only goes up.
    Counter(u64),
    /// An integer.
    Gauge(i64),
    /// A floating-point number, which may be NaN or infinite.
    Float(f64),
    /// A text.
    Text(&'a str),
    /// A distribution.
    Histogram(&'a Reading),
    /// Values by key.
    Map(MapValue<'a>),
    /// What a function returned: valid compact JSON, for [`json::walk`](crate::json::walk).
    Json(&'a str),
}

/// A map's values as the walk found them.
#[derive(Clone, Copy)]
pub struct MapValue<'a> {
    children: &'a List<Child>,
    slabs: &'a Slabs,
    depth: u8,
}

impl MapValue<'_> {
    /// Calls `f` for each key and value, in byte order. No lock is held.
    pub fn for_each(self, mut f: impl FnMut(&str, Value<'_>)) {
        let mut scratch = Scratch { slabs: self.slabs, buffers: Buffers::default() };
        for (key, child) in self.children.iter() {
            scratch.read(&child.var, self.depth, |value| f(key, value));
        }
    }

    /// How many keys there are.
    pub fn len(self) -> usize {
        self.children.len()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.children.is_empty()
    }
}

/// Levels of nested maps that are shown; a map that holds itself ends there with `null`.
const DEPTH: u8 = 32;

/// What a walk reads through: the slabs, and memory for one value at a time.
pub(crate) struct Scratch<'s> {
    slabs: &'s Slabs,
    buffers: Buffers,
}

#[derive(Default)]
struct Buffers {
    #[cfg(feature = "serde")]
    json: Vec<u8>,
    reading: Reading,
}

impl<'s> Scratch<'s> {
    pub(crate) fn new(slabs: &'s Slabs) -> Self {
        Self { slabs, buffers: Buffers::default() }
    }

    /// Reads a variable that is not inside a map.
    #[inline]
    pub(crate) fn read_top<R>(&mut self, var: &Var, f: impl FnOnce(Value<'_>) -> R) -> R {
        self.read(var, DEPTH, f)
    }

    #[inline]
    fn read<R>(&mut self, var: &Var, depth: u8, f: impl FnOnce(Value<'_>) -> R) -> R {
        match var {
            Var::Counter(counter) => f(Value::Counter(counter.read(self.slabs))),
            Var::Gauge(gauge) => f(Value::Gauge(gauge.read(self.slabs))),
            Var::FloatGauge(gauge) => f(Value::Float(gauge.get())),
            Var::Text(text) => text.with(|text| f(Value::Text(text))),
            Var::Histogram(histogram) => {
                histogram.read(self.slabs, &mut self.buffers.reading);
                f(Value::Histogram(&self.buffers.reading))
            }
            Var::Map(map) => self.read_map(map, depth, f),
            #[cfg(feature = "serde")]
            Var::Func(func) => f(match func.read(&mut self.buffers.json) {
                "null" => Value::Null,
                json => Value::Json(json),
            }),
        }
    }

    fn read_map<R>(&self, map: &Map, depth: u8, f: impl FnOnce(Value<'_>) -> R) -> R {
        let Some(depth) = depth.checked_sub(1) else { return f(Value::Null) };
        f(Value::Map(MapValue { children: &map.list(), slabs: self.slabs, depth }))
    }
}
