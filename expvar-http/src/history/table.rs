//! The rows of the live page: each leaf's last value, what changed of it, and its past.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::sample::{Distribution, Found, Item, Kind, Number, PARTS, Sample};
use super::series::Series;

/// Most rows; leaves past that are not shown, and counted.
const MAX_ROWS: usize = 20_000;
/// Most bytes that the names of shown rows take together.
const MAX_NAME_BYTES: usize = 8 * 1024 * 1024;
/// The past of a row that is gone is only kept under a name of at most this many bytes.
const MAX_GONE_NAME_BYTES: usize = 256;
/// A row that changed within so many seconds does not lose its past to another.
const SETTLED_SECS: u32 = 60;

/// A row's last value.
pub(super) enum Held {
    Number(Number),
    Distribution(Box<Distribution>),
    Text(Box<str>),
}

/// What was, of a row's numbers.
enum Past {
    None,
    One(Box<Series>),
    Four(Box<[Series; 4]>),
}

impl Past {
    fn series(&self) -> &[Series] {
        match self {
            Past::None => &[],
            Past::One(series) => std::slice::from_ref(series),
            Past::Four(series) => &series[..],
        }
    }

    fn put(&mut self, tick: u32, values: Distributed) {
        match self {
            Past::None => {}
            Past::One(series) => series.put(tick.into(), values[0]),
            Past::Four(series) => {
                series.iter_mut().zip(values).for_each(|(one, value)| one.put(tick.into(), value));
            }
        }
    }
}

/// A point for each of a row's series; a plain number uses the first.
type Distributed = [f64; 4];
const UNKNOWN: Distributed = [f64::NAN; 4];

/// One leaf, shown or remembered.
pub(super) struct Row {
    pub(super) name: Arc<str>,
    pub(super) help: Option<Arc<str>>,
    pub(super) unit: &'static str,
    pub(super) held: Held,
    past: Past,
    /// Length of the variable's own name in UTF-16 units, 0 where that is all of it.
    pub(super) top: u32,
    seen: u32,
    changed: u32,
    /// The row that came next in the last walk, most likely again.
    next: u32,
    pub(super) kind: Kind,
}

impl Row {
    /// How many series its past takes.
    fn width(&self) -> usize {
        match self.kind {
            Kind::Counter | Kind::Gauge => 1,
            Kind::Histogram => PARTS.len(),
            Kind::Text | Kind::Json => 0,
        }
    }

    fn has_past(&self) -> bool {
        !matches!(self.past, Past::None)
    }

    /// Takes in what was found, and says whether it is anything else than before.
    fn hold(&mut self, found: &Found, sample: &Sample) -> bool {
        match (&mut self.held, found) {
            (Held::Number(held), Found::Number(new)) => {
                let same = held.is(*new);
                *held = *new;
                !same
            }
            (Held::Distribution(held), Found::Distribution(new)) => {
                let same = **held == *new;
                **held = *new;
                !same
            }
            (Held::Text(held), Found::Text(range)) if **held == *sample.text(range) => false,
            (held, found) => {
                *held = Held::new(found, sample);
                true
            }
        }
    }

    /// The number whose movement is a rate: a counter's, or how many records there are.
    fn count(&self) -> Option<Number> {
        match &self.held {
            Held::Number(number) if self.kind == Kind::Counter => Some(*number),
            Held::Distribution(parts) => Some(Number::Unsigned(parts[0])),
            _ => None,
        }
    }

    /// The points that the value makes, given the count before and the seconds since.
    fn points(&self, before: Option<Number>, secs: f64) -> Distributed {
        let rate = match (self.count(), before) {
            (Some(now), Some(before)) if secs > 0.0 => now.since(before) / secs,
            _ => f64::NAN,
        };
        match &self.held {
            Held::Number(_) if self.kind == Kind::Counter => [rate, f64::NAN, f64::NAN, f64::NAN],
            Held::Number(number) => [number.to_f64(), f64::NAN, f64::NAN, f64::NAN],
            Held::Distribution(parts) => {
                // Without a record there is no quantile; zero would be drawn as a fast one.
                let quantile = |at: usize| if parts[0] == 0 { f64::NAN } else { parts[at] as f64 };
                [rate, quantile(1), quantile(2), quantile(3)]
            }
            Held::Text(_) => UNKNOWN,
        }
    }
}

impl Held {
    fn new(found: &Found, sample: &Sample) -> Self {
        match found {
            Found::Number(number) => Held::Number(*number),
            Found::Distribution(parts) => Held::Distribution(Box::new(*parts)),
            Found::Text(range) => Held::Text(sample.text(range).into()),
        }
    }
}

/// Which rows the last sample changed, by id.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) gone: Vec<u32>,
    pub(super) added: Vec<u32>,
    pub(super) set: Vec<u32>,
}

