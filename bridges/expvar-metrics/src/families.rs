//! Maps a metric's name and labels to a variable.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Release;
use std::time::{Duration, Instant};

use expvar::__private::report_conflict;
use expvar::{Counter, FloatGauge, Histogram, Info, Kind, Map, Registry, Unit, Var};
use metrics::Key;

use crate::scale::{self, Scaled};

/// The most names, and the most described names.
const NAMES: usize = 10_000;
/// The most labels of a set.
const LABELS: usize = 8;
/// The value of each label of the set past the limit.
const OTHER: &str = "(other)";

/// The metrics of one recorder.
pub(crate) struct Families {
    registry: Registry,
    sets: usize,
    expire_after: Option<Duration>,
    families: HashMap<Box<str>, Family>,
    told: HashMap<Box<str>, (Box<str>, Unit)>,
}

/// All metrics of one name.
struct Family {
    kind: Kind,
    /// In the order of the maps' levels.
    labels: Vec<Box<str>>,
    sets: HashMap<Set, Member>,
    top: Top,
}

/// The variable of one label set.
struct Member {
    var: Var,
    /// False once it expired, for caches and handles.
    live: Arc<AtomicBool>,
    /// A fingerprint at its last change, and the time of that.
    seen: u64,
    since: Instant,
}

impl Member {
    fn new(var: Var) -> Self {
        let seen = print(&var);
        Self { var, live: Arc::new(AtomicBool::new(true)), seen, since: Instant::now() }
    }
}

/// Label names and values, sorted by name.
type Set = Box<[(Box<str>, Box<str>)]>;

/// The variable that the registry shows.
enum Top {
    /// A variable published by the program, used for the set without labels; for a histogram, with
    /// a conversion of units.
    Foreign(Option<Arc<Scaled>>),
    /// The set without labels, as the only one.
    Plain,
    Map(Arc<Map>),
}

/// The result of [`Families::find_or_make`].
pub(crate) struct Found {
    /// `None` if nothing is shown.
    pub(crate) var: Option<Var>,
    /// Record through this instead of `var`.
    pub(crate) scaled: Option<Arc<Scaled>>,
    /// False once it expired.
    pub(crate) live: Arc<AtomicBool>,
    pub(crate) overflowed: bool,
}

impl Families {
    pub(crate) fn new(registry: Registry) -> Self {
        Self {
            registry,
            sets: 10_000,
            expire_after: None,
            families: HashMap::new(),
            told: HashMap::new(),
        }
    }

    pub(crate) fn limit_sets(&mut self, sets: usize) {
        self.sets = sets;
    }

    /// The variable of a metric, made if missing.
    pub(crate) fn find_or_make(&mut self, kind: Kind, key: &Key) -> Found {
        let nothing = |overflowed| Found {
            var: None,
            scaled: None,
            live: Arc::new(AtomicBool::new(true)),
            overflowed,
        };
        let limit = if kind == Kind::Histogram { self.sets / 10 } else { self.sets };
        if !self.families.contains_key(key.name()) && self.families.len() >= NAMES {
            return nothing(true);
        }
        let info = self.told.get(key.name());
        let family = self.families.entry(key.name().into()).or_insert_with(|| Family::new(kind));
        let mut set = set_of(key);
        if family.kind != kind {
            report(key.name(), kind, family.kind);
            return nothing(false);
        }
        if let Some(member) = family.sets.get(&set) {
            return family.found(member, false);
        }
        let overflowed = set.len() > LABELS || (family.sets.len() >= limit && !set.is_empty());
        if overflowed {
            set = family.other();
            if let Some(member) = family.sets.get(&set) {
                return family.found(member, overflowed);
            }
        }
        if !family.add(&self.registry, key, set.clone(), info) {
            return nothing(overflowed);
        }
        match family.sets.get(&set) {
            Some(member) => family.found(member, overflowed),
            None => nothing(overflowed),
        }
    }

    pub(crate) fn expire_after(&mut self, after: Duration) {
        self.expire_after = Some(after);
    }

    /// Whether metrics expire.
    pub(crate) fn expires(&self) -> bool {
        self.expire_after.is_some()
    }

