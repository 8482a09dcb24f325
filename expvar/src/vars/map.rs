//! Variables by key: requests by route, errors by kind.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use once_cell::race::OnceRef;

use crate::histogram::Timed;
use crate::histogram::detail::Wanted;
use crate::info::{Info, Unit};
use crate::join::{self, Rest};
use crate::names::{List, Names};
use crate::sync::Mutex;
use crate::var::{Publish, Var};

mod add;
pub(crate) mod arrange;
mod cache;
mod child;
mod debug;
mod expiry;
mod held;
mod keys;
mod make;
mod query;
mod table;

pub use add::KindError;
pub(crate) use child::Child;
use expiry::Sweep;

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

/// The depth to which nested maps are walked; a map may contain itself.
const LEVELS: usize = 32;

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

    /// Makes the map's histograms count exactly at these bounds. See
    /// [`Histogram::buckets`](crate::Histogram::buckets).
    #[must_use]
    pub const fn buckets(mut self, bounds: &'static [f64]) -> Self {
        self.wanted.bounds = bounds;
        self
    }

    /// Makes the map's histograms keep exemplars. See
    /// [`Histogram::exemplars`](crate::Histogram::exemplars).
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

    /// Moves everything that this map holds into a new map.
    pub(crate) fn take(&self) -> Map {
        let mut map = Map::with_limit(self.limit);
        map.timed.set(&self.timed);
        map.wanted = self.wanted;
        map.keys = Mutex::new(self.keys.lock().take());
        map
    }

    #[inline]
    fn this(&self) -> &Self {
        self.first.get().unwrap_or(self)
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
