//! A cache of names between collections: valid as long as the names are the same.

use expvar::{Generation, Info, Number, Recall, Recorded, Shape, Step, Visitor};

use crate::render::lines::{SHORT, Start};
use crate::render::reading::{Parts, Reader, Verdict};
use crate::render::refusal::Refusal;
use crate::render::selection::Counters;

/// The variables of a registry or a map, in order.
#[derive(Default)]
pub(crate) struct NameCache {
    /// The names for which it is valid.
    names: Option<Generation>,
    slots: Vec<Slot>,
    /// The beginnings of the points' lines, each without what it shares with an earlier one,
    /// concatenated.
    starts: Vec<u8>,
    maps: Vec<NameCache>,
    /// The number of names before each run of points in the last collection: at the start, and
    /// after each variable whose names may vary.
    runs: Vec<usize>,
}

/// The cached state of a variable.
#[derive(Clone, Copy)]
enum Slot {
    /// One point, sent unchanged.
    Plain(Start),
    /// One point that was not rendered yet, whose value depends on the last collection, or whose
    /// name conflicts.
    Point {
        start: Start,
        counters: Counters,
    },
    /// The next of the maps.
    Map,
    /// Named again at each collection: a histogram, or a function's value.
    Other,
    Refused(Refusal),
    Unwanted,
}

/// One collection: the visitor of a walk.
pub(crate) struct Walk<'r, 'p> {
    reader: &'r mut Reader,
    parts: &'r mut Parts<'p>,
    /// The cache of the current level.
    level: Level,
    /// The enclosing levels, outermost first.
    above: Vec<Level>,
    /// Whether the numbers of the last entered variable only go up.
    is_counter: bool,
    /// The depth of structures and arrays in a function's value.
    inside: usize,
}

/// A cache and the position in it.
#[derive(Default)]
struct Level {
    cache: NameCache,
    known: bool,
    /// All names up to this run of points, and so those of the run, are as in the last collection.
    repeats: bool,
    /// Positions in slots, starts, maps and runs.
    slots: usize,
    starts: usize,
    maps: usize,
    runs: usize,
    last: Beginning,
}

/// The last [short](SHORT) beginning of a line.
struct Beginning {
    /// It, and anything after it.
    bytes: [u8; SHORT],
    len: usize,
}

impl Default for Beginning {
    fn default() -> Self {
        Self { bytes: [0; SHORT], len: 0 }
    }
}

impl Level {
    /// Advances to a point's beginning of a line. Returns it, perhaps followed by other bytes, and its
    /// length.
    #[inline(always)]
    fn begin(&mut self, Start { shared, rest }: Start) -> (&[u8], usize) {
        let (shared, rest) = (usize::from(shared), usize::from(rest));
        let stored = &self.cache.starts[self.starts..][..rest];
        self.starts += rest;
        let len = shared + rest;
        let last = &mut self.last;
        match last.bytes.get_mut(shared..len) {
            Some(end) => {
                end.copy_from_slice(stored);
                last.len = len;
                (&last.bytes, len)
            }
            None => (stored, len),
        }
    }

    /// Removes from the beginning of a line that is stored from `at` on what it shares.
    fn learn(&mut self, at: usize) -> Start {
        let start = &self.cache.starts[at..];
        let last = &self.last.bytes[..self.last.len];
        let is_same = |(a, b): &(&u8, &u8)| a == b;
        let shared = match start.len() {
            0..=SHORT => last.iter().zip(start).take_while(is_same).count(),
            _ => 0,
        };
        let rest = (start.len() - shared) as u16;
        self.cache.starts.drain(at..at + shared);
        Start { shared: shared as u8, rest }
    }
}

impl<'r, 'p> Walk<'r, 'p> {
    /// Begins a collection with the last one's cache; [`finish`](Self::finish) returns the new one.
    pub(crate) fn new(reader: &'r mut Reader, root: NameCache, parts: &'r mut Parts<'p>) -> Self {
        let level = Level { cache: root, ..Level::default() };
        Self { reader, parts, level, above: Vec::new(), is_counter: false, inside: 0 }
    }

