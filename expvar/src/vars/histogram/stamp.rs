//! Whether a histogram shows something else than before.

use super::place::Place;
use crate::cells::Reader;
use crate::clock::Time;

/// Says whether a histogram shows something else than before, without a look at its buckets: what
/// two equal stamps are of is the same. Compare only stamps that the same method gave.
///
/// See [`Recorded::total_stamp`](crate::Recorded::total_stamp) and
/// [`Recorded::recent_stamp`](crate::Recorded::recent_stamp).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The first cell, which no two histograms have at a time.
    first: Option<u32>,
    records: u64,
    /// When the window begins. What has its place later began another one.
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
