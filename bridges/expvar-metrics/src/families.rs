//! Finds a metric's variable by name and labels, or makes it.
//!
//! There is no lock here. The registry decides by compare-and-swap which [`Family`] a name has, and
//! the family's map which variable a label set has.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use expvar::__private::{Live, Publication, Published, report_conflict};
use expvar::{Info, Kind, Registry, Var};
use metrics::Key;

use crate::descriptions::Descriptions;
use crate::family::Family;
use crate::foreign::Foreign;
use crate::scale::Scaled;
use crate::set::{self, Set};

/// The most names, and the most described names.
pub(crate) const NAMES: usize = 10_000;

/// The metrics of one recorder.
#[derive(Clone)]
pub(crate) struct Families {
    registry: Registry,
    pub(crate) recorder: u64,
    sets: usize,
    pub(crate) expire_after: Option<Duration>,
    /// Bounds at which histograms count exactly, by name.
    buckets: HashMap<String, &'static [f64]>,
    descriptions: Arc<Descriptions>,
    pub(crate) names: Arc<AtomicUsize>,
}

/// The result of [`Families::find_or_make`].
#[derive(Default)]
pub(crate) struct Found {
    /// `None` if nothing is shown.
    pub(crate) var: Option<Var>,
    /// Record through this instead of `var`.
    pub(crate) scaled: Option<Arc<Scaled>>,
    /// Whether it is still shown; `None` for a variable of the program's own.
    pub(crate) live: Option<Live>,
    pub(crate) expires: bool,
    pub(crate) overflowed: bool,
}

impl Families {
    pub(crate) fn new(registry: Registry, recorder: u64) -> Self {
        Self {
            registry,
            recorder,
            sets: 10_000,
            expire_after: None,
            buckets: HashMap::new(),
            descriptions: Arc::new(Descriptions::new()),
            names: Arc::default(),
        }
    }

    pub(crate) fn limit_sets(&mut self, sets: usize) {
        self.sets = sets;
    }

    pub(crate) fn expire_after(&mut self, after: Duration) {
        self.expire_after = Some(after);
    }

    pub(crate) fn set_buckets(&mut self, name: String, bounds: &'static [f64]) {
        self.buckets.insert(name, bounds);
    }

