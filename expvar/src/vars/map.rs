//! Variables by key: requests by route, errors by kind.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use once_cell::race::OnceRef;
use once_cell::sync::OnceCell;

use crate::clock::unix_nanos;
use crate::family::LabelSet;
use crate::float_gauge::FloatGauge;
use crate::gauge::Gauge;
use crate::health::{MISMATCHES, OVERFLOWS};
use crate::histogram::Timed;
use crate::histogram::detail::Wanted;
use crate::info::{Info, Unit};
use crate::join::{self, Rest};
use crate::member::Member;
use crate::names::{List, Named, Names};
use crate::sync::Mutex;
use crate::var::{Kind, Publish, Var};
use crate::{Counter, Histogram, Text};

mod cache;
mod expiry;
mod held;
mod keys;
mod query;
mod table;

use cache::Known;
use expiry::Sweep;
use held::Held;
use query::Query;

/// Variables by key: requests by route, errors by kind. Go's `Map`.
///
/// For a key that the calling thread has used before, [`add`](Self::add) takes the key's cell from
/// a thread-local cache: no lock, no allocation. The cache holds up to 16,384 keys over all maps.
/// [`counter`](Self::counter) and its siblings get or make variables of any kind; a second cache of
/// 4,096 entries finds those used before.
///
/// ```
/// let registry = expvar::Registry::new();
/// let latency = registry.publish("latency", expvar::Map::new())?;
/// latency.histogram("/login").record(1_200);
/// latency.histogram("/login").record(1_800);
/// assert_eq!(latency.histogram("/login").snapshot().count(), 2);
/// # Ok::<(), expvar::PublishError>(())
/// ```
///
/// A map makes a limited number of keys, by default 10,000. Further keys are recorded under the key
/// `(other)`, and the variable `expvar.overflows` counts them. Keys are text of at most 1 KiB
/// ([`key_bytes`](Self::key_bytes) sets another limit); longer ones also go to `(other)`. Maps
/// nest; readers see up to 32 levels. Unused keys can [expire](Self::expire_after).
#[doc(alias("NewMap", "IntCounterVec", "CounterVec", "GaugeVec", "HistogramVec", "attributes"))]
pub struct Map {
    id: cache::MapId,
    limit: usize,
    key_bytes: usize,
    expire_after: Option<Duration>,
    /// The declared unit of durations in this map's histograms.
    timed: Timed,
    /// Options of the histograms made here.
    pub(crate) wanted: Wanted,
    /// What keys mean that are known ahead: see [`members`](Self::members).
    pub(crate) members: &'static [(&'static str, Info)],
    sweep: Mutex<Option<Box<Sweep>>>,
    /// Variables made through several keys, and when they were last counted.
    made: AtomicUsize,
    recounted: AtomicU64,
    keys: Mutex<Names<Child>>,
    /// The static of the same name that this one is merged into.
    first: OnceRef<'static, Map>,
}

/// The value at a key.
#[derive(Clone)]
pub(crate) struct Child {
    pub(crate) var: Var,
    /// Shared with thread caches, for a key that `add` made.
    known: Option<Arc<Known>>,
    /// Shared with thread caches, for a key that was requested by kind.
    held: OnceCell<Arc<Held>>,
    /// In nanoseconds since 1970.
    pub(crate) registered: u64,
}

impl Child {
    fn new(var: Var, known: Option<Arc<Known>>) -> Self {
        Self { var, known, held: OnceCell::new(), registered: unix_nanos() }
    }

    /// Invalidates the cache entries, here and in nested maps.
    fn retire(&self) {
        self.retire_to(LEVELS);
    }

    /// A clone, with the state shared with caches.
    fn clone_held(&self) -> Self {
        // A key that `add` made has a cache of its own.
        if self.known.is_none() {
            self.held.get_or_init(|| Arc::new(Held::new(self.var.clone())));
        }
        self.clone()
    }

    fn retire_to(&self, levels: usize) {
        if let Some(known) = &self.known {
            known.retire();
        }
        if let Some(held) = self.held.get() {
            held.retire();
        }
        if let (Var::Map(map), Some(levels)) = (&self.var, levels.checked_sub(1)) {
            map.list_now().values().iter().for_each(|child| child.retire_to(levels));
        }
    }
}