    pub(crate) fn finish(self) -> NameCache {
        self.level.cache
    }

    /// Renders a point from the cache; returns false on a miss.
    #[inline(always)]
    fn repeat(&mut self, number: Number) -> bool {
        let level = &mut self.level;
        if !level.repeats {
            return false;
        }
        let Some(&Slot::Plain(start)) = level.cache.slots.get(level.slots) else { return false };
        level.slots += 1;
        let (start, len) = level.begin(start);
        self.reader.repeat(start, len, number);
        true
    }

    /// Renders points from the cache up to the first that must go through [`repeat`](Self::repeat),
    /// and returns their number.
    #[inline(always)]
    fn repeat_all(&mut self, numbers: &[Number]) -> usize {
        let level = &mut self.level;
        if !level.repeats {
            return 0;
        }
        let starts = level.cache.slots[level.slots..].iter().map_while(|slot| match slot {
            Slot::Plain(start) => Some(*start),
            _ => None,
        });
        let stored = &level.cache.starts[level.starts..];
        let (points, bytes) =
            self.reader.repeat_all(&mut level.last.bytes, stored, starts, numbers);
        level.slots += points;
        level.starts += bytes;
        points
    }

    #[inline(always)]
    fn hand_over(&mut self) {
        if self.reader.lines().len() >= self.parts.bytes {
            (self.parts.take)(self.reader.lines());
        }
    }

    /// Renders a variable that is one number, or currently none, and no structure.
    #[inline(never)]
    fn single(&mut self, number: Option<Number>) {
        if !self.level.known {
            let slot = match number {
                Some(_) => self.learn_point(),
                None => Slot::Other,
            };
            self.level.cache.slots.push(slot);
        }
        let at = self.level.slots;
        self.level.slots += 1;
        match self.level.cache.slots[at] {
            Slot::Plain(start) => {
                self.level.cache.slots[at] = self.point(start, Counters::Totals, number);
            }
            Slot::Point { start, counters } => {
                self.level.cache.slots[at] = self.point(start, counters, number);
            }
            Slot::Map | Slot::Other => {
                if let Some(number) = number {
                    self.reader.number(self.is_counter, Some(number));
                }
                self.begin_run();
            }
            Slot::Refused(reason) => self.reader.refuse(reason),
            Slot::Unwanted => {}
        }
        self.hand_over();
    }

    /// Renders a point, and returns its slot for the next collection.
    fn point(&mut self, start: Start, counters: Counters, number: Option<Number>) -> Slot {
        let (begins, len) = self.level.begin(start);
        let begins = &begins[..len];
        let hash = self.reader.hash(begins);
        let is_conflict = self.reader.point(begins, hash, counters, number);
        match counters {
            Counters::Totals if !is_conflict => Slot::Plain(start),
            _ => Slot::Point { start, counters },
        }
    }

    fn begin_run(&mut self) {
        let (names, level) = (self.reader.names(), &mut self.level);
        let before = match level.cache.runs.get_mut(level.runs) {
            Some(before) => Some(std::mem::replace(before, names)),
            None => {
                level.cache.runs.push(names);
                None
            }
        };
        level.runs += 1;
        level.repeats = before == Some(names) && self.reader.repeats();
    }

    #[cold]
    #[inline(never)]
    fn learn_point(&mut self) -> Slot {
        let starts = &mut self.level.cache.starts;
        let at = starts.len();
        match self.reader.begin_line(self.is_counter, starts) {
            Verdict::Sent(counters) => Slot::Point { start: self.level.learn(at), counters },
            Verdict::Refused(reason) => Slot::Refused(reason),
            Verdict::Unwanted => Slot::Unwanted,
        }
    }

