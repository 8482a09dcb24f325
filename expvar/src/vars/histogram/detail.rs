//! Exact counts at bounds, and exemplars.
//!
//! A histogram with either takes no cells of its own, so that its hot path always misses and the
//! slow path comes here. Other histograms pay nothing.

use std::sync::Arc;

use once_cell::sync::OnceCell;

use super::Histogram;
use super::buckets::Buckets;
use super::snapshot::Exact;
use crate::Counter;
use crate::cells::{Reader, Run};
use crate::exemplar::{self, Exemplar, Written};
use crate::sync::{Mutex, OnceBox, lock_for_a_while};

/// The most bounds of a histogram; more are ignored.
pub(crate) const MAX_BOUNDS: usize = 64;

/// The declared options.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) bounds: &'static [f64],
    pub(crate) exemplars: bool,
}

impl Wanted {
    pub(crate) const NOTHING: Self = Self { bounds: &[], exemplars: false };

    pub(crate) const fn is_nothing(&self) -> bool {
        self.bounds.is_empty() && !self.exemplars
    }
}

/// The declared options, and their state from the first use on.
pub(super) struct Detail {
    pub(super) wanted: Wanted,
    kept: OnceBox<Kept>,
}

impl Detail {
    pub(super) const fn none() -> Self {
        Self { wanted: Wanted::NOTHING, kept: OnceBox::new() }
    }

    /// `None` if nothing is declared.
    #[inline]
    pub(super) fn kept(&self, buckets: Buckets) -> Option<&Kept> {
        if self.wanted.is_nothing() {
            return None;
        }
        Some(self.kept.get_or_init(|| Box::new(Kept::new(self.wanted, buckets))))
    }

    /// The static of the same name that records for this one.
    pub(super) fn first(&self) -> Option<&'static Histogram> {
        self.kept.get()?.first.get().copied()
    }
}

/// A value to be recorded.
#[derive(Clone, Copy)]
pub(super) enum Value {
    Whole(u64),
    Float(f64),
    /// Too large for a sum of whole numbers.
    Beyond,
}

/// The state of a histogram with bounds or exemplars.
pub(super) struct Kept {
    /// The cells, instead of the histogram's own.
    pub(super) run: Run,
    bounds: Box<[Bound]>,
    shown: Arc<[f64]>,
    /// The newest exemplar of each bucket, by bucket; `None` if exemplars are not declared.
    exemplars: Option<Mutex<Vec<(u32, Exemplar)>>>,
    pub(super) first: OnceCell<&'static Histogram>,
}

/// A bound within a bucket.
struct Bound {
    bucket: u32,
    most: f64,
    /// Values of the bucket that are at most the bound.
    below: Counter,
}

impl Kept {
    fn new(wanted: Wanted, buckets: Buckets) -> Self {
        let mut bounds: Vec<Bound> = Vec::new();
        for &bound in wanted.bounds {
            let ascends = bounds.last().is_none_or(|last| last.most < bound);
            if ascends && bounds.len() < MAX_BOUNDS {
                bounds.extend(Bound::new(bound, buckets));
            }
        }
        Self {
            run: Run::new(buckets.len()),
            shown: bounds.iter().map(|bound| bound.most).collect(),
            bounds: bounds.into(),
            exemplars: wanted.exemplars.then(|| Mutex::new(Vec::new())),
            first: OnceCell::new(),
        }
    }

    pub(super) fn record(&self, bucket: u32, value: Value, labels: Option<&Written>) {
        let number = match value {
            Value::Whole(n) => {
                if !self.run.try_record(bucket, n) {
                    self.run.record_cold(bucket, n, 0.0);
                }
                n as f64
            }
            Value::Float(n) => {
                if !self.run.try_record_float(bucket, n) {
                    self.run.record_cold(bucket, 0, n);
                }
                n
            }
            Value::Beyond => return self.run.record_cold(bucket, 0, 0.0),
        };
        let from = self.bounds.partition_point(|bound| bound.bucket < bucket);
        let within = self.bounds[from..].iter().take_while(|bound| bound.bucket == bucket);
        within.filter(|bound| number <= bound.most).for_each(|bound| bound.below.inc());
        if let Some(exemplars) = &self.exemplars {
            match labels {
                Some(labels) => keep(exemplars, bucket, number, labels),
                None => {
                    if let Some(labels) = exemplar::current() {
                        keep(exemplars, bucket, number, &labels);
                    }
                }
            }
        }
    }

    /// Adds another's counts at the same bounds.
    pub(super) fn add(&self, other: &Exact) {
        let counts = other.within.iter().zip(&self.bounds);
        counts.for_each(|(&count, bound)| bound.below.add(count));
    }

    pub(super) fn load(&self, reader: &Reader, exact: &mut Exact) {
        exact.bounds = (!self.shown.is_empty()).then(|| Arc::clone(&self.shown));
        exact.within.extend(self.bounds.iter().map(|bound| bound.below.read(reader)));
    }

    pub(super) fn exemplars(&self) -> Vec<Exemplar> {
        let held = self.exemplars.as_ref().and_then(lock_for_a_while);
        held.map_or_else(Vec::new, |held| held.iter().map(|(_, kept)| kept.clone()).collect())
    }
}

impl Bound {
    /// `None` if every value is on one side of the bound.
    fn new(bound: f64, buckets: Buckets) -> Option<Self> {
        if !(bound.is_finite() && bound >= 0.0) {
            return None;
        }
        let bucket = match buckets.floats {
            true => Buckets::index_float(bound)?,
            // Larger whole numbers are in the highest bucket, all at most the bound.
            false => buckets.index(bound as u64),
        };
        Some(Self { bucket: bucket as u32, most: bound, below: Counter::new() })
    }
}

/// Stores the newest exemplar of a bucket. Does not block: if another thread holds the lock, its
/// exemplar is as good.
fn keep(exemplars: &Mutex<Vec<(u32, Exemplar)>>, bucket: u32, value: f64, labels: &Written) {
    let Some(mut held) = exemplars.try_lock() else { return };
    let at = match held.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
        Ok(at) => at,
        Err(at) => {
            held.insert(at, (bucket, Exemplar::new()));
            at
        }
    };
    held[at].1.set(value, labels);
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.run.release();
    }
}