    /// Removes the sets that were idle for the timeout.
    pub(crate) fn expire(&mut self, now: Instant) {
        let Some(after) = self.expire_after else { return };
        let registry = &self.registry;
        self.families.retain(|name, family| {
            family.expire(now, after);
            let gone = family.sets.is_empty();
            if gone {
                registry.remove(name);
            }
            !gone
        });
    }

    /// Stores the description of a name, and updates the registry.
    pub(crate) fn describe(&mut self, name: &str, unit: Option<metrics::Unit>, help: &str) {
        if !self.told.contains_key(name) && self.told.len() >= NAMES {
            return;
        }
        let unit = unit.map_or(Unit::None, unit_of);
        self.told.insert(name.into(), (help.into(), unit));
        if let Some(family) = self.families.get(name) {
            if let Top::Foreign(scaled) = &family.top
                && fits(&self.registry, name, family.kind, unit)
                && let Some(scaled) = scaled
            {
                scaled.describe(unit);
            }
            family.show(&self.registry, name, self.told.get(name));
        }
    }
}

impl Family {
    fn new(kind: Kind) -> Self {
        Self { kind, labels: Vec::new(), sets: HashMap::new(), top: Top::Plain }
    }

    /// A member's variable.
    fn found(&self, member: &Member, overflowed: bool) -> Found {
        let scaled = match &self.top {
            Top::Foreign(scaled) => scaled.clone(),
            _ => None,
        };
        let (var, live) = (Some(member.var.clone()), Arc::clone(&member.live));
        Found { var, scaled, live, overflowed }
    }

    /// Adds a new set; false if the registry has no place for it.
    fn add(
        &mut self,
        registry: &Registry,
        key: &Key,
        set: Set,
        told: Option<&(Box<str>, Unit)>,
    ) -> bool {
        let name = key.name();
        let var = match self.kind {
            Kind::Counter => Var::from(Arc::new(Counter::new())),
            Kind::Histogram => Var::from(Arc::new(Histogram::floats())),
            _ => Var::from(Arc::new(FloatGauge::new())),
        };
        if self.sets.is_empty() {
            self.learn_labels(key, &set);
            self.sets.insert(set.clone(), Member::new(var));
            self.top = if set.is_empty() { Top::Plain } else { Top::Map(self.tree()) };
            let Some(top) = self.top_var() else { return false };
            let shown = registry.publish_with(name, top, self.info(told));
            let Err(error) = shown else { return true };
            self.sets.clear();
            self.top = Top::Plain;
            return match error.existing() {
                Some(existing) if existing.kind() == self.kind && set.is_empty() => {
                    let described = told.map_or(Unit::None, |(_, unit)| *unit);
                    if !fits(registry, name, self.kind, described) {
                        return false;
                    }
                    let scaled = match existing {
                        Var::Histogram(histogram) => {
                            let declared = declared(registry, name);
                            let histogram = histogram.clone();
                            Some(Scaled::new(histogram, name, declared, described))
                        }
                        _ => None,
                    };
                    self.top = Top::Foreign(scaled.map(Arc::new));
                    self.sets.insert(set, Member::new(existing.clone()));
                    true
                }
                _ => {
                    report_conflict(
                        name,
                        format!("a `metrics` {} is not shown: {error}", self.kind),
                    );
                    false
                }
            };
        }
        if matches!(self.top, Top::Foreign(_)) {
            let text = "of its name a variable without labels is shown";
            report_conflict(name, format!("a `metrics` {} with labels is not: {text}", self.kind));
            return false;
        }
        let known = self.labels.len();
        self.learn_labels(key, &set);
        if self.labels.len() > LABELS {
            self.labels.truncate(known);
            report_conflict(name, format!("more than {LABELS} labels in all its sets"));
            return false;
        }
        match &self.top {
            Top::Map(map) if self.labels.len() == known => put(map, self.path(&set), &var),
            _ => {
                self.sets.insert(set.clone(), Member::new(var.clone()));
                self.top = Top::Map(self.tree());
                self.show(registry, name, told);
            }
        }
        self.sets.entry(set).or_insert(Member::new(var));
        true
    }

