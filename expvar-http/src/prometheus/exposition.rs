//! The visitor of the walk that writes metrics.

use std::collections::BTreeMap;

use expvar::{
    Exemplar, Generation, Info, Number, Reading, Recall, Recorded, Shape, Step, Unit, Visitor,
};

use super::cache::{Entry, Known, Single};
use super::distribution::Distribution;
use super::families::Families;
use super::left_out::LeftOut;
use super::mapping::Mapping;
use super::native::Native;
use super::plan::Plan;
use super::samples::{
    Samples, Type, counts, has_label, push_label, scaled, write, write_escaped, write_name,
};
use super::taken::Hashed;
use super::{Escaping, Format, LEVELS, MediaType, Settings, names, protobuf};

/// The family that names what is left out.
const LEFT_OUT_FAMILY: &str = "expvar_prometheus_left_out";

/// Writes a registry's variables as metrics.
pub(super) struct Exposition<'a> {
    mappings: &'a BTreeMap<String, Mapping>,
    settings: &'a Settings,
    format: Format,
    escaping: Escaping,
    out: &'a mut Vec<u8>,
    /// What the last text was made of.
    known: &'a mut Known,
    /// How many variables were entered.
    at: usize,
    remembers: bool,
    left_out: LeftOut,
    families: Families,
    /// Steps from the walk's top, the variable itself the first.
    depth: usize,
    state: State,
    place: Place,
    /// What the value means that was entered last.
    leaf: Leaf,
    /// Processor time in the program and in the kernel, to be added up.
    cpu_seconds: Option<f64>,
    /// Whether it is shown when things were registered.
    shows_created: bool,
    /// When the variable or key was registered that the walk is at, in nanoseconds since 1970.
    created: u64,
    /// Memory for one histogram's buckets.
    native: Native,
}

/// What the variable is that the walk is in.
enum State {
    /// A number, as it was the last time, at this place among the known.
    Known(usize),
    /// Not shown.
    Hidden,
    Planned(Box<Plan>),
}

/// Where in a variable the walk is.
#[derive(Default)]
struct Place {
    /// Labels, without braces.
    labels: Vec<u8>,
    /// Members' names, each after a `_`.
    members: String,
    /// Arrays that are entered, each with a label of its own.
    elements: usize,
    /// The key or member that was entered last.
    key: String,
    /// What lies around, from the top.
    shapes: Vec<Shape>,
    /// How deep the function's value lies that the walk is in.
    function: Option<usize>,
    /// Lengths of labels and members, and elements, at each step.
    marks: Vec<(usize, usize, usize, Option<KnownAs>)>,
    known_as: Option<KnownAs>,
    /// Texts by depth, which become labels of one sample.
    texts: Vec<(usize, String, String)>,
    /// The variable is a number and nothing else.
    is_single: bool,
}

/// The name that dashboards know a number by, or a structure's numbers by label. It is empty where
/// there are only labels.
#[derive(Clone, Copy)]
struct KnownAs {
    name: &'static str,
    /// The level of the keys below it.
    below: usize,
}

/// A copy of what the walk says of a value, made when it changes.
#[derive(Default)]
struct Leaf {
    help_at: (usize, usize),
    help: String,
    unit: Unit,
    counter: bool,
}

impl Leaf {
    fn set(&mut self, info: &Info) {
        let help = info.get_help();
        let help_at = (help.as_ptr().addr(), help.len());
        if self.help_at != help_at || self.help != help {
            self.help_at = help_at;
            self.help.clear();
            self.help.push_str(help);
        }
        (self.unit, self.counter) = (info.get_unit(), info.is_counter());
    }
}

