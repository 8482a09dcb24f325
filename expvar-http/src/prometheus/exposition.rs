//! The walk's visitor that writes metrics.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasherDefault, DefaultHasher, Hasher};

use expvar::{Info, OldVisitor, Reading, Text, Unit, Value};

use super::json::Tree;
use super::mapping::Mapping;
use super::names::{self, Shown};
use super::samples::{Number, Samples, Type, push_label, write_bound, write_escaped};
use super::{Format, LEFT_OUT, known, ladder};

/// Levels of maps that become labels.
const LEVELS: usize = 8;
/// Variables that are named as left out.
const NAMED: usize = 100;
/// The family that names them.
const LEFT_OUT_FAMILY: &str = "expvar_prometheus_left_out";

/// Writes a registry's variables as metrics.
pub(super) struct Exposition<'a> {
    mappings: &'a BTreeMap<String, Mapping>,
    pub(super) format: Format,
    out: &'a mut Vec<u8>,
    /// Hashes of the names that are used.
    taken: HashSet<u64, BuildHasherDefault<AsItIs>>,
    /// The families of the variable that is looked at, of which the first `used` are in use.
    families: Vec<Samples>,
    used: usize,
    /// The labels of the place that is looked at, without braces.
    pub(super) labels: Vec<u8>,
    left_out: Vec<(String, String)>,
    left_out_more: u64,
}

/// What is to become of one variable.
pub(super) struct Plan<'a> {
    variable: &'a str,
    /// The metric's name without unit and ending.
    stem: String,
    pub(super) labels: Vec<String>,
    /// How many of them were told, rather than by default.
    pub(super) told: usize,
    counter: Option<bool>,
    help: &'a str,
    unit: Unit,
    shown: Shown,
    buckets: Option<&'a [f64]>,
}

impl<'a> Exposition<'a> {
    pub(super) fn begin(
        mappings: &'a BTreeMap<String, Mapping>,
        format: Format,
        out: &'a mut Vec<u8>,
    ) -> Self {
        let mut this = Self {
            mappings,
            format,
            out,
            taken: HashSet::default(),
            families: Vec::new(),
            used: 0,
            labels: Vec::new(),
            left_out: Vec::new(),
            left_out_more: 0,
        };
        this.reserve(LEFT_OUT_FAMILY, Type::Gauge);
        this
    }

    /// Names what was left out, and ends the text.
    pub(super) fn end(mut self) {
        if !self.left_out.is_empty() {
            self.header(
                LEFT_OUT_FAMILY,
                Type::Gauge,
                "Variables that cannot be shown, and why.",
                "",
            );
        }
        let more = (self.left_out_more > 0)
            .then(|| (("(other)".to_owned(), "too many to name".to_owned()), self.left_out_more));
        let named = std::mem::take(&mut self.left_out).into_iter().map(|named| (named, 1));
        for ((variable, reason), count) in named.chain(more) {
            self.labels.clear();
            push_label(&mut self.labels, "variable", &variable);
            push_label(&mut self.labels, "reason", &reason);
            let (name, text) = (LEFT_OUT_FAMILY.to_owned(), Vec::new());
            let mut samples = Samples { name, kind: Type::Gauge, text };
            samples.push("", &self.labels, Number::unsigned(count), 0);
            self.out.extend_from_slice(&samples.text);
        }
        if self.format == Format::OpenMetrics {
            self.out.extend_from_slice(b"# EOF\n");
        }
    }

    /// Remembers that a variable, or part of it, is not shown.
    pub(super) fn leave_out(&mut self, variable: &str, reason: &str) {
        let same = |left: &(String, String)| left.0 == variable && left.1 == reason;
        if self.left_out.last().is_some_and(same) {
            return;
        }
        if self.left_out.len() == NAMED {
            self.left_out_more += 1;
            return;
        }
        self.left_out.push((variable.to_owned(), reason.to_owned()));
        if LEFT_OUT.get(variable).is_none() && LEFT_OUT.len() < NAMED {
            LEFT_OUT.set(variable, Text::new()).set(reason);
        }
    }

    fn value(&mut self, plan: &Plan<'_>, depth: usize, value: Value<'_>) {
        match value {
            Value::Counter(n) => self.number(plan, "", Number::unsigned(n), true),
            Value::Gauge(n) => self.number(plan, "", Number::signed(n), false),
            Value::Float(n) => self.number(plan, "", Number::Float(n), false),
            Value::Text(text) => self.text(plan, depth, text),
            Value::Histogram(reading) => self.histogram(plan, reading),
            Value::Map(_) if depth == LEVELS => {
                self.leave_out(plan.variable, "its maps are nested too deeply");
            }
            Value::Map(map) => {
                let start = self.labels.len();
                let undeclared;
                let label = match plan.labels.get(depth) {
                    Some(label) => label,
                    None => {
                        undeclared = names::default_label(depth);
                        &undeclared
                    }
                };
                map.for_each(|key, value| {
                    // A label that is empty is none, as everywhere in Prometheus.
                    if !key.is_empty() {
                        push_label(&mut self.labels, label, key);
                    }
                    self.value(plan, depth + 1, value);
                    self.labels.truncate(start);
                });
            }
            Value::Json(text) => Tree::walk(self, plan, depth, text),
            _ => {}
        }
    }

