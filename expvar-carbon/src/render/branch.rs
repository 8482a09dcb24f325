//! What a reading keeps of names for the next one: as long as they are the same, nothing is made of
//! them anew.

use expvar::{Generation, Info, OldVisitor, Value};

use crate::render::number::Number;
use crate::render::reading::{Parts, Reader, Verdict};
use crate::render::refusal::Refusal;
use crate::render::selection::Counters;

/// The variables of a registry or a map, in their order.
#[derive(Default)]
pub(crate) struct Branch {
    /// Which names it was made of.
    names: Option<Generation>,
    slots: Vec<Slot>,
    /// How the points' lines begin, one after the other.
    starts: Vec<u8>,
    maps: Vec<Branch>,
    /// How many names the last reading had before each run of points: at the beginning, and after
    /// whatever may have other names each time.
    runs: Vec<usize>,
}

/// What becomes of a variable.
#[derive(Clone, Copy)]
enum Slot {
    /// One point, sent as it is: its line begins with so many bytes.
    Plain {
        len: u16,
    },
    /// The same, but it was not rendered yet, or what is sent depends on the last reading, or
    /// another variable had the name before.
    Point {
        len: u16,
        counters: Counters,
    },
    /// The next one of the maps.
    Map,
    /// Named anew at each reading: a histogram, or what a function returns.
    Other,
    Refused(Refusal),
    Unwanted,
}

/// A reading of a branch.
pub(crate) struct Walk<'r, 'p> {
    reader: &'r mut Reader,
    branch: &'r mut Branch,
    parts: &'r mut Parts<'p>,
    known: bool,
    /// All names before this run of points, and so those of the run, are as in the last reading.
    repeats: bool,
    /// How many of the slots, of the bytes of the starts, of the maps and of the runs are done.
    slots: usize,
    starts: usize,
    maps: usize,
    runs: usize,
}

impl<'r, 'p> Walk<'r, 'p> {
    pub(crate) fn new(
        reader: &'r mut Reader,
        branch: &'r mut Branch,
        parts: &'r mut Parts<'p>,
    ) -> Self {
        let (known, repeats, slots, starts, maps, runs) = (false, false, 0, 0, 0, 0);
        Self { reader, branch, parts, known, repeats, slots, starts, maps, runs }
    }

    /// Renders what is as in the last reading; else returns that it is not.
    #[inline(always)]
    fn repeat(&mut self, value: Value<'_>) -> bool {
        if !self.repeats {
            return false;
        }
        let Some(&Slot::Plain { len }) = self.branch.slots.get(self.slots) else { return false };
        let Some(number) = scalar(value) else { return false };
        self.slots += 1;
        let starts = &self.branch.starts[self.starts..];
        self.starts += usize::from(len);
        self.reader.repeat(starts, usize::from(len), number);
        self.hand_over();
        true
    }

    #[inline(always)]
    fn hand_over(&mut self) {
        if self.reader.lines().len() >= self.parts.bytes {
            (self.parts.take)(self.reader.lines());
        }
    }

    #[inline(always)]
    fn render(&mut self, name: &str, info: &Info, value: Value<'_>) {
        if !self.repeat(value) {
            self.other_value(name, info, value);
        }
    }

    #[inline(never)]
    fn other_value(&mut self, name: &str, info: &Info, value: Value<'_>) {
        if !self.known {
            self.learn(name, info, value);
        }
        let at = self.slots;
        self.slots += 1;
        match self.branch.slots[at] {
            Slot::Plain { len } => {
                self.branch.slots[at] = self.point(len, Counters::Totals, value);
            }
            Slot::Point { len, counters } => {
                self.branch.slots[at] = self.point(len, counters, value);
            }
            Slot::Map => {
                self.map(name, info, value);
                self.begin_run();
            }
            Slot::Other => {
                self.reader.below(name, |reader| reader.value(info.is_counter(), value));
                self.begin_run();
            }
            Slot::Refused(reason) => self.reader.refuse(reason),
            Slot::Unwanted => {}
        }
        self.hand_over();
    }

    /// Renders a point whose line begins with `len` bytes, and returns what it is next time, should
    /// all names before it be the same.
    fn point(&mut self, len: u16, counters: Counters, value: Value<'_>) -> Slot {
        let start = &self.branch.starts[self.starts..][..usize::from(len)];
        self.starts += start.len();
        let hash = self.reader.hash(start);
        let is_clash = self.reader.point(start, hash, counters, scalar(value));
        match counters {
            Counters::Totals if !is_clash => Slot::Plain { len },
            _ => Slot::Point { len, counters },
        }
    }

    fn begin_run(&mut self) {
        let names = self.reader.names();
        let before = match self.branch.runs.get_mut(self.runs) {
            Some(before) => Some(std::mem::replace(before, names)),
            None => {
                self.branch.runs.push(names);
                None
            }
        };
        self.runs += 1;
        self.repeats = before == Some(names) && self.reader.repeats();
    }

    fn map(&mut self, name: &str, info: &Info, value: Value<'_>) {
        let branch = &mut self.branch.maps[self.maps];
        self.maps += 1;
        let Value::Map(map) = value else { return };
        let parts = &mut *self.parts;
        self.reader.below(name, |reader| {
            let mut walk = Walk::new(reader, branch, parts);
            if walk.begin(map.generation()) {
                map.for_each(|key, value| walk.render(key, info, value));
            } else {
                map.for_each_known(|key, value| walk.render(key, info, value));
            }
        });
    }

    #[cold]
    #[inline(never)]
    fn learn(&mut self, name: &str, info: &Info, value: Value<'_>) {
        let slot = match value {
            Value::Map(_) => {
                self.branch.maps.push(Branch::default());
                Slot::Map
            }
            Value::Counter(_) | Value::Gauge(_) | Value::Float(_) => {
                let starts = &mut self.branch.starts;
                let is_counter = info.is_counter() || matches!(value, Value::Counter(_));
                self.reader.below(name, |reader| {
                    let before = starts.len();
                    match reader.begin_line(is_counter, starts) {
                        Verdict::Sent(counters) => {
                            let len = (starts.len() - before) as u16;
                            Slot::Point { len, counters }
                        }
                        Verdict::Refused(reason) => Slot::Refused(reason),
                        Verdict::Unwanted => Slot::Unwanted,
                    }
                })
            }
            _ => Slot::Other,
        };
        self.branch.slots.push(slot);
    }
}

impl OldVisitor for Walk<'_, '_> {
    fn begin(&mut self, names: Generation) -> bool {
        self.known = self.branch.names == Some(names);
        if !self.known {
            *self.branch = Branch { names: Some(names), ..Branch::default() };
        }
        self.begin_run();
        !self.known
    }

    #[inline]
    fn number(&mut self, value: Value<'_>) -> bool {
        self.repeat(value)
    }

    fn variable(&mut self, name: &str, info: &Info, value: Value<'_>) {
        self.render(name, info, value);
    }
}

#[inline]
fn scalar(value: Value<'_>) -> Option<Number> {
    match value {
        Value::Counter(n) => Some(Number::Unsigned(n)),
        Value::Gauge(n) => Some(Number::Signed(n)),
        Value::Float(n) => Some(Number::Float(n)),
        _ => None,
    }
}
