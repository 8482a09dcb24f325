//! The rows of the live page: each leaf's last value, its change and its history.

mod budget;
mod rank;
mod row;

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use self::rank::{Rank, Wanting, fair_share, for_each_ordinal};
pub(super) use self::row::{Held, Row};
use self::row::{Past, Points};
use super::sample::{Item, Kind, PARTS, Sample};
use super::series::{Series, Summary};

/// The most rows; further leaves are hidden and counted.
const MAX_ROWS: usize = 20_000;
/// The most bytes of all row names together.
const MAX_NAME_BYTES: usize = 8 * 1024 * 1024;
/// Rows with longer names lose their history when they disappear.
const MAX_GONE_NAME_BYTES: usize = 256;

/// The changes of the last sample, by row id.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) gone: Vec<u32>,
    pub(super) added: Vec<u32>,
    pub(super) set: Vec<u32>,
}

/// All rows, with at most `max_series` series.
///
/// At the limit, variables take precedence over keys of maps, and the first keys of each map over
/// its other keys. Rows that have disappeared are evicted first. Within a rank, the rows that
/// changed least recently follow, if they have not changed for a while.
pub(super) struct Table {
    rows: Vec<Option<Row>>,
    free: Vec<u32>,
    index: HashMap<Arc<str>, u32>,
    pub(super) changes: Changes,
    pub(super) tick: u32,
    /// The length of each of the last 60 intervals; the increase is the rate times it.
    secs: [f32; 60],
    /// Leaves of the last sample beyond the limit of rows.
    pub(super) hidden: u64,
    /// The series that all leaves of the last sample would need.
    pub(super) wanted: usize,
    /// Series evicted so far.
    pub(super) evicted: u64,
    max_series: usize,
    series: usize,
    live: usize,
    name_bytes: usize,
    first: u32,
}

/// State of a leaf before its row is found.
#[derive(Clone, Copy)]
struct Place {
    /// The previous sample, and the seconds since.
    last: u32,
    secs: f64,
    /// The predicted row.
    expected: u32,
    rank: Rank,
}

/// No row.
const NOWHERE: u32 = u32::MAX;

impl Table {
    pub(super) fn new(max_series: usize) -> Self {
        Self {
            rows: Vec::new(),
            free: Vec::new(),
            index: HashMap::new(),
            changes: Changes::default(),
            tick: 0,
            secs: [f32::NAN; 60],
            hidden: 0,
            wanted: 0,
            evicted: 0,
            max_series,
            series: 0,
            live: 0,
            name_bytes: 0,
            first: NOWHERE,
        }
    }

    /// The number of series.
    pub(super) fn series(&self) -> usize {
        self.series
    }

    pub(super) fn row(&self, id: u32) -> Option<&Row> {
        self.rows.get(id as usize)?.as_ref()
    }

    /// The rows of the last sample, with their ids.
    pub(super) fn shown(&self) -> impl Iterator<Item = (u32, &Row)> {
        let tick = self.tick;
        self.rows.iter().enumerate().filter_map(move |(id, row)| {
            let row = row.as_ref()?;
            (row.seen == tick).then_some((id as u32, row))
        })
    }

    /// Merges the sample of Unix second `tick`, `secs` after the one before.
    pub(super) fn take(&mut self, sample: &Sample, tick: u32, secs: f64) {
        let last = std::mem::replace(&mut self.tick, tick);
        self.changes.gone.clear();
        self.changes.added.clear();
        self.changes.set.clear();
        self.hidden = 0;
        self.wanted = 0;
        self.secs[tick as usize % 60] = secs as f32;
        if last > 0 {
            self.skip(last + 1..=tick.saturating_sub(1));
        }
        let mut freed = Vec::new();
        let mut without_past = Vec::new();
        let mut previous = NOWHERE;
        let share = fair_share(sample.items(), sample);
        for_each_ordinal(sample.items(), sample, |ordinal, item| {
            if ordinal >= share {
                self.hidden += 1;
                return;
            }
            let expected = match self.row(previous) {
                Some(row) => row.next,
                None => self.first,
            };
            let place = Place { last, secs, expected, rank: Rank::of(item, ordinal) };
            let Some(id) = self.enter(sample, item, place, &mut freed) else { return };
            match self.rows.get_mut(previous as usize) {
                Some(Some(row)) => row.next = id,
                _ => self.first = id,
            }
            previous = id;
            if let Some(Some(row)) = self.rows.get_mut(id as usize) {
                row.rank = place.rank;
                row.was_moved |= !row.is_zero();
                self.wanted += row.width();
                if row.changed == tick && row.width() > 0 && !row.has_past() {
                    without_past.push(Wanting::new(place.rank, ordinal, id));
                }
            }
        });
        self.sweep(last, &mut freed);
        // Interleaves large maps, so that each gets some.
        without_past.sort_unstable();
        self.grant(&without_past, &mut freed);
        self.free.append(&mut freed);
    }