    /// Begins a variable that is named again at each collection. Returns false if the last one
    /// found a number here: this collection skips it, and the next learns all names again.
    fn begin_other(&mut self) -> bool {
        if !self.level.known {
            self.level.cache.slots.push(Slot::Other);
        }
        let at = self.level.slots;
        self.level.slots += 1;
        match self.level.cache.slots[at] {
            Slot::Plain(start) | Slot::Point { start, .. } => {
                self.level.begin(start);
                self.level.cache.names = None;
                false
            }
            Slot::Refused(_) | Slot::Unwanted => {
                self.level.cache.names = None;
                false
            }
            Slot::Map | Slot::Other => true,
        }
    }
}

impl Visitor for Walk<'_, '_> {
    fn enter(&mut self, step: Step<'_>, info: &Info) {
        self.is_counter = info.is_counter();
        self.reader.mark();
        if self.inside == 0 && self.level.known {
            match self.level.cache.slots.get(self.level.slots) {
                Some(Slot::Map | Slot::Other) | None => {}
                // Its name is cached, or it is not sent.
                Some(_) => return,
            }
        }
        match step {
            Step::Name(key) | Step::Key(key) => self.reader.push(key),
            Step::Index(index) => self.reader.push_index(index),
        }
    }

    fn leave(&mut self) {
        self.reader.back_to_mark();
    }

    fn number(&mut self, number: Number) {
        if self.inside > 0 {
            self.reader.number(self.is_counter, Some(number));
        } else if self.repeat(number) {
            self.hand_over();
        } else {
            self.single(Some(number));
        }
    }

    fn boolean(&mut self, value: bool) {
        self.number(Number::from(value));
    }

    fn text(&mut self, _: &str) {
        self.null();
    }

    fn null(&mut self) {
        if self.inside == 0 {
            self.single(None);
        }
    }

    fn histogram(&mut self, mut histogram: Recorded<'_>) {
        if self.inside > 0 {
            // In a map whose keys are members.
            return self.reader.histogram(&mut histogram);
        }
        if self.begin_other() {
            self.reader.histogram(&mut histogram);
            self.begin_run();
        }
        self.hand_over();
    }

    fn begin(&mut self, shape: Shape) -> bool {
        match shape {
            Shape::Map => {
                let level = &mut self.level;
                if !level.known {
                    level.cache.slots.push(Slot::Map);
                    level.cache.maps.push(NameCache::default());
                }
                level.slots += 1;
                let cache = std::mem::take(&mut level.cache.maps[level.maps]);
                let level = Level { cache, ..Level::default() };
                self.above.push(std::mem::replace(&mut self.level, level));
                true
            }
            Shape::Structure | Shape::Array => {
                let is_known = self.inside > 0 || self.begin_other();
                self.inside += 1;
                is_known && (shape == Shape::Structure || self.reader.wants_arrays())
            }
        }
    }

    fn end(&mut self, shape: Shape) {
        if shape != Shape::Map {
            self.inside -= 1;
            if self.inside > 0 {
                return;
            }
        } else if let Some(above) = self.above.pop() {
            let level = std::mem::replace(&mut self.level, above);
            self.level.cache.maps[self.level.maps] = level.cache;
            self.level.maps += 1;
        }
        self.begin_run();
        self.hand_over();
    }
}

impl Recall for Walk<'_, '_> {
    fn names(&mut self, names: Generation) -> bool {
        let level = &mut self.level;
        level.known = level.cache.names == Some(names);
        if !level.known {
            level.cache = NameCache { names: Some(names), ..NameCache::default() };
        }
        self.begin_run();
        !self.level.known
    }

    #[inline(always)]
    fn numbers(&mut self, numbers: &[Number]) -> usize {
        let mut taken = 0;
        while taken < numbers.len() {
            taken += self.repeat_all(&numbers[taken..]);
            match numbers.get(taken) {
                Some(&number) if self.repeat(number) => taken += 1,
                _ => break,
            }
        }
        self.hand_over();
        taken
    }
}
