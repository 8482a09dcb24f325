//! Histograms of a collection, and the source of their bounds.

use expvar::{Recorded, Snapshot};

use super::Reader;
use crate::encode::histogram::Exemplars;
use crate::encode::metric::Kind;
use crate::encode::refusal::Refusal;
use crate::settings::{Histograms, Temporality};

/// Where a histogram's explicit bounds come from.
#[derive(Debug, Clone, Copy)]
enum Bounds {
    /// It is exponential.
    None,
    Mapped,
    Declared,
    Own,
    Powers,
}

impl Reader {
    /// Encodes a histogram.
    pub(crate) fn histogram(&mut self, mut recorded: Recorded<'_>) {
        let delta = self.settings.temporality != Temporality::Cumulative;
        let bounds = self.bounds(recorded.total());
        let kind = match bounds {
            Bounds::None => Kind::Exponential { delta },
            _ => Kind::Explicit { delta },
        };
        let Some(hash) = self.hash(None, kind) else { return };
        let exemplars = recorded.exemplars();
        let exemplars = Exemplars { all: &exemplars, since: self.news };
        let registered = self.registered;
        let mut interval = std::mem::take(&mut self.interval);
        match self.series.histogram(hash, registered, delta, &mut recorded, &mut interval) {
            Err(_) => self.refuse(Refusal::Conflict),
            Ok(None) => {}
            Ok(Some((start, snapshot))) => {
                let at = self.family(kind);
                self.take_bounds(bounds, snapshot);
                let (times, buckets) = ((start, self.time), &mut self.buckets);
                let attributes = &self.place.attributes;
                self.families.add(at, |points| match bounds {
                    Bounds::None => {
                        buckets.write_exponential(points, attributes, times, snapshot, &exemplars);
                    }
                    _ => buckets.write_explicit(points, attributes, times, snapshot, &exemplars),
                });
                self.spill(at);
            }
        }
        self.interval = interval;
    }

    /// Where the bounds of a histogram come from: a view, its declaration, the settings.
    fn bounds(&self, total: &Snapshot) -> Bounds {
        let view = self.place.view.as_ref();
        if view.is_some_and(|view| view.buckets.is_some()) {
            return Bounds::Mapped;
        }
        match self.settings.histograms {
            Histograms::Own => Bounds::Own,
            _ if !total.bounds().is_empty() => Bounds::Declared,
            Histograms::Explicit => Bounds::Powers,
            Histograms::Exponential => Bounds::None,
        }
    }

    fn take_bounds(&mut self, bounds: Bounds, snapshot: &Snapshot) {
        let mapped = self.place.view.as_ref().and_then(|view| view.buckets.as_deref());
        match bounds {
            Bounds::None => {}
            Bounds::Mapped => self.buckets.set_bounds(mapped.unwrap_or_default()),
            Bounds::Declared => self.buckets.set_bounds(snapshot.bounds()),
            Bounds::Own => self.buckets.set_own(snapshot),
            Bounds::Powers => {
                let place = &self.place;
                let said = if place.is_plain() { &place.variable } else { &place.leaf };
                self.buckets.set_powers(said.code, snapshot.is_float());
            }
        }
    }
}