/// All rows, at most `max_series` series among them.
///
/// Past that bound the series of the rows that changed least recently go, those of rows that have
/// settled, or are gone, first of all.
pub(super) struct Table {
    rows: Vec<Option<Row>>,
    free: Vec<u32>,
    index: HashMap<Arc<str>, u32>,
    pub(super) changes: Changes,
    pub(super) tick: u32,
    /// Leaves of the last sample that were too many to show.
    pub(super) hidden: u64,
    /// Series given up to make room, ever.
    pub(super) evicted: u64,
    max_series: usize,
    series: usize,
    live: usize,
    name_bytes: usize,
    first: u32,
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
            hidden: 0,
            evicted: 0,
            max_series,
            series: 0,
            live: 0,
            name_bytes: 0,
            first: NOWHERE,
        }
    }

    /// How many series are kept.
    pub(super) fn series(&self) -> usize {
        self.series
    }

    pub(super) fn row(&self, id: u32) -> Option<&Row> {
        self.rows.get(id as usize)?.as_ref()
    }

    /// The rows that the last sample had, with their ids.
    pub(super) fn shown(&self) -> impl Iterator<Item = (u32, &Row)> {
        let tick = self.tick;
        self.rows.iter().enumerate().filter_map(move |(id, row)| {
            let row = row.as_ref()?;
            (row.seen == tick).then_some((id as u32, row))
        })
    }

    /// Takes in the sample of Unix second `tick`, `secs` after the one before.
    pub(super) fn take(&mut self, sample: &Sample, tick: u32, secs: f64) {
        let last = std::mem::replace(&mut self.tick, tick);
        self.changes.gone.clear();
        self.changes.added.clear();
        self.changes.set.clear();
        self.hidden = 0;
        if last > 0 {
            self.skip(last + 1..=tick.saturating_sub(1));
        }
        let mut freed = Vec::new();
        let mut without_past = Vec::new();
        let mut previous = NOWHERE;
        for item in sample.items() {
            let expected = match self.row(previous) {
                Some(row) => row.next,
                None => self.first,
            };
            let Some(id) = self.enter(sample, item, expected, (last, secs), &mut freed) else {
                continue;
            };
            match self.rows.get_mut(previous as usize) {
                Some(Some(row)) => row.next = id,
                _ => self.first = id,
            }
            previous = id;
            if let Some(row) = self.row(id)
                && row.changed == tick
                && row.width() > 0
                && !row.has_past()
            {
                without_past.push(id);
            }
        }
        self.sweep(last, &mut freed);
        self.grant(&without_past, &mut freed);
        self.free.append(&mut freed);
    }

    /// Puts one leaf into its row; `None` where it is not shown.
    fn enter(
        &mut self,
        sample: &Sample,
        item: &Item,
        expected: u32,
        (last, secs): (u32, f64),
        freed: &mut Vec<u32>,
    ) -> Option<u32> {
        let (name, tick) = (sample.path(item), self.tick);
        let found = match self.row(expected) {
            Some(row) if *row.name == *name => Some(expected),
            _ => self.index.get(name).copied(),
        };
        let Some(id) = found else { return self.insert(sample, item) };
        let row = self.rows[id as usize].as_mut()?;
        if row.seen == tick {
            // Two leaves of one path, such as `a.b` and the key `b` of a map `a`: the first stays.
            self.hidden += 1;
            return None;
        }
        if row.kind != item.kind {
            if row.seen == last {
                self.changes.gone.push(id);
                self.live -= 1;
            }
            self.remove(id, freed);
            return self.insert(sample, item);
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

    fn insert(&mut self, sample: &Sample, item: &Item) -> Option<u32> {
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

    /// A help text, the same memory for the leaves of one variable.
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

    /// Finds the rows that the sample did not have; forgets those without a past.
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
            row.past.put(self.tick, UNKNOWN);
            if !row.has_past() || row.name.len() > MAX_GONE_NAME_BYTES {
                self.remove(id as u32, freed);
            }
        }
    }

    /// Gives the rows in `wanting` a past, as far as the bound and older ones leave room.
    fn grant(&mut self, wanting: &[u32], freed: &mut Vec<u32>) {
        let width = |table: &Self, id: u32| table.row(id).map_or(0, Row::width);
        let wanted: usize = wanting.iter().map(|&id| width(self, id)).sum();
        self.make_room((self.series + wanted).saturating_sub(self.max_series), freed);
        for &id in wanting {
            let needed = width(self, id);
            if self.series + needed > self.max_series {
                continue;
            }
            let Some(row) = &mut self.rows[id as usize] else { continue };
            row.past = match needed {
                1 => Past::One(Box::new(Series::new())),
                _ => Past::Four(Box::new(std::array::from_fn(|_| Series::new()))),
            };
            self.series += needed;
            let points = row.points(None, 0.0);
            row.past.put(self.tick, points);
        }
    }

    /// Gives up at least `needed` series, or as many as may go.
    fn make_room(&mut self, needed: usize, freed: &mut Vec<u32>) {
        if needed == 0 {
            return;
        }
        let tick = self.tick;
        let may_go =
            |row: &Row| row.has_past() && (row.seen != tick || tick - row.changed >= SETTLED_SECS);
        let rows = self.rows.iter().enumerate();
        let mut oldest: Vec<(u32, u32)> = rows
            .filter_map(|(id, row)| row.as_ref().map(|row| (id, row)))
            .filter(|(_, row)| may_go(row))
            .map(|(id, row)| (row.changed, id as u32))
            .collect();
        oldest.sort_unstable();
        let mut given = 0;
        for (_, id) in oldest {
            if given >= needed {
                break;
            }
            let Some(row) = &mut self.rows[id as usize] else { continue };
            let width = row.past.series().len();
            given += width;
            if row.seen == tick {
                row.past = Past::None;
                self.series -= width;
            } else {
                self.remove(id, freed);
            }
        }
        self.evicted += given as u64;
    }

    /// Leaves the seconds between two samples unknown.
    fn skip(&mut self, ticks: RangeInclusive<u32>) {
        for tick in ticks {
            for row in self.rows.iter_mut().flatten() {
                row.past.put(tick, UNKNOWN);
            }
        }
    }

    /// The series of a name: a number's one, each part of a histogram, or the part that the name
    /// ends in. `f` gets the full name, the row, and whether the points are of rates.
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

    /// The names of all rows with a past, in order.
    pub(super) fn names(&self) -> Vec<&str> {
        let rows = self.rows.iter().flatten().filter(|row| row.has_past());
        let mut names: Vec<&str> = rows.map(|row| &*row.name).collect();
        names.sort_unstable();
        names
    }
}

#[cfg(test)]
mod tests;
