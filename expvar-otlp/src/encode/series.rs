//! The state of each series: conflicts, start of the count, values sent.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use expvar::__private::BuildIdentity;
use expvar::{Number, Snapshot};

use crate::encode::attributes::Attributes;
use crate::encode::metric::Kind;

/// All series of a registry.
#[derive(Default)]
pub(crate) struct Series {
    seen: Vec<Seen>,
    free: Vec<u32>,
    by_hash: HashMap<u64, u32, BuildIdentity>,
    histograms: HashMap<u64, SeenHistogram, BuildIdentity>,
    hasher: RandomState,
    clock: Clock,
    /// Series seen in this collection, of numbers and of histograms.
    numbers_there: usize,
    histograms_there: usize,
}

/// The times of this collection, in nanoseconds since 1970.
#[derive(Debug, Default, Clone, Copy)]
struct Clock {
    reading: u32,
    /// The start of the count of new series.
    since: u64,
    time: u64,
}

impl Clock {
    /// The start of the count of a new series.
    fn start(&self, registered: u64) -> u64 {
        match registered {
            0 => self.since,
            registered => registered.min(self.time),
        }
    }
}

/// A number's series.
#[derive(Debug)]
struct Seen {
    hash: u64,
    last: Number,
    /// The start of its count; for deltas, when the last one was sent.
    start: u64,
    /// When its variable was registered; 0 if unknown.
    registered: u64,
    /// The last collection with the series; 0 if the slot is free.
    reading: u32,
    is_new: bool,
}

/// A histogram's series.
struct SeenHistogram {
    /// The values sent, for deltas.
    last: Snapshot,
    count: u64,
    start: u64,
    registered: u64,
    reading: u32,
    is_new: bool,
}

impl Series {
    /// Begins a collection at `time`. Series that were not in the last one start at `since`.
    pub(crate) fn begin(&mut self, since: u64, time: u64) {
        let reading = self.clock.reading.checked_add(1).unwrap_or(1);
        self.clock = Clock { reading, since, time };
        (self.numbers_there, self.histograms_there) = (0, 0);
    }

    /// Ends a collection: forgets series that were not in it.
    pub(crate) fn end(&mut self) {
        let reading = self.clock.reading;
        if self.numbers_there < self.by_hash.len() {
            for (at, seen) in self.seen.iter_mut().enumerate() {
                if seen.reading != reading && seen.reading != 0 {
                    self.by_hash.remove(&seen.hash);
                    seen.reading = 0;
                    self.free.push(at as u32);
                }
            }
        }
        if self.histograms_there < self.histograms.len() {
            self.histograms.retain(|_, seen| seen.reading == reading);
        }
    }

    /// The hash of a series.
    pub(crate) fn hash(&self, name: &str, kind: Kind, attributes: &Attributes) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(name.as_bytes());
        hasher.write_u8(kind.at() as u8);
        attributes.hash(&mut hasher);
        hasher.finish()
    }

    /// Enters a number's series and returns its index; `None` if it was already entered in this
    /// collection. A variable of the same name that was `registered` later starts over.
    pub(crate) fn enter(&mut self, hash: u64, registered: u64) -> Option<u32> {
        let start = self.clock.start(registered);
        if let Some(&at) = self.by_hash.get(&hash) {
            let is_there = self.again(at, hash as u32);
            let seen = self.seen.get_mut(at as usize)?;
            if is_there && seen.registered != registered {
                let last = Number::Unsigned(0);
                *seen = Seen { last, start, registered, is_new: true, ..*seen };
            }
            return is_there.then_some(at);
        }
        let (last, reading) = (Number::Unsigned(0), self.clock.reading);
        let seen = Seen { hash, last, start, registered, reading, is_new: true };
        self.numbers_there += 1;
        let at = match self.free.pop() {
            Some(at) => {
                self.seen[at as usize] = seen;
                at
            }
            None => {
                self.seen.push(seen);
                self.seen.len() as u32 - 1
            }
        };
        self.by_hash.insert(hash, at);
        Some(at)
    }

    /// Enters the series at a known index; `check` is the end of its hash. Returns false if it was
    /// already entered in this collection, or is another series now.
    #[inline]
    pub(crate) fn again(&mut self, at: u32, check: u32) -> bool {
        let Some(seen) = self.seen.get_mut(at as usize) else { return false };
        let reading = self.clock.reading;
        if seen.hash as u32 != check || seen.reading == 0 || seen.reading == reading {
            return false;
        }
        seen.reading = reading;
        self.numbers_there += 1;
        true
    }

    /// What to send of a number: start and value. `None` if a delta is zero.
    #[inline(always)]
    pub(crate) fn advance(&mut self, at: u32, kind: Kind, number: Number) -> Option<(u64, Number)> {
        let Clock { since, time, .. } = self.clock;
        let seen = self.seen.get_mut(at as usize)?;
        match kind {
            Kind::Sum { delta: false } => {
                if number.since(seen.last).is_none() {
                    // It fell: it was reset since the last collection.
                    seen.start = since;
                }
                seen.last = number;
                Some((seen.start.min(time), number))
            }
            Kind::Sum { delta: true } => {
                let added = number.since(seen.last).unwrap_or(number);
                if added.to_f64() == 0.0 && !seen.is_new {
                    return None;
                }
                let start = std::mem::replace(&mut seen.start, time);
                seen.last = number;
                seen.is_new = false;
                Some((start.min(time), added))
            }
            _ => Some((seen.start.min(time), number)),
        }
    }

    /// What to send of a histogram: start and values. `interval` receives the difference for
    /// deltas. `None` if it was already entered in this collection, or if there is nothing new.
    pub(crate) fn histogram<'s>(
        &mut self,
        hash: u64,
        registered: u64,
        is_delta: bool,
        recorded: &'s mut expvar::Recorded<'_>,
        interval: &'s mut Snapshot,
    ) -> Result<Option<(u64, &'s Snapshot)>, Conflict> {
        let Clock { reading, since, time } = self.clock;
        let new = || SeenHistogram {
            last: Snapshot::default(),
            count: 0,
            start: self.clock.start(registered),
            registered,
            reading: 0,
            is_new: true,
        };
        let seen = self.histograms.entry(hash).or_insert_with(new);
        if seen.reading == reading {
            return Err(Conflict);
        }
        if seen.registered != registered {
            *seen = new();
        }
        seen.reading = reading;
        self.histograms_there += 1;
        if !is_delta {
            let total = recorded.total();
            let count = total.count();
            if count < seen.count {
                seen.start = since;
            }
            seen.count = count;
            return Ok(Some((seen.start.min(time), total)));
        }
        if recorded.count() == seen.count && !seen.is_new {
            return Ok(None);
        }
        let total = recorded.total();
        let count = total.count();
        if count < seen.count {
            // It was reset.
            seen.last = Snapshot::default();
        }
        interval.assign_since(total, &seen.last);
        seen.last.assign_since(total, &Snapshot::default());
        seen.count = count;
        seen.is_new = false;
        let start = std::mem::replace(&mut seen.start, time);
        Ok(Some((start.min(time), interval)))
    }

    /// How many there are.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.by_hash.len()
    }
}

