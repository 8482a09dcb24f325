//! The visitor of the walk that writes metrics.

use std::collections::BTreeMap;

use expvar::{Generation, Info, Number, Recall, Recorded, Shape, Step, Visitor};

use super::cache::Known;
use super::families::Families;
use super::left_out::LeftOut;
use super::mapping::Mapping;
use super::native::Native;
use super::output::{LEFT_OUT_FAMILY, Output};
use super::place::Place;
use super::plan::Plan;
use super::samples::Type;
use super::taken::Hashed;
use super::{Format, LEVELS, MediaType, Settings};

mod finish;
mod values;

/// Writes a registry's variables as metrics.
pub(super) struct Exposition<'a> {
    mappings: &'a BTreeMap<String, Mapping>,
    settings: &'a Settings,
    output: Output<'a>,
    /// The cache of the last text.
    known: &'a mut Known,
    /// The number of variables entered so far: the cache's index of the next.
    at: usize,
    /// Whether this text is cached.
    remembers: bool,
    left_out: LeftOut,
    families: Families,
    state: State,
    place: Place,
    /// What is cached of the current variable.
    keeps: Keeps,
    /// Depth, key and text of the texts that become labels of one sample.
    texts: Vec<(usize, String, String)>,
    /// The sum of user and system time so far.
    cpu_seconds: Option<f64>,
    /// When the current variable or key was registered, in nanoseconds since 1970.
    created: u64,
    /// A buffer for one histogram's buckets.
    native: Native,
}

/// The state of the current variable.
enum State {
    /// Its text may be cached, at this index.
    Known(usize),
    /// Not shown.
    Hidden,
    /// Rendered anew.
    Planned(Box<Plan>),
}

/// What is cached of the current variable for the next text.
#[derive(Clone, Copy, PartialEq)]
enum Keeps {
    Nothing,
    /// The variable is a number and nothing else.
    Number,
    /// The variable is a histogram, of whose lines only the numbers change.
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

    /// Writes which variables are omitted, and ends the text.
    pub(super) fn end(self) {
        self.known.end();
        self.output.end(&self.left_out);
    }

    /// Records that a variable, or part of it, is omitted.
    pub(super) fn leave_out(&mut self, variable: &str, reason: &str) {
        self.left_out.add(variable, reason);
    }

    /// Records that the current variable, or part of it, is omitted.
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

    /// Determines the presentation of a variable.
    fn plan(&mut self, name: &str, info: &Info) {
        self.place.leaf.set(info);
        let media_type = self.output.media_type;
        let mapping = self.mappings.get(name);
        self.state = match mapping {
            Some(mapping) if mapping.hidden => State::Hidden,
            mapping => match Plan::new(name, info, mapping, self.settings, media_type.escaping()) {
                Some(plan) => State::Planned(Box::new(plan)),
                None => {
                    let reason = "no name can be made of it: it has no letter or digit";
                    self.left_out.add(name, reason);
                    State::Hidden
                }
            },
        };
        if let State::Planned(plan) = &self.state {
            self.place.begin(plan, info, media_type);
        }
    }

    /// Drops the cached text of a variable that it no longer fits.
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
        // Only the registry's names are cached, not the keys of maps.
        if self.place.depth > 0 {
            return true;
        }
        let is_known = self.known.is_of(names);
        if !is_known {
            self.known.learn(names);
        }
        !is_known
    }

    #[inline(always)]
    fn numbers(&mut self, numbers: &[Number]) -> usize {
        let (format, buffer) = (self.output.format(), &mut *self.output.buffer);
        let mut write = |(at, &number)| self.known.write_number(at, number, format, buffer);
        let written = (self.at..).zip(numbers).take_while(|&next| write(next)).count();
        self.at += written;
        written
    }
}
