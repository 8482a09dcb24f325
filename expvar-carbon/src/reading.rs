//! Renders a registry's values as lines: one walk, nothing allocated a variable.

use std::collections::HashMap;

use expvar::json::{Leaf, Leaves, Step, walk};
use expvar::{Info, MapValue, Quantiles, Reading, Registry, Snapshot, Value, Visitor};

use crate::clashes::Clashes;
use crate::lines::Lines;
use crate::name::{Mark, Path};
use crate::number::Number;
use crate::refusal::Refusal;
use crate::schedule::Moment;
use crate::selection::{Counters, Selection};

/// Renders a registry's values as lines, reading after reading.
///
/// It remembers what it saw last where something is sent of an interval; the variables
/// themselves are never changed.
pub(crate) struct Reader {
    selection: Selection,
    path: Path,
    /// Where the prefix ends in the path, and the variable's own name begins.
    prefix: Mark,
    name_at: usize,
    renamed: Path,
    is_renamed: bool,
    lines: Lines,
    clashes: Clashes,
    /// The last name that was refused because another variable has it.
    clash: Option<String>,
    /// Where the members begin that a JSON walk is in.
    marks: Vec<Mark>,
    counters: HashMap<Box<str>, Seen<Number>>,
    histograms: HashMap<Box<str>, Seen<Snapshot>>,
    interval: Snapshot,
    readings: u64,
    timestamp: u64,
    interval_secs: f64,
}

/// What was seen, and in which reading.
struct Seen<T> {
    value: T,
    reading: u64,
}

impl Reader {
    /// `prefix` stands before every name; `lines` may carry tags.
    pub(crate) fn new(prefix: &str, selection: Selection, lines: Lines) -> Self {
        let mut path = Path::new();
        path.push(prefix);
        Self {
            selection,
            prefix: path.mark(),
            name_at: path.as_str().len() + usize::from(!path.is_empty()),
            path,
            renamed: Path::new(),
            is_renamed: false,
            lines,
            clashes: Clashes::default(),
            clash: None,
            marks: Vec::new(),
            counters: HashMap::new(),
            histograms: HashMap::new(),
            interval: Snapshot::default(),
            readings: 0,
            timestamp: 0,
            interval_secs: 1.0,
        }
    }

    /// Reads every variable and appends its lines to [`lines`](Self::lines).
    pub(crate) fn read(&mut self, registry: &Registry, moment: Moment, interval_secs: u64) {
        self.readings += 1;
        self.timestamp = moment.timestamp;
        self.interval_secs = moment.since_last_secs.unwrap_or(interval_secs).max(1) as f64;
        self.clashes.begin();
        registry.visit(self);
        if self.clashes.end() {
            // Something came or went: what went is forgotten.
            let reading = self.readings;
            self.counters.retain(|_, seen| seen.reading == reading);
            self.histograms.retain(|_, seen| seen.reading == reading);
        }
    }

    /// What the last reading rendered, to be taken and cleared.
    pub(crate) fn lines(&mut self) -> &mut Lines {
        &mut self.lines
    }

    /// The last name that was refused because another variable has it, if that is news.
    pub(crate) fn take_clash(&mut self) -> Option<String> {
        self.clash.take()
    }

    fn below(&mut self, step: &str, f: impl FnOnce(&mut Self)) {
        let mark = self.path.mark();
        self.path.push(step);
        f(self);
        self.path.truncate(mark);
    }

    fn value(&mut self, is_counter: bool, value: Value<'_>) {
        match value {
            Value::Counter(n) => self.number(true, Number::Unsigned(n)),
            Value::Gauge(n) => self.number(is_counter, Number::Signed(n)),
            Value::Float(n) => self.number(is_counter, Number::Float(n)),
            Value::Histogram(reading) => self.histogram(reading),
            Value::Map(map) => self.map(is_counter, map),
            Value::Json(text) => {
                let mut json = Json { reader: self, is_counter, arrays: 0 };
                // The registry has checked that it is JSON.
                let _ = walk(text, &mut json);
                self.marks.clear();
            }
            _ => {}
        }
    }

    fn map(&mut self, is_counter: bool, map: MapValue<'_>) {
        map.for_each(|key, value| self.below(key, |reader| reader.value(is_counter, value)));
    }

    fn number(&mut self, is_counter: bool, value: Number) {
        if !self.admit() {
            return;
        }
        let value = if is_counter { self.counted(value) } else { Some(value) };
        if let Some(value) = value {
            self.put(value);
        }
    }

    /// What is sent of a counter that stands at `now`.
    fn counted(&mut self, now: Number) -> Option<Number> {
        let name = self.path.as_str().get(self.name_at..).unwrap_or_default();
        let what = self.selection.counters(name);
        if what == Counters::Totals {
            return Some(now);
        }
        let before = match self.counters.get_mut(name) {
            Some(seen) => {
                seen.reading = self.readings;
                Some(std::mem::replace(&mut seen.value, now))
            }
            None => {
                self.counters.insert(name.into(), Seen { value: now, reading: self.readings });
                None
            }
        };
        let added = before.map_or(now, |before| now.since(before));
        match what {
            Counters::Rates if before.is_none() && self.readings == 1 => None,
            Counters::Rates => Some(Number::Float(added.to_float() / self.interval_secs)),
            _ => Some(added),
        }
    }