    pub(crate) fn buckets(&self, name: &str) -> &'static [f64] {
        self.buckets.get(name).copied().unwrap_or_default()
    }

    /// The most label sets of a name.
    pub(crate) fn sets(&self, kind: Kind) -> usize {
        if kind == Kind::Histogram { self.sets / 10 } else { self.sets }
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A value that is dropped with the recorder and its handles.
    pub(crate) fn lifetime(&self) -> &Arc<Descriptions> {
        &self.descriptions
    }

    /// The variable of a metric, made if missing.
    pub(crate) fn find_or_make(&self, kind: Kind, key: &Key) -> Found {
        let (name, set) = (key.name(), Set::of(key));
        let mut is_new = false;
        loop {
            let Some(seen) = self.registry.__published(name) else {
                match self.publish(kind, key, &set) {
                    Some(found) => return found,
                    None => continue,
                }
            };
            let Some(family) = seen.state::<Family>() else {
                return self.find_foreign(kind, name, &set, &seen);
            };
            if family.kind != kind {
                let first = family.kind;
                let text = format!("a `metrics` {first} is shown, a {kind} of that name is not");
                report_conflict(name, text);
                return Found::default();
            }
            let known = seen.info.get_labels();
            if !set.is_other() && !set::fits(known, key) {
                report_conflict(name, format!("more than {} labels in all its sets", set::LABELS));
                return Found::default();
            }
            let Some(flat) = family.get_or_make(&set) else { return Found::default() };
            is_new |= flat.is_new;
            // The thread that made it shows it. A family that was removed meanwhile was empty.
            let is_shown = if is_new {
                let (labels, set) = match flat.is_other {
                    true => (set::some(known), set::OTHER),
                    false => (set::learn(known, key), set.as_str()),
                };
                family.show(&self.registry, name, &seen, labels, set)
            } else {
                family.published(&self.registry, name).is_some()
            };
            if is_shown && flat.live.is_live() {
                let (expires, overflowed) = (family.expire_after.is_some(), flat.is_other);
                let (var, live) = (Some(flat.var), Some(flat.live));
                return Found { var, scaled: None, live, expires, overflowed };
            }
        }
    }

    /// Publishes a name with its first set. `None` if the name was taken in the meantime.
    fn publish(&self, kind: Kind, key: &Key, set: &Set) -> Option<Found> {
        let name = key.name();
        let family = Arc::new(Family::new(self, kind, name));
        let nothing = |overflowed| Some(Found { overflowed, ..Found::default() });
        let Some(flat) = family.get_or_make(set) else { return nothing(false) };
        let labels = if flat.is_other { set::some(&[]) } else { set::learn(&[], key) };
        let info = self.descriptions.describe(name, Info::new());
        // Not `None`: it has a set with these labels.
        let new = family.publication(&labels, info);
        let mut is_free = false;
        let if_so = || {
            is_free = true;
            family.count_name()
        };
        match self.registry.__exchange(name, None, new, if_so) {
            Ok(true) => {
                self.settle(name);
                let expires = family.expire_after.is_some();
                let (var, live) = (Some(flat.var), Some(flat.live));
                Some(Found { var, scaled: None, live, expires, overflowed: flat.is_other })
            }
            Ok(false) if is_free => nothing(true),
            Ok(false) => None,
            Err(error) => {
                report_conflict(name, format!("a `metrics` {kind} is not shown: {error}"));
                nothing(false)
            }
        }
    }

    /// The program's own variable, for a metric without labels.
    fn find_foreign(&self, kind: Kind, name: &str, set: &Set, seen: &Published) -> Found {
        let existing = seen.var.kind();
        if existing != kind {
            let text = format!("a {existing} is shown, a `metrics` {kind} of that name is not");
            report_conflict(name, text);
            return Found::default();
        }
        if !set.is_empty() {
            let text = "of its name a variable without labels is shown";
            report_conflict(name, format!("a `metrics` {kind} with labels is not: {text}"));
            return Found::default();
        }
        let unit = self.descriptions.unit(name);
        let foreign = Arc::new(Foreign::new(seen, name, unit));
        if !foreign.fits(name, unit) {
            return Found::default();
        }
        let shared = self.registry.__get_or_set_state(name, &seen.var, Arc::clone(&foreign));
        let foreign = shared.unwrap_or(foreign);
        // It may have been described in the meantime.
        foreign.describe(self.descriptions.unit(name));
        Found { var: Some(seen.var.clone()), scaled: foreign.scaled(), ..Found::default() }
    }

    /// Stores the description of a name, and updates the registry.
    pub(crate) fn describe(&self, name: &str, unit: Option<metrics::Unit>, help: &str) {
        if !self.descriptions.set(name, unit, help) {
            return;
        }
        self.settle(name);
        let foreign = self.registry.__published(name).and_then(|seen| seen.state::<Foreign>());
        if let Some(foreign) = foreign {
            let unit = self.descriptions.unit(name);
            if foreign.fits(name, unit) {
                foreign.describe(unit);
            }
        }
    }

    /// Gives a published name its description, until no other thread changes that.
    fn settle(&self, name: &str) {
        while let Some(seen) = self.registry.__published(name)
            && let Some(state) = seen.state::<Family>()
        {
            let info = self.descriptions.describe(name, (*seen.info).clone());
            if info == *seen.info {
                return;
            }
            let (var, state) = (seen.var.clone(), state as _);
            let new = Publication { var, info, state };
            // Checked again: the description may have changed.
            let _ = self.registry.__exchange(name, Some(&seen), Some(new), || true);
        }
    }
}

/// Removes the sets of a recorder that were idle for the timeout.
pub(crate) fn expire(registry: &Registry, recorder: u64, now: Instant) {
    for (name, family) in registry.__states::<Family>() {
        if family.recorder == recorder {
            family.expire(registry, &name, now);
        }
    }
}