    fn expire(&mut self, now: Instant, after: Duration) {
        // The program's own variable is never removed.
        if matches!(self.top, Top::Foreign(_)) {
            return;
        }
        let idle = |member: &mut Member| {
            let print_now = print(&member.var);
            if print_now != member.seen {
                (member.seen, member.since) = (print_now, now);
            }
            if now.saturating_duration_since(member.since) < after {
                return false;
            }
            // Pairs with the loads in thread caches and handles.
            member.live.store(false, Release);
            let idle = print(&member.var) == member.seen;
            if !idle {
                // It was just recorded into: the next lookup finds the same variable.
                member.live = Arc::new(AtomicBool::new(true));
                member.since = now;
            }
            idle
        };
        let mut gone = Vec::new();
        self.sets.retain(|set, member| {
            let idle = idle(member);
            if idle {
                gone.push(set.clone());
            }
            !idle
        });
        if let Top::Map(map) = &self.top {
            for set in &gone {
                take(map, &self.path(set).collect::<Vec<_>>());
            }
        }
    }

    /// Adds a set's new labels, in the metric's order.
    fn learn_labels(&mut self, key: &Key, set: &Set) {
        let given = key.labels().map(|label| label.key().into());
        for name in given.chain(set.iter().map(|(name, _)| name.clone())) {
            if !self.labels.contains(&name) && set.iter().any(|(used, _)| *used == name) {
                self.labels.push(name);
            }
        }
    }

    /// All sets as nested maps.
    fn tree(&self) -> Arc<Map> {
        let map = Arc::new(Map::new());
        for (set, member) in &self.sets {
            put(&map, self.path(set), &member.var);
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

    /// The set for everything past the limit.
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
            // A name that was accepted once stays legal.
            let _ = registry.replace(name, var, self.info(told));
        }
    }

    /// The variable to show; `None` if it is the program's own.
    fn top_var(&self) -> Option<Var> {
        match &self.top {
            Top::Foreign(_) => None,
            Top::Plain => self.sets.values().next().map(|member| member.var.clone()),
            Top::Map(map) => Some(Var::from(Arc::clone(map))),
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

/// A metric's labels, sorted. An empty one is omitted, as in Prometheus.
fn set_of(key: &Key) -> Set {
    let labels = key.labels().filter(|label| !label.value().is_empty());
    let pairs = labels.map(|label| (label.key().into(), label.value().into()));
    let mut set: Vec<(Box<str>, Box<str>)> = pairs.collect();
    set.sort();
    set.dedup_by(|late, early| late.0 == early.0);
    set.into()
}

/// Puts a variable at the end of a path, making the maps on the way.
fn put<'a>(top: &Arc<Map>, path: impl Iterator<Item = &'a str>, var: &Var) {
    let mut path = path.peekable();
    let mut map = Arc::clone(top);
    while let Some(key) = path.next() {
        if path.peek().is_none() {
            map.set(key, var.clone());
            return;
        }
        map = map.map(key);
    }
}

/// Removes a variable, and maps that become empty.
fn take(map: &Map, path: &[&str]) {
    let [key, rest @ ..] = path else { return };
    if rest.is_empty() {
        map.remove(key);
    } else if let Some(Var::Map(next)) = map.get(key) {
        take(&next, rest);
        if next.is_empty() {
            map.remove(key);
        }
    }
}

/// A fingerprint that changes with every recording, except when a gauge is set to its value.
fn print(var: &Var) -> u64 {
    match var {
        Var::Counter(counter) => counter.get(),
        Var::FloatGauge(gauge) => gauge.get().to_bits(),
        Var::Histogram(histogram) => histogram.snapshot().count(),
        _ => 0,
    }
}

/// The unit of an existing variable.
fn declared(registry: &Registry, name: &str) -> Unit {
    registry.info(name).map_or(Unit::None, |info| info.get_unit())
}

/// Whether a metric with this description fits an existing variable; reports a conflict if not.
fn fits(registry: &Registry, name: &str, kind: Kind, described: Unit) -> bool {
    let declared = declared(registry, name);
    let fits = scale::fits(described, declared, kind == Kind::Histogram);
    if !fits {
        let text =
            format!("a {kind} in {declared} is shown, a `metrics` {kind} in {described} is not");
        report_conflict(name, text);
    }
    fits
}

fn report(name: &str, late: Kind, first: Kind) {
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
