//! A cache of names between collections: valid as long as the names are the same.

use expvar::protobuf::Message;
use expvar::{Generation, Info, Number, Recall, Recorded, Shape, Step, Visitor};

use crate::encode::reader::{Learnt, Reader};
use crate::encode::refusal::Refusal;

/// The variables of a registry or a map, in order.
#[derive(Default)]
pub(crate) struct NameCache {
    /// The names for which it is valid.
    names: Option<Generation>,
    slots: Vec<Slot>,
    /// The beginnings of the numbers' points, concatenated.
    heads: Message,
    maps: Vec<NameCache>,
}

/// The cached state of a variable.
#[derive(Clone, Copy)]
enum Slot {
    /// One number.
    Number(Learnt),
    /// The next of the maps.
    Map,
    /// Named again at each collection.
    Other,
    /// Not sent.
    Hidden,
    Refused(Refusal),
}

/// One collection: the visitor of a walk.
pub(crate) struct Walk<'r> {
    reader: &'r mut Reader,
    /// The cache of the current level.
    level: Level,
    /// The enclosing levels, outermost first.
    above: Vec<Level>,
    /// The enclosing maps and structures, outermost first.
    opened: Vec<Opened>,
    /// The depth of structures and arrays in a function's value.
    inside: usize,
    /// Whether the current variable is not sent.
    hidden: bool,
    /// Whether the last entered value was named.
    named: bool,
}

/// A map or structure.
#[derive(Clone, Copy, PartialEq)]
enum Opened {
    Map,
    Function,
    /// Skipped.
    Nothing,
}

/// A cache and the position in it.
#[derive(Default)]
struct Level {
    cache: NameCache,
    known: bool,
    /// Positions in slots, heads and maps.
    slots: usize,
    heads: usize,
    maps: usize,
}

impl<'r> Walk<'r> {
    /// Begins a collection with the last one's cache; [`finish`](Self::finish) returns the new one.
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

    /// Encodes a number from the cache; returns false on a miss.
    #[inline(always)]
    fn repeat(&mut self, number: Number) -> bool {
        let level = &mut self.level;
        let Some(&Slot::Number(learnt)) = level.cache.slots.get(level.slots) else { return false };
        let head = &level.cache.heads.as_bytes()[level.heads..];
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

    /// The slot of the entered variable, learnt if it is not known.
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

    /// A variable or map value that is one number.
    fn single(&mut self, number: Number) {
        let whole = self.above.is_empty();
        let (slot, is_new) = self.slot(|reader, cache, whole| {
            match reader.learn(whole, &mut cache.heads) {
                Ok(learnt) => Slot::Number(learnt),
                // Another variable has the series; it may go away.
                Err(Refusal::Conflict) => Slot::Other,
                Err(reason) => Slot::Refused(reason),
            }
        });
        match slot {
            Slot::Number(learnt) => {
                let level = &mut self.level;
                let head = &level.cache.heads.as_bytes()[level.heads..];
                level.heads += learnt.len as usize;
                if !self.reader.repeat(learnt, head, whole, is_new, number) {
                    self.reader.refuse(Refusal::Conflict);
                    level.cache.names = None;
                }
            }
            Slot::Other if self.named => self.reader.number(number),
            Slot::Other | Slot::Hidden => {}
            Slot::Refused(reason) => self.reader.refuse(reason),
            // A function whose value had another structure last time.
            Slot::Map => self.pass_map(),
        }
    }

    /// Begins a variable that is named again at each collection. Returns false if the last one
    /// found something else here: this collection skips it, and the next learns all names again.
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

    /// Begins a map. Returns false like [`begin_other`](Self::begin_other).
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
                // Its name is cached, or it is not sent.
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
        // In a map whose keys are members, as in what a function returns.
        if self.inside > 0 || self.begin_other() {
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

    #[inline(always)]
    fn numbers(&mut self, numbers: &[Number]) -> usize {
        numbers.iter().take_while(|&&number| self.repeat(number)).count()
    }
}