/// The depth to which nested maps are walked; a map may contain itself.
const LEVELS: usize = 32;

impl Named for Child {
    fn var(&self) -> &Var {
        &self.var
    }
}

/// The key for everything past the limit.
const OTHER: &str = "(other)";

impl Map {
    /// Creates an empty map of at most 10,000 keys.
    pub const fn new() -> Self {
        Self::with_limit(10_000)
    }

    /// Creates an empty map of at most `limit` keys, not counting `(other)`.
    pub const fn with_limit(limit: usize) -> Self {
        Self {
            id: cache::MapId::new(),
            limit,
            expire_after: None,
            timed: Timed::undeclared(),
            wanted: Wanted::NOTHING,
            members: &[],
            sweep: Mutex::new(None),
            made: AtomicUsize::new(0),
            recounted: AtomicU64::new(0),
            key_bytes: 1024,
            keys: Mutex::new(Names::new()),
            first: OnceRef::new(),
        }
    }

    /// Sets the maximum length of keys. Default: 1,024 bytes.
    #[must_use]
    pub const fn key_bytes(mut self, bytes: usize) -> Self {
        self.key_bytes = bytes;
        self
    }

    /// Removes keys that were unused for this long. Default: keys stay.
    ///
    /// For keys that come and go, such as the pods of a deployment: expired keys make room for new
    /// ones, which would otherwise go to `(other)` for good. A key that comes back starts at zero.
    /// A key is in use while its value changes, while [`counter`](Self::counter) and its siblings
    /// request it, and while a handle on it exists. Expiry runs when the map is read or full, so a
    /// key can stay longer than this but never shorter. Maps made inside inherit it.
    ///
    /// ```
    /// use expvar::Map;
    /// use std::time::Duration;
    ///
    /// expvar::vars! {
    ///     /// Requests by pod.
    ///     static PODS: Map = "pods", label: "pod", counter,
    ///         init: Map::new().expire_after(Duration::from_secs(600));
    /// }
    /// PODS.inc("web-7d4b9");
    /// ```
    #[doc(alias = "idle_timeout")]
    #[must_use]
    pub const fn expire_after(mut self, after: Duration) -> Self {
        self.expire_after = Some(after);
        self
    }

