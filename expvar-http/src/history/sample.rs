//! Everything that a registry shows at one moment, flat: a path and a value for each leaf.

use std::ops::Range;

use expvar::json::{Leaf, Leaves, Step, walk};
use expvar::{Info, MapValue, OldVisitor, Value};

use super::known;

/// Most bytes of a text that the page is sent; the whole is in the document.
const MAX_TEXT_BYTES: usize = 200;
/// Longest path that is shown, in bytes; what lies under a longer one is left out.
const MAX_PATH_BYTES: usize = 16 * 1024;

/// What kind of thing a leaf is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number that only goes up; its history is a rate.
    Counter,
    Gauge,
    Histogram,
    Text,
    /// An array, or what is empty: shown by its first values.
    Json,
}

/// A number as it was found, so that integers stay exact.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

impl Number {
    pub(super) fn to_f64(self) -> f64 {
        match self {
            Number::Unsigned(n) => n as f64,
            Number::Signed(n) => n as f64,
            Number::Float(n) => n,
        }
    }

    /// How much a count moved since it was `before`; NaN where it fell, and so began anew.
    pub(super) fn since(self, before: Number) -> f64 {
        match (self, before) {
            (Number::Unsigned(now), Number::Unsigned(before)) if now >= before => {
                (now - before) as f64
            }
            _ if self.to_f64() >= before.to_f64() => self.to_f64() - before.to_f64(),
            _ => f64::NAN,
        }
    }

    /// Whether it would be shown the same.
    pub(super) fn is(self, other: Number) -> bool {
        match (self, other) {
            (Number::Unsigned(a), Number::Unsigned(b)) => a == b,
            (Number::Signed(a), Number::Signed(b)) => a == b,
            (Number::Float(a), Number::Float(b)) => a.to_bits() == b.to_bits(),
            _ => false,
        }
    }
}

/// A histogram's records since the start of the process, and its recent quantiles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Distribution {
    pub(super) count: u64,
    /// p50, p90 and p99 of the last 60 to 70 seconds.
    pub(super) quantiles: [f64; 3],
}

/// What the parts of a [`Distribution`] are called in a series' name.
pub(super) const PARTS: [&str; 4] = ["count", "p50", "p90", "p99"];

/// A leaf's value; texts lie in the sample's buffer.
#[derive(Clone, Debug)]
pub(super) enum Found {
    Number(Number),
    Distribution(Distribution),
    Text(Range<usize>),
}

/// One leaf.
#[derive(Clone, Debug)]
pub(super) struct Item {
    path: Range<usize>,
    /// Bytes of the path that are the variable's own name, where there is more than that.
    pub(super) top: usize,
    pub(super) kind: Kind,
    pub(super) unit: &'static str,
    pub(super) found: Found,
    /// Whether it lies in a map, which may hold any number of others.
    pub(super) is_key: bool,
    /// Whether this is the first leaf of its variable, and its help is in `helps`.
    help: Option<u32>,
}

/// The leaves of one walk, in its order; its memory is used again for the next.
#[derive(Default)]
pub(super) struct Sample {
    items: Vec<Item>,
    text: String,
    helps: Vec<Range<usize>>,
    path: String,
}

impl Sample {
    pub(super) fn clear(&mut self) {
        self.items.clear();
        self.text.clear();
        self.helps.clear();
    }

    pub(super) fn items(&self) -> &[Item] {
        &self.items
    }

    pub(super) fn path(&self, item: &Item) -> &str {
        &self.text[item.path.clone()]
    }

    pub(super) fn text(&self, range: &Range<usize>) -> &str {
        &self.text[range.clone()]
    }

    pub(super) fn help(&self, item: &Item) -> &str {
        item.help.map_or("", |at| self.text(&self.helps[at as usize]))
    }

    fn keep(&mut self, text: &str) -> Range<usize> {
        let start = self.text.len();
        self.text.push_str(text);
        start..self.text.len()
    }