    /// One number of the variable, at a place whose members' names join its own.
    pub(super) fn number(&mut self, plan: &Plan<'_>, members: &str, n: Number, counts: bool) {
        let kind = if plan.counter.unwrap_or(counts) { Type::Counter } else { Type::Gauge };
        if kind == Type::Counter && !n.counts() {
            return self.leave_out(plan.variable, "a counter is below zero or not a number");
        }
        let family = self.family(plan, members, kind);
        self.families[family].push(kind.ending(), &self.labels, n, plan.shown.decimals);
    }

    /// A text, where a label was told for it.
    pub(super) fn text(&mut self, plan: &Plan<'_>, depth: usize, text: &str) {
        if depth >= plan.told {
            return;
        }
        let start = self.labels.len();
        push_label(&mut self.labels, &plan.labels[depth], text);
        let family = self.family(plan, "", Type::Info);
        self.families[family].push("_info", &self.labels, Number::unsigned(1), 0);
        self.labels.truncate(start);
    }

    fn histogram(&mut self, plan: &Plan<'_>, reading: &Reading) {
        let (total, decimals) = (&reading.total, plan.shown.decimals);
        let (count, sum) = (total.count(), total.sum_float());
        if sum < 0.0 || sum.is_nan() {
            return self.leave_out(plan.variable, "a histogram's sum is below zero");
        }
        let family = self.family(plan, "", Type::Histogram);
        let (samples, labels, format) = (&mut self.families[family], &mut self.labels, self.format);
        let start = labels.len();
        let mut bucket = |write: &dyn Fn(&mut Vec<u8>), below| {
            if start > 0 {
                labels.push(b',');
            }
            labels.extend_from_slice(b"le=\"");
            write(labels);
            labels.push(b'"');
            samples.push("_bucket", labels, Number::unsigned(below), 0);
            labels.truncate(start);
        };
        let scale = 10f64.powi(decimals as i32);
        ladder::cumulate(total, plan.unit, scale, plan.buckets, |bound, below| {
            bucket(&|labels| write_bound(labels, bound, format), below);
        });
        bucket(&|labels| labels.extend_from_slice(b"+Inf"), count);
        let sum = if total.is_float() { Number::Float(sum) } else { Number::unsigned(total.sum()) };
        samples.push("_sum", labels, sum, decimals);
        samples.push("_count", labels, Number::unsigned(count), 0);
    }

    /// The samples of a family of the variable that is looked at.
    fn family(&mut self, plan: &Plan<'_>, members: &str, kind: Type) -> usize {
        // A map has families of a kind; a function's members have names, mostly in order.
        let name = |to: &mut String| {
            to.clear();
            to.push_str(&plan.stem);
            to.push_str(members);
            if kind == Type::Counter && to.len() > "_total".len() && to.ends_with("_total") {
                to.truncate(to.len() - "_total".len());
            }
            if kind != Type::Info {
                plan.shown.name(to);
            }
        };
        let used = &self.families[..self.used];
        if members.is_empty() {
            if let Some(at) = used.iter().position(|family| family.kind == kind) {
                return at;
            }
        } else {
            let mut wanted = String::new();
            name(&mut wanted);
            let same = |family: &Samples| family.kind == kind && family.name == wanted;
            if let Some(at) = used.iter().rposition(same) {
                return at;
            }
        }
        let at = self.used;
        self.used += 1;
        if at == self.families.len() {
            self.families.push(Samples { name: String::new(), kind, text: Vec::new() });
        }
        let family = &mut self.families[at];
        name(&mut family.name);
        family.kind = kind;
        family.text.clear();
        at
    }

    /// Writes the families of the variable that was looked at.
    fn flush(&mut self, plan: &Plan<'_>) {
        let families = std::mem::take(&mut self.families);
        // Those that can go by a full name come last.
        let (full, bare): (Vec<_>, Vec<_>) =
            families[..self.used].iter().partition(|family| !family.kind.ending().is_empty());
        for family in bare.into_iter().chain(full) {
            match self.reserve(&family.name, family.kind) {
                Some(kind) => {
                    let unit = if kind == Type::Info { "" } else { plan.shown.unit };
                    self.header_of(&family.name, kind, plan.help, plan.variable, unit);
                    self.out.extend_from_slice(&family.text);
                }
                None => self.leave_out(
                    plan.variable,
                    &format!("the name {} is that of a variable before it", family.name),
                ),
            }
        }
        self.families = families;
        self.used = 0;
    }

