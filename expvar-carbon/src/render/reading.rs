//! Renders a registry's values as lines: one walk, nothing allocated a variable.

use std::collections::HashMap;

use expvar::json::{Leaf, Leaves, Step, walk};
use expvar::{Quantiles, Reading, Registry, Snapshot, Value};

use crate::render::branch::{Branch, Walk};
use crate::render::clashes::{Clashes, Hashed};
use crate::render::lines::Lines;
use crate::render::name::{Mark, Path};
use crate::render::number::Number;
use crate::render::refusal::Refusal;
use crate::render::selection::{Counters, Selection};
use expvar_push::Moment;

/// Renders a registry's values as lines, reading after reading.
///
/// It remembers what it saw last where something is sent of an interval; the variables
/// themselves are never changed.
pub(crate) struct Reader {
    /// What is kept of the registry's names.
    root: Branch,
    selection: Selection,
    path: Path,
    /// Where the prefix ends in the path, and the variable's own name begins.
    prefix: Mark,
    name_at: usize,
    renamed: Path,
    /// How the line begins of a point that is named anew.
    start: Vec<u8>,
    lines: Lines,
    clashes: Clashes,
    /// The last name that was refused because another variable has it.
    clash: Option<String>,
    /// Where the members begin that a JSON walk is in.
    marks: Vec<Mark>,
    /// By the hash of how their lines begin.
    counters: HashMap<u64, Seen<Number>, Hashed>,
    histograms: HashMap<Box<str>, Seen<Snapshot>>,
    interval: Snapshot,
    readings: u64,
    timestamp: u64,
    /// Whether Graphite knows such a time: else every point is refused.
    is_time: bool,
    interval_secs: f64,
}

/// What was seen, and in which reading.
struct Seen<T> {
    value: T,
    reading: u64,
}

/// Who takes lines away while more of them are rendered, and from how many bytes on.
pub(crate) struct Parts<'p> {
    pub(crate) bytes: usize,
    pub(crate) take: &'p mut dyn FnMut(&mut Lines),
}

/// What becomes of a number.
pub(crate) enum Verdict {
    /// It is sent as this.
    Sent(Counters),
    Refused(Refusal),
    Unwanted,
}

impl Reader {
    /// `prefix` stands before every name; `lines` may carry tags.
    pub(crate) fn new(prefix: &str, selection: Selection, lines: Lines) -> Self {
        let mut path = Path::new();
        path.push(prefix);
        Self {
            root: Branch::default(),
            selection,
            prefix: path.mark(),
            name_at: path.as_str().len() + usize::from(!path.is_empty()),
            path,
            renamed: Path::new(),
            start: Vec::new(),
            lines,
            clashes: Clashes::default(),
            clash: None,
            marks: Vec::new(),
            counters: HashMap::default(),
            histograms: HashMap::new(),
            interval: Snapshot::default(),
            readings: 0,
            timestamp: 0,
            is_time: false,
            interval_secs: 1.0,
        }
    }

    /// Reads every variable and appends its lines to [`lines`](Self::lines).
    pub(crate) fn read(&mut self, registry: &Registry, moment: Moment, interval_secs: u64) {
        let mut all = Parts { bytes: usize::MAX, take: &mut |_| () };
        self.read_in_parts(registry, moment, interval_secs, &mut all);
    }

    /// The same, with lines taken away meanwhile; the last ones are left.
    pub(crate) fn read_in_parts(
        &mut self,
        registry: &Registry,
        moment: Moment,
        interval_secs: u64,
        parts: &mut Parts<'_>,
    ) {
        self.readings += 1;
        self.timestamp = moment.timestamp;
        self.is_time = self.lines.set_time(moment.timestamp);
        self.interval_secs = moment.since_last_secs.unwrap_or(interval_secs).max(1) as f64;
        self.clashes.begin();
        self.path.truncate(self.prefix);
        let mut root = std::mem::take(&mut self.root);
        registry.visit_old(&mut Walk::new(self, &mut root, parts));
        self.root = root;
        if self.clashes.end() {
            // Something came or went: what went is forgotten.
            let reading = self.readings;
            self.counters.retain(|_, seen| seen.reading == reading);
            self.histograms.retain(|_, seen| seen.reading == reading);
        }
    }

    /// What the last reading rendered, to be taken and cleared.
    #[inline]
    pub(crate) fn lines(&mut self) -> &mut Lines {
        &mut self.lines
    }

    /// The last name that was refused because another variable has it, if that is news.
    pub(crate) fn take_clash(&mut self) -> Option<String> {
        self.clash.take()
    }

    /// Runs `f` a step further down.
    pub(crate) fn below<R>(&mut self, step: &str, f: impl FnOnce(&mut Self) -> R) -> R {
        let mark = self.path.mark();
        self.path.push(step);
        let done = f(self);
        self.path.truncate(mark);
        done
    }

    /// Renders what is named anew at each reading.
    pub(crate) fn value(&mut self, is_counter: bool, value: Value<'_>) {
        match value {
            Value::Histogram(reading) => self.histogram(reading),
            Value::Json(text) => {
                let mut json = Json { reader: self, is_counter, arrays: 0 };
                // The registry has checked that it is JSON.
                let _ = walk(text, &mut json);
                self.marks.clear();
            }
            _ => {}
        }
    }

