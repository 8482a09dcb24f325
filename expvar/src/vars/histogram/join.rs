//! Statics of one name that share a histogram.

use std::sync::Arc;

use super::Histogram;
use super::snapshot::Snapshot;
use super::window::Window;
use crate::cells::Reader;
use crate::join::Rest;

impl Histogram {
    /// Merges `self`, a static, into `first`; `None` if their buckets differ. Records the values so
    /// far into `first` and returns a rest for recordings still in progress.
    pub(crate) fn join(&'static self, first: &'static Self) -> Option<Option<Rest>> {
        if !first.has_buckets_of(self) {
            return None;
        }
        if let Some(kept) = self.kept() {
            let _ = kept.first.set(first);
            let mut recorded = Snapshot::default();
            let mut rest = Rest::new(move || first.record_rest(self, &mut recorded));
            rest.add();
            return Some(Some(rest));
        }
        let Some(id) = first.begin() else { return Some(None) };
        let window = first.window.get_or_init(Window::start);
        let _ = self.window.set(Arc::clone(window));
        let Some(run) = self.run.share(id) else { return Some(None) };
        let mut rest = Self::of(self.buckets);
        rest.run = run;
        let mut recorded = Snapshot::default();
        let mut rest = Rest::new(move || first.record_rest(&rest, &mut recorded));
        rest.add();
        Some(Some(rest))
    }

    pub(crate) fn has_buckets_of(&self, other: &Self) -> bool {
        self.buckets == other.buckets && self.detail.wanted == other.detail.wanted
    }

    /// Records what `other` holds beyond `recorded`.
    pub(crate) fn record_rest(&self, other: &Self, recorded: &mut Snapshot) {
        let mut now = Snapshot::default();
        other.read_own(&Reader::now(), &mut now);
        let new = now.since(recorded);
        // A recording in progress may be in the sum alone; the next call gets it.
        if !new.is_empty() {
            self.record_all(&new);
            *recorded = now;
        }
    }

    /// Records the values of another histogram with the same buckets one by one; the first gets the
    /// sum.
    fn record_all(&self, other: &Snapshot) {
        let floats = self.buckets.floats;
        let (mut sum, mut float) = (other.sum(), other.sum_float());
        for (index, count) in other.held() {
            for _ in 0..count {
                let (n, of) = (std::mem::take(&mut sum), std::mem::take(&mut float));
                let (n, of) = if floats { (0, of) } else { (n, 0.0) };
                self.record_cold(index as u32, n, of);
            }
        }
        if let Some(kept) = self.kept() {
            kept.add(&other.exact);
        }
    }
}