    fn histogram(&mut self, reading: &Reading) {
        let name = self.path.as_str().get(self.name_at..).unwrap_or_default();
        match self.histograms.get_mut(name) {
            // Another one of this name: its numbers must not be compared with the first one's.
            Some(seen) if seen.reading == self.readings => {
                self.lines.refuse(Refusal::Clash);
                return;
            }
            Some(seen) => {
                seen.reading = self.readings;
                self.interval.assign_since(&reading.total, &seen.value);
                if !self.interval.is_empty() {
                    seen.value.assign_since(&reading.total, &Snapshot::default());
                }
            }
            None => {
                let seen = Seen { value: reading.total.clone(), reading: self.readings };
                self.histograms.insert(name.into(), seen);
                self.interval.assign_since(&reading.total, &Snapshot::default());
            }
        }
        let interval = std::mem::take(&mut self.interval);
        let float = |f: f64| Number::Float(f);
        let either = |whole: u64, fraction: f64| match interval.is_float() {
            true => float(fraction),
            false => Number::Unsigned(whole),
        };
        let head = [
            ("count", Number::Unsigned(interval.count())),
            ("sum", either(interval.sum(), interval.sum_float())),
            ("min", either(interval.min(), interval.min_float())),
            ("max", either(interval.max(), interval.max_float())),
            ("mean", float(interval.mean())),
        ];
        let quantiles = Quantiles::SHOWN
            .iter()
            .map(|&(name, q)| (name, either(interval.quantile(q), interval.quantile_float(q))));
        for (suffix, value) in head.into_iter().chain(quantiles) {
            // Named also where nothing is sent: so the names stay the same from reading to reading.
            self.below(suffix, |reader| {
                if reader.admit() && !interval.is_empty() {
                    reader.put(value);
                }
            });
        }
        self.interval = interval;
    }

    /// Whether the path is wanted, sound and used for the first time in this reading.
    fn admit(&mut self) -> bool {
        let name = self.path.as_str().get(self.name_at..).unwrap_or_default();
        if !self.selection.is_wanted(name) {
            return false;
        }
        if name.is_empty() {
            self.lines.refuse(Refusal::EmptyName);
            return false;
        }
        self.is_renamed = false;
        if let Some((to, instead_of)) = self.selection.rename(name) {
            self.renamed.clear();
            self.renamed.push(&self.path.as_str()[..self.name_at]);
            self.renamed.push(to);
            self.renamed.push(&name[instead_of..]);
            self.is_renamed = true;
        }
        let path = if self.is_renamed { &self.renamed } else { &self.path };
        if let Some(problem) = path.problem() {
            self.lines.refuse(problem);
            return false;
        }
        if self.clashes.is_clash(path.as_str()) {
            self.lines.refuse(Refusal::Clash);
            if self.clashes.is_new() {
                self.clash = Some(path.as_str().to_owned());
            }
            return false;
        }
        true
    }

    fn put(&mut self, value: Number) {
        let path = if self.is_renamed { &self.renamed } else { &self.path };
        self.lines.put(path, value, self.timestamp);
    }
}

impl Visitor for Reader {
    fn variable(&mut self, name: &str, info: &Info, value: Value<'_>) {
        self.path.truncate(self.prefix);
        self.path.push(name);
        self.value(info.is_counter(), value);
    }
}

/// Flattens a JSON document.
struct Json<'r> {
    reader: &'r mut Reader,
    is_counter: bool,
    /// How many arrays deep it is, where arrays are not asked for.
    arrays: usize,
}

impl Leaves for Json<'_> {
    fn enter(&mut self, step: Step<'_>) {
        let reader = &mut self.reader;
        reader.marks.push(reader.path.mark());
        match step {
            _ if self.arrays > 0 => self.arrays += 1,
            Step::Key(key) => reader.path.push(key),
            Step::Index(_) if !reader.selection.arrays => self.arrays = 1,
            Step::Index(index) => reader.path.push_index(index),
        }
    }

    fn leave(&mut self) {
        self.arrays = self.arrays.saturating_sub(1);
        if let Some(mark) = self.reader.marks.pop() {
            self.reader.path.truncate(mark);
        }
    }

    fn leaf(&mut self, leaf: Leaf<'_>) {
        if self.arrays > 0 {
            return;
        }
        let number = match leaf {
            Leaf::Bool(b) => Number::from(b),
            Leaf::Unsigned(n) => Number::Unsigned(n),
            Leaf::Signed(n) => Number::Signed(n),
            Leaf::Float(f) => Number::Float(f),
            Leaf::Null | Leaf::Text(_) => return,
        };
        self.reader.number(self.is_counter, number);
    }
}