impl<'a> Exposition<'a> {
    pub(super) fn begin(
        mappings: &'a BTreeMap<String, Mapping>,
        settings: &'a Settings,
        media_type: MediaType,
        (known, remembers): (&'a mut Known, bool),
        out: &'a mut Vec<u8>,
    ) -> Self {
        let (format, escaping) = (media_type.format(), media_type.escaping());
        known.taken.begin();
        known.taken.take(Hashed::new(&escaping.escape(LEFT_OUT_FAMILY)), Type::Gauge);
        let shows_created = match format {
            Format::Text => false,
            Format::OpenMetrics => settings.created,
            Format::Protobuf => true,
        };
        Self {
            mappings,
            settings,
            format,
            escaping,
            out,
            known,
            at: 0,
            remembers,
            left_out: LeftOut::default(),
            families: Families::default(),
            depth: 0,
            state: State::Hidden,
            place: Place::default(),
            leaf: Leaf::default(),
            cpu_seconds: None,
            shows_created,
            created: 0,
            native: Native::default(),
        }
    }

    /// Names what was left out, and ends the text.
    pub(super) fn end(mut self) {
        self.known.taken.end();
        // Numbers that are one thing now and another then would pile up heads.
        if self.known.lost > self.known.heads.len() / 2 {
            self.known.clear();
        }
        let left_out = std::mem::take(&mut self.left_out);
        let mut rows = left_out.rows().peekable();
        if rows.peek().is_some() {
            let mut family = Samples::new(self.format);
            let name = self.escaping.escape(LEFT_OUT_FAMILY);
            family.begin(&name, Type::Gauge, self.format);
            family.help.push_str("Variables that cannot be shown, and why.");
            let mut labels = Vec::new();
            for (variable, reason, count) in rows {
                labels.clear();
                push_label(&mut labels, "variable", variable, self.format);
                push_label(&mut labels, "reason", reason, self.format);
                family.push_number(&labels, Number::Unsigned(count), None);
            }
            self.push_family(&family, Type::Gauge, "", "");
        }
        if self.format == Format::OpenMetrics {
            self.out.extend_from_slice(b"# EOF\n");
        }
    }

    /// Remembers that a variable, or part of it, is not shown.
    pub(super) fn leave_out(&mut self, variable: &str, reason: &str) {
        self.left_out.add(variable, reason);
    }

    /// Leaves out the variable that the walk is in, or part of it.
    fn leave_out_this(&mut self, reason: &str) {
        if let State::Planned(plan) = &self.state {
            self.left_out.add(&plan.variable, reason);
        }
    }

    fn enter_variable(&mut self, name: &str, info: &Info) {
        self.place.labels.clear();
        self.place.members.clear();
        self.place.elements = 0;
        self.place.is_single = false;
        self.place.known_as = None;
        match self.known.entries.get(self.at) {
            Some(Entry { single: Some(_), .. }) => self.state = State::Known(self.at),
            Some(_) => self.plan(name, info),
            None => {
                if self.remembers {
                    let (name, info) = (name.into(), info.clone());
                    self.known.entries.push(Entry { name, info, single: None });
                }
                self.plan(name, info);
            }
        }
        self.at += 1;
    }

    /// Finds out what is to become of a variable.
    fn plan(&mut self, name: &str, info: &Info) {
        self.leaf.set(info);
        let mapping = self.mappings.get(name);
        self.state = match mapping {
            Some(mapping) if mapping.hidden => State::Hidden,
            mapping => match Plan::new(name, info, mapping, self.settings, self.escaping) {
                Some(plan) => State::Planned(Box::new(plan)),
                None => {
                    let why = "no name can be made of it: it has no letter or digit";
                    self.left_out.add(name, why);
                    State::Hidden
                }
            },
        };
        if let State::Planned(plan) = &self.state {
            for (label, value) in plan.labels.constants() {
                push_label(&mut self.place.labels, label, value, self.format);
            }
            let known_as = if mapping.is_none() { info.get_known_as() } else { "" };
            self.place.known_as =
                (!known_as.is_empty()).then_some(KnownAs { name: known_as, below: 0 });
        }
    }

    /// Finds out what is to become of a variable that is not what it was the last time.
    fn plan_anew(&mut self) {
        let State::Known(at) = self.state else { return };
        let Some(entry) = self.known.entries.get_mut(at) else { return };
        if let Some(single) = entry.single.take() {
            self.known.lost += single.text.len();
        }
        let (name, info) = (entry.name.clone(), entry.info.clone());
        self.plan(&name, &info);
    }

    /// Writes a number as the last time; returns whether nothing has changed.
    #[inline]
    fn write_known(&mut self, at: usize, number: Number) -> bool {
        let Known { entries, heads, taken, .. } = &mut *self.known;
        let Some(Entry { single: Some(single), .. }) = entries.get_mut(at) else { return false };
        let counter = matches!(single.kind, Type::Counter | Type::Alone { .. });
        if counter && !counts(number) {
            return false;
        }
        if !taken.repeat(&single.took) {
            let before = taken.len();
            if !taken.take(single.hashed, single.kind) {
                return false;
            }
            single.took = before..taken.len();
        }
        let (head, tail) = heads[single.text.clone()].split_at(single.head);
        self.out.extend_from_slice(head);
        if self.format == Format::Protobuf {
            let value = scaled(number, single.decimals);
            self.out.extend_from_slice(&value.to_le_bytes());
            return true;
        }
        write(self.out, number, single.decimals);
        self.out.push(b'\n');
        self.out.extend_from_slice(tail);
        true
    }

    fn enter_step(&mut self, step: Step<'_>, info: &Info) {
        self.plan_anew();
        let (format, escaping) = (self.format, self.escaping);
        let place = &mut self.place;
        let mark = (place.labels.len(), place.members.len(), place.elements, place.known_as);
        place.marks.push(mark);
        let State::Planned(plan) = &mut self.state else { return };
        self.leaf.set(info);
        // Which level of maps or of a structure this is, from 0.
        let level = self.depth - 2;
        place.key.clear();
        let mut digits = itoa::Buffer::new();
        let (key, is_index) = match step {
            Step::Name(key) | Step::Key(key) => (key, false),
            Step::Index(at) => (digits.format(at), true),
        };
        place.key.push_str(key);
        let mapped = self.mappings.contains_key(&plan.variable);
        let known_as = if mapped { "" } else { info.get_known_as() };
        match place.known_as {
            // Numbers below one that is known have its name, and their keys are labels.
            Some(known)
                if known.name == known_as
                    && (!known_as.is_empty() || level - known.below < info.get_labels().len()) =>
            {
                let level = level - known.below;
                let label = info.get_labels().get(level).map_or("", |label| label.trim());
                let mut label = names::label(label, level, escaping);
                while has_label(&place.labels, &label, format) {
                    label.push('_');
                }
                return push_label(&mut place.labels, &label, key, format);
            }
            Some(known) if !known.name.is_empty() => place.known_as = None,
            _ => {}
        }
        if !known_as.is_empty() {
            place.known_as = Some(KnownAs { name: known_as, below: level + 1 });
            return;
        }
        let in_map = place.shapes.last() == Some(&Shape::Map);
        // A member that has labels of its own: its keys are their values.
        let is_keyed = !mapped && !in_map && plan.labels.told == 0;
        if is_keyed && place.known_as.is_none() && !info.get_labels().is_empty() {
            place.known_as = Some(KnownAs { name: "", below: level + 1 });
        }
        if in_map || level < plan.labels.told {
            // A label that is empty is none, as everywhere in Prometheus.
            if !key.is_empty() {
                push_label(&mut place.labels, plan.labels.level(level), key, format);
            }
        } else if is_index {
            place.elements += 1;
            push_label(&mut place.labels, plan.labels.element(place.elements - 1), key, format);
        } else {
            place.members.push('_');
            names::push_member(&mut place.members, key, escaping);
        }
    }

    fn leave_step(&mut self) {
        if let Some((labels, members, elements, known_as)) = self.place.marks.pop() {
            self.place.labels.truncate(labels);
            self.place.members.truncate(members);
            self.place.elements = elements;
            self.place.known_as = known_as;
        }
    }

    /// The samples of the family at this place, of the variable that the walk is in.
    fn family(&mut self, kind: Type) -> Option<usize> {
        let State::Planned(plan) = &self.state else { return None };
        let unit = plan.unit.unwrap_or(self.leaf.unit);
        let (name, kind, shown) = match self.place.known_as {
            Some(known) if !known.name.is_empty() => {
                // The name and the number as they stand.
                let named = names::Shown::from(unit);
                let shown = if named.decimals == 0 { named } else { names::PLAIN };
                (known.name.to_owned(), kind, shown)
            }
            _ => name(plan, &self.place.members, kind, unit),
        };
        let name = self.escaping.family(name, kind);
        let (at, is_new) = self.families.find_or_begin(&name, kind, self.format);
        if is_new {
            let family = &mut self.families[at];
            family.shown = shown;
            family.help.push_str(plan.help.as_deref().unwrap_or(&self.leaf.help));
        }
        // In what a function returned, several members may have one name.
        if self.place.function.is_some() && !self.families[at].is_new(&self.place.labels) {
            let name = &self.families[at].name;
            let reason = format!("several of its members would be the series {name}");
            self.leave_out_this(&reason);
            return None;
        }
        Some(at)
    }

    /// Whether labels were told for what a function returned, and this is not where they end.
    ///
    /// What lies deeper than labels that were declared is a member of each: `bytes` in
    /// `{"main": {"bytes": 1}}`. A mapping's labels say exactly where its values are.
    fn is_beside_its_labels(&self, plan: &Plan) -> bool {
        let (told, depth) = (plan.labels.told, self.depth - 1);
        let is_deeper = depth > told && !self.mappings.contains_key(&plan.variable);
        self.place.known_as.is_none()
            && self.place.function.is_some_and(|function| told > function)
            && depth != told
            && !is_deeper
    }

    fn show(&mut self, number: Number) {
        let State::Planned(plan) = &self.state else { return };
        if self.is_beside_its_labels(plan) {
            return;
        }
        let counter = plan.counter.unwrap_or(self.leaf.counter);
        if counter && !counts(number) {
            return self.leave_out_this("a counter is below zero or not a number");
        }
        let member = self.place.members.as_str();
        if plan.variable == "process"
            && matches!(member, "_cpu_user_seconds" | "_cpu_system_seconds")
        {
            *self.cpu_seconds.get_or_insert(0.0) += number.to_f64();
        }
        let kind = if counter { Type::Counter } else { Type::Gauge };
        let Some(at) = self.family(kind) else { return };
        let created = self.shown_created();
        self.families[at].push_number(&self.place.labels, number, created);
    }

    /// When what the walk is at was registered, where that is shown and known.
    fn shown_created(&self) -> Option<u64> {
        (self.shows_created && self.created > 0).then_some(self.created)
    }

    /// A text, where a label was told for it, or where it is a label of an info metric.
    fn show_text(&mut self, text: &str) {
        let depth = self.depth - 1;
        let State::Planned(plan) = &mut self.state else { return };
        let told = plan.labels.told;
        let place = &mut self.place;
        let here = match place.function {
            Some(function) if told > function => depth + 1 == told,
            Some(_) => false,
            None => depth < told || (depth == 0 && plan.is_info),
        };
        if !here {
            if plan.is_info && depth > told {
                place.texts.push((depth, place.key.clone(), text.to_owned()));
            }
            return;
        }
        let start = place.labels.len();
        match depth < told {
            true => push_label(&mut place.labels, plan.labels.level(depth), text, self.format),
            false => push_label(&mut place.labels, "value", text, self.format),
        }
        self.show_info();
        self.place.labels.truncate(start);
    }

    /// Writes the texts of the structure that ends as labels of one sample.
    fn show_texts(&mut self) {
        let depth = self.depth;
        let place = &mut self.place;
        let from = place.texts.iter().rposition(|(at, ..)| *at != depth).map_or(0, |at| at + 1);
        let texts = place.texts.split_off(from);
        let State::Planned(plan) = &mut self.state else { return };
        if texts.is_empty() {
            return;
        }
        let start = place.labels.len();
        let mut used: Vec<(String, String)> = Vec::new();
        for (_, key, text) in texts {
            used.push((plan.labels.of_key(&key, &used), text));
        }
        for (label, text) in &used {
            push_label(&mut place.labels, label, text, self.format);
        }
        self.show_info();
        self.place.labels.truncate(start);
    }

    /// Writes an info metric with the labels of this place.
    fn show_info(&mut self) {
        if let Some(at) = self.family(Type::Info) {
            let family = &mut self.families[at];
            family.shown = names::PLAIN;
            family.push_number(&self.place.labels, Number::Unsigned(1), None);
        }
    }

    fn show_histogram(&mut self, reading: &Reading, exemplars: &[Exemplar]) {
        let kind = match self.settings.quantiles {
            Some(_) => Type::Summary,
            None => Type::Histogram,
        };
        let Some(at) = self.family(kind) else { return };
        let created = self.shown_created();
        let State::Planned(plan) = &self.state else { return };
        let samples = &mut self.families[at];
        let decimals = samples.shown.decimals;
        let distribution = Distribution {
            reading,
            exemplars,
            unit: plan.unit.unwrap_or(self.leaf.unit),
            decimals,
            scale: 10f64.powi(decimals as i32),
            bounds: plan.buckets.as_deref(),
            quantiles: self.settings.quantiles.as_deref(),
            created,
        };
        distribution.push(samples, &mut self.place.labels, self.format, &mut self.native);
    }

    /// Writes the families of the variable that the walk leaves.
    fn flush(&mut self) {
        let State::Planned(plan) = std::mem::replace(&mut self.state, State::Hidden) else {
            return;
        };
        self.place.texts.clear();
        let (start, before) = (self.out.len(), self.known.taken.len());
        let families = std::mem::take(&mut self.families);
        // Those that can go by a full name come last.
        let (full, bare): (Vec<&Samples>, Vec<&Samples>) =
            families.in_use().iter().partition(|family| !family.kind.ending().is_empty());
        let mut written = None;
        for family in bare.into_iter().chain(full) {
            match self.reserve(&family.name, family.kind) {
                Some((hashed, kind)) => {
                    let unit = if kind == Type::Info { "" } else { family.shown.unit };
                    let text_at = self.push_family(family, kind, &plan.variable, unit);
                    written = Some((hashed, kind, text_at));
                }
                None => self.left_out.add(
                    &plan.variable,
                    &format!("the name {} is that of a variable before it", family.name),
                ),
            }
        }
        if let Some(seconds) = self.cpu_seconds.take() {
            self.show_cpu_seconds(&plan.variable, seconds);
        }
        if self.remembers
            && self.place.is_single
            && let (Some(family), Some((hashed, kind, text_at))) = (families.single(), written)
        {
            let Known { entries, heads, taken, .. } = &mut *self.known;
            if let Some(entry) = entries.get_mut(self.at - 1) {
                let text_start = heads.len();
                let head = &self.out[start..text_at + family.value_at];
                heads.extend_from_slice(head);
                // In text a line feed follows the value.
                let tail = self.out.get(text_at + family.value_end + 1..).unwrap_or_default();
                heads.extend_from_slice(tail);
                entry.single = Some(Single {
                    text: text_start..heads.len(),
                    head: head.len(),
                    hashed,
                    kind,
                    decimals: family.shown.decimals,
                    took: before..taken.len(),
                });
            }
        }
        self.families = families;
        self.families.clear();
    }

    /// The processor time that dashboards know, which nobody measures as a whole.
    fn show_cpu_seconds(&mut self, variable: &str, seconds: f64) {
        let name = self.escaping.family("process_cpu_seconds".to_owned(), Type::Counter);
        let Some((_, kind)) = self.reserve(&name, Type::Counter) else { return };
        let mut samples = Samples::new(self.format);
        samples.begin(&name, Type::Counter, self.format);
        samples.help.push_str("Processor time, in the program and in the kernel, in seconds.");
        samples.push_number(&self.place.labels, Number::Float(seconds), self.shown_created());
        self.push_family(&samples, kind, variable, "seconds");
    }

    /// Takes a family's names; `None` where one is taken. OpenMetrics gives a counter and an info
    /// metric the same bare name as a gauge: beside one they go by their full names.
    fn reserve(&mut self, name: &str, kind: Type) -> Option<(Hashed, Type)> {
        let hashed = Hashed::new(name);
        if self.known.taken.take(hashed, kind) {
            return Some((hashed, kind));
        }
        let ending = kind.ending();
        let hashed = Hashed::new(&format!("{name}{ending}"));
        let alone = Type::Alone { ending };
        (!ending.is_empty() && self.known.taken.take(hashed, alone)).then_some((hashed, alone))
    }

    /// Writes a family of that kind with its samples, and returns where those begin.
    fn push_family(&mut self, family: &Samples, kind: Type, variable: &str, unit: &str) -> usize {
        let alone = matches!(kind, Type::Alone { .. });
        // The unit has to be the end of the name, after a `_`.
        let ends = family.name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_'));
        let unit = if ends && !alone { unit } else { "" };
        if self.format == Format::Protobuf {
            let help = match family.help.as_str() {
                "" => ["Variable ", variable, "."],
                help => [help, "", ""],
            };
            let name = [family.name.as_str(), kind.ending()];
            let header = protobuf::Header { name, kind, help, unit };
            protobuf::push_family(self.out, &header, &family.text);
            return self.out.len() - family.text.len();
        }
        self.header(family, kind, variable, unit);
        let text_at = self.out.len();
        // What goes by its full name is of no type that has one.
        match alone && self.shows_created && family.kind.has_created() {
            true => self.out.extend_from_slice(&family.without_created()),
            false => self.out.extend_from_slice(&family.text),
        }
        text_at
    }

    fn header(&mut self, family: &Samples, kind: Type, variable: &str, unit: &str) {
        let open = self.format == Format::OpenMetrics;
        let alone = matches!(kind, Type::Alone { .. });
        let ending = if open && !alone { "" } else { kind.ending() };
        let mut name = Vec::with_capacity(family.name.len() + 8);
        write_name(&mut name, &family.name);
        match name.last() {
            // Inside the quotes.
            Some(b'"') => {
                name.pop();
                name.extend_from_slice(ending.as_bytes());
                name.push(b'"');
            }
            _ => name.extend_from_slice(ending.as_bytes()),
        }
        let out = &mut *self.out;
        out.extend_from_slice(b"# HELP ");
        out.extend_from_slice(&name);
        out.push(b' ');
        if family.help.is_empty() {
            out.extend_from_slice(b"Variable ");
            write_escaped(out, variable, open);
            out.push(b'.');
        } else {
            write_escaped(out, &family.help, open);
        }
        out.extend_from_slice(b"\n# TYPE ");
        out.extend_from_slice(&name);
        out.push(b' ');
        out.extend_from_slice(kind.name(self.format).as_bytes());
        out.push(b'\n');
        if open && !unit.is_empty() {
            out.extend_from_slice(b"# UNIT ");
            out.extend_from_slice(&name);
            out.push(b' ');
            out.extend_from_slice(unit.as_bytes());
            out.push(b'\n');
        }
    }
}

/// A family's name, what it then is, and how its values are shown.
fn name(plan: &Plan, members: &str, kind: Type, unit: Unit) -> (String, Type, names::Shown) {
    let mut name = format!("{}{members}", plan.stem);
    let shown = plan.shown(unit, &name);
    let kind = match kind {
        Type::Counter if !names::strip(&mut name, "_total") && plan.exact => {
            Type::Alone { ending: "" }
        }
        Type::Info if !names::strip(&mut name, "_info") && plan.exact => Type::Gauge,
        kind => kind,
    };
    if !plan.exact && kind != Type::Info {
        shown.name(&mut name);
    }
    let of_histograms = ["_bucket", "_count", "_sum"];
    let is_like = of_histograms.iter().any(|ending| names::ends_in(&name, ending));
    if !plan.exact && !members.is_empty() && kind == Type::Gauge && is_like {
        name.push('_');
    }
    (name, kind, shown)
}

impl Visitor for Exposition<'_> {
    fn enter(&mut self, step: Step<'_>, info: &Info) {
        self.depth += 1;
        match step {
            Step::Name(name) => self.enter_variable(name, info),
            step if self.depth > 1 => self.enter_step(step, info),
            _ => {}
        }
    }

