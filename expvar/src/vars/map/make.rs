//! The variable at a key, made if there is none.

use std::sync::Arc;

use super::child::Child;
use super::held::{self, Held};
use super::query::Query;
use super::{Map, OTHER};
use crate::family::LabelSet;
use crate::health::{MISMATCHES, OVERFLOWS};
use crate::member::Member;
use crate::names::Names;
use crate::{Counter, FloatGauge, Gauge, Histogram, Text};

impl Map {
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

    /// An empty map to go inside this one.
    pub(super) fn nested(&self) -> Map {
        let mut map = Map::with_limit(self.limit);
        map.key_bytes = self.key_bytes;
        map.expire_after = self.expire_after;
        map.timed.set(&self.timed);
        map.wanted = self.wanted;
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

    #[inline]
    pub(super) fn get_or_make<M: Member>(&self, key: &str, make: impl Fn() -> M) -> Arc<M> {
        match held::often(self.this().id.get(), key) {
            Some(known) => known,
            None => self.get_or_make_cold(key, make),
        }
    }

    #[cold]
    #[inline(never)]
    fn get_or_make_cold<M: Member>(&self, key: &str, make: impl Fn() -> M) -> Arc<M> {
        let this = self.this();
        if let Some(known) = held::with(&Query::new(this.id.get(), key), Arc::clone) {
            return known;
        }
        match this.try_get_or_make(key, &make) {
            Some((member, held)) => {
                if let Some(held) = held {
                    held::learn(&Query::new(this.id.get_or_claim(), key), held);
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
    pub(super) fn try_get_or_make<M: Member>(
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

    /// The child at `key`, or a new one from `make` there, or at `(other)` if the map is full, which
    /// is counted; and whether it is at `key`.
    pub(super) fn child(&self, key: &str, make: impl Fn() -> Child) -> (Child, bool) {
        let (child, placed) = self.child_within(true, key, make);
        if !placed {
            OVERFLOWS.inc();
        }
        (child, placed)
    }

    /// Like [`child`](Self::child), but counts nothing, and only if `limited` the map can be full.
    pub(super) fn child_within(
        &self,
        limited: bool,
        key: &str,
        make: impl Fn() -> Child,
    ) -> (Child, bool) {
        let mut placed = !limited || self.has_place(key);
        if !placed && self.expire_after.is_some() {
            self.expire();
            placed = self.has_place(key);
        }
        let mut made: Option<Child> = None;
        let child = loop {
            let mut keys = self.keys.lock();
            let full = limited && self.is_full(&keys, key);
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
}
