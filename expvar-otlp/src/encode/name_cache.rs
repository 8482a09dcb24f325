//! What a reading keeps of names for the next one: as long as they are the same, nothing is made
//! of them anew.

use expvar::protobuf::Message;
use expvar::{Generation, Info, Number, Recall, Recorded, Shape, Step, Visitor};

use crate::encode::reader::{Learnt, Reader};
use crate::encode::refusal::Refusal;

/// The variables of a registry or a map, in their order.
#[derive(Default)]
pub(crate) struct NameCache {
    /// Which names it was made of.
    names: Option<Generation>,
    slots: Vec<Slot>,
    /// How the numbers begin, one after the other.
    heads: Message,
    maps: Vec<NameCache>,
}

/// What becomes of a variable.
#[derive(Clone, Copy)]
enum Slot {
    /// One number.
    Number(Learnt),
    /// The next one of the maps.
    Map,
    /// Named anew at each reading.
    Other,
    /// Not sent.
    Hidden,
    Refused(Refusal),
}

/// A reading: the visitor of a walk.
pub(crate) struct Walk<'r> {
    reader: &'r mut Reader,
    /// The cache that the walk is in.
    level: Level,
    /// Those that it is in turn in, outermost first.
    above: Vec<Level>,
    /// What the walk is in, outermost first.
    opened: Vec<Opened>,
    /// Structures and arrays that the walk is in, of what a function returned.
    inside: usize,
    /// Whether the variable that the walk is in is not sent.
    hidden: bool,
    /// Whether what was entered last was named.
    named: bool,
}

/// A map or structure.
#[derive(Clone, Copy, PartialEq)]
enum Opened {
    Map,
    Function,
    /// It is passed over.
    Nothing,
}

/// A cache and how far the walk is in it.
#[derive(Default)]
struct Level {
    cache: NameCache,
    known: bool,
    /// How many of the slots, of the bytes of the heads and of the maps are done.
    slots: usize,
    heads: usize,
    maps: usize,
}

impl<'r> Walk<'r> {
    /// A reading with what the last one kept; [`finish`](Self::finish) gives what this one keeps.
    pub(crate) fn new(reader: &'r mut Reader, root: NameCache) -> Self {
        let level = Level { cache: root, ..Level::default() };
        reader.place.depth = 0;
        Self {
            reader,
            level,
            above: Vec::new(),
            opened: Vec::new(),
            inside: 0,
            hidden: false,
            named: false,
        }
    }

    pub(crate) fn finish(self) -> NameCache {
        self.level.cache
    }

    /// Encodes a number that the last reading knew. Returns false where it did not.
    #[inline(always)]
    fn repeat(&mut self, number: Number) -> bool {
        let level = &mut self.level;
        let Some(&Slot::Number(learnt)) = level.cache.slots.get(level.slots) else { return false };
        let head = &level.cache.heads.as_bytes()[level.heads..][..learnt.len as usize];
        let whole = self.above.is_empty();
        if !self.reader.repeat(learnt, head, whole, false, number) {
            return false;
        }
        level.slots += 1;
        level.heads += learnt.len as usize;
        if whole {
            self.reader.leave_variable();
        }
        true
    }

    /// Takes the slot of what is entered, which is learnt where it is not known.
    fn slot(
        &mut self,
        learn: impl FnOnce(&mut Reader, &mut NameCache, bool) -> Slot,
    ) -> (Slot, bool) {
        let whole = self.above.is_empty();
        let level = &mut self.level;
        let is_new = !level.known;
        if is_new {
            let slot = match self.hidden {
                true => Slot::Hidden,
                false => learn(self.reader, &mut level.cache, whole),
            };
            level.cache.slots.push(slot);
        }
        let slot = level.cache.slots.get(level.slots).copied().unwrap_or(Slot::Hidden);
        level.slots += 1;
        (slot, is_new)
    }

    /// A variable or a map's value that is one number.
    fn single(&mut self, number: Number) {
        let whole = self.above.is_empty();
        let (slot, is_new) = self.slot(|reader, cache, whole| {
            match reader.learn(whole, &mut cache.heads) {
                Ok(learnt) => Slot::Number(learnt),
                // Another variable's: it may go.
                Err(Refusal::Conflict) => Slot::Other,
                Err(reason) => Slot::Refused(reason),
            }
        });
        match slot {
            Slot::Number(learnt) => {
                let level = &mut self.level;
                let head = &level.cache.heads.as_bytes()[level.heads..][..learnt.len as usize];
                level.heads += learnt.len as usize;
                if !self.reader.repeat(learnt, head, whole, is_new, number) {
                    self.reader.refuse(Refusal::Conflict);
                    level.cache.names = None;
                }
            }
            Slot::Other if self.named => self.reader.number(number),
            Slot::Other | Slot::Hidden => {}
            Slot::Refused(reason) => self.reader.refuse(reason),
            // A function that returned something else the last time.
            Slot::Map => self.pass_map(),
        }
    }

