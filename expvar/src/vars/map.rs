//! Variables by key: requests by route, errors by kind.

use std::fmt;
use std::sync::Arc;

use once_cell::race::OnceRef;

use crate::float_gauge::FloatGauge;
use crate::gauge::Gauge;
use crate::health::{MISMATCHES, OVERFLOWS};
use crate::names::{List, Named, Names};
use crate::prefetch::Touch;
use crate::sync::Mutex;
use crate::var::{Kind, Publish, Var};

mod cache;
mod query;

use cache::Known;

/// Variables by key: requests by route, errors by kind. Go's `Map`.
///
/// [`add`](Self::add) to a key that the calling thread used before finds the key's cell in a cache
/// of the thread's own and adds to it: no lock, no allocation. A thread's cache holds up to 16,384
/// keys of all maps together.
///
/// A map holds a limited number of keys, 10,000 unless told otherwise; past it `add` and
/// `add_float` go to the key `(other)`, and the variable `expvar.overflows` counts them. Keys are
/// any text of at most 1 KiB unless told otherwise; longer ones go to `(other)` too. Maps nest, up
/// to 32 levels for readers.
pub struct Map {
    id: cache::MapId,
    limit: usize,
    key_bytes: usize,
    keys: Mutex<Names<Child>>,
    /// The static of the same name that this one stands for.
    first: OnceRef<'static, Map>,
}

/// What a key stands for.
#[derive(Clone)]
pub(crate) struct Child {
    pub(crate) var: Var,
    /// What threads' caches know of a key that `add` made.
    known: Option<Arc<Known>>,
}

impl Child {
    /// Makes every cache look again.
    fn retire(&self) {
        if let Some(known) = &self.known {
            known.retire();
        }
    }
}

impl Touch for Child {
    fn touch(&self) -> u64 {
        self.known.is_some().into()
    }
}

impl Named for Child {
    fn var(&self) -> &Var {
        &self.var
    }
}

/// The key that takes what came past the limit.
const OTHER: &str = "(other)";

impl Map {
    /// An empty map of at most 10,000 keys.
    pub const fn new() -> Self {
        Self::with_limit(10_000)
    }

    /// An empty map of at most `limit` keys, `(other)` not counted.
    pub const fn with_limit(limit: usize) -> Self {
        Self {
            id: cache::MapId::new(),
            limit,
            key_bytes: 1024,
            keys: Mutex::new(Names::new()),
            first: OnceRef::new(),
        }
    }

    /// With keys of at most `bytes` bytes in place of 1,024.
    #[must_use]
    pub const fn key_bytes(mut self, bytes: usize) -> Self {
        self.key_bytes = bytes;
        self
    }

    /// Adds to the integer at `key`, which is made, at zero, if there is none. A key that holds
    /// anything else stays as it is, and the variable `expvar.mismatches` counts it.
    #[inline]
    pub fn add(&self, key: &str, n: i64) {
        let this = self.this();
        if !cache::add(&this.id, key, n) {
            this.add_counted(key, n);
        }
    }

    /// Like [`add`](Self::add), but says so when `key` holds something else.
    ///
    /// # Errors
    /// `key` holds a variable that is neither a [`Gauge`] nor, for `n` of at least zero, a
    /// [`Counter`](crate::Counter).
    pub fn try_add(&self, key: &str, n: i64) -> Result<(), KindError> {
        let this = self.this();
        if cache::add(&this.id, key, n) { Ok(()) } else { this.add_cold(key, n) }
    }

    /// Adds to the floating-point number at `key`, which is made, at zero, if there is none. A key
    /// that holds anything else stays as it is, and the variable `expvar.mismatches` counts it.
    /// Takes a lock.
    pub fn add_float(&self, key: &str, n: f64) {
        let this = self.this();
        let made = || (Var::from(Arc::new(FloatGauge::new())), None);
        match this.child(key, made).var {
            Var::FloatGauge(gauge) => gauge.add(n),
            _ => MISMATCHES.inc(),
        }
    }

