//! The walk over a registry that every exporter visits.

use std::cell::OnceCell;
use std::fmt;
use std::marker::PhantomData;
use std::ptr;

use super::recall::{Memory, Nothing};
use super::visitor::{Shape, Step, Visitor};
use crate::cells::Reader;
use crate::exemplar::Exemplar;
use crate::func::Returned;
use crate::histogram::{Histogram, Moment, Reading, Snapshot, Stamp};
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
    for_each(list, &reader, names.is_none(), |at, number| {
        if let (Some(names), Some(number)) = (&names, number)
            && M::next(walk.visitor, names, at, number)
        {
            return;
        }
        let (name, entry) = list.at(at);
        if !wanted(at, name) {
            return;
        }
        let info = entry.info();
        walk.visitor.enter(Step::Name(name), info);
        walk.visitor.registered(entry.registered());
        match number {
            Some(number) => walk.visitor.number(number),
            None => walk.value(entry.var(), info, None),
        }
        walk.visitor.leave();
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
                self.visitor.histogram(Recorded {
                    histogram,
                    reader,
                    reading,
                    read: Read::Nothing,
                });
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
            for_each(&list, self.reader, names.is_none(), |at, number| {
                if let (Some(names), Some(number)) = (&names, number)
                    && M::next(self.visitor, names, at, number)
                {
                    return;
                }
                let (key, child) = list.at(at);
                let info = match &child.var {
                    Var::Counter(_) if !info.is_counter() => {
                        counting.get_or_init(|| info.clone().counter())
                    }
                    _ => info,
                };
                self.child(key, child, number, info, &path);
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
            for_each(&list, self.reader, true, |at, number| {
                let (key, child) = list.at(at);
                let info = info.member(key);
                match &child.var {
                    Var::Counter(_) if !info.is_counter() => {
                        self.child(key, child, number, &info.clone().counter(), path);
                    }
                    _ => self.child(key, child, number, info, path),
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

/// Calls `f` for each variable's index, with its value if it is in a column of numbers.
fn for_each<T>(
    list: &List<T>,
    reader: &Reader,
    names_wanted: bool,
    mut f: impl FnMut(usize, Option<Number>),
) {
    let mut names = Prefetch::new(list.names());
    list.numbers().read(reader, |at, number| {
        if names_wanted {
            // `f` reads the names by itself, and finds this one prefetched.
            names.next();
        }
        f(at, number);
    });
}

impl Path<'_> {
    fn is_too_deep(&self) -> bool {
        let above = || std::iter::successors(self.above, |path| path.above);
        let within_itself = above().filter(|path| ptr::eq(path.map, self.map)).count();
        within_itself > WITHIN_ITSELF || above().count() >= DEPTH
    }
}

/// A histogram in a walk, read on demand.
///
/// ```
/// use expvar::{Histogram, Info, Recorded, Registry, Step, Visitor};
///
/// #[derive(Default)]
/// struct Medians(Vec<u64>);
///
/// impl Visitor for Medians {
///     fn enter(&mut self, _: Step<'_>, _: &Info) {}
///     fn leave(&mut self) {}
///     fn histogram(&mut self, mut histogram: Recorded<'_>) {
///         if histogram.count() > 0 {
///             self.0.push(histogram.total().quantile(0.5));
///         }
///     }
/// }
///
/// let registry = Registry::new();
/// registry.publish("sizes", Histogram::new())?.record(3);
/// let mut medians = Medians::default();
/// registry.visit(&mut medians);
/// assert_eq!(medians.0, [3]);
/// # Ok::<(), expvar::PublishError>(())
/// ```
pub struct Recorded<'a> {
    histogram: &'a Histogram,
    reader: &'a Reader,
    reading: &'a mut Reading,
    read: Read,
}

/// What the buffer holds already.
#[derive(PartialEq)]
enum Read {
    Nothing,
    Total(Moment),
    Everything,
}

impl Recorded<'_> {
    /// Equal stamps of the same histogram mean that [`total`](Self::total) has not changed, so an
    /// exporter can reuse what it made of it. Take the stamp before the total: a recording in
    /// between then shows next time. Reads one or two cells per page.
    pub fn total_stamp(&self) -> Stamp {
        self.histogram.total_stamp(self.reader)
    }

    /// Like [`total_stamp`](Self::total_stamp), for [`total`](Self::total) and
    /// [`recent`](Self::recent).
    pub fn recent_stamp(&self) -> Stamp {
        self.histogram.recent_stamp(self.reader)
    }

    /// The number of values since the process started. Reads one cell per page.
    pub fn count(&self) -> u64 {
        match self.read {
            Read::Nothing => self.histogram.read_count(self.reader),
            _ => self.reading.total.count(),
        }
    }

    /// Whether the histogram holds fractions. See [`Histogram::floats`].
    pub fn is_float(&self) -> bool {
        self.histogram.is_float()
    }

    /// The stored exemplars, ascending by value. See [`Histogram::exemplars`].
    pub fn exemplars(&self) -> Vec<Exemplar> {
        self.histogram.recorded_exemplars()
    }

    /// Everything recorded since the process started. The first call reads the buckets.
    pub fn total(&mut self) -> &Snapshot {
        if self.read == Read::Nothing {
            let moment = self.histogram.read_total(self.reader, &mut self.reading.total);
            self.read = Read::Total(moment);
        }
        &self.reading.total
    }

    /// What was recorded in the last 60 to 70 seconds.
    pub fn recent(&mut self) -> &Snapshot {
        &self.reading().recent
    }

    /// Both total and recent values.
    pub fn reading(&mut self) -> &Reading {
        self.total();
        if let Read::Total(moment) = self.read {
            self.histogram.read_recent(moment, self.reader, self.reading);
            self.read = Read::Everything;
        }
        self.reading
    }
}

impl fmt::Debug for Recorded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded").field("count", &self.count()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::clock::Time;
    use crate::{Func, Histogram, Info, Recorded, Registry, Stamp, Step, Visitor};

    /// The count of recent values, and stamps.
    #[derive(Default)]
    struct Seen {
        recent: Vec<u64>,
        stamps: Vec<[Stamp; 2]>,
    }

    impl Visitor for Seen {
        fn enter(&mut self, _: Step<'_>, _: &Info) {}
        fn leave(&mut self) {}

        fn histogram(&mut self, mut histogram: Recorded<'_>) {
            self.stamps.push([histogram.total_stamp(), histogram.recent_stamp()]);
            self.recent.push(histogram.recent().count());
        }
    }

    fn see(registry: &Registry) -> Seen {
        let mut seen = Seen::default();
        registry.visit(&mut seen);
        seen
    }

    /// Stops this thread's clock, ahead of the time of the thread that rolls the windows, which
    /// then finds their notes too young to change.
    fn stop_the_clock() {
        Time::pass(Duration::from_secs(3600));
    }

    #[test]
    fn a_slow_function_makes_no_old_record_recent() {
        stop_the_clock();
        let registry = Registry::new();
        let before = registry.publish("before", Histogram::new()).unwrap();
        let slow = Func::number(|| {
            Time::pass(Duration::from_secs(55));
            1
        });
        registry.publish("m", slow).unwrap();
        let behind = registry.publish("z", Histogram::new()).unwrap();
        [&before, &behind].iter().for_each(|histogram| histogram.record(7));
        Time::pass(Duration::from_secs(10));
        // Takes a note of each.
        assert_eq!([before.recent().count(), behind.recent().count()], [1, 1]);
        Time::pass(Duration::from_secs(30));
        assert_eq!(see(&registry).recent, [1, 0], "40 and 95 seconds after the records");
    }

    #[test]
    fn stamps_change_with_records_and_when_what_is_recent_ends() {
        stop_the_clock();
        let registry = Registry::new();
        let histograms = ["a", "b"].map(|name| registry.publish(name, Histogram::new()).unwrap());
        let [mut last, mut now] = [see(&registry), see(&registry)];
        assert_eq!(last.stamps, now.stamps);
        let mut changed = |walked: Duration| {
            Time::pass(walked);
            last = std::mem::replace(&mut now, see(&registry));
            let pairs = last.stamps.iter().zip(&now.stamps);
            let changed: Vec<_> =
                pairs.map(|(last, now)| [last[0] != now[0], last[1] != now[1]]).collect();
            (changed, now.recent.clone())
        };
        let nothing = || vec![[false, false]; 2];
        histograms[1].record(0);
        let of_b = |total| vec![[false, false], [total, true]];
        assert_eq!(changed(Duration::ZERO), (of_b(true), vec![0, 1]));
        assert_eq!(changed(Duration::from_secs(5)), (nothing(), vec![0, 1]));
        // A note is due; a full read takes it.
        assert_eq!(changed(Duration::from_secs(6)), (of_b(false), vec![0, 1]));
        assert_eq!(changed(Duration::ZERO), (of_b(false), vec![0, 1]));
        assert_eq!(changed(Duration::from_secs(1)), (nothing(), vec![0, 1]));
        assert_eq!(changed(Duration::from_secs(60)), (of_b(false), vec![0, 0]));
        assert_eq!(changed(Duration::from_secs(60)), (nothing(), vec![0, 0]));
    }
}
