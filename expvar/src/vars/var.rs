//! A variable of any kind.

use std::fmt;
use std::sync::Arc;

use crate::histogram::detail::Wanted;
use crate::info::Unit;
use crate::spec::Levels;
use crate::{Counter, FloatGauge, Func, Gauge, Histogram, Map, Text};

mod handle;
mod publish;

pub use handle::Handle;
pub(crate) use handle::Owner;
pub use publish::Publish;
pub(crate) use publish::sealed;

/// A variable of any kind, as the registry holds it. Cloning copies a pointer.
///
/// `Display` writes its value as JSON, as `/debug/vars` shows it and Go's `String()` does.
///
/// ```
/// let registry = expvar::Registry::new();
/// registry.publish("requests", expvar::Counter::new())?.add(3);
/// let var = registry.get("requests").unwrap();
/// assert_eq!(var.as_counter().map(|counter| counter.get()), Some(3));
/// assert_eq!(var.to_string(), "3");
/// # Ok::<(), expvar::PublishError>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Var {
    /// A count that only goes up.
    Counter(Handle<Counter>),
    /// An integer that goes up and down.
    Gauge(Handle<Gauge>),
    /// A floating-point number.
    FloatGauge(Handle<FloatGauge>),
    /// A text.
    Text(Handle<Text>),
    /// A distribution.
    Histogram(Handle<Histogram>),
    /// Variables by key.
    Map(Handle<Map>),
    /// Any value that a function returns.
    Func(Handle<Func>),
}

/// The kind of a variable.
///
/// ```
/// let registry = expvar::Registry::new();
/// registry.publish("waiting", expvar::Gauge::new())?;
/// assert_eq!(registry.get("waiting").unwrap().kind(), expvar::Kind::Gauge);
/// # Ok::<(), expvar::PublishError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// [`Counter`].
    Counter,
    /// [`Gauge`].
    Gauge,
    /// [`FloatGauge`].
    FloatGauge,
    /// [`Text`].
    Text,
    /// [`Histogram`].
    Histogram,
    /// [`Map`].
    Map,
    /// [`Func`].
    Func,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::FloatGauge => "float gauge",
            Self::Text => "text",
            Self::Histogram => "histogram",
            Self::Map => "map",
            Self::Func => "function",
        })
    }
}

impl Var {
    /// Called before the variable gets a name.
    pub(crate) fn named(&self) {
        match self {
            Self::Counter(Handle(Owner::Shared(counter))) => counter.claim(),
            Self::Histogram(histogram) => histogram.watch(),
            _ => {}
        }
    }

    /// Sets the unit in which the histogram, or those in the map, record durations, if it is a unit
    /// of time.
    pub(crate) fn set_timed_in(&self, unit: Unit) {
        match self {
            Self::Histogram(histogram) => histogram.set_timed_in(unit),
            Self::Map(map) => map.set_timed_in(unit),
            _ => {}
        }
    }

    /// Whether it is the same variable, not an equal one.
    #[doc(hidden)]
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Counter(one), Self::Counter(two)) => one.is(two),
            (Self::Gauge(one), Self::Gauge(two)) => one.is(two),
            (Self::FloatGauge(one), Self::FloatGauge(two)) => one.is(two),
            (Self::Text(one), Self::Text(two)) => one.is(two),
            (Self::Histogram(one), Self::Histogram(two)) => one.is(two),
            (Self::Map(one), Self::Map(two)) => one.is(two),
            (Self::Func(one), Self::Func(two)) => one.is(two),
            _ => false,
        }
    }

    /// Applies a declaration's options to a histogram without other owners, unless it has its own.
    pub(crate) fn wanting(&mut self, wanted: Wanted) {
        if let Self::Histogram(Handle(Owner::Shared(histogram))) = self
            && !wanted.is_nothing()
            && let Some(histogram) = Arc::get_mut(histogram)
        {
            histogram.want(wanted);
        }
    }

    /// The counter, if it is one.
    pub fn as_counter(&self) -> Option<&Counter> {
        if let Self::Counter(counter) = self { Some(counter) } else { None }
    }

    /// The gauge, if it is one.
    pub fn as_gauge(&self) -> Option<&Gauge> {
        if let Self::Gauge(gauge) = self { Some(gauge) } else { None }
    }

    /// The floating-point gauge, if it is one.
    pub fn as_float_gauge(&self) -> Option<&FloatGauge> {
        if let Self::FloatGauge(gauge) = self { Some(gauge) } else { None }
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&Text> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The histogram, if it is one.
    pub fn as_histogram(&self) -> Option<&Histogram> {
        if let Self::Histogram(histogram) = self { Some(histogram) } else { None }
    }

    /// The map, if it is one. A [`Family`](crate::Family) is shown as one.
    pub fn as_map(&self) -> Option<&Map> {
        if let Self::Map(map) = self { Some(map) } else { None }
    }

    /// The variable's kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Counter(_) => Kind::Counter,
            Self::Gauge(_) => Kind::Gauge,
            Self::FloatGauge(_) => Kind::FloatGauge,
            Self::Text(_) => Kind::Text,
            Self::Histogram(_) => Kind::Histogram,
            Self::Map(_) => Kind::Map,
            Self::Func(_) => Kind::Func,
        }
    }
}

macro_rules! declared {
    ($($kind:ident: $levels:ident),*) => {$(
        /// What the macros need of a kind.
        impl $kind {
            #[doc(hidden)]
            pub const __KIND: (Kind, Levels) = (Kind::$kind, Levels::$levels);

            #[doc(hidden)]
            pub const fn __var(&'static self) -> Var {
                Var::$kind(Handle(Owner::Static(self)))
            }
        }
    )*};
}

macro_rules! untimed {
    ($($kind:ident),*) => {$(
        impl $kind {
            #[doc(hidden)]
            #[must_use]
            pub const fn __buckets(self, _: &'static [f64]) -> Self {
                self
            }

            #[doc(hidden)]
            #[must_use]
            pub const fn __exemplars(self) -> Self {
                self
            }

            #[doc(hidden)]
            #[must_use]
            pub const fn __timed_in(self, _: Unit) -> Self {
                self
            }
        }
    )*};
}

untimed!(Counter, Gauge, FloatGauge, Text, Func);

/// The kinds that record durations, or contain one that does.
impl Histogram {
    #[doc(hidden)]
    #[must_use]
    pub const fn __timed_in(self, unit: Unit) -> Self {
        self.timed_in(unit)
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn __buckets(self, bounds: &'static [f64]) -> Self {
        self.buckets(bounds)
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn __exemplars(self) -> Self {
        self.exemplars()
    }
}

impl Map {
    #[doc(hidden)]
    #[must_use]
    pub const fn __buckets(self, bounds: &'static [f64]) -> Self {
        self.buckets(bounds)
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn __exemplars(self) -> Self {
        self.exemplars()
    }
}

declared!(Counter: None, Gauge: None, FloatGauge: None, Text: Any, Histogram: None, Map: Any, Func: Any);