    /// Writes a family of one sample, or another sample of the family that was written last.
    pub(super) fn single(
        &mut self,
        variable: &str,
        (name, kind, help): (&str, Type, &str),
        n: Number,
        again: bool,
    ) {
        let kind = if again { Some(kind) } else { self.reserve(name, kind) };
        let Some(kind) = kind else {
            return self
                .leave_out(variable, &format!("the name {name} is that of a variable before it"));
        };
        if !again {
            self.header(name, kind, help, "");
        }
        let mut samples = Samples { name: name.to_owned(), kind, text: Vec::new() };
        samples.push(kind.ending(), &self.labels, n, 0);
        self.out.extend_from_slice(&samples.text);
    }

    /// Takes a family's names; `None` where one is taken. OpenMetrics gives a counter
    /// and an info metric the same bare name as a gauge: beside one they go by their full names.
    fn reserve(&mut self, name: &str, kind: Type) -> Option<Type> {
        let mut hasher = DefaultHasher::new();
        hasher.write(name.as_bytes());
        let hash = |ending: &str| {
            let mut hasher = hasher.clone();
            hasher.write(ending.as_bytes());
            hasher.finish()
        };
        let bare = hasher.finish();
        let free = |hash| !self.taken.contains(&hash);
        if free(bare) && kind.reserved().iter().all(|ending| free(hash(ending))) {
            self.taken.insert(bare);
            self.taken.extend(kind.reserved().iter().map(|ending| hash(ending)));
            return Some(kind);
        }
        let ending = kind.ending();
        let alone = !ending.is_empty() && self.taken.insert(hash(ending));
        alone.then_some(Type::Alone { ending })
    }

    fn header(&mut self, name: &str, kind: Type, help: &str, unit: &str) {
        self.header_of(name, kind, help, "", unit);
    }

    #[inline]
    fn header_of(&mut self, name: &str, kind: Type, help: &str, variable: &str, unit: &str) {
        let open = self.format == Format::OpenMetrics;
        let alone = matches!(kind, Type::Alone { .. });
        let ending = if open && !alone { "" } else { kind.ending() };
        let out = &mut *self.out;
        let mut write = |parts: &[&str]| {
            parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
        };
        write(&["# HELP ", name, ending, " "]);
        if help.is_empty() {
            write(&["Variable "]);
            write_escaped(self.out, variable, open);
            self.out.push(b'.');
        } else {
            write_escaped(self.out, help, open);
        }
        let out = &mut *self.out;
        let mut write = |parts: &[&str]| {
            parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
        };
        write(&["\n# TYPE ", name, ending, " ", kind.name(self.format), "\n"]);
        if open && !unit.is_empty() && name.ends_with(unit) && !alone {
            write(&["# UNIT ", name, " ", unit, "\n"]);
        }
    }
}

impl OldVisitor for Exposition<'_> {
    fn variable(&mut self, name: &str, info: &Info, value: Value<'_>) {
        let mapping = self.mappings.get(name);
        if mapping.is_some_and(|mapping| mapping.hidden) {
            return;
        }
        self.labels.clear();
        if let (None, Value::Json(text), Some(table)) = (mapping, value, known::table(name)) {
            return known::write(self, name, table, text);
        }
        let Some(plan) = Plan::new(name, info, mapping) else {
            return self.leave_out(name, "no name can be made of it: it has no letter or digit");
        };
        for (label, value) in mapping.iter().flat_map(|mapping| &mapping.constants) {
            push_label(&mut self.labels, label, value);
        }
        self.value(&plan, 0, value);
        self.flush(&plan);
    }
}

impl<'a> Plan<'a> {
    fn new(variable: &'a str, info: &'a Info, mapping: Option<&'a Mapping>) -> Option<Self> {
        let unit = mapping.and_then(|mapping| mapping.unit).unwrap_or(info.get_unit());
        let labels = match mapping.and_then(|mapping| mapping.labels.as_ref()) {
            Some(labels) => labels.clone(),
            None => names::labels(info.get_labels().iter().map(|label| &**label)),
        };
        let counter = match mapping.and_then(|mapping| mapping.counter) {
            None if info.is_counter() => Some(true),
            told => told,
        };
        Some(Self {
            variable,
            stem: match mapping.and_then(|mapping| mapping.family.as_ref()) {
                Some(family) => family.clone(),
                None => names::legal(variable)?,
            },
            told: labels.len(),
            labels,
            counter,
            help: match mapping.and_then(|mapping| mapping.help.as_deref()) {
                Some(help) => help,
                None => info.get_help(),
            },
            unit,
            shown: if unit == Unit::None { names::PLAIN } else { Shown::from(unit) },
            buckets: mapping.and_then(|mapping| mapping.buckets.as_deref()),
        })
    }
}

/// The names come as hashes.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    #[inline]
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