    /// Keeps the beginning of a text, and says where it was cut.
    fn keep_short(&mut self, text: &str) -> Range<usize> {
        let start = self.text.len();
        let end = text.floor_char_boundary_at(MAX_TEXT_BYTES);
        self.text.push_str(&text[..end]);
        if end < text.len() {
            self.text.push('…');
        }
        start..self.text.len()
    }
}

/// `str::floor_char_boundary`, which the oldest supported compiler does not have.
trait FloorCharBoundary {
    fn floor_char_boundary_at(&self, at: usize) -> usize;
}

impl FloorCharBoundary for str {
    fn floor_char_boundary_at(&self, at: usize) -> usize {
        let mut end = at.min(self.len());
        while !self.is_char_boundary(end) {
            end -= 1;
        }
        end
    }
}

impl OldVisitor for Sample {
    fn variable(&mut self, name: &str, info: &Info, value: Value<'_>) {
        self.path.clear();
        self.path.push_str(name);
        let help = (!info.get_help().is_empty()).then(|| {
            let range = self.keep(info.get_help());
            self.helps.push(range);
            self.helps.len() as u32 - 1
        });
        let top = name.len();
        let is_key = matches!(value, Value::Map(_));
        Flatten { sample: self, info, top, is_key, help }.value(value);
    }
}

/// Takes one variable apart, with the path to where it is in `sample.path`.
struct Flatten<'a> {
    sample: &'a mut Sample,
    info: &'a Info,
    top: usize,
    is_key: bool,
    help: Option<u32>,
}

impl Flatten<'_> {
    fn value(&mut self, value: Value<'_>) {
        match value {
            Value::Counter(n) => self.push(Kind::Counter, Found::Number(Number::Unsigned(n))),
            Value::Gauge(n) => self.number(Number::Signed(n)),
            Value::Float(n) => self.number(Number::Float(n)),
            Value::Text(text) => self.text(text),
            Value::Histogram(reading) => {
                let quantiles = [0.5, 0.9, 0.99].map(|q| reading.recent.quantile_float(q));
                let distribution = Distribution { count: reading.total.count(), quantiles };
                self.push(Kind::Histogram, Found::Distribution(distribution));
            }
            Value::Map(map) => self.map(map),
            Value::Json(json) => self.json(json),
            _ => self.empty("null"),
        }
    }

    fn map(&mut self, map: MapValue<'_>) {
        if map.is_empty() {
            self.empty("{}");
        }
        map.for_each(|key, value| {
            let before = self.step(key);
            self.value(value);
            self.sample.path.truncate(before);
        });
    }

    fn json(&mut self, json: &str) {
        let before = self.sample.items.len();
        let mut tree = Tree { flatten: self, levels: Vec::new(), arrays: 0, array: None };
        // A function's text is JSON by contract; of one that is not, what came before the fault.
        let _ = walk(json, &mut tree);
        if self.sample.items.len() == before {
            self.empty(json);
        }
    }

    fn number(&mut self, number: Number) {
        let counter = known::is_counter(self.info, &self.sample.path, self.top);
        self.push(if counter { Kind::Counter } else { Kind::Gauge }, Found::Number(number));
    }

    fn text(&mut self, text: &str) {
        let range = self.sample.keep_short(text);
        self.push(Kind::Text, Found::Text(range));
    }

    fn empty(&mut self, json: &str) {
        let range = self.sample.keep_short(json);
        self.push(Kind::Json, Found::Text(range));
    }

    /// Goes one step deeper; gives the length to go back to.
    fn step(&mut self, key: &str) -> usize {
        let before = self.sample.path.len();
        self.sample.path.push('.');
        self.sample.path.push_str(key);
        before
    }

    fn push(&mut self, kind: Kind, found: Found) {
        if self.sample.path.len() > MAX_PATH_BYTES {
            return;
        }
        let unit = match kind {
            Kind::Text | Kind::Json => "",
            _ => known::unit(self.info, &self.sample.path, self.top),
        };
        let top = if self.sample.path.len() > self.top { self.top } else { 0 };
        let start = self.sample.text.len();
        self.sample.text.push_str(&self.sample.path);
        let path = start..self.sample.text.len();
        let Self { is_key, help, .. } = *self;
        self.sample.items.push(Item { path, top, kind, unit, found, is_key, help });
    }
}