    /// Puts a variable at `key`, in place of whatever was there; the map's limit does not apply.
    pub fn set<V: Publish>(&self, key: &str, var: V) -> V::Handle {
        let (var, handle) = var.into_var();
        drop(self.replace(key, var));
        handle
    }

    /// Puts a variable at `key` and returns what was there.
    pub(crate) fn replace(&self, key: &str, var: Var) -> Option<Var> {
        var.named();
        let old = self.this().keys.lock().insert(key.into(), Child { var, known: None })?;
        old.retire();
        Some(old.var)
    }

    /// The variable at `key`.
    pub fn get(&self, key: &str) -> Option<Var> {
        self.this().keys.lock().get(key).map(|child| child.var.clone())
    }

    /// Takes `key` out, at once for every reader, and returns what it held. Its cell is given back
    /// when the last handle on it goes; a thread that recorded into it forgets it when it next
    /// needs the place in its cache, or ends.
    pub fn remove(&self, key: &str) -> Option<Var> {
        let child = self.this().keys.lock().remove(key)?;
        child.retire();
        cache::forget(&self.this().id, Some(key));
        Some(child.var)
    }

    /// Takes every key out.
    pub fn clear(&self) {
        let old = self.this().keys.lock().take();
        old.values().for_each(Child::retire);
        cache::forget(&self.this().id, None);
    }

    /// The keys, in byte order.
    pub fn keys(&self) -> Vec<String> {
        self.list().iter().map(|(key, _)| key.as_ref().to_owned()).collect()
    }

    /// How many keys there are, `(other)` included.
    pub fn len(&self) -> usize {
        self.this().keys.lock().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Calls `f` for each key and its variable, in byte order. No lock is held meanwhile, so `f`
    /// may change the map; it sees what was there when the walk began.
    pub fn for_each(&self, mut f: impl FnMut(&str, &Var)) {
        for (key, child) in self.list().iter() {
            f(key, &child.var);
        }
    }

    pub(crate) fn list(&self) -> List<Child> {
        self.this().keys.lock().list()
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
        // Statics of one name stand for one of them: that is settled before any holds keys.
        crate::global::settle();
        if let Some(first) = self.first.get() {
            return first.add_cold(key, n);
        }
        let child = self.child(key, || {
            let gauge = Arc::new(Gauge::new());
            let known = Known::new(Arc::clone(&gauge));
            (Var::from(gauge), Some(Arc::new(known)))
        });
        match (&child.var, &child.known) {
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

    /// What is at `key`, or else what `make` puts there, or at `(other)` when the map is full.
    fn child(&self, key: &str, make: impl FnOnce() -> (Var, Option<Arc<Known>>)) -> Child {
        let mut keys = self.keys.lock();
        if let Some(child) = keys.get(key) {
            return child.clone();
        }
        let other = keys.get(OTHER);
        let full = (keys.len() - usize::from(other.is_some()) >= self.limit && key != OTHER)
            || key.len() > self.key_bytes;
        if !full {
            let (var, known) = make();
            let child = Child { var, known };
            keys.insert(key.into(), child.clone());
            return child;
        }
        let other = other.cloned().unwrap_or_else(|| {
            let (var, known) = make();
            let other = Child { var, known };
            keys.insert(OTHER.into(), other.clone());
            other
        });
        drop(keys);
        OVERFLOWS.inc();
        // No cache learns a key that has no place: each addition counts, and it may have one later.
        Child { var: other.var, known: None }
    }

    /// Makes `self`, a static that holds no keys, stand for `first`.
    pub(crate) fn join(&'static self, first: &'static Self) {
        let early = self.keys.lock().take();
        let _ = self.first.set(first);
        for (key, child) in Names::list(&mut { early }).iter() {
            first.keys.lock().insert(Arc::clone(key), child.clone());
        }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // Threads' caches may outlive the map: they are to drop what they know of it.
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

/// A key holds a variable that cannot be added to.
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

    /// What it holds.
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
