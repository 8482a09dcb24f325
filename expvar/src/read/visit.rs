//! The walk as it was: values as one enum, functions as JSON. It goes when no exporter uses it.

use crate::cells::Reader;
use crate::func::Returned;
use crate::histogram::Reading;
use crate::info::Info;
use crate::map::{Child, Map};
use crate::names::{Generation, List};
use crate::number::Number;
use crate::prefetch::{Prefetch, Touch};
use crate::var::Var;

/// Sees every variable of a registry, in name order.
pub trait OldVisitor {
    /// Called before the variables of a walk that leaves none out. Returns whether their names are
    /// of interest: what was made of them when they were of this generation may have been kept.
    fn begin(&mut self, _names: Generation) -> bool {
        true
    }

    /// Called with the number that comes next, before its name is looked up, when
    /// [`begin`](Self::begin) said that names are of no interest: a [`Value::Counter`], `Gauge` or
    /// `Float`. Returns whether that was all it needed; else, and for variables that are not found
    /// so fast (static gauges, whatever is no number), [`variable`](Self::variable) is called.
    ///
    /// The order is that of the names. No lock is held, as in `variable`.
    fn number(&mut self, _value: Value<'_>) -> bool {
        false
    }

    /// Called for each variable that [`number`](Self::number) did not take. No lock is held: it may
    /// change the registry.
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
    reader: &'a Reader,
    depth: u8,
}

impl MapValue<'_> {
    /// Calls `f` for each key and value, in byte order. No lock is held.
    pub fn for_each(self, f: impl FnMut(&str, Value<'_>)) {
        self.walk(true, f);
    }

    /// Like [`for_each`](Self::for_each), for an `f` that knows the keys of this
    /// [`generation`](Self::generation) and looks at few of them.
    pub fn for_each_known(self, f: impl FnMut(&str, Value<'_>)) {
        self.walk(false, f);
    }

    fn walk(self, names_wanted: bool, mut f: impl FnMut(&str, Value<'_>)) {
        let mut scratch = Scratch { reader: self.reader, buffers: Buffers::default() };
        for_each(self.children, self.reader, names_wanted, |at, number| {
            let (key, child) = self.children.at(at);
            match number {
                Some(value) => f(key, value),
                None => scratch.read(&child.var, self.depth, |value| f(key, value)),
            }
        });
    }

    /// Which names these are.
    pub fn generation(self) -> Generation {
        self.children.generation()
    }

    /// How many keys there are.
    pub fn len(self) -> usize {
        self.children.len()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.children.len() == 0
    }
}

/// Calls `f` for the place of each variable, with its value where it is in a row of numbers.
pub(crate) fn for_each<T: Touch>(
    list: &List<T>,
    reader: &Reader,
    names_wanted: bool,
    mut f: impl FnMut(usize, Option<Value<'static>>),
) {
    let (mut names, mut values) = (Prefetch::new(list.names()), Prefetch::new(list.values()));
    list.numbers().read(reader, |at, number| {
        if names_wanted {
            // `f` looks at both itself; it finds them near.
            names.next();
            values.next();
        }
        f(at, number);
    });
}

/// Levels of nested maps that are shown; a map that holds itself ends there with `null`.
const DEPTH: u8 = 32;

/// What a walk reads through: the reader, and memory for one value at a time.
pub(crate) struct Scratch<'s> {
    reader: &'s Reader,
    buffers: Buffers,
}

#[derive(Default)]
struct Buffers {
    json: Vec<u8>,
    reading: Reading,
}

impl<'s> Scratch<'s> {
    pub(crate) fn new(reader: &'s Reader) -> Self {
        Self { reader, buffers: Buffers::default() }
    }

    /// Reads a variable that is not inside a map.
    #[inline]
    pub(crate) fn read_top<R>(&mut self, var: &Var, f: impl FnOnce(Value<'_>) -> R) -> R {
        self.read(var, DEPTH, f)
    }

    #[inline]
    fn read<R>(&mut self, var: &Var, depth: u8, f: impl FnOnce(Value<'_>) -> R) -> R {
        match var {
            Var::Counter(counter) => f(Value::Counter(counter.read(self.reader))),
            Var::Gauge(gauge) => f(Value::Gauge(gauge.read(self.reader))),
            Var::FloatGauge(gauge) => f(Value::Float(gauge.get())),
            Var::Text(text) => text.with(|text| f(Value::Text(text))),
            Var::Histogram(histogram) => {
                histogram.read(self.reader, &mut self.buffers.reading);
                f(Value::Histogram(&self.buffers.reading))
            }
            Var::Map(map) => self.read_map(map, depth, f),
            Var::Func(func) => {
                let returned = func.read(false, &mut self.buffers.json);
                // What a function did shows in what comes after it.
                self.reader.refresh();
                f(match returned {
                    Returned::Null => Value::Null,
                    Returned::Number(Number::Unsigned(n)) => Value::Counter(n),
                    Returned::Number(Number::Signed(n)) => Value::Gauge(n),
                    Returned::Number(Number::Float(n)) => Value::Float(n),
                    Returned::Json(json) => Value::Json(json),
                })
            }
        }
    }

    fn read_map<R>(&self, map: &Map, depth: u8, f: impl FnOnce(Value<'_>) -> R) -> R {
        let Some(depth) = depth.checked_sub(1) else { return f(Value::Null) };
        f(Value::Map(MapValue { children: &map.list(), reader: self.reader, depth }))
    }
}