/// A walk through what a function returned.
struct Tree<'f, 'a> {
    flatten: &'f mut Flatten<'a>,
    /// For each level the length of the path above it, and whether it is an array's.
    levels: Vec<(usize, bool)>,
    arrays: usize,
    /// The item of the array that is being shown.
    array: Option<usize>,
}

impl Tree<'_, '_> {
    /// Adds a value to the short form of the array around it.
    fn element(&mut self, leaf: Leaf<'_>) {
        let Some(item) = self.array else { return };
        let sample = &mut *self.flatten.sample;
        let Some(Item { found: Found::Text(range), .. }) = sample.items.get_mut(item) else {
            return;
        };
        // The array's own text is the last in the buffer as long as it lasts.
        if range.len() > MAX_TEXT_BYTES / 2 {
            if !sample.text.ends_with('…') {
                sample.text.push_str(", …");
                range.end = sample.text.len();
            }
            return;
        }
        if range.start < range.end {
            sample.text.push_str(", ");
        }
        match leaf {
            Leaf::Null => sample.text.push_str("null"),
            Leaf::Bool(value) => sample.text.push_str(if value { "true" } else { "false" }),
            Leaf::Unsigned(n) => sample.text.push_str(itoa::Buffer::new().format(n)),
            Leaf::Signed(n) => sample.text.push_str(itoa::Buffer::new().format(n)),
            Leaf::Float(n) => sample.text.push_str(&n.to_string()),
            Leaf::Text(text) => {
                let end = text.floor_char_boundary_at(MAX_TEXT_BYTES / 2);
                sample.text.push_str(&text[..end]);
            }
        }
        range.end = sample.text.len();
    }
}

impl Leaves for Tree<'_, '_> {
    fn enter(&mut self, step: Step<'_>) {
        let before = self.flatten.sample.path.len();
        match step {
            Step::Key(key) if self.arrays == 0 => {
                self.flatten.step(key);
                self.levels.push((before, false));
            }
            Step::Key(_) => self.levels.push((before, false)),
            Step::Index(index) => {
                if self.arrays == 0 && index == 0 {
                    let path_fits = before <= MAX_PATH_BYTES;
                    let item = self.flatten.sample.items.len();
                    self.flatten.push(Kind::Json, Found::Text(0..0));
                    let end = self.flatten.sample.text.len();
                    if let (true, Some(pushed)) = (path_fits, self.flatten.sample.items.last_mut())
                    {
                        pushed.found = Found::Text(end..end);
                    }
                    self.array = path_fits.then_some(item);
                }
                self.arrays += 1;
                self.levels.push((before, true));
            }
        }
    }

    fn leave(&mut self) {
        let Some((before, array)) = self.levels.pop() else { return };
        self.flatten.sample.path.truncate(before);
        self.arrays -= usize::from(array);
    }

