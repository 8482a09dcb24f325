//! The walk over a registry that every exporter visits.

use std::cell::OnceCell;
use std::marker::PhantomData;
use std::ptr;

use super::recall::{Memory, Nothing};
use super::recorded::Recorded;
use super::visitor::{Shape, Step, Visitor};
use crate::cells::Reader;
use crate::func::Returned;
use crate::histogram::Reading;
use crate::info::Info;
use crate::map::{Child, Map};
use crate::names::{List, Named};
use crate::number::Number;
use crate::prefetch::Prefetch;
use crate::registry::Entry;
use crate::var::Var;

/// The depth to which nested maps are shown.
const DEPTH: usize = 32;
/// How often a map is shown within itself; below that it is `null`.
const WITHIN_ITSELF: usize = 2;

/// Visits the variables that `wanted` accepts, given the index and name of each. Not called for
/// numbers whose names `M` has cached.
pub(crate) fn registry<M: Memory<V>, V: Visitor>(
    list: &List<Entry>,
    mut wanted: impl FnMut(usize, &str) -> bool,
    visitor: &mut V,
) {
    let reader = Reader::now();
    let mut walk =
        Walk { reader: &reader, buffers: Buffers::default(), visitor, memory: PhantomData::<M> };
    let names = M::names(walk.visitor, list);
    walk.list(list, names, |walk, at, number| {
        let (name, entry) = list.at(at);
        if wanted(at, name) {
            walk.entry(name, entry, number);
        }
    });
}

/// Visits one variable's value, without a name.
pub(crate) fn value(var: &Var, visitor: &mut impl Visitor) {
    let reader = Reader::now();
    let info = Info::new();
    let (buffers, memory) = (Buffers::default(), PhantomData::<Nothing>);
    Walk { reader: &reader, buffers, visitor, memory }.value(var, &info, None);
}

struct Walk<'w, V, M> {
    reader: &'w Reader,
    buffers: Buffers,
    visitor: &'w mut V,
    memory: PhantomData<M>,
}

/// Buffers for one value at a time.
#[derive(Default)]
struct Buffers {
    json: Vec<u8>,
    reading: Reading,
}

/// The maps that the walk is in.
struct Path<'p> {
    map: &'p Map,
    /// Keys are members: see [`Map::members`].
    is_structure: bool,
    above: Option<&'p Path<'p>>,
}

