//! Encodes a registry's values as metrics, collection after collection.

mod histograms;
mod learnt;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use expvar::{Info, Number, Registry, Snapshot};

use crate::encode::families::Families;
use crate::encode::histogram;
use crate::encode::metric::{Kind, Metric, write_number};
use crate::encode::name;
use crate::encode::name_cache::{NameCache, Walk};
use crate::encode::parts::{PART_BYTES, Parts};
use crate::encode::place::Place;
use crate::encode::refusal::{Refusal, Refused};
use crate::encode::request::Envelope;
use crate::encode::series::Series;
use crate::settings::{Settings, Temporality};
use crate::view::Numbers;

pub(crate) use learnt::Learnt;

/// Encodes a registry's values, collection after collection.
///
/// Keeps each series' previous values; variables are never changed.
pub(crate) struct Reader {
    settings: Arc<Settings>,
    /// The cache of the registry's names.
    root: NameCache,
    series: Series,
    pub(crate) place: Place,
    families: Families,
    /// The metrics of the last collection.
    pub(crate) parts: Parts,
    /// Points rejected in this collection.
    refused: Refused,
    /// The last metric rejected because of a conflict.
    conflict: Option<String>,
    /// When the entered variable was registered, and from when exemplars are new.
    registered: u64,
    news: u64,
    /// When the program started, and when the last collection was, in nanoseconds since 1970.
    started: u64,
    last: Option<u64>,
    time: u64,
    interval: Snapshot,
    buckets: histogram::Buckets,
}

impl Reader {
    /// Counts start at `started`, in nanoseconds since 1970.
    pub(crate) fn new(settings: Arc<Settings>, started: u64, envelope: Envelope) -> Self {
        Self {
            settings,
            root: NameCache::default(),
            series: Series::default(),
            place: Place::default(),
            families: Families::default(),
            parts: Parts::new(envelope),
            refused: Refused::default(),
            conflict: None,
            registered: 0,
            news: 0,
            started,
            last: None,
            time: 0,
            interval: Snapshot::default(),
            buckets: histogram::Buckets::default(),
        }
    }

    /// Collects every variable, with points of this time, in nanoseconds since 1970.
    pub(crate) fn read(&mut self, registry: &Registry, time: u64) {
        self.clear();
        self.time = time;
        let now = unix_nanos();
        // After a clock went back, the start of new counts is unknown.
        let since = self.last.unwrap_or(self.started).min(time);
        self.series.begin(since, time);
        let root = std::mem::take(&mut self.root);
        let mut walk = Walk::new(self, root);
        registry.visit_recalling(|_| {}, &mut walk);
        self.root = walk.finish();
        self.series.end();
        self.parts.finish();
        self.last = Some(time);
        self.news = now;
    }

    /// Removes the metrics of the last collection.
    pub(crate) fn clear(&mut self) {
        self.parts.clear();
        self.refused = Refused::default();
    }

    /// The start of counts, in nanoseconds since 1970.
    pub(crate) fn started(&self) -> u64 {
        self.started
    }

    /// Points that the last collection rejected.
    pub(crate) fn refused(&self) -> Refused {
        self.refused
    }

    /// The last metric rejected because of a conflict, if it is new.
    pub(crate) fn take_conflict(&mut self) -> Option<String> {
        self.conflict.take()
    }

    /// Sets when the entered variable was registered.
    pub(crate) fn registered(&mut self, unix_nanos: u64) {
        self.registered = unix_nanos;
    }

    /// Enters a variable. Returns whether it is sent.
    pub(crate) fn enter_variable(&mut self, name: &str, info: &Info) -> bool {
        if !self.settings.is_wanted(name) {
            return false;
        }
        let view = self.settings.views.get(name);
        if view.is_some_and(|view| view.hidden) {
            return false;
        }
        self.place.enter_variable(name, info, view);
        true
    }

    /// Writes the metrics of the variable that the walk leaves.
    #[inline]
    pub(crate) fn leave_variable(&mut self) {
        if self.families.used() > 0 {
            self.write_families();
        }
        self.parts.cut(PART_BYTES);
    }

    fn write_families(&mut self) {
        for at in 0..self.families.used() {
            self.write_family(at);
        }
        self.families.clear();
    }

    fn write_family(&mut self, at: usize) {
        if self.parts.pending() + self.families.len(at) > PART_BYTES {
            self.parts.cut(0);
        }
        let points = self.families.write(at, self.parts.metrics());
        self.parts.count(points);
        self.parts.cut(PART_BYTES);
    }

    /// The kind of a number at this position.
    fn kind(&self) -> Kind {
        let delta = match self.settings.temporality {
            Temporality::Cumulative => false,
            Temporality::Delta => true,
            Temporality::LowMemory => !self.place.is_in_function(),
        };
        let mapped = self.place.view.as_ref().and_then(|view| view.numbers);
        match mapped {
            Some(Numbers::Counters) => Kind::Sum { delta },
            Some(Numbers::Gauges) => Kind::Gauge,
            Some(Numbers::UpDown) => Kind::UpDown,
            None => match self.place.convention() {
                Some(convention) => convention.instrument.kind(delta),
                None if self.place.leaf.counter => Kind::Sum { delta },
                None => Kind::Gauge,
            },
        }
    }

