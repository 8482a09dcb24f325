//! Maps by several keys: requests by route, method and status.

use std::cell::Cell;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::health::{MISMATCHES, OVERFLOWS};
use crate::member::Member;
use crate::var::Var;
use crate::{Counter, FloatGauge, Gauge, Histogram};

use super::query::Query;
use super::{Map, OTHER, held};

/// The most keys of one variable.
const LEVELS: usize = 8;

thread_local! {
    /// A buffer that joins several keys into one text.
    static JOINED: Cell<String> = const { Cell::new(String::new()) };
}

/// Several keys at once. Each is a level of nested maps, outermost first; declare their names as
/// `labels: ["route", "method"]`.
///
/// Each method looks into the calling thread's cache and makes what is missing. The map's limit
/// bounds how many variables it makes in this way, whatever their keys. Past the limit, with more
/// than 8 keys, or with a key that is too long, all levels are `(other)`, and `expvar.overflows`
/// counts it.
impl Map {
    /// Adds to the integer at these keys, made at zero if missing.
    ///
    /// ```
    /// # let registry = expvar::Registry::new();
    /// let requests = registry.publish("requests", expvar::Map::new())?;
    /// requests.add_at(["/login", "GET"], 1);
    /// requests.add_at(["/login", "POST"], 2);
    /// assert_eq!(registry.get("requests").unwrap().to_string(), r#"{"/login": {"GET": 1, "POST": 2}}"#);
    /// # Ok::<(), expvar::PublishError>(())
    /// ```
    #[doc(alias("with_label_values", "get_metric_with_label_values"))]
    pub fn add_at<K: AsRef<str>>(&self, keys: impl AsRef<[K]>, n: i64) {
        self.with_at(keys.as_ref(), Gauge::new, |gauge| gauge.add(n));
    }

    /// Returns the counter at these keys, made if missing.
    #[doc(alias = "with_label_values")]
    pub fn counter_at<K: AsRef<str>>(&self, keys: impl AsRef<[K]>) -> Arc<Counter> {
        self.with_at(keys.as_ref(), Counter::new, Arc::clone)
    }

    /// Returns the gauge at these keys, made if missing.
    pub fn gauge_at<K: AsRef<str>>(&self, keys: impl AsRef<[K]>) -> Arc<Gauge> {
        self.with_at(keys.as_ref(), Gauge::new, Arc::clone)
    }

    /// Returns the floating-point gauge at these keys, made if missing.
    pub fn float_gauge_at<K: AsRef<str>>(&self, keys: impl AsRef<[K]>) -> Arc<FloatGauge> {
        self.with_at(keys.as_ref(), FloatGauge::new, Arc::clone)
    }

    /// Returns the histogram at these keys, made if missing.
    pub fn histogram_at<K: AsRef<str>>(&self, keys: impl AsRef<[K]>) -> Arc<Histogram> {
        self.with_at(keys.as_ref(), Histogram::new, Arc::clone)
    }

    fn with_at<M: Member, R>(
        &self,
        keys: &[impl AsRef<str>],
        make: impl Fn() -> M,
        f: impl Fn(&Arc<M>) -> R,
    ) -> R {
        let this = self.this();
        let known = with_joined(keys, |joined| {
            held::with(&Query::new(this.id.get(), joined), |member| f(member))
        });
        known.unwrap_or_else(|| f(&self.at_cold(keys, make)))
    }

    #[cold]
    #[inline(never)]
    fn at_cold<M: Member>(&self, keys: &[impl AsRef<str>], make: impl Fn() -> M) -> Arc<M> {
        let this = self.this();
        let keys: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
        let [outer @ .., last] = &*keys else { return this.get_or_make("", make) };
        let short = keys.len() <= LEVELS && keys.iter().all(|key| key.len() <= this.key_bytes);
        let fits = short && (this.has(&keys) || this.reserve());
        if !fits {
            OVERFLOWS.inc();
        }
        let mut map: Option<Arc<Map>> = None;
        let levels = if fits { outer } else { &[OTHER; LEVELS - 1][..outer.len().min(LEVELS - 1)] };
        for key in levels {
            let of = map.as_deref().unwrap_or(this);
            match of.try_get_or_make(key, || of.nested()) {
                Some((next, _)) => map = Some(next),
                None => return mismatch(make),
            }
        }
        let of = map.as_deref().unwrap_or(this);
        match of.try_get_or_make(if fits { last } else { OTHER }, &make) {
            Some((member, held)) => {
                if let (true, Some(held)) = (fits, held) {
                    with_joined(&keys, |joined| {
                        held::learn(&Query::new(this.id.get_or_claim(), joined), held);
                    });
                }
                member
            }
            None => mismatch(make),
        }
    }

    /// Whether these keys exist.
    fn has(&self, keys: &[&str]) -> bool {
        let [first, rest @ ..] = keys else { return true };
        match self.get(first) {
            Some(Var::Map(map)) => map.has(rest),
            Some(_) => rest.is_empty(),
            None => false,
        }
    }

    /// Takes one unit of the limit.
    fn reserve(&self) -> bool {
        let take = || {
            let free = |made| (made < self.limit).then_some(made + 1);
            self.made.fetch_update(Relaxed, Relaxed, free).is_ok()
        };
        take() || (self.recount() && take())
    }

    /// Recounts the variables made here, at most once a second: keys may have been removed or have
    /// expired in a nested map.
    fn recount(&self) -> bool {
        let now = super::expiry::millis();
        let last = self.recounted.load(Relaxed);
        let due = now.saturating_sub(last) >= Duration::from_secs(1).as_millis() as u64;
        if !due || self.recounted.compare_exchange(last, now, Relaxed, Relaxed).is_err() {
            return false;
        }
        let list = self.list();
        let ours = list.iter().filter(|(key, _)| &***key != OTHER);
        self.made.store(ours.map(|(_, child)| leaves(&child.var, LEVELS)).sum(), Relaxed);
        true
    }
}

fn leaves(var: &Var, depth: usize) -> usize {
    match var {
        Var::Map(map) if depth > 0 => {
            map.list().iter().map(|(_, child)| leaves(&child.var, depth - 1)).sum()
        }
        _ => 1,
    }
}

/// A detached variable, for keys that hold another kind.
fn mismatch<M: Member>(make: impl Fn() -> M) -> Arc<M> {
    MISMATCHES.inc();
    Arc::new(make())
}

/// Runs `f` on the keys joined into one text, unambiguously: each with its length.
fn with_joined<R>(keys: &[impl AsRef<str>], f: impl FnOnce(&str) -> R) -> R {
    let join = |joined: &mut String| {
        for key in keys.iter().map(AsRef::as_ref) {
            // A length below 128 is one character; a longer one is spelled out after a character
            // that no short length has.
            match u8::try_from(key.len()) {
                Ok(len @ 0..=126) => joined.push(char::from(len)),
                _ => {
                    let _ = write!(joined, "\x7f{}:", key.len());
                }
            }
            joined.push_str(key);
        }
    };
    // Taken for the duration of `f`; a nested call makes another.
    let mut joined = JOINED.try_with(Cell::take).unwrap_or_default();
    joined.clear();
    join(&mut joined);
    let done = f(&joined);
    // Does not keep the memory of one long key.
    if joined.capacity() <= 4096 {
        let _ = JOINED.try_with(|cell| cell.set(joined));
    }
    done
}
