//! Variables with closed sets of label values.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

use crate::info::Unit;
use crate::map::Map;
use crate::member::Member;
use crate::spec::Levels;
use crate::sync::Mutex;
use crate::var::{Handle, Kind, Owner, Publish, Var, sealed};

mod label;
mod slot;

pub use label::{Label, LabelSet, Start, check_values};
pub(crate) use slot::{Shared, Slot, Twin};

/// Variables of one kind with closed sets of label values: requests by method and status.
///
/// Use a family where the program knows every value of every label at compile time:
/// [`with`](Self::with) then computes the variable's index, without a hash, lock or allocation, at
/// about the cost of the variable alone. For values known only at run time, use a [`Map`].
///
/// ```
/// expvar::label! {
///     pub enum Method { Get = "GET", Post = "POST", Other = "other" }
/// }
/// expvar::label! {
///     pub enum Status { Ok = "ok", Failed = "failed" }
/// }
///
/// expvar::vars! {
///     /// Requests answered.
///     static REQUESTS: Family<Counter, (Method, Status)> = "api.requests",
///         labels: ["method", "status"];
/// }
///
/// REQUESTS.with((Method::Get, Status::Ok)).inc();
/// assert!(expvar::global().to_json().contains(r#""api.requests": {"GET": {"ok": 1}}"#));
/// ```
///
/// A family is shown as a [`Map`] of maps, one level for each label. A variable appears at first
/// use; `with(…).add(0)` shows it at zero. Combinations that were never used take no cell: four
/// bytes each in a family of counters, sixteen in any other.
#[doc(alias("IntCounterVec", "CounterVec", "GaugeVec", "HistogramVec", "MetricVec"))]
pub struct Family<V: Member, L: LabelSet> {
    /// The map that readers see, unless the family was published by value.
    own: Map,
    shared: OnceLock<Arc<Map>>,
    slots: L::Each<V::Slot>,
    make: fn() -> V,
    /// The variables made so far. Locked while one is made or the map is replaced.
    made: Mutex<Vec<Arc<V>>>,
    labels: PhantomData<fn(L)>,
}

impl<V: Member, L: LabelSet> Family<V, L> {
    /// Creates a family whose variables are made by their kind's `new`.
    pub const fn new() -> Self {
        Self::made_by(V::default)
    }

    /// Creates a family whose variables are made by `make`, such as
    /// `Family::made_by(Histogram::floats)`.
    pub const fn made_by(make: fn() -> V) -> Self {
        Self {
            own: Map::with_limit(usize::MAX),
            shared: OnceLock::new(),
            slots: L::Each::<V::Slot>::START,
            make,
            made: Mutex::new(Vec::new()),
            labels: PhantomData,
        }
    }

    /// Returns the variable of these labels, made at first use.
    #[doc(alias("with_label_values", "get_or_create"))]
    #[inline]
    pub fn with(&self, labels: L) -> &V {
        labels.of(&self.slots).get_or(|| self.make(labels))
    }

    /// Makes the variable, or finds the one that another thread has just made.
    #[cold]
    #[inline(never)]
    fn make(&self, labels: L) -> &V {
        let mut made = self.made.lock();
        let var = self.map().leaf(labels, self.make);
        made.push(Arc::clone(&var));
        labels.of(&self.slots).set(var)
    }

    fn map(&self) -> &Map {
        self.shared.get().map_or(&self.own, |map| map)
    }

    /// The map that a registry holds when the family is no static.
    fn shared(&self) -> Arc<Map> {
        let _made = self.made.lock();
        Arc::clone(self.shared.get_or_init(|| Arc::new(self.own.take())))
    }
}

impl<V: Member, L: LabelSet> Family<V, L> {
    #[doc(hidden)]
    pub const __KIND: (Kind, Levels) = (Kind::Map, Levels::Exactly(L::LEVELS));

    #[doc(hidden)]
    #[must_use]
    pub const fn __timed_in(mut self, unit: Unit) -> Self {
        self.own.time_in(unit);
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn __buckets(mut self, bounds: &'static [f64]) -> Self {
        self.own.wanted.bounds = bounds;
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn __exemplars(mut self) -> Self {
        self.own.wanted.exemplars = true;
        self
    }

    #[doc(hidden)]
    pub const fn __var(&'static self) -> Var {
        Var::Map(Handle(Owner::Static(&self.own)))
    }
}

impl<V: Member, L: LabelSet> sealed::Sealed for Family<V, L> {}
impl<V: Member, L: LabelSet> Publish for Family<V, L> {
    type Handle = Arc<Self>;

    fn into_var(self) -> (Var, Self::Handle) {
        Arc::new(self).into_var()
    }

    fn from_var(_: &Var) -> Option<Self::Handle> {
        None
    }
}

impl<V: Member, L: LabelSet> sealed::Sealed for Arc<Family<V, L>> {}
impl<V: Member, L: LabelSet> Publish for Arc<Family<V, L>> {
    type Handle = Self;

    fn into_var(self) -> (Var, Self::Handle) {
        (Var::Map(Handle(Owner::Shared(self.shared()))), self)
    }

    fn from_var(_: &Var) -> Option<Self::Handle> {
        None
    }
}

impl<V: Member, L: LabelSet> sealed::Sealed for &'static Family<V, L> {}
impl<V: Member, L: LabelSet> Publish for &'static Family<V, L> {
    type Handle = Self;

    fn into_var(self) -> (Var, Self::Handle) {
        (self.__var(), self)
    }

    fn from_var(_: &Var) -> Option<Self::Handle> {
        None
    }
}

impl<V: Member, L: LabelSet> Default for Family<V, L> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V: Member, L: LabelSet> fmt::Debug for Family<V, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Family").field(self.map()).finish()
    }
}