    /// Sets the metadata of keys that are known in advance, for a map of unlike values. Exporters
    /// show such a map as a structure, like the value of a function: a key becomes part of the name,
    /// not a label, and has its own help and unit. A key that is not listed has the map's own
    /// [`Info`]. Nested maps are members too; keys of those with labels are label values.
    ///
    /// ```
    /// use expvar::{Counter, Gauge, Info, Map, Unit};
    ///
    /// static MEMBERS: [(&str, Info); 2] = [
    ///     ("hits", Info::with_help("Lookups that found an entry.")),
    ///     ("size", Info::with_help("Size of all entries.").unit(Unit::Bytes)),
    /// ];
    ///
    /// expvar::vars! {
    ///     /// The cache. Prometheus has `cache_hits_total` and `cache_size_bytes`.
    ///     static CACHE: Map = "cache", init: Map::new().members(&MEMBERS);
    /// }
    /// CACHE.set("hits", Counter::new()).inc();
    /// CACHE.set("size", Gauge::new()).set(4096);
    /// ```
    #[must_use]
    pub const fn members(mut self, members: &'static [(&'static str, Info)]) -> Self {
        self.members = members;
        self
    }

    /// Makes the map's histograms count exactly at these bounds. See [`Histogram::buckets`].
    #[must_use]
    pub const fn buckets(mut self, bounds: &'static [f64]) -> Self {
        self.wanted.bounds = bounds;
        self
    }

    /// Makes the map's histograms keep exemplars. See [`Histogram::exemplars`].
    #[must_use]
    pub const fn exemplars(mut self) -> Self {
        self.wanted.exemplars = true;
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn __timed_in(mut self, unit: Unit) -> Self {
        self.time_in(unit);
        self
    }

    pub(crate) const fn time_in(&mut self, unit: Unit) {
        self.timed = Timed::of_map(unit);
    }

    /// Sets the unit in which existing and future histograms record durations, if it is a unit of
    /// time.
    pub(crate) fn set_timed_in(&self, unit: Unit) {
        self.set_timed_to(unit, LEVELS);
    }

    fn set_timed_to(&self, unit: Unit, levels: usize) {
        let (timed, this) = (Timed::of_map(unit), self.this());
        if timed.unit().is_none() {
            return;
        }
        // Before the keys are listed: a thread that adds one later reads it.
        this.timed.set(&timed);
        for child in this.list_now().values() {
            match (&child.var, levels.checked_sub(1)) {
                (Var::Histogram(histogram), _) => histogram.set_timed_in(unit),
                (Var::Map(map), Some(levels)) => map.set_timed_to(unit, levels),
                _ => {}
            }
        }
    }

    /// Passes the unit of durations, if any, to a variable that was put in here.
    fn tell_unit(&self, var: &Var) {
        if let Some(unit) = self.timed.unit() {
            var.set_timed_in(unit);
        }
    }

    /// Adds one to the integer at `key`. See [`add`](Self::add).
    #[inline]
    pub fn inc(&self, key: impl AsRef<str>) {
        self.add(key, 1);
    }

    /// Adds to the integer at `key`, made at zero if missing. If the key holds another kind,
    /// nothing changes and the variable `expvar.mismatches` counts it.
    #[inline]
    pub fn add(&self, key: impl AsRef<str>, n: i64) {
        let (this, key) = (self.this(), key.as_ref());
        if !cache::add(&this.id, key, n) {
            this.add_counted(key, n);
        }
    }

    /// Like [`add`](Self::add), but returns an error if `key` holds another kind.
    ///
    /// # Errors
    /// `key` holds a variable that is neither a [`Gauge`] nor, for `n` of at least zero, a
    /// [`Counter`](crate::Counter).
    pub fn try_add(&self, key: impl AsRef<str>, n: i64) -> Result<(), KindError> {
        let (this, key) = (self.this(), key.as_ref());
        if cache::add(&this.id, key, n) { Ok(()) } else { this.add_cold(key, n) }
    }

    /// Adds to the floating-point number at `key`, made at zero if missing. If the key holds
    /// another kind, nothing changes and the variable `expvar.mismatches` counts it.
    pub fn add_float(&self, key: impl AsRef<str>, n: f64) {
        let (this, key) = (self.this(), key.as_ref());
        let query = Query::new(this.id.get(), key);
        let known = held::with(&query, |gauge: &Arc<FloatGauge>| gauge.add(n));
        known.unwrap_or_else(|| self.add_float_cold(key, n));
    }

    /// Returns the counter at `key`, made at zero if missing.
    ///
    /// Past the limit, returns the one at `(other)`, as [`add`](Self::add) does. If `key` holds
    /// another kind, or a static, the returned variable is shown nowhere and the variable
    /// `expvar.mismatches` counts it. All threads get the same variable for a key.
    pub fn counter(&self, key: impl AsRef<str>) -> Arc<Counter> {
        self.get_or_make(key.as_ref(), Counter::new)
    }

    /// Returns the gauge at `key`, made at zero if missing. See [`counter`](Self::counter).
    pub fn gauge(&self, key: impl AsRef<str>) -> Arc<Gauge> {
        self.get_or_make(key.as_ref(), Gauge::new)
    }

    /// Returns the floating-point gauge at `key`, made at zero if missing. See
    /// [`counter`](Self::counter).
    pub fn float_gauge(&self, key: impl AsRef<str>) -> Arc<FloatGauge> {
        self.get_or_make(key.as_ref(), FloatGauge::new)
    }

    /// Returns the histogram at `key`, made if missing. See [`counter`](Self::counter).
    pub fn histogram(&self, key: impl AsRef<str>) -> Arc<Histogram> {
        self.get_or_make(key.as_ref(), Histogram::new)
    }

    /// Returns the histogram at `key`, made by `make` if missing: `histogram_with(key,
    /// Histogram::floats)`.
    pub fn histogram_with(
        &self,
        key: impl AsRef<str>,
        make: impl Fn() -> Histogram,
    ) -> Arc<Histogram> {
        self.get_or_make(key.as_ref(), make)
    }

    /// Returns the text at `key`, made empty if missing. See [`counter`](Self::counter).
    pub fn text(&self, key: impl AsRef<str>) -> Arc<Text> {
        self.get_or_make(key.as_ref(), Text::new)
    }

    /// Returns the map at `key`, made empty with this map's limit if missing. See
    /// [`counter`](Self::counter).
    pub fn map(&self, key: impl AsRef<str>) -> Arc<Map> {
        self.get_or_make(key.as_ref(), || self.nested())
    }

    /// Puts a variable at `key`, replacing any other. The map's limit does not apply.
    pub fn set<V: Publish>(&self, key: impl AsRef<str>, var: V) -> V::Handle {
        let (var, handle) = var.into_var();
        var.named();
        let this = self.this();
        let old = this.keys.lock().insert(key.as_ref().into(), Child::new(var.clone(), None));
        this.tell_unit(&var);
        if let Some(old) = old {
            old.retire();
        }
        handle
    }

    /// Puts a variable at `key` unless the key exists. The map's limit does not apply.
    ///
    /// # Errors
    /// There is one: it is returned.
    pub fn set_new<V: Publish>(&self, key: impl AsRef<str>, var: V) -> Result<V::Handle, Var> {
        let (var, handle) = var.into_var();
        var.named();
        let this = self.this();
        let mut keys = this.keys.lock();
        if let Some(child) = keys.get(key.as_ref()) {
            let existing = child.var.clone();
            drop(keys);
            return Err(existing);
        }
        keys.insert(key.as_ref().into(), Child::new(var.clone(), None));
        drop(keys);
        this.tell_unit(&var);
        Ok(handle)
    }

    /// Returns the variable at `key`.
    pub fn get(&self, key: impl AsRef<str>) -> Option<Var> {
        self.this().keys.lock().get(key.as_ref()).map(|child| child.var.clone())
    }

    /// Removes `key` for all readers at once and returns its variable. The cell is freed when the
    /// last handle on it is dropped; a thread that recorded into it keeps a cache entry until it
    /// needs the slot or ends.
    #[doc(alias("Delete", "remove_label_values"))]
    pub fn remove(&self, key: impl AsRef<str>) -> Option<Var> {
        let key = key.as_ref();
        let child = self.this().keys.lock().remove(key)?;
        child.retire();
        cache::forget(&self.this().id, Some(key));
        if child.held.get().is_some() {
            held::forget_retired();
        }
        Some(child.var)
    }

    /// Removes every key.
    #[doc(alias("Init", "reset"))]
    pub fn clear(&self) {
        let old = self.this().keys.lock().take();
        old.values().for_each(Child::retire);
        cache::forget(&self.this().id, None);
        held::forget_retired();
    }

    /// The keys, in byte order.
    pub fn keys(&self) -> Vec<String> {
        self.list().iter().map(|(key, _)| key.as_ref().to_owned()).collect()
    }

    /// The number of keys, `(other)` included.
    pub fn len(&self) -> usize {
        self.this().keys.lock().len()
    }

    /// Whether the map has no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Calls `f` for each key and its variable, in byte order. No lock is held, so `f` may change
    /// the map; it sees the keys present when the walk began.
    pub fn for_each(&self, mut f: impl FnMut(&str, &Var)) {
        for (key, child) in self.list().iter() {
            f(key, &child.var);
        }
    }

    pub(crate) fn list(&self) -> List<Child> {
        self.this().expire();
        self.list_now()
    }

    fn list_now(&self) -> List<Child> {
        self.this().keys.lock().list()
    }

    /// An empty map to go inside this one.
    fn nested(&self) -> Map {
        let mut map = Map::with_limit(self.limit);
        map.key_bytes = self.key_bytes;
        map.expire_after = self.expire_after;
        map.timed.set(&self.timed);
        map.wanted = self.wanted;
        map
    }

    /// Moves everything that this map holds into a new map.
    pub(crate) fn take(&self) -> Map {
        let mut map = Map::with_limit(self.limit);
        map.timed.set(&self.timed);
        map.wanted = self.wanted;
        map.keys = Mutex::new(self.keys.lock().take());
        map
    }

    /// The variable at a family's labels, made if missing.
    pub(crate) fn leaf<M: Member, L: LabelSet>(&self, labels: L, make: fn() -> M) -> Arc<M> {
        let mut map: Option<Arc<Map>> = None;
        for level in 1..L::LEVELS {
            let of = map.as_deref().unwrap_or(self);
            map = Some(of.map(labels.value(level - 1)));
        }
        let last = labels.value(L::LEVELS.saturating_sub(1));
        map.as_deref().unwrap_or(self).get_or_make(last, make)
    }

    #[cold]
    #[inline(never)]
    fn add_float_cold(&self, key: &str, n: f64) {
        let this = self.this();
        let (child, placed) =
            this.child(key, || Child::new(Var::from(Arc::new(FloatGauge::new())), None));
        match &child.var {
            Var::FloatGauge(gauge) => gauge.add(n),
            _ => return MISMATCHES.inc(),
        }
        if let (true, Some(held)) = (placed, child.held.get()) {
            held::learn(&Query::new(this.id.get_or_claim(), key), Arc::clone(held));
        }
    }

    // Not inlined, so that the arguments stay in registers.
    #[inline(never)]
    fn get_or_make<M: Member>(&self, key: &str, make: impl Fn() -> M) -> Arc<M> {
        let query = Query::new(self.this().id.get(), key);
        match held::with(&query, Arc::clone) {
            Some(known) => known,
            None => self.get_or_make_cold(key, make),
        }
    }

    #[cold]
    #[inline(never)]
    fn get_or_make_cold<M: Member>(&self, key: &str, make: impl Fn() -> M) -> Arc<M> {
        match self.this().try_get_or_make(key, &make) {
            Some((member, held)) => {
                if let Some(held) = held {
                    held::learn(&Query::new(self.this().id.get_or_claim(), key), held);
                }
                member
            }
            None => {
                MISMATCHES.inc();
                Arc::new(make())
            }
        }
    }

    /// The variable at `key`, made if missing, and its shared cache state; `None` if it is of
    /// another kind.
    fn try_get_or_make<M: Member>(
        &self,
        key: &str,
        make: impl Fn() -> M,
    ) -> Option<(Arc<M>, Option<Arc<Held>>)> {
        let (child, placed) = self.child(key, || {
            let mut var = make().into_var().0;
            var.wanting(self.wanted);
            Child::new(var, None)
        });
        let member = Arc::clone(M::of(&child.var)?);
        // A key without a slot is not cached: every recording counts as an overflow, and the key
        // may get a slot later.
        Some((member, placed.then(|| child.held.get().cloned()).flatten()))
    }

    #[inline]
    fn this(&self) -> &Self {
        self.first.get().unwrap_or(self)
    }

    #[cold]
    #[inline(never)]
    fn add_counted(&self, key: &str, n: i64) {
        if self.add_cold(key, n).is_err() {
            MISMATCHES.inc();
        }
    }

    #[cold]
    #[inline(never)]
    fn add_cold(&self, key: &str, n: i64) -> Result<(), KindError> {
        if let Some(first) = self.first.get() {
            return first.add_cold(key, n);
        }
        let (child, placed) = self.child(key, || {
            let gauge = Arc::new(Gauge::new());
            let known = Known::new(Arc::clone(&gauge));
            Child::new(Var::from(gauge), Some(Arc::new(known)))
        });
        // A key without a slot is not cached: every addition counts as an overflow, and the key may
        // get a slot later.
        match (&child.var, child.known.as_ref().filter(|_| placed)) {
            (Var::Gauge(gauge), Some(known)) => {
                gauge.add(n);
                cache::learn(&self.id, key, known);
            }
            (Var::Gauge(gauge), None) => gauge.add(n),
            (Var::Counter(counter), _) if n >= 0 => counter.add(n.unsigned_abs()),
            (other, _) => return Err(KindError { key: key.into(), kind: other.kind() }),
        }
        Ok(())
    }

    /// The child at `key`, or a new one from `make` there, or at `(other)` if the map is full; and
    /// whether it is at `key`.
    fn child(&self, key: &str, make: impl Fn() -> Child) -> (Child, bool) {
        let mut placed = self.has_place(key);
        if !placed && self.expire_after.is_some() {
            self.expire();
            placed = self.has_place(key);
        }
        let mut made: Option<Child> = None;
        let child = loop {
            let mut keys = self.keys.lock();
            let full = self.is_full(&keys, key);
            placed = placed && (!full || keys.get(key).is_some());
            let at = if placed { key } else { OTHER };
            if let Some(child) = keys.get(at) {
                break child.clone_held();
            }
            match made.take() {
                Some(child) => {
                    // The variable is new, so nothing that is locked is locked again.
                    self.tell_unit(&child.var);
                    let clone = Child::clone_held(&child);
                    keys.insert(at.into(), child);
                    break clone;
                }
                // Made outside the lock, which covers the table alone.
                None => {
                    drop(keys);
                    let child = make();
                    child.var.named();
                    made = Some(child);
                }
            }
        };
        if !placed {
            OVERFLOWS.inc();
        }
        (child, placed)
    }

    fn has_place(&self, key: &str) -> bool {
        let keys = self.keys.lock();
        keys.get(key).is_some() || !self.is_full(&keys, key)
    }

    fn is_full(&self, keys: &Names<Child>, key: &str) -> bool {
        let other = usize::from(keys.get(OTHER).is_some());
        key != OTHER && (keys.len() - other >= self.limit || key.len() > self.key_bytes)
    }

    /// Merges `self`, a static, into `first`, and returns rests that move its keys there.
    pub(crate) fn join(&'static self, first: &'static Self) -> Rest {
        let mut same = Vec::new();
        let mut rest = Rest::new(move || {
            let early = self.keys.lock().take();
            for (key, child) in Names::list(&mut { early }).iter() {
                let there = first.keys.lock().get(key).map(|child| child.var.clone());
                match there {
                    None => drop(first.keys.lock().insert(Arc::clone(key), child.clone())),
                    Some(there) => same.extend(join::merge(child.var.clone(), there)),
                }
            }
            same.iter_mut().for_each(Rest::add);
        });
        rest.add();
        let _ = self.first.set(first);
        rest
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // Thread caches can outlive the map: invalidate their entries.
        self.clear();
    }
}

