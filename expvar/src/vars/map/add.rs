//! Adding to the number at a key.

use std::fmt;
use std::sync::Arc;

use super::cache::{self, Known};
use super::child::Child;
use super::query::Query;
use super::{Map, held};
use crate::health::MISMATCHES;
use crate::var::{Kind, Var};
use crate::{FloatGauge, Gauge};

impl Map {
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
