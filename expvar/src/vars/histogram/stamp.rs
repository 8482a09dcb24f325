//! Detects whether a histogram has changed.

use super::place::Place;
use crate::cells::Reader;
use crate::clock::Time;

/// Detects whether a histogram has changed, without reading its buckets: equal stamps mean equal
/// values. Compare only stamps from the same method.
///
/// See [`Recorded::total_stamp`](crate::Recorded::total_stamp) and
/// [`Recorded::recent_stamp`](crate::Recorded::recent_stamp).
///
/// ```
/// use expvar::{Histogram, Info, Recorded, Registry, Stamp, Step, Visitor};
///
/// /// Keeps the last stamp.
/// #[derive(Default)]
/// struct Last(Option<Stamp>);
///
/// impl Visitor for Last {
///     fn enter(&mut self, _: Step<'_>, _: &Info) {}
///     fn leave(&mut self) {}
///     fn histogram(&mut self, histogram: Recorded<'_>) {
///         self.0 = Some(histogram.total_stamp());
///     }
/// }
///
/// let registry = Registry::new();
/// let took = registry.publish("took", Histogram::new())?;
/// let (mut first, mut second) = (Last::default(), Last::default());
/// registry.visit(&mut first);
/// took.record(5);
/// registry.visit(&mut second);
/// assert_ne!(first.0, second.0);
/// # Ok::<(), expvar::PublishError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The first cell; no two histograms have the same one at the same time.
    first: Option<u32>,
    records: u64,
    /// When the window begins. A later histogram in the same cells has a later one.
    since: Option<Time>,
}

impl Stamp {
    pub(super) fn of(place: Option<Place>, reader: &Reader) -> Self {
        Self {
            first: place.map(|place| place.first),
            records: place.map_or(0, |place| place.stamp(reader)),
            since: None,
        }
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }

    pub(super) fn within(self, since: Time) -> Self {
        Self { since: Some(since), ..self }
    }
}