    fn leaf(&mut self, leaf: Leaf<'_>) {
        if self.arrays > 0 {
            return self.element(leaf);
        }
        match leaf {
            Leaf::Null => self.flatten.empty("null"),
            Leaf::Bool(value) => self.flatten.text(if value { "true" } else { "false" }),
            Leaf::Unsigned(n) => self.flatten.number(Number::Unsigned(n)),
            Leaf::Signed(n) => self.flatten.number(Number::Signed(n)),
            Leaf::Float(n) => self.flatten.number(Number::Float(n)),
            Leaf::Text(text) => self.flatten.text(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use expvar::{Counter, FloatGauge, Func, Gauge, Histogram, Map, Registry, Text};

    use super::*;

    /// Each leaf as `path kind unit value`.
    fn lines(registry: &Registry) -> Vec<String> {
        let mut sample = Sample::default();
        registry.visit_old(&mut sample);
        let line = |item: &Item| {
            let value = match &item.found {
                Found::Number(number) => number.to_f64().to_string(),
                Found::Distribution(of) => format!("{} {:?}", of.count, of.quantiles),
                Found::Text(range) => format!("{:?}", sample.text(range)),
            };
            format!("{} {:?} {:?} {value}", sample.path(item), item.kind, item.unit)
        };
        sample.items().iter().map(line).collect()
    }

    #[test]
    fn every_kind_becomes_lines() {
        let registry = Registry::new();
        let map = Map::new();
        map.add("b", 2);
        map.add("a.x", 1);
        map.set("inner", Map::new());
        registry.publish("counter", Counter::new()).unwrap().add(7);
        registry.publish("gauge", Gauge::new()).unwrap().set(-3);
        registry.publish("float", FloatGauge::new()).unwrap().set(0.5);
        registry.publish("text", Text::new()).unwrap().set("hello");
        registry.publish("wait_ms", Histogram::new()).unwrap().record(5);
        let wait = registry.publish("wait_seconds", Histogram::floats()).unwrap();
        wait.record_float(0.05);
        wait.record_float(0.05);
        registry.publish("map", map).unwrap();
        let expected = [
            "counter Counter \"\" 7",
            "float Gauge \"\" 0.5",
            "gauge Gauge \"\" -3",
            "map.a.x Gauge \"\" 1",
            "map.b Gauge \"\" 2",
            "map.inner Json \"\" \"{}\"",
            "text Text \"\" \"hello\"",
            "wait_ms Histogram \"milliseconds\" 1 [5.0, 5.0, 5.0]",
            "wait_seconds Histogram \"seconds\" 2 [0.0498046875, 0.0498046875, 0.0498046875]",
        ];
        assert_eq!(lines(&registry), expected);
    }

    #[test]
    fn what_a_function_returns_is_taken_apart_but_for_arrays() {
        let registry = Registry::new();
        let value = serde_json::json!({
            "a": {"n": 1, "t": "x", "f": 1.5, "b": true, "z": null},
            "list": [1, [2, {"k": "v"}], null],
            "size_bytes": 9,
        });
        registry.publish("f", Func::new(move || value.clone())).unwrap();
        registry.publish("none", Func::new(Vec::<u8>::new)).unwrap();
        registry.publish("number", Func::new(|| -5)).unwrap();
        let expected = [
            "f.a.b Text \"\" \"true\"",
            "f.a.f Gauge \"\" 1.5",
            "f.a.n Gauge \"\" 1",
            "f.a.t Text \"\" \"x\"",
            "f.a.z Json \"\" \"null\"",
            "f.list Json \"\" \"1, 2, v, null\"",
            "f.size_bytes Gauge \"bytes\" 9",
            "none Json \"\" \"[]\"",
            "number Gauge \"\" -5",
        ];
        assert_eq!(lines(&registry), expected);
    }

    #[test]
    fn long_texts_and_arrays_are_cut() {
        let registry = Registry::new();
        registry.publish("array", Func::new(|| vec![7; 10_000])).unwrap();
        registry.publish("text", Text::new()).unwrap().set("é".repeat(10_000));
        let mut sample = Sample::default();
        registry.visit_old(&mut sample);
        for item in sample.items() {
            let Found::Text(range) = &item.found else { panic!("{item:?}") };
            assert!(range.len() <= MAX_TEXT_BYTES + '…'.len_utf8(), "{}", range.len());
        }
        assert!(sample.text.len() < 500, "{}", sample.text.len());
    }
}