    /// Begins what is named anew at each reading. Returns false where the last reading found
    /// something else here: this one passes over it, and the next learns all names anew.
    fn begin_other(&mut self) -> bool {
        let (slot, _) = self.slot(|_, _, _| Slot::Other);
        match slot {
            Slot::Other => return self.named,
            Slot::Number(learnt) => self.pass_number(learnt),
            Slot::Map => self.pass_map(),
            Slot::Hidden | Slot::Refused(_) => {}
        }
        false
    }

    fn pass_number(&mut self, learnt: Learnt) {
        self.level.heads += learnt.len as usize;
        self.level.cache.names = None;
    }

    fn pass_map(&mut self) {
        self.level.maps += 1;
        self.level.cache.names = None;
    }

    /// Begins a map. Returns false as [`begin_other`](Self::begin_other) does.
    fn begin_map(&mut self) -> bool {
        let (slot, _) = self.slot(|_, cache, _| {
            cache.maps.push(NameCache::default());
            Slot::Map
        });
        match slot {
            Slot::Map if self.named => {
                let cache = std::mem::take(&mut self.level.cache.maps[self.level.maps]);
                let level = Level { cache, ..Level::default() };
                self.above.push(std::mem::replace(&mut self.level, level));
                return true;
            }
            Slot::Map => self.pass_map(),
            Slot::Number(learnt) => self.pass_number(learnt),
            Slot::Other => self.level.cache.names = None,
            Slot::Hidden | Slot::Refused(_) => {}
        }
        false
    }

    fn end_map(&mut self) {
        if let Some(above) = self.above.pop() {
            let level = std::mem::replace(&mut self.level, above);
            self.level.cache.maps[self.level.maps] = level.cache;
            self.level.maps += 1;
        }
    }
}

impl Visitor for Walk<'_> {
    fn enter(&mut self, step: Step<'_>, info: &Info) {
        self.reader.place.depth += 1;
        let is_variable = self.reader.place.depth == 1;
        if is_variable {
            self.hidden = false;
            self.reader.registered(0);
        } else {
            self.reader.place.mark();
        }
        self.named = false;
        if self.inside == 0 && self.level.known {
            match self.level.cache.slots.get(self.level.slots) {
                Some(Slot::Map | Slot::Other) => {}
                // It was named in the last reading, or is not sent.
                _ => return,
            }
        }
        match step {
            Step::Name(name) if is_variable => {
                self.hidden = !self.reader.enter_variable(name, info);
            }
            step => self.reader.place.enter_step(step, info),
        }
        self.named = !self.hidden;
    }

    fn registered(&mut self, unix_nanos: u64) {
        self.reader.registered(unix_nanos);
    }

    fn leave(&mut self) {
        self.reader.place.depth -= 1;
        match self.reader.place.depth {
            0 => self.reader.leave_variable(),
            _ => self.reader.place.leave_step(),
        }
    }

    fn number(&mut self, number: Number) {
        if self.inside > 0 {
            self.reader.number(number);
        } else {
            self.single(number);
        }
    }

    fn boolean(&mut self, value: bool) {
        self.number(Number::from(value));
    }

    fn text(&mut self, text: &str) {
        if self.inside > 0 || self.begin_other() {
            self.reader.text(text);
        }
    }

    fn null(&mut self) {
        if self.inside == 0 {
            self.begin_other();
        }
    }

    fn histogram(&mut self, histogram: Recorded<'_>) {
        if self.begin_other() {
            self.reader.histogram(histogram);
        }
    }

    fn begin(&mut self, shape: Shape) -> bool {
        let opened = match shape {
            _ if self.inside > 0 => Opened::Function,
            Shape::Map if self.begin_map() => Opened::Map,
            Shape::Structure | Shape::Array if self.begin_other() => Opened::Function,
            _ => Opened::Nothing,
        };
        self.opened.push(opened);
        if opened == Opened::Nothing {
            return false;
        }
        self.inside += usize::from(opened == Opened::Function);
        self.reader.place.begin(shape);
        true
    }

    fn end(&mut self, _: Shape) {
        match self.opened.pop() {
            None | Some(Opened::Nothing) => return,
            Some(Opened::Function) => self.inside -= 1,
            Some(Opened::Map) => self.end_map(),
        }
        self.reader.end_texts();
        self.reader.place.end();
    }
}

impl Recall for Walk<'_> {
    fn names(&mut self, names: Generation) -> bool {
        let level = &mut self.level;
        level.known = level.cache.names == Some(names);
        if !level.known {
            level.cache = NameCache { names: Some(names), ..NameCache::default() };
        }
        !level.known
    }

    #[inline]
    fn next(&mut self, number: Number) -> bool {
        self.repeat(number)
    }
}
