//! Variables by closed sets of labels.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

use crate::info::Unit;
use crate::map::Map;
use crate::member::Member;
use crate::spec::Levels;
use crate::sync::Mutex;
use crate::var::{Handle, Kind, Publish, Var, sealed};

mod label;

pub use label::{Label, LabelSet, check_values};

/// Variables of one kind by closed sets of labels: requests by method and status.
///
/// Where every value of every label is known when the program is written, [`with`](Self::with)
/// computes where the variable is: no hash, no lock, no allocation, about the cost of the variable
/// alone. For values that are not known before, use a [`Map`].
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
/// A family is shown as a [`Map`] of maps, a level a label, and its variables appear at first use.
/// So `with(…).add(0)` shows one at zero, and what was never used takes no memory but a pointer,
/// two words for each possible set once any of them was used.
#[doc(alias("IntCounterVec", "CounterVec", "GaugeVec", "HistogramVec", "MetricVec"))]
pub struct Family<V: 'static, L> {
    /// What readers see, unless the family was published by value.
    own: Map,
    shared: OnceLock<Arc<Map>>,
    /// By [`LabelSet::index`].
    slots: OnceLock<Box<[OnceLock<Arc<V>>]>>,
    make: fn() -> V,
    /// Held while a variable is made or the map changes hands.
    changing: Mutex<()>,
    labels: PhantomData<fn(L)>,
}

impl<V: Member, L: LabelSet> Family<V, L> {
    /// A family whose variables are made by their kind's `new`.
    pub const fn new() -> Self {
        Self::made_by(V::default)
    }

    /// A family whose variables `make` makes: `Family::made_by(Histogram::floats)`.
    pub const fn made_by(make: fn() -> V) -> Self {
        Self {
            own: Map::with_limit(usize::MAX),
            shared: OnceLock::new(),
            slots: OnceLock::new(),
            make,
            changing: Mutex::new(()),
            labels: PhantomData,
        }
    }

    /// The variable of these labels, made at first use.
    #[doc(alias("with_label_values", "get_or_create"))]
    #[inline]
    pub fn with(&self, labels: L) -> &V {
        if let Some(slots) = self.slots.get()
            && let Some(slot) = slots.get(labels.index())
            && let Some(var) = slot.get()
        {
            return var;
        }
        self.with_cold(labels)
    }

    #[cold]
    #[inline(never)]
    fn with_cold(&self, labels: L) -> &V {
        let slots = self.slots.get_or_init(|| (0..L::LEN).map(|_| OnceLock::new()).collect());
        // Indices are within the slots by construction; a label that is wrong about its own is not.
        let slot = &slots[labels.index().min(L::LEN.saturating_sub(1))];
        let _changing = self.changing.lock();
        slot.get_or_init(|| self.map().leaf(labels, self.make))
    }

    fn map(&self) -> &Map {
        self.shared.get().map_or(&self.own, |map| map)
    }

    /// What a registry holds of a family that is no static.
    fn shared(&self) -> Arc<Map> {
        let _changing = self.changing.lock();
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
        Var::Map(Handle::Static(&self.own))
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
        (Var::Map(Handle::Shared(self.shared())), self)
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
