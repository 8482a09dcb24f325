//! Renders a registry's values as lines in one walk, without allocating for each variable.

use std::collections::HashMap;

use expvar::__private::BuildIdentity;
use expvar::{Number, Quantiles, Recorded, Registry, Snapshot, Stamp};

use crate::render::conflicts::Conflicts;
use crate::render::lines::{Lines, SHORT, Start};
use crate::render::name::{Mark, Path};
use crate::render::name_cache::{NameCache, Walk};
use crate::render::number::Written;
use crate::render::refusal::Refusal;
use crate::render::selection::{Counters, Selection};
use expvar_push::Moment;

/// Renders a registry's values as lines, collection after collection.
///
/// Keeps the previous values where an increase is sent; variables are never changed.
pub(crate) struct Reader {
    /// The cache of the registry's names.
    root: NameCache,
    selection: Selection,
    path: Path,
    /// The end of the prefix in the path.
    prefix: Mark,
    name_at: usize,
    renamed: Path,
    /// The beginning of the line for a point that is not cached.
    start: Vec<u8>,
    lines: Lines,
    conflicts: Conflicts,
    /// The last name rejected because of a conflict.
    conflict: Option<String>,
    /// The ends of the path before each step of the walk.
    marks: Vec<Mark>,
    /// By the hash of the beginnings of their lines.
    counters: HashMap<u64, Seen, BuildIdentity>,
    histograms: HashMap<Box<str>, SeenHistogram>,
    interval: Snapshot,
    readings: u64,
    timestamp: u64,
    /// Whether Graphite can represent the time: otherwise every point is rejected.
    is_time: bool,
    interval_secs: f64,
}

/// A counter's last value, and the collection in which it was seen.
struct Seen {
    value: Number,
    reading: u64,
}

/// A histogram's last values, and the collection in which they were seen.
struct SeenHistogram {
    value: Snapshot,
    stamp: Stamp,
    reading: u64,
}

/// A consumer of lines during rendering, and the size of its parts.
pub(crate) struct Parts<'p> {
    pub(crate) bytes: usize,
    pub(crate) take: &'p mut dyn FnMut(&mut Lines),
}

/// What to do with a number.
pub(crate) enum Verdict {
    /// Send it in this form.
    Sent(Counters),
    Refused(Refusal),
    Unwanted,
}