impl<V: Visitor, M: Memory<V>> Walk<'_, V, M> {
    /// Calls `f` with the index of each variable in a list, and its number if it is in a column, but
    /// for the numbers that pass without their names.
    fn list<T>(
        &mut self,
        list: &List<T>,
        known: Option<M::Names<'_>>,
        mut f: impl FnMut(&mut Self, usize, Option<Number>),
    ) {
        let mut names = Prefetch::new(list.names());
        list.numbers().read(self.reader, |first, numbers| {
            let mut at = 0;
            loop {
                match &known {
                    Some(known) if at < numbers.len() => {
                        at += M::numbers(self.visitor, known, first + at, &numbers[at..]);
                        if at == numbers.len() {
                            return;
                        }
                    }
                    Some(_) => {}
                    // `f` reads the names by itself, and finds this one prefetched.
                    None => _ = names.next(),
                }
                f(self, first + at, numbers.get(at).copied());
                at += 1;
                if at >= numbers.len() {
                    return;
                }
            }
        });
    }

    /// Not inlined, so that the path of cached names stays short.
    #[inline(never)]
    fn entry(&mut self, name: &str, entry: &Entry, number: Option<Number>) {
        let info = entry.info();
        self.visitor.enter(Step::Name(name), info);
        self.visitor.registered(entry.registered());
        match number {
            Some(number) => self.visitor.number(number),
            None => self.value(entry.var(), info, None),
        }
        self.visitor.leave();
    }

    fn value(&mut self, var: &Var, info: &Info, path: Option<&Path<'_>>) {
        match var {
            Var::Counter(counter) => {
                self.visitor.number(Number::Unsigned(counter.read(self.reader)));
            }
            Var::Gauge(gauge) => self.visitor.number(Number::Signed(gauge.read(self.reader))),
            Var::FloatGauge(gauge) => self.visitor.number(Number::Float(gauge.get())),
            Var::Text(text) => text.with(|text| self.visitor.text(text)),
            Var::Histogram(histogram) => {
                let (reader, reading) = (self.reader, &mut self.buffers.reading);
                self.visitor.histogram(Recorded::new(histogram, reader, reading));
            }
            Var::Map(map) => self.map(map, info, path),
            Var::Func(func) => {
                let in_parts = !self.visitor.wants_json();
                let returned = func.read(in_parts, &mut self.buffers.json);
                // Variables that the function changed must be read after it.
                self.reader.refresh();
                match returned {
                    Returned::Null => self.visitor.null(),
                    Returned::Number(number) => self.visitor.number(number),
                    Returned::Json(json) if !in_parts => self.visitor.json(json),
                    #[cfg(feature = "serde")]
                    Returned::Json(json) => {
                        // It is JSON; below the depth limit the walk of it just stops.
                        let _ = super::parts::visit(json, &func.info(info), self.visitor);
                    }
                    #[cfg(not(feature = "serde"))]
                    Returned::Json(_) => self.visitor.null(),
                }
            }
        }
    }

    fn map(&mut self, map: &Map, info: &Info, above: Option<&Path<'_>>) {
        let is_structure = !map.members.is_empty() || above.is_some_and(|above| above.is_structure);
        let path = Path { map, is_structure, above };
        if path.is_too_deep() {
            return self.visitor.null();
        }
        if is_structure {
            return self.members(map, info, &path);
        }
        if self.visitor.begin(Shape::Map) {
            let list = map.list();
            let names = M::names(self.visitor, &list);
            // A counter only goes up, whatever the map's metadata says.
            let counting = OnceCell::new();
            self.list(&list, names, |walk, at, number| {
                let (key, child) = list.at(at);
                let info = match &child.var {
                    Var::Counter(_) if !info.is_counter() => {
                        counting.get_or_init(|| info.clone().counter())
                    }
                    _ => info,
                };
                walk.child(key, child, number, info, &path);
            });
        }
        self.visitor.end(Shape::Map);
    }

    /// Shows a map whose keys are members. Their names are not remembered, as those of functions are
    /// not.
    fn members(&mut self, map: &Map, info: &Info, path: &Path<'_>) {
        let listed = info.clone().members(map.members);
        let info = if map.members.is_empty() { info } else { &listed };
        if self.visitor.begin(Shape::Structure) {
            let list = map.list();
            self.list(&list, None, |walk, at, number| {
                let (key, child) = list.at(at);
                let info = info.member(key);
                match &child.var {
                    Var::Counter(_) if !info.is_counter() => {
                        walk.child(key, child, number, &info.clone().counter(), path);
                    }
                    _ => walk.child(key, child, number, info, path),
                }
            });
        }
        self.visitor.end(Shape::Structure);
    }

    fn child(
        &mut self,
        key: &str,
        child: &Child,
        number: Option<Number>,
        info: &Info,
        path: &Path<'_>,
    ) {
        self.visitor.enter(Step::Key(key), info);
        self.visitor.registered(child.registered);
        match number {
            Some(number) => self.visitor.number(number),
            None => self.value(&child.var, info, Some(path)),
        }
        self.visitor.leave();
    }
}

impl Path<'_> {
    fn is_too_deep(&self) -> bool {
        let above = || std::iter::successors(self.above, |path| path.above);
        let within_itself = above().filter(|path| ptr::eq(path.map, self.map)).count();
        within_itself > WITHIN_ITSELF || above().count() >= DEPTH
    }
}
