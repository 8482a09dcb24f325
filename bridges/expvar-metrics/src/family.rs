//! The metrics of one name.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::{Duration, Instant};

use expvar::__private::{Flat, Publication, Published};
use expvar::{Counter, FloatGauge, Histogram, Info, Kind, Map, Registry, Var};

use crate::families::{Families, NAMES};
use crate::set::{self, Labels, Set};

/// The metrics of one name: the state that the registry keeps with the variable.
///
/// A flat map by [`Set`] decides which variable a label set has. What the registry shows follows
/// from it and from the order of the labels, which is in the variable's [`Info`]: the set without
/// labels alone, or all of them as nested maps. Where several threads change that at once, the
/// registry takes the first, and the others begin again.
pub(crate) struct Family {
    pub(crate) recorder: u64,
    pub(crate) kind: Kind,
    pub(crate) expire_after: Option<Duration>,
    /// Bounds at which its histograms count exactly.
    buckets: &'static [f64],
    sets: Map,
    /// The recorder's names.
    names: Arc<AtomicUsize>,
    is_counted: AtomicBool,
}

impl Family {
    pub(crate) fn new(families: &Families, kind: Kind, name: &str) -> Self {
        // The length of labels is limited one by one.
        let sets = Map::with_limit(families.sets(kind)).key_bytes(usize::MAX);
        Self {
            recorder: families.recorder,
            kind,
            expire_after: families.expire_after,
            buckets: families.buckets(name),
            sets,
            names: Arc::clone(&families.names),
            is_counted: AtomicBool::new(false),
        }
    }

    /// Counts the name. Returns false if there are too many.
    pub(crate) fn count_name(&self) -> bool {
        let free = |count| (count < NAMES).then_some(count + 1);
        let fits = self.names.fetch_update(Relaxed, Relaxed, free).is_ok();
        self.is_counted.store(fits, Relaxed);
        fits
    }

    /// The variable of a set, made if missing.
    pub(crate) fn get_or_make(&self, set: &Set) -> Option<Flat> {
        self.sets.__get_or_make(set.as_str(), !set.is_empty(), || match self.kind {
            Kind::Counter => Var::from(Arc::new(Counter::new())),
            Kind::Histogram => Var::from(Arc::new(Histogram::floats().buckets(self.buckets))),
            _ => Var::from(Arc::new(FloatGauge::new())),
        })
    }

    /// What the registry has to show, with these labels. `None` if there is nothing.
    pub(crate) fn publication(
        self: &Arc<Self>,
        labels: &Labels,
        info: Info,
    ) -> Option<Publication> {
        let var = if labels.is_empty() {
            self.sets.get("")?
        } else {
            Var::from(self.sets.__tree(|set| set::path(set, labels)))
        };
        let info = info.labels(labels.iter().cloned());
        let info = if self.kind == Kind::Counter { info.counter() } else { info };
        Some(Publication { var, info, state: Arc::clone(self) as _ })
    }

    /// Shows a new set: in the maps that are shown, or in new ones if it brings new labels. Returns
    /// false if another thread has changed what is shown.
    pub(crate) fn show(
        self: &Arc<Self>,
        registry: &Registry,
        name: &str,
        seen: &Published,
        labels: Vec<Cow<'static, str>>,
        set: &str,
    ) -> bool {
        let Some(path) = set::path(set, &labels) else { return true };
        match &seen.var {
            Var::Map(tree) if labels == seen.info.get_labels() => {
                self.sets.__put_into(tree, set, &path);
                registry.__published(name).is_some_and(|now| now.var.is(&seen.var))
            }
            _ => self.arrange(registry, name, seen, &labels),
        }
    }

    /// Shows all sets anew, with these labels. Returns false if another thread has changed what is
    /// shown, or has added a set.
    fn arrange(
        self: &Arc<Self>,
        registry: &Registry,
        name: &str,
        seen: &Published,
        labels: &Labels,
    ) -> bool {
        let generation = self.sets.__generation();
        let Some(new) = self.publication(labels, (*seen.info).clone()) else { return true };
        // A thread that added a set to what is shown now has checked, under the same lock, that it
        // was still shown: its set is not lost, not even for one reader.
        let is_complete = || self.sets.__is_at(generation);
        matches!(registry.__exchange(name, Some(seen), Some(new), is_complete), Ok(true))
    }

    /// What is published, while it is this family's.
    pub(crate) fn published(
        self: &Arc<Self>,
        registry: &Registry,
        name: &str,
    ) -> Option<Published> {
        let is_ours = |seen: &Published| {
            seen.state().is_some_and(|state: Arc<Self>| Arc::ptr_eq(&state, self))
        };
        registry.__published(name).filter(is_ours)
    }

    /// Removes the sets that were idle for the timeout, and the name with the last one.
    pub(crate) fn expire(self: &Arc<Self>, registry: &Registry, name: &str, now: Instant) {
        let expired = |after| self.sets.__expire_unchanged(now, after);
        if !self.expire_after.is_some_and(expired) {
            return;
        }
        while let Some(seen) = self.published(registry, name) {
            // A thread that adds a set looks afterwards whether this family is still published.
            let is_empty = || self.sets.is_empty();
            let done = if is_empty() {
                matches!(registry.__exchange(name, Some(&seen), None, is_empty), Ok(true))
            } else {
                self.arrange(registry, name, &seen, seen.info.get_labels())
            };
            if done {
                return;
            }
        }
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        if *self.is_counted.get_mut() {
            self.names.fetch_sub(1, Relaxed);
        }
    }
}
