//! What a reading keeps of names for the next one: as long as they are the same, nothing is made of
//! them anew.

use expvar::{Generation, Info, Value, Visitor};

use crate::number::Number;
use crate::reading::{Parts, Reader, Verdict};
use crate::refusal::Refusal;
use crate::selection::Counters;

/// The variables of a registry or a map, in their order.
#[derive(Default)]
pub(crate) struct Branch {
    /// Which names it was made of.
    names: Option<Generation>,
    slots: Vec<Slot>,
    /// How the points' lines begin, one after the other.
    starts: Vec<u8>,
    maps: Vec<Branch>,
}

/// What becomes of a variable.
#[derive(Clone, Copy)]
enum Slot {
    /// One point: its line begins with so many bytes, which hash to this.
    Point {
        len: u16,
        counters: Counters,
        hash: u64,
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
    /// How many of the slots, of the bytes of the starts and of the maps are done.
    slots: usize,
    starts: usize,
    maps: usize,
}

impl<'r, 'p> Walk<'r, 'p> {
    pub(crate) fn new(
        reader: &'r mut Reader,
        branch: &'r mut Branch,
        parts: &'r mut Parts<'p>,
    ) -> Self {
        Self { reader, branch, parts, known: false, slots: 0, starts: 0, maps: 0 }
    }

    #[inline]
    fn value(&mut self, name: &str, info: &Info, value: Value<'_>) {
        if !self.known {
            self.learn(name, info, value);
        }
        let slot = self.branch.slots[self.slots];
        self.slots += 1;
        match slot {
            Slot::Point { len, counters, hash } => {
                let start = self.starts;
                self.starts += usize::from(len);
                let start = &self.branch.starts[start..self.starts];
                self.reader.point(start, hash, counters, scalar(value));
            }
            Slot::Map => self.map(name, info, value),
            Slot::Other => self.reader.below(name, |reader| reader.value(info.is_counter(), value)),
            Slot::Refused(reason) => self.reader.refuse(reason),
            Slot::Unwanted => {}
        }
        if self.reader.lines().len() >= self.parts.bytes {
            (self.parts.take)(self.reader.lines());
        }
    }

    #[cold]
    #[inline(never)]
    fn map(&mut self, name: &str, info: &Info, value: Value<'_>) {
        let branch = &mut self.branch.maps[self.maps];
        self.maps += 1;
        let Value::Map(map) = value else { return };
        let parts = &mut *self.parts;
        self.reader.below(name, |reader| {
            let mut walk = Walk::new(reader, branch, parts);
            if walk.begin(map.generation()) {
                map.for_each(|key, value| walk.value(key, info, value));
            } else {
                map.for_each_known(|key, value| walk.value(key, info, value));
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
                        Verdict::Sent { counters, hash } => {
                            Slot::Point { len: (starts.len() - before) as u16, counters, hash }
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

impl Visitor for Walk<'_, '_> {
    fn begin(&mut self, names: Generation) -> bool {
        self.known = self.branch.names == Some(names);
        if !self.known {
            *self.branch = Branch { names: Some(names), ..Branch::default() };
        }
        !self.known
    }

    #[inline]
    fn variable(&mut self, name: &str, info: &Info, value: Value<'_>) {
        self.value(name, info, value);
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
