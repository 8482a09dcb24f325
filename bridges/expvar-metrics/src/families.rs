//! Which variable a metric's name and labels stand for.

use std::collections::HashMap;
use std::sync::Arc;

use expvar::__private::report_conflict;
use expvar::{Counter, FloatGauge, Handle, Histogram, Info, Kind, Map, Registry, Unit, Var};
use metrics::Key;

use crate::handles::Recorded;

/// Names, and names that were described.
const NAMES: usize = 10_000;
/// Labels of a set.
const LABELS: usize = 8;
/// Stands for a value of each label of a set past the limit.
const OTHER: &str = "(other)";

/// The metrics of one recorder.
pub(crate) struct Families {
    registry: Registry,
    sets: usize,
    families: HashMap<Box<str>, Family>,
    told: HashMap<Box<str>, (Box<str>, Unit)>,
}

/// What has one name.
struct Family {
    kind: Kind,
    /// In the order of the maps' levels.
    labels: Vec<Box<str>>,
    sets: HashMap<Set, Var>,
    top: Top,
}

/// Label names and values, by name.
type Set = Box<[(Box<str>, Box<str>)]>;

/// What the registry shows.
enum Top {
    /// A variable that was there before, for the set without labels.
    Foreign,
    /// The set without labels, which is the only one.
    Plain,
    Map(Arc<Map>),
}

/// What [`Families::find_or_make`] found.
pub(crate) struct Found {
    pub(crate) recorded: Recorded,
    pub(crate) overflowed: bool,
}

impl Families {
    pub(crate) fn new(registry: Registry) -> Self {
        Self { registry, sets: 10_000, families: HashMap::new(), told: HashMap::new() }
    }

    pub(crate) fn limit_sets(&mut self, sets: usize) {
        self.sets = sets;
    }

    /// What a metric records into, made if need be.
    pub(crate) fn find_or_make(&mut self, kind: Kind, key: &Key) -> Found {
        let nothing = |overflowed| Found { recorded: Recorded::Nothing, overflowed };
        let limit = if kind == Kind::Histogram { self.sets / 10 } else { self.sets };
        if !self.families.contains_key(key.name()) && self.families.len() >= NAMES {
            return nothing(true);
        }
        let info = self.told.get(key.name());
        let family = self.families.entry(key.name().into()).or_insert_with(|| Family::new(kind));
        let mut set = set_of(key);
        if family.kind != kind {
            clash(key.name(), kind, family.kind);
            return nothing(false);
        }
        if let Some(var) = family.sets.get(&set) {
            return Found { recorded: var.into(), overflowed: false };
        }
        let overflowed = set.len() > LABELS || (family.sets.len() >= limit && !set.is_empty());
        if overflowed {
            set = family.other();
            if let Some(var) = family.sets.get(&set) {
                return Found { recorded: var.into(), overflowed };
            }
        }
        match family.add(&self.registry, key, set, info) {
            Some(var) => Found { recorded: (&var).into(), overflowed },
            None => nothing(overflowed),
        }
    }

    /// Keeps what is told about a name, and tells the registry if it has it.
    pub(crate) fn describe(&mut self, name: &str, unit: Option<metrics::Unit>, help: &str) {
        if !self.told.contains_key(name) && self.told.len() >= NAMES {
            return;
        }
        self.told.insert(name.into(), (help.into(), unit.map_or(Unit::None, unit_of)));
        if let Some(family) = self.families.get(name) {
            family.show(&self.registry, name, self.told.get(name));
        }
    }
}

impl Family {
    fn new(kind: Kind) -> Self {
        Self { kind, labels: Vec::new(), sets: HashMap::new(), top: Top::Plain }
    }

    /// Adds a set that is not there; `None` where the registry has no place for it.
    fn add(
        &mut self,
        registry: &Registry,
        key: &Key,
        set: Set,
        told: Option<&(Box<str>, Unit)>,
    ) -> Option<Var> {
        let name = key.name();
        let var = match self.kind {
            Kind::Counter => Var::Counter(Handle::Shared(Arc::new(Counter::new()))),
            Kind::Histogram => Var::Histogram(Handle::Shared(Arc::new(Histogram::floats()))),
            _ => Var::FloatGauge(Handle::Shared(Arc::new(FloatGauge::new()))),
        };
        if self.sets.is_empty() {
            self.learn_labels(key, &set);
            self.sets.insert(set.clone(), var.clone());
            self.top = if set.is_empty() { Top::Plain } else { Top::Map(self.tree()) };
            let shown = registry.publish_with(name, self.top_var()?, self.info(told));
            let Err(error) = shown else { return Some(var) };
            self.sets.clear();
            self.top = Top::Plain;
            return match error.existing() {
                Some(existing) if existing.kind() == self.kind && set.is_empty() => {
                    self.top = Top::Foreign;
                    self.sets.insert(set, existing.clone());
                    Some(existing.clone())
                }
                _ => {
                    report_conflict(
                        name,
                        format!("a `metrics` {} is not shown: {error}", self.kind),
                    );
                    None
                }
            };
        }
        if matches!(self.top, Top::Foreign) {
            let text = "of its name a variable without labels is shown";
            report_conflict(name, format!("a `metrics` {} with labels is not: {text}", self.kind));
            return None;
        }
        let known = self.labels.len();
        self.learn_labels(key, &set);
        if self.labels.len() > LABELS {
            self.labels.truncate(known);
            report_conflict(name, format!("more than {LABELS} labels in all its sets"));
            return None;
        }
        match &self.top {
            Top::Map(map) if self.labels.len() == known => put(map, self.path(&set), &var),
            _ => {
                self.sets.insert(set.clone(), var.clone());
                self.top = Top::Map(self.tree());
                self.show(registry, name, told);
            }
        }
        self.sets.insert(set, var.clone());
        Some(var)
    }