impl Default for Map {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Nested { map: self, levels: DEBUG_LEVELS }.fmt(f)
    }
}

/// Levels of nested maps that `Debug` prints: a map may hold itself.
const DEBUG_LEVELS: u8 = 4;

struct Nested<'m> {
    map: &'m Map,
    levels: u8,
}

impl fmt::Debug for Nested<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(levels) = self.levels.checked_sub(1) else { return f.write_str("{..}") };
        let mut entries = f.debug_map();
        for (key, child) in self.map.list().iter() {
            match &child.var {
                Var::Map(map) => entries.entry(key, &Nested { map, levels }),
                var => entries.entry(key, var),
            };
        }
        entries.finish()
    }
}

/// The variable at a key cannot be added to.
///
/// ```
/// let map = expvar::Registry::new().publish("jobs", expvar::Map::new())?;
/// map.set("state", expvar::Text::new());
/// let error = map.try_add("state", 1).unwrap_err();
/// assert_eq!((error.key(), error.kind()), ("state", expvar::Kind::Text));
/// # Ok::<(), expvar::PublishError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindError {
    key: Box<str>,
    kind: Kind,
}

impl KindError {
    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The kind of the key's variable.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl fmt::Display for KindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the key {:?} holds a {}, which takes no integer: remove it first, or add to another key",
            self.key, self.kind
        )
    }
}

impl std::error::Error for KindError {}