impl Reader {
    /// `prefix` precedes every name; `lines` may carry tags.
    pub(crate) fn new(prefix: &str, selection: Selection, lines: Lines) -> Self {
        let empty = Path::keeping(selection.ascii);
        let mut path = empty.clone();
        path.push(prefix);
        Self {
            root: NameCache::default(),
            selection,
            prefix: path.mark(),
            name_at: path.as_str().len() + usize::from(!path.is_empty()),
            path,
            renamed: empty,
            start: Vec::new(),
            lines,
            conflicts: Conflicts::default(),
            conflict: None,
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

    /// Collects every variable and appends its lines to [`lines`](Self::lines).
    pub(crate) fn read(&mut self, registry: &Registry, moment: Moment, interval_secs: u64) {
        let mut all = Parts { bytes: usize::MAX, take: &mut |_| () };
        self.read_in_parts(registry, moment, interval_secs, &mut all);
    }

    /// Like [`read`](Self::read), with parts taken during rendering; the last one remains.
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
        self.conflicts.begin();
        self.path.truncate(self.prefix);
        let root = std::mem::take(&mut self.root);
        let mut walk = Walk::new(self, root, parts);
        registry.visit_recalling(|_| {}, &mut walk);
        self.root = walk.finish();
        if self.conflicts.end() {
            // Names have changed: forget those that are gone.
            let reading = self.readings;
            self.counters.retain(|_, seen| seen.reading == reading);
            self.histograms.retain(|_, seen| seen.reading == reading);
        }
    }

    /// The lines of the last collection, to be taken and cleared.
    #[inline]
    pub(crate) fn lines(&mut self) -> &mut Lines {
        &mut self.lines
    }

    /// The last name rejected because of a conflict, if it is new.
    pub(crate) fn take_conflict(&mut self) -> Option<String> {
        self.conflict.take()
    }

    /// Marks the end of the path, to come [back](Self::back_to_mark) to.
    #[inline]
    pub(crate) fn mark(&mut self) {
        self.marks.push(self.path.mark());
    }

    #[inline]
    pub(crate) fn back_to_mark(&mut self) {
        if let Some(mark) = self.marks.pop() {
            self.path.truncate(mark);
        }
    }

    /// Descends one step.
    pub(crate) fn push(&mut self, step: &str) {
        self.path.push(step);
    }

    pub(crate) fn push_index(&mut self, index: usize) {
        self.path.push_index(index);
    }

    pub(crate) fn wants_arrays(&self) -> bool {
        self.selection.arrays
    }

    /// Names a number and renders it; without a value it is only named.
    pub(crate) fn number(&mut self, is_counter: bool, value: Option<Number>) {
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

    /// Appends the beginning of the line for the number at the path, if it is sent.
    pub(crate) fn begin_line(&mut self, is_counter: bool, start: &mut Vec<u8>) -> Verdict {
        // Patterns and renames need the whole name.
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

    /// The hash of the name in the beginning of a line.
    pub(crate) fn hash(&self, start: &[u8]) -> u64 {
        self.conflicts.hash(start)
    }

    /// The number of names so far in this collection.
    pub(crate) fn names(&self) -> usize {
        self.conflicts.names()
    }

    /// Whether all names so far equal the last collection's, in order, and the time is valid.
    pub(crate) fn repeats(&self) -> bool {
        self.is_time && !self.conflicts.is_new()
    }

    /// Renders a number whose name and position equal the last collection's, where it was sent, in
    /// a line that begins with `len` bytes of `starts`.
    #[inline(always)]
    pub(crate) fn repeat(&mut self, starts: &[u8], len: usize, value: Number) {
        self.conflicts.repeat(1);
        match value {
            Number::Float(_) => {
                self.lines.finish(starts, len, value, self.timestamp);
            }
            _ => self.lines.append(starts, len, value),
        }
    }

    /// Renders numbers whose names and positions equal the last collection's. See
    /// [`Lines::append_all`].
    pub(crate) fn repeat_all(
        &mut self,
        last: &mut [u8; SHORT],
        stored: &[u8],
        starts: impl Iterator<Item = Start>,
        numbers: &[Number],
    ) -> (usize, usize) {
        let (points, bytes) = self.lines.append_all(last, stored, starts, numbers);
        self.conflicts.repeat(points);
        (points, bytes)
    }

    /// Renders a number in a line with this beginning and name [hash](Self::hash), unless the name
    /// conflicts; returns whether it does.
    pub(crate) fn point(
        &mut self,
        start: &[u8],
        hash: u64,
        counters: Counters,
        value: Option<Number>,
    ) -> bool {
        if self.conflicts.is_repeated(hash) {
            self.conflict(start);
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
    fn conflict(&mut self, start: &[u8]) {
        self.refuse(Refusal::Conflict);
        if self.conflicts.is_new() {
            self.conflict = Some(self.lines.name(start).into_owned());
        }
    }

    pub(crate) fn refuse(&mut self, reason: Refusal) {
        self.lines.refuse(reason);
    }

    /// What to send of a counter with the value `now`.
    fn counted(&mut self, hash: u64, counters: Counters, now: Number) -> Option<Number> {
        let seen = Seen { value: now, reading: self.readings };
        let before = self.counters.insert(hash, seen).map(|seen| seen.value);
        let added = before.map_or(now, |before| now.added_since(before));
        match counters {
            Counters::Rates if before.is_none() && self.readings == 1 => None,
            Counters::Rates => Some(Number::Float(added.to_f64() / self.interval_secs)),
            _ => Some(added),
        }
    }

    /// Renders what a histogram recorded since the last collection.
    pub(crate) fn histogram(&mut self, histogram: &mut Recorded<'_>) {
        // An incomplete name cannot be compared; each of its points is rejected.
        if !self.path.is_incomplete() && !self.compare(histogram) {
            self.refuse(Refusal::Conflict);
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
            // Named even if nothing is sent, so that names stay the same from collection to
            // collection.
            let value = (!interval.is_empty()).then_some(value);
            self.mark();
            self.path.push(suffix);
            self.number(false, value);
            self.back_to_mark();
        }
        self.interval = interval;
    }

    /// Sets `interval` to what a histogram recorded since the last collection. Returns false for a
    /// second histogram of the same name: their numbers must not be compared.
    fn compare(&mut self, histogram: &mut Recorded<'_>) -> bool {
        let name = self.path.as_str().get(self.name_at..).unwrap_or_default();
        let stamp = histogram.total_stamp();
        match self.histograms.get_mut(name) {
            Some(seen) if seen.reading == self.readings => return false,
            Some(seen) => {
                seen.reading = self.readings;
                if seen.stamp == stamp {
                    self.interval.assign_since(&Snapshot::default(), &Snapshot::default());
                } else {
                    let total = histogram.total();
                    self.interval.assign_since(total, &seen.value);
                    seen.value.assign_since(total, &Snapshot::default());
                    seen.stamp = stamp;
                }
            }
            None => {
                let total = histogram.total();
                self.interval.assign_since(total, &Snapshot::default());
                let (value, reading) = (total.clone(), self.readings);
                self.histograms.insert(name.into(), SeenHistogram { value, stamp, reading });
            }
        }
        true
    }
}