/// The series was already entered in this collection.
#[derive(Debug)]
pub(crate) struct Conflict;

#[cfg(test)]
mod tests {
    use super::*;

    const TOTAL: Kind = Kind::Sum { delta: false };
    const DELTA: Kind = Kind::Sum { delta: true };

    fn sent(series: &mut Series, kind: Kind, n: u64) -> Option<(u64, Number)> {
        let at = series.enter(7, 0).expect("one series");
        series.advance(at, kind, Number::Unsigned(n))
    }

    #[test]
    fn totals_count_since_the_start_and_anew_after_a_fall() {
        let mut series = Series::default();
        let mut found = Vec::new();
        for (since, time, n) in [(10, 20, 5), (20, 30, 5), (30, 40, 2), (40, 50, 3)] {
            series.begin(since, time);
            found.push(sent(&mut series, TOTAL, n).unwrap());
            series.end();
        }
        let starts: Vec<_> = found.iter().map(|(start, _)| *start).collect();
        assert_eq!(starts, [10, 10, 30, 30]);
    }

    #[test]
    fn deltas_follow_each_other_without_a_gap() {
        let mut series = Series::default();
        let mut found = Vec::new();
        for (since, time, n) in [(10, 20, 0), (20, 30, 5), (30, 40, 5), (40, 50, 8), (50, 60, 2)] {
            series.begin(since, time);
            found.extend(sent(&mut series, DELTA, n));
            series.end();
        }
        let expected = [(10, 0), (20, 5), (30, 3), (50, 2)];
        assert_eq!(found, expected.map(|(start, n)| (start, Number::Unsigned(n))));
    }

    #[test]
    fn another_variable_of_the_name_begins_anew() {
        for (kind, expected) in [(TOTAL, [(3, 5), (25, 9)]), (DELTA, [(3, 5), (25, 9)])] {
            let mut series = Series::default();
            for ((since, time, registered, n), (start, sent)) in
                [(10, 20, 3, 5), (20, 30, 25, 9)].into_iter().zip(expected)
            {
                series.begin(since, time);
                let at = series.enter(7, registered).unwrap();
                let found = series.advance(at, kind, Number::Unsigned(n));
                assert_eq!(found, Some((start, Number::Unsigned(sent))), "{kind:?}");
                series.end();
            }
        }
    }

    #[test]
    fn what_is_gone_is_forgotten_and_its_place_used_again() {
        let mut series = Series::default();
        for reading in 0..5_u64 {
            series.begin(reading, reading + 1);
            for n in 0..100 {
                assert!(series.enter(reading * 100 + n, 0).is_some());
                assert!(series.enter(reading * 100 + n, 0).is_none(), "twice");
            }
            series.end();
            assert_eq!(series.len(), 100);
        }
        assert!(series.seen.len() <= 200);
        series.begin(5, 6);
        assert!(!series.again(0, 12345), "it is another one now");
    }
}
