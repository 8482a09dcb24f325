//! The visitor of the walk that writes metrics.

use std::collections::BTreeMap;

use expvar::{Exemplar, Generation, Info, Number, Recall, Recorded, Shape, Step, Visitor};

use super::cache::{Buckets, Family, Known, Numbers};
use super::distribution::{Distribution, has_sum};
use super::families::Families;
use super::left_out::LeftOut;
use super::mapping::Mapping;
use super::native::Native;
use super::output::{LEFT_OUT_FAMILY, Output};
use super::place::Place;
use super::plan::Plan;
use super::samples::{Samples, Type, counts, push_label};
use super::taken::Hashed;
use super::{Format, LEVELS, MediaType, Settings, names};

/// Writes a registry's variables as metrics.
pub(super) struct Exposition<'a> {
    mappings: &'a BTreeMap<String, Mapping>,
    settings: &'a Settings,
    output: Output<'a>,
    /// What the last text was made of.
    known: &'a mut Known,
    /// How many variables were entered.
    at: usize,
    remembers: bool,
    left_out: LeftOut,
    families: Families,
    state: State,
    place: Place,
    /// What is kept of the variable that the walk is in.
    keeps: Keeps,
    /// Texts by depth, which become labels of one sample.
    texts: Vec<(usize, String, String)>,
    /// Processor time in the program and in the kernel, to be added up.
    cpu_seconds: Option<f64>,
    /// When the variable or key was registered that the walk is at, in nanoseconds since 1970.
    created: u64,
    /// Memory for one histogram's buckets.
    native: Native,
}

/// What the variable is that the walk is in.
enum State {
    /// What it was the last time, at this place among the known.
    Known(usize),
    /// Not shown.
    Hidden,
    Planned(Box<Plan>),
}

/// What is kept for the next text of the variable that the walk is in.
#[derive(Clone, Copy, PartialEq)]
enum Keeps {
    Nothing,
    /// The variable is a number and nothing else.
    Number,
    /// The variable is a histogram whose lines are the same each time but for the numbers.
    Buckets,
}