    /// Names a number and renders it, where there is one: a point without one still has its name.
    fn number(&mut self, is_counter: bool, value: Option<Number>) {
        let mut start = std::mem::take(&mut self.start);
        start.clear();
        match self.begin_line(is_counter, &mut start) {
            Verdict::Sent(counters) => {
                self.point(&start, self.hash(&start), counters, value);
            }
            Verdict::Refused(reason) => self.refuse(reason),
            Verdict::Unwanted => {}
        }
        self.start = start;
    }

    /// Appends how the line of the number at the path begins, if it is sent.
    pub(crate) fn begin_line(&mut self, is_counter: bool, start: &mut Vec<u8>) -> Verdict {
        // Patterns and renames are of whole names, and it is not known which this is.
        if self.path.is_incomplete() {
            return Verdict::Refused(Refusal::LongName);
        }
        let name = self.path.as_str().get(self.name_at..).unwrap_or_default();
        if !self.selection.is_wanted(name) {
            return Verdict::Unwanted;
        }
        if name.is_empty() {
            return Verdict::Refused(Refusal::EmptyName);
        }
        let mut path = &self.path;
        if let Some((to, instead_of)) = self.selection.rename(name) {
            self.renamed.clear();
            self.renamed.push(&self.path.as_str()[..self.name_at]);
            self.renamed.push(to);
            self.renamed.push(&name[instead_of..]);
            path = &self.renamed;
        }
        if let Some(problem) = path.problem() {
            return Verdict::Refused(problem);
        }
        let counters = match is_counter {
            true => self.selection.counters(name),
            false => Counters::Totals,
        };
        self.lines.begin(path, start);
        Verdict::Sent(counters)
    }

    /// What stands for the name in a line that begins so.
    pub(crate) fn hash(&self, start: &[u8]) -> u64 {
        self.clashes.hash(start)
    }

    /// How many numbers were named so far in this reading.
    pub(crate) fn names(&self) -> usize {
        self.clashes.names()
    }

    /// Whether all names so far in this reading are those of the last one, in its order, and points
    /// are taken at all.
    pub(crate) fn repeats(&self) -> bool {
        self.is_time && !self.clashes.is_new()
    }

    /// Renders a number whose name and place are those of the last reading, where it was sent, in a
    /// line that begins with `len` bytes of `starts`.
    #[inline(always)]
    pub(crate) fn repeat(&mut self, starts: &[u8], len: usize, value: Number) {
        self.clashes.repeat();
        match value {
            Number::Float(_) => {
                self.lines.finish(starts, len, value, self.timestamp);
            }
            _ => self.lines.append(starts, len, value),
        }
    }

    /// Renders a number in a line that begins so, and whose name [hashes](Self::hash) so, unless
    /// that name was there before: returns whether it was.
    pub(crate) fn point(
        &mut self,
        start: &[u8],
        hash: u64,
        counters: Counters,
        value: Option<Number>,
    ) -> bool {
        if self.clashes.is_repeated(hash) {
            self.clash(start);
            return true;
        }
        let value = match (counters, value) {
            (Counters::Totals, value) => value,
            (_, None) => None,
            (_, Some(now)) => self.counted(hash, counters, now),
        };
        if let Some(value) = value {
            self.lines.finish(start, start.len(), value, self.timestamp);
        }
        false
    }

    #[cold]
    fn clash(&mut self, start: &[u8]) {
        self.refuse(Refusal::Clash);
        if self.clashes.is_new() {
            self.clash = Some(self.lines.name(start).into_owned());
        }
    }

    pub(crate) fn refuse(&mut self, reason: Refusal) {
        self.lines.refuse(reason);
    }

    /// What is sent of a counter that stands at `now`.
    fn counted(&mut self, hash: u64, counters: Counters, now: Number) -> Option<Number> {
        let seen = Seen { value: now, reading: self.readings };
        let before = self.counters.insert(hash, seen).map(|seen| seen.value);
        let added = before.map_or(now, |before| now.since(before));
        match counters {
            Counters::Rates if before.is_none() && self.readings == 1 => None,
            Counters::Rates => Some(Number::Float(added.to_float() / self.interval_secs)),
            _ => Some(added),
        }
    }

    fn histogram(&mut self, reading: &Reading) {
        // A name that is not known whole is none to compare under; each of its points is refused.
        if !self.path.is_incomplete() && !self.compare(reading) {
            self.refuse(Refusal::Clash);
            return;
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
            let value = (!interval.is_empty()).then_some(value);
            self.below(suffix, |reader| reader.number(false, value));
        }
        self.interval = interval;
    }

    /// Makes `interval` what a histogram recorded since the last reading. Returns false for another
    /// one of a name that was there in this reading: their numbers must not be compared.
    fn compare(&mut self, reading: &Reading) -> bool {
        let name = self.path.as_str().get(self.name_at..).unwrap_or_default();
        match self.histograms.get_mut(name) {
            Some(seen) if seen.reading == self.readings => return false,
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
        true
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
        self.reader.number(self.is_counter, Some(number));
    }
}