    fn registered(&mut self, unix_nanos: u64) {
        self.created = unix_nanos;
    }

    fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        match self.depth {
            0 => self.flush(),
            _ => self.leave_step(),
        }
    }

    fn number(&mut self, number: Number) {
        if let State::Known(at) = self.state {
            if self.write_known(at, number) {
                return;
            }
            self.plan_anew();
        }
        self.place.is_single = self.depth == 1;
        self.show(number);
    }

    fn boolean(&mut self, value: bool) {
        self.plan_anew();
        self.show(Number::Unsigned(value.into()));
    }

    fn text(&mut self, text: &str) {
        self.plan_anew();
        self.show_text(text);
    }

    fn histogram(&mut self, mut histogram: Recorded<'_>) {
        self.plan_anew();
        if matches!(self.state, State::Planned(_)) {
            let exemplars = match self.format {
                Format::Text => Vec::new(),
                _ => histogram.exemplars(),
            };
            self.show_histogram(histogram.reading(), &exemplars);
        }
    }

    fn begin(&mut self, shape: Shape) -> bool {
        self.plan_anew();
        self.place.shapes.push(shape);
        if matches!(self.state, State::Hidden) {
            return false;
        }
        if shape == Shape::Map && self.depth > LEVELS {
            self.leave_out_this("its maps are nested too deeply");
            return false;
        }
        if shape != Shape::Map && self.place.function.is_none() {
            self.place.function = Some(self.depth - 1);
        }
        true
    }

    fn end(&mut self, _: Shape) {
        self.show_texts();
        self.place.shapes.pop();
        if self.place.function == Some(self.depth - 1) {
            self.place.function = None;
        }
    }
}

impl Recall for Exposition<'_> {
    fn names(&mut self, names: Generation) -> bool {
        // Of the keys of maps nothing is remembered.
        if self.depth > 0 {
            return true;
        }
        let is_known = self.known.is_of(names);
        if !is_known {
            self.known.learn(names);
        }
        !is_known
    }

    #[inline]
    fn next(&mut self, number: Number) -> bool {
        let is_written = self.write_known(self.at, number);
        self.at += usize::from(is_written);
        is_written
    }
}