    /// Adds a set's labels that are new, in the order in which the metric has them.
    fn learn_labels(&mut self, key: &Key, set: &Set) {
        let given = key.labels().map(|label| label.key().into());
        for name in given.chain(set.iter().map(|(name, _)| name.clone())) {
            if !self.labels.contains(&name) && set.iter().any(|(used, _)| *used == name) {
                self.labels.push(name);
            }
        }
    }

    /// All sets as maps in maps.
    fn tree(&self) -> Arc<Map> {
        let map = Arc::new(Map::new());
        for (set, var) in &self.sets {
            put(&map, self.path(set), var);
        }
        map
    }

    /// A set's keys, from the top.
    fn path<'a>(&'a self, set: &'a Set) -> impl Iterator<Item = &'a str> {
        self.labels.iter().map(|label| {
            let value = set.iter().find(|(name, _)| name == label);
            value.map_or("", |(_, value)| value)
        })
    }

    /// The set that takes what comes past the limit.
    fn other(&self) -> Set {
        let labels = self.labels.iter().cloned();
        let mut set: Vec<_> = labels.map(|label| (label, OTHER.into())).collect();
        if set.is_empty() {
            set.push(("key".into(), OTHER.into()));
        }
        set.sort_unstable();
        set.into()
    }

    fn show(&self, registry: &Registry, name: &str, told: Option<&(Box<str>, Unit)>) {
        if let Some(var) = self.top_var() {
            // A name that the registry took once stays legal.
            let _ = registry.replace(name, var, self.info(told));
        }
    }

    /// What the registry shows; `None` where that is not ours.
    fn top_var(&self) -> Option<Var> {
        match &self.top {
            Top::Foreign => None,
            Top::Plain => self.sets.values().next().cloned(),
            Top::Map(map) => Some(Var::Map(Handle::Shared(Arc::clone(map)))),
        }
    }

    fn info(&self, told: Option<&(Box<str>, Unit)>) -> Info {
        let mut info = Info::new().labels(self.labels.iter().map(|label| label.to_string()));
        if let Some((help, unit)) = told {
            info = info.help(help.to_string()).unit(*unit);
        }
        if self.kind == Kind::Counter { info.counter() } else { info }
    }
}

/// A metric's labels in order. One that is empty is none, as everywhere in Prometheus.
fn set_of(key: &Key) -> Set {
    let labels = key.labels().filter(|label| !label.value().is_empty());
    let pairs = labels.map(|label| (label.key().into(), label.value().into()));
    let mut set: Vec<(Box<str>, Box<str>)> = pairs.collect();
    set.sort();
    set.dedup_by(|late, early| late.0 == early.0);
    set.into()
}

/// Puts a variable at the end of a path, with the maps that lead there.
fn put<'a>(top: &Arc<Map>, path: impl Iterator<Item = &'a str>, var: &Var) {
    let mut path = path.peekable();
    let mut map = Arc::clone(top);
    while let Some(key) = path.next() {
        if path.peek().is_none() {
            map.set(key, var.clone());
            return;
        }
        map = match map.get(key) {
            Some(Var::Map(Handle::Shared(next))) => next,
            _ => map.set(key, Map::new()),
        };
    }
}

fn clash(name: &str, late: Kind, first: Kind) {
    report_conflict(name, format!("a `metrics` {first} is shown, a {late} of that name is not"));
}

fn unit_of(unit: metrics::Unit) -> Unit {
    match unit {
        metrics::Unit::Count => Unit::None,
        metrics::Unit::Percent => Unit::Percent,
        metrics::Unit::Seconds => Unit::Seconds,
        metrics::Unit::Milliseconds => Unit::Milliseconds,
        metrics::Unit::Microseconds => Unit::Microseconds,
        metrics::Unit::Nanoseconds => Unit::Nanoseconds,
        metrics::Unit::Bytes => Unit::Bytes,
        other => Unit::Other(other.as_str()),
    }
}