    /// Merges one leaf into its row; `None` if it is hidden.
    fn enter(
        &mut self,
        sample: &Sample,
        item: &Item,
        place: Place,
        freed: &mut Vec<u32>,
    ) -> Option<u32> {
        let Place { last, secs, expected, .. } = place;
        let (name, tick) = (sample.path(item), self.tick);
        let found = match self.row(expected) {
            Some(row) if *row.name == *name => Some(expected),
            _ => self.index.get(name).copied(),
        };
        let Some(id) = found else { return self.insert(sample, item, place.rank) };
        let row = self.rows[id as usize].as_mut()?;
        if row.seen == tick {
            // Two leaves with the same path, such as `a.b` and the key `b` of a map `a`: the first
            // wins.
            self.hidden += 1;
            return None;
        }
        if row.kind != item.kind {
            if row.seen == last {
                self.changes.gone.push(id);
                self.live -= 1;
            }
            self.remove(id, freed);
            return self.insert(sample, item, place.rank);
        }
        let is_back = row.seen != last;
        let before = row.count().filter(|_| !is_back);
        let changed = row.hold(&item.found, sample);
        row.seen = tick;
        row.unit = item.unit;
        let points = row.points(before, secs);
        row.past.put(tick, points);
        if changed || is_back {
            row.changed = tick;
        }
        if is_back {
            self.live += 1;
            self.changes.added.push(id);
        } else if changed {
            self.changes.set.push(id);
        }
        Some(id)
    }

    fn insert(&mut self, sample: &Sample, item: &Item, rank: Rank) -> Option<u32> {
        let name = sample.path(item);
        if self.live >= MAX_ROWS || self.name_bytes + name.len() > MAX_NAME_BYTES {
            self.hidden += 1;
            return None;
        }
        let name: Arc<str> = name.into();
        let help = sample.help(item);
        let row = Row {
            help: (!help.is_empty()).then(|| self.help(help)),
            unit: item.unit,
            held: Held::new(&item.found, sample),
            past: Past::None,
            top: name[..item.top].encode_utf16().count() as u32,
            seen: self.tick,
            changed: self.tick,
            next: NOWHERE,
            kind: item.kind,
            rank,
            was_moved: false,
            name: Arc::clone(&name),
        };
        let id = match self.free.pop() {
            Some(id) => id,
            None => {
                self.rows.push(None);
                self.rows.len() as u32 - 1
            }
        };
        self.name_bytes += name.len();
        self.rows[id as usize] = Some(row);
        self.index.insert(name, id);
        self.live += 1;
        self.changes.added.push(id);
        Some(id)
    }

    /// A help text, shared by the leaves of a variable.
    fn help(&self, text: &str) -> Arc<str> {
        let before = self.changes.added.last().and_then(|&id| self.row(id)?.help.as_ref());
        match before {
            Some(help) if **help == *text => Arc::clone(help),
            _ => text.into(),
        }
    }

    fn remove(&mut self, id: u32, freed: &mut Vec<u32>) {
        if let Some(row) = self.rows[id as usize].take() {
            self.index.remove(&row.name);
            self.name_bytes -= row.name.len();
            self.series -= row.past.series().len();
            freed.push(id);
        }
    }

    /// Finds rows that are not in the sample; deletes those without history.
    fn sweep(&mut self, last: u32, freed: &mut Vec<u32>) {
        for id in 0..self.rows.len() {
            let Some(row) = &mut self.rows[id] else { continue };
            if row.seen == self.tick {
                continue;
            }
            if row.seen == last {
                self.live -= 1;
                self.changes.gone.push(id as u32);
            }
            row.past.put(self.tick, Points::UNKNOWN);
            if !row.has_past() || row.name.len() > MAX_GONE_NAME_BYTES {
                self.remove(id as u32, freed);
            }
        }
    }

    /// Marks the seconds between two samples as unknown.
    fn skip(&mut self, ticks: RangeInclusive<u32>) {
        for tick in ticks {
            for row in self.rows.iter_mut().flatten() {
                row.past.put(tick, Points::UNKNOWN);
            }
        }
    }

    /// The increase of a row's count in each of the last 60 seconds, from its rates.
    pub(super) fn climbs(&self, row: &Row, rates: &[Summary]) -> Vec<f64> {
        let newest = self.tick as usize + 60;
        let climb = |(at, rate): (usize, &Summary)| {
            let climb = rate.mean * f64::from(self.secs[(newest + at + 1 - rates.len()) % 60]);
            if row.is_whole() { climb.round() } else { climb }
        };
        rates.iter().enumerate().map(climb).collect()
    }

    /// Finds the series of a name: a number's one, all parts of a histogram, or the part named by
    /// the suffix. `f` gets the full name, the row, and whether the points are rates.
    pub(super) fn find<'t>(
        &'t self,
        name: &str,
        mut f: impl FnMut(String, &'t Row, &'t Series, bool),
    ) {
        let row_of = |name: &str| self.row(*self.index.get(name)?);
        if let Some(row) = row_of(name) {
            match row.past.series() {
                [] => {}
                [series] => f(name.to_owned(), row, series, row.kind == Kind::Counter),
                parts => {
                    for (series, part) in parts.iter().zip(PARTS) {
                        f(format!("{name}.{part}"), row, series, part == PARTS[0]);
                    }
                }
            }
        } else if let Some((above, part)) = name.rsplit_once('.')
            && let Some(row) = row_of(above)
            && let Some(at) = PARTS.iter().position(|name| *name == part)
            && let Past::Four(parts) = &row.past
        {
            f(name.to_owned(), row, &parts[at], at == 0);
        }
    }

    /// The names of all rows with history, in order.
    pub(super) fn names(&self) -> Vec<&str> {
        let rows = self.rows.iter().flatten().filter(|row| row.has_past());
        let mut names: Vec<&str> = rows.map(|row| &*row.name).collect();
        names.sort_unstable();
        names
    }
}

#[cfg(test)]
mod tests;