    pub(crate) fn refuse(&mut self, reason: Refusal) {
        self.refused.add(reason);
        if reason == Refusal::Conflict {
            self.conflict = Some(self.place.name.clone());
        }
    }

    /// Names a number and encodes it.
    pub(crate) fn number(&mut self, number: Number) {
        let convention = self.place.convention();
        let kind = self.kind();
        let mark = self.place.attributes.mark();
        if let Some((key, value)) = convention.and_then(|convention| convention.attribute) {
            use crate::encode::attributes::Value;
            self.place.attributes.push(key, Value::Text(value));
        }
        let name = convention.map(|convention| convention.name);
        if let Some(hash) = self.hash(name, kind) {
            match self.series.enter(hash, self.registered) {
                Some(at) => self.point(at, kind, number),
                None => self.refuse(Refusal::Conflict),
            }
        }
        self.place.attributes.truncate(mark);
    }

    /// The hash of the series at this position; `None` if its name is too long. `name` replaces the
    /// variable's own.
    fn hash(&mut self, name: Option<&str>, kind: Kind) -> Option<u64> {
        let name = name.unwrap_or(&self.place.name);
        if name.len() > name::MAX_BYTES {
            self.refuse(Refusal::LongName);
            return None;
        }
        Some(self.series.hash(name, kind, &self.place.attributes))
    }

    /// Encodes a number of an entered series.
    fn point(&mut self, series: u32, kind: Kind, number: Number) {
        if matches!(kind, Kind::Sum { .. }) && !counts(number) {
            return self.refuse(Refusal::BadCounter);
        }
        if let Some((start, number)) = self.series.advance(series, kind, number) {
            let at = self.family(kind);
            let (time, attributes) = (self.time, &self.place.attributes);
            self.families.add(at, |points| {
                write_number(points, kind, attributes, (start, time), number);
            });
            self.spill(at);
        }
    }

    /// The metric of points at this position.
    fn family(&mut self, kind: Kind) -> usize {
        let place = &self.place;
        if let Some(convention) = place.convention() {
            let (name, help, unit) = (convention.name, convention.help, convention.unit);
            let hash = self.series.hash(name, kind, &Default::default());
            return self.families.named(hash, &Metric { name, help, unit, kind });
        }
        let said = if place.is_plain() { &place.variable } else { &place.leaf };
        let metric = Metric { name: &place.name, help: &said.help, unit: &said.unit, kind };
        if place.is_plain() && kind.at() < crate::encode::metric::NUMBERS {
            return match self.families.plain(kind) {
                Some(at) => at,
                None => self.families.begin_plain(&metric),
            };
        }
        let hash = self.series.hash(&place.name, kind, &Default::default());
        self.families.named(hash, &metric)
    }

    /// Writes a metric with many points early; its other points follow under the same name.
    #[inline]
    fn spill(&mut self, family: usize) {
        if self.families.len(family) > PART_BYTES {
            self.write_family(family);
        }
    }

    /// Encodes a text: 1, with the text as an attribute. Skips texts in functions' values.
    pub(crate) fn text(&mut self, text: &str) {
        use crate::encode::attributes::Value;
        if self.place.depth > 1 && self.place.is_info {
            return self.place.keep_text(text);
        }
        if self.place.is_in_function() {
            return;
        }
        let mark = self.place.attributes.mark();
        self.place.attributes.push("value", Value::Text(text));
        self.info();
        self.place.attributes.truncate(mark);
    }

    /// Encodes the texts of an ending map or structure, as attributes of one point.
    pub(crate) fn end_texts(&mut self) {
        let mark = self.place.attributes.mark();
        if self.place.take_texts() {
            self.info();
        }
        self.place.attributes.truncate(mark);
    }

    /// Encodes a 1 with the current attributes.
    fn info(&mut self) {
        let len = self.place.name.len();
        if !self.place.is_info {
            self.place.name.push_str(".info");
        }
        let kind = Kind::Gauge;
        if let Some(hash) = self.hash(None, kind) {
            if self.series.enter(hash, self.registered).is_none() {
                self.refuse(Refusal::Conflict);
            } else {
                let place = &self.place;
                let metric =
                    Metric { name: &place.name, help: &place.variable.help, unit: "", kind };
                let family = self.series.hash(&place.name, kind, &Default::default());
                let at = self.families.named(family, &metric);
                let (times, attributes) = ((0, self.time), &self.place.attributes);
                self.families.add(at, |points| {
                    write_number(points, kind, attributes, times, Number::Unsigned(1));
                });
            }
        }
        self.place.name.truncate(len);
    }
}

fn unix_nanos() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_nanos() as u64
}

/// Whether a monotonic sum can have this value.
#[inline]
fn counts(number: Number) -> bool {
    match number {
        Number::Unsigned(_) => true,
        Number::Signed(n) => n >= 0,
        Number::Float(n) => n >= 0.0,
    }
}