impl<'a> Exposition<'a> {
    pub(super) fn begin(
        mappings: &'a BTreeMap<String, Mapping>,
        settings: &'a Settings,
        media_type: MediaType,
        (known, remembers): (&'a mut Known, bool),
        buffer: &'a mut Vec<u8>,
    ) -> Self {
        known.taken.begin();
        let left_out = media_type.escaping().escape(LEFT_OUT_FAMILY);
        known.taken.take(Hashed::new(&left_out), Type::Gauge);
        let shows_created = match media_type.format() {
            Format::Text => false,
            Format::OpenMetrics => settings.created,
            Format::Protobuf => true,
        };
        Self {
            mappings,
            settings,
            output: Output { media_type, shows_created, buffer },
            known,
            at: 0,
            remembers,
            left_out: LeftOut::default(),
            families: Families::default(),
            state: State::Hidden,
            place: Place::default(),
            keeps: Keeps::Nothing,
            texts: Vec::new(),
            cpu_seconds: None,
            created: 0,
            native: Native::default(),
        }
    }

    /// Names what was left out, and ends the text.
    pub(super) fn end(self) {
        self.known.end();
        self.output.end(&self.left_out);
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
        self.place.enter_variable();
        self.keeps = Keeps::Nothing;
        match self.known.is_kept(self.at) {
            Some(true) => self.state = State::Known(self.at),
            Some(false) => self.plan(name, info),
            None => {
                if self.remembers {
                    self.known.push(name, info);
                }
                self.plan(name, info);
            }
        }
        self.at += 1;
    }

    /// Finds out what is to become of a variable.
    fn plan(&mut self, name: &str, info: &Info) {
        self.place.leaf.set(info);
        let media_type = self.output.media_type;
        let mapping = self.mappings.get(name);
        self.state = match mapping {
            Some(mapping) if mapping.hidden => State::Hidden,
            mapping => match Plan::new(name, info, mapping, self.settings, media_type.escaping()) {
                Some(plan) => State::Planned(Box::new(plan)),
                None => {
                    let why = "no name can be made of it: it has no letter or digit";
                    self.left_out.add(name, why);
                    State::Hidden
                }
            },
        };
        if let State::Planned(plan) = &self.state {
            self.place.begin(plan, info, media_type);
        }
    }

    /// Finds out what is to become of a variable that is not what it was the last time.
    fn plan_anew(&mut self) {
        let State::Known(at) = self.state else { return };
        if let Some((name, info)) = self.known.forget(at) {
            self.plan(&name, &info);
        }
    }

    fn enter_step(&mut self, step: Step<'_>, info: &Info) {
        self.plan_anew();
        self.place.mark();
        if let State::Planned(plan) = &mut self.state {
            self.place.enter(step, info, plan, self.output.media_type);
        }
    }

    /// The samples of the family at this place, of the variable that the walk is in.
    fn family(&mut self, kind: Type) -> Option<usize> {
        let State::Planned(plan) = &self.state else { return None };
        let unit = plan.unit.unwrap_or(self.place.leaf.unit);
        let (name, kind, shown) = match self.place.known_as {
            Some(known) if !known.name.is_empty() => {
                // The name and the number as they stand.
                let named = names::Shown::from(unit);
                let shown = if named.decimals == 0 { named } else { names::PLAIN };
                (known.name.to_owned(), kind, shown)
            }
            _ => plan.family(&self.place.members, kind, unit),
        };
        let name = self.output.media_type.escaping().family(name, kind);
        let (at, is_new) = self.families.find_or_begin(&name, kind, self.output.format());
        if is_new {
            let family = &mut self.families[at];
            family.shown = shown;
            family.help.push_str(plan.help.as_deref().unwrap_or(&self.place.leaf.help));
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

    fn show(&mut self, number: Number) {
        let State::Planned(plan) = &self.state else { return };
        if self.place.is_beside_labels(plan) {
            return;
        }
        let counter = plan.counter.unwrap_or(self.place.leaf.counter);
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
        (self.output.shows_created && self.created > 0).then_some(self.created)
    }

    /// A text, where a label was told for it, or where it is a label of an info metric.
    fn show_text(&mut self, text: &str) {
        let (place, format) = (&mut self.place, self.output.format());
        let depth = place.depth - 1;
        let State::Planned(plan) = &mut self.state else { return };
        let told = plan.labels.told;
        let here = match place.function {
            Some(function) if told > function => depth + 1 == told,
            Some(_) => false,
            None => depth < told || (depth == 0 && plan.is_info),
        };
        if !here {
            if plan.is_info && depth > told {
                self.texts.push((depth, place.key.clone(), text.to_owned()));
            }
            return;
        }
        let start = place.labels.len();
        match depth < told {
            true => push_label(&mut place.labels, plan.labels.level(depth), text, format),
            false => push_label(&mut place.labels, "value", text, format),
        }
        self.show_info();
        self.place.labels.truncate(start);
    }

    /// Writes the texts of the structure that ends as labels of one sample.
    fn show_texts(&mut self) {
        let depth = self.place.depth;
        let from = self.texts.iter().rposition(|(at, ..)| *at != depth).map_or(0, |at| at + 1);
        let texts = self.texts.split_off(from);
        let State::Planned(plan) = &mut self.state else { return };
        if texts.is_empty() {
            return;
        }
        let start = self.place.labels.len();
        let mut used: Vec<(String, String)> = Vec::new();
        for (_, key, text) in texts {
            used.push((plan.labels.of_key(&key, &used), text));
        }
        for (label, text) in &used {
            push_label(&mut self.place.labels, label, text, self.output.format());
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

    fn show_histogram(&mut self, mut histogram: Recorded<'_>, exemplars: &[Exemplar]) {
        let quantiles = self.settings.quantiles.as_deref();
        let kind = if quantiles.is_some() { Type::Summary } else { Type::Histogram };
        let Some(at) = self.family(kind) else { return };
        let created = self.shown_created();
        let State::Planned(plan) = &self.state else { return };
        // Without quantiles nobody asks what is recent.
        let (total, summary) = match quantiles {
            Some(quantiles) => {
                let reading = histogram.reading();
                (&reading.total, Some((quantiles, &reading.recent)))
            }
            None => (histogram.total(), None),
        };
        let format = self.output.format();
        let is_text = format != Format::Protobuf;
        if self.place.depth == 1
            && is_text
            && summary.is_none()
            && exemplars.is_empty()
            && has_sum(total, format)
        {
            self.keeps = Keeps::Buckets;
        }
        let samples = &mut self.families[at];
        let decimals = samples.shown.decimals;
        let distribution = Distribution {
            total,
            summary,
            exemplars,
            unit: plan.unit.unwrap_or(self.place.leaf.unit),
            decimals,
            scale: 10f64.powi(decimals as i32),
            bounds: plan.buckets.as_deref(),
            created,
        };
        distribution.push(samples, &mut self.place.labels, format, &mut self.native);
    }

    /// Writes the families of the variable that the walk leaves.
    fn flush(&mut self) {
        let State::Planned(plan) = std::mem::replace(&mut self.state, State::Hidden) else {
            return;
        };
        self.texts.clear();
        let (start, before) = (self.output.buffer.len(), self.known.taken.len());
        let families = std::mem::take(&mut self.families);
        // Those that can go by a full name come last.
        let (full, bare): (Vec<&Samples>, Vec<&Samples>) =
            families.in_use().iter().partition(|family| !family.kind.ending().is_empty());
        let mut written = None;
        for family in bare.into_iter().chain(full) {
            match self.reserve(&family.name, family.kind) {
                Some((hashed, kind)) => {
                    let unit = if kind == Type::Info { "" } else { family.shown.unit };
                    let text_at = self.output.push_family(family, kind, &plan.variable, unit);
                    let took = before..self.known.taken.len();
                    let decimals = family.shown.decimals;
                    written = Some((Family { hashed, kind, decimals, took }, text_at));
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
            && let (Some(samples), Some((family, text_at))) = (families.single(), written)
        {
            self.keep(&plan, samples, family, (start, text_at));
        }
        self.families = families;
        self.families.clear();
    }

    /// Keeps the text of a variable for the next time. It begins at one place, and its samples at the
    /// other.
    fn keep(&mut self, plan: &Plan, samples: &Samples, family: Family, at: (usize, usize)) {
        let (start, text_at) = at;
        let (variable, text) = (self.at - 1, &self.output.buffer[..]);
        match self.keeps {
            Keeps::Nothing => {}
            Keeps::Number => {
                let head = &text[start..text_at + samples.value_at];
                // In text a line feed follows the value.
                let tail = text.get(text_at + samples.value_end + 1..).unwrap_or_default();
                self.known.keep(variable, [head, tail], family, Numbers::One(head.len()));
            }
            Keeps::Buckets => {
                let (header, lines) = text[start..].split_at(text_at - start);
                let unit = plan.unit.unwrap_or(self.place.leaf.unit);
                let has_created = self.shown_created().is_some();
                let (buckets, text) =
                    Buckets::cut(header, lines, has_created, unit, plan.buckets.as_deref());
                let numbers = Numbers::Buckets(Box::new(buckets));
                self.known.keep(variable, [&text[..]], family, numbers);
            }
        }
    }

    /// The processor time that dashboards know, which nobody measures as a whole.
    fn show_cpu_seconds(&mut self, variable: &str, seconds: f64) {
        let (format, escaping) = (self.output.format(), self.output.media_type.escaping());
        let name = escaping.family("process_cpu_seconds".to_owned(), Type::Counter);
        let Some((_, kind)) = self.reserve(&name, Type::Counter) else { return };
        let mut samples = Samples::new(format);
        samples.begin(&name, Type::Counter, format);
        samples.help.push_str("Processor time, in the program and in the kernel, in seconds.");
        samples.push_number(&self.place.labels, Number::Float(seconds), self.shown_created());
        self.output.push_family(&samples, kind, variable, "seconds");
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
}

impl Visitor for Exposition<'_> {
    fn enter(&mut self, step: Step<'_>, info: &Info) {
        self.place.depth += 1;
        match step {
            Step::Name(name) => self.enter_variable(name, info),
            step if self.place.depth > 1 => self.enter_step(step, info),
            _ => {}
        }
    }

    fn registered(&mut self, unix_nanos: u64) {
        self.created = unix_nanos;
    }

    fn leave(&mut self) {
        self.place.depth = self.place.depth.saturating_sub(1);
        match self.place.depth {
            0 => self.flush(),
            _ => self.place.leave(),
        }
    }

    fn number(&mut self, number: Number) {
        if let State::Known(at) = self.state {
            let (format, buffer) = (self.output.format(), &mut *self.output.buffer);
            if self.known.write_number(at, number, format, buffer) {
                return;
            }
            self.plan_anew();
        }
        if self.place.depth == 1 {
            self.keeps = Keeps::Number;
        }
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
        let format = self.output.format();
        let exemplars = match format {
            Format::Text => Vec::new(),
            _ => histogram.exemplars(),
        };
        if let State::Known(at) = self.state {
            let buffer = &mut *self.output.buffer;
            if exemplars.is_empty()
                && self.known.write_histogram(at, histogram.total(), format, buffer)
            {
                return;
            }
            self.plan_anew();
        }
        if matches!(self.state, State::Planned(_)) {
            self.show_histogram(histogram, &exemplars);
        }
    }

    fn begin(&mut self, shape: Shape) -> bool {
        self.plan_anew();
        self.place.open(shape);
        if matches!(self.state, State::Hidden) {
            return false;
        }
        if shape == Shape::Map && self.place.depth > LEVELS {
            self.leave_out_this("its maps are nested too deeply");
            return false;
        }
        if shape != Shape::Map {
            self.place.open_function();
        }
        true
    }

    fn end(&mut self, _: Shape) {
        self.show_texts();
        self.place.close();
    }
}

impl Recall for Exposition<'_> {
    fn names(&mut self, names: Generation) -> bool {
        // Of the keys of maps nothing is remembered.
        if self.place.depth > 0 {
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
        let (format, buffer) = (self.output.format(), &mut *self.output.buffer);
        let is_written = self.known.write_number(self.at, number, format, buffer);
        self.at += usize::from(is_written);
        is_written
    }
}
