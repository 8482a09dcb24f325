//! Merges statics of the same name into one variable.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::histogram::Snapshot;
use super::var::{Handle, Owner, Var};

/// What a static recorded in its own cells before it was merged. It may still grow by recordings in
/// progress.
pub(crate) struct Rest(Box<dyn FnMut() + Send>);

impl Rest {
    /// A rest; `add` adds what is new to the variable.
    pub(crate) fn new(add: impl FnMut() + Send + 'static) -> Self {
        Self(Box::new(add))
    }

    /// Adds what was recorded since the last time.
    pub(crate) fn add(&mut self) {
        self.0();
    }
}

/// Merges a static into another of the same kind and shape and returns what it recorded before;
/// `None` if it cannot.
pub(crate) fn join(late: &Var, first: &Var) -> Option<Vec<Rest>> {
    Some(match (late, first) {
        (Var::Counter(Handle(Owner::Static(late))), Var::Counter(Handle(Owner::Static(first)))) => {
            late.join(first).into_iter().collect()
        }
        (Var::Gauge(Handle(Owner::Static(late))), Var::Gauge(Handle(Owner::Static(first)))) => {
            late.join(first).into_iter().collect()
        }
        (
            Var::FloatGauge(Handle(Owner::Static(late))),
            Var::FloatGauge(Handle(Owner::Static(first))),
        ) => {
            late.join(first);
            Vec::new()
        }
        (Var::Text(Handle(Owner::Static(late))), Var::Text(Handle(Owner::Static(first)))) => {
            late.join(first);
            Vec::new()
        }
        (Var::Map(Handle(Owner::Static(late))), Var::Map(Handle(Owner::Static(first)))) => {
            vec![late.join(first)]
        }
        (
            Var::Histogram(Handle(Owner::Static(late))),
            Var::Histogram(Handle(Owner::Static(first))),
        ) => late.join(first)?.into_iter().collect(),
        _ => return None,
    })
}

/// Adds what is recorded at a map's key, now and by recordings in progress, to the same key of
/// another map. Only for numbers that can be added.
pub(crate) fn merge(from: Var, to: Var) -> Option<Rest> {
    match (from, to) {
        (Var::Counter(from), Var::Counter(to)) => {
            let mut added = 0;
            Some(Rest::new(move || {
                let now = from.get();
                to.add(now.wrapping_sub(added));
                added = now;
            }))
        }
        (Var::Gauge(from), Var::Gauge(to)) => {
            let mut added = 0;
            Some(Rest::new(move || {
                let now = from.get();
                to.add(now.wrapping_sub(added));
                added = now;
            }))
        }
        (Var::FloatGauge(from), Var::FloatGauge(to)) => {
            let mut added = 0.0;
            Some(Rest::new(move || {
                let now = from.get();
                if now != added {
                    to.add(now - added);
                    added = now;
                }
            }))
        }
        (Var::Histogram(from), Var::Histogram(to)) if from.has_buckets_of(&to) => {
            let mut recorded = Snapshot::default();
            Some(Rest::new(move || to.record_rest(&from, &mut recorded)))
        }
        (Var::Map(from), Var::Map(to)) => {
            let (mut known, mut same) = (BTreeSet::new(), Vec::new());
            Some(Rest::new(move || {
                for (key, child) in from.list().iter() {
                    if !known.insert(Arc::clone(key)) {
                        continue;
                    }
                    match to.get(key) {
                        Some(there) => same.extend(merge(child.var.clone(), there)),
                        None => drop(to.set(key, child.var.clone())),
                    }
                }
                same.iter_mut().for_each(Rest::add);
            }))
        }
        // Any other variable at a key stays if it was first. The second is kept alive, because
        // dropping it would run foreign code here.
        (from, _) => Some(Rest::new(move || {
            let _ = &from;
        })),
    }
}
