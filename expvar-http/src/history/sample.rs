//! A registry's values at one moment, flat: a path and a value for each leaf.

use std::ops::Range;

use expvar::{Info, Number, Recorded, Shape, Stamp, Step, Unit, Visitor};

use super::known;

/// The most bytes of a text sent to the page; the JSON document has all of it.
const MAX_TEXT_BYTES: usize = 200;
/// The longest path in bytes; leaves with longer ones are omitted.
const MAX_PATH_BYTES: usize = 16 * 1024;

/// The kind of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number that only goes up; its history is a rate.
    Counter,
    Gauge,
    Histogram,
    Text,
    /// An array or an empty structure, shown by its first values.
    Json,
}

/// The increase of a count since `before`; NaN if it fell, and so was reset.
pub(super) fn moved(now: Number, before: Number) -> f64 {
    now.since(before).map_or(f64::NAN, Number::to_f64)
}

/// Whether two numbers look the same.
pub(super) fn is_same(a: Number, b: Number) -> bool {
    match (a, b) {
        (Number::Float(a), Number::Float(b)) => a.to_bits() == b.to_bits(),
        _ => a == b,
    }
}

/// A histogram's count since the start of the process, and its recent quantiles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Distribution {
    pub(super) count: u64,
    /// p50, p90 and p99 of the last 60 to 70 seconds.
    pub(super) quantiles: [f64; 3],
}

/// Suffixes of the parts of a [`Distribution`] in series names.
pub(super) const PARTS: [&str; 4] = ["count", "p50", "p90", "p99"];

/// A leaf's value; texts are in the sample's buffer.
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
    /// Bytes of the path that are the variable's own name, if there is more.
    pub(super) top: usize,
    pub(super) kind: Kind,
    pub(super) unit: &'static str,
    pub(super) found: Found,
    /// Whether it is in a map, which can have any number of keys.
    pub(super) is_key: bool,
    /// The index of its help text in `helps`.
    help: Option<u32>,
}

/// The leaves of one walk, in order. Memory is reused for the next.
#[derive(Default)]
pub(super) struct Sample {
    items: Vec<Item>,
    text: String,
    helps: Vec<Range<usize>>,
    place: Place,
    /// The histograms of this walk and of the one before, in order; unchanged ones are not read
    /// again.
    histograms: Vec<(Stamp, Distribution)>,
    before: Vec<(Stamp, Distribution)>,
}

/// The position of the walk.
#[derive(Default)]
struct Place {
    path: String,
    /// The length of the path before each step.
    before: Vec<usize>,
    /// Bytes of the path that are the variable's name.
    top: usize,
    is_key: bool,
    /// The help texts of the variable and of the last entered value.
    top_help: Option<u32>,
    help: Option<u32>,
    unit: Unit,
    is_counter: bool,
    /// The number of items at the beginning of each map or structure.
    begun: Vec<usize>,
    /// The depth of arrays.
    arrays: usize,
    /// The item of the outermost array.
    array: Option<usize>,
}

impl Sample {
    pub(super) fn clear(&mut self) {
        self.items.clear();
        self.text.clear();
        self.helps.clear();
        std::mem::swap(&mut self.histograms, &mut self.before);
        self.histograms.clear();
        self.place = Place { path: std::mem::take(&mut self.place.path), ..Place::default() };
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

    /// Truncates a text, and marks the truncation.
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

/// `str::floor_char_boundary`, which the oldest supported compiler lacks.
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

impl Sample {
    fn keep_help(&mut self, help: &str) -> Option<u32> {
        if help.is_empty() {
            return None;
        }
        let range = self.keep(help);
        self.helps.push(range);
        Some(self.helps.len() as u32 - 1)
    }

    fn push_text(&mut self, kind: Kind, text: &str) {
        let range = self.keep_short(text);
        self.push(kind, Found::Text(range));
    }

    /// Adds the leaf at this position; returns whether its path is short enough.
    fn push(&mut self, kind: Kind, found: Found) -> bool {
        let place = &self.place;
        if place.path.len() > MAX_PATH_BYTES {
            return false;
        }
        let unit = match kind {
            Kind::Text | Kind::Json => "",
            _ => known::unit(place.unit, &place.path),
        };
        let top = if place.path.len() > place.top { place.top } else { 0 };
        let start = self.text.len();
        self.text.push_str(&place.path);
        let (path, is_key, help) = (start..self.text.len(), place.is_key, place.help);
        self.items.push(Item { path, top, kind, unit, found, is_key, help });
        true
    }

    /// Adds a value to the short form of the enclosing array.
    fn element(&mut self, value: &str) {
        let Some(item) = self.place.array else { return };
        let Some(Item { found: Found::Text(range), .. }) = self.items.get_mut(item) else { return };
        // The array's text is the last in the buffer while the array is open.
        if range.len() > MAX_TEXT_BYTES / 2 {
            if !self.text.ends_with('…') {
                self.text.push_str(", …");
            }
        } else {
            if range.start < range.end {
                self.text.push_str(", ");
            }
            self.text.push_str(&value[..value.floor_char_boundary_at(MAX_TEXT_BYTES / 2)]);
        }
        range.end = self.text.len();
    }
}

impl Visitor for Sample {
    fn enter(&mut self, step: Step<'_>, info: &Info) {
        let place = &mut self.place;
        place.before.push(place.path.len());
        place.unit = info.get_unit();
        place.is_counter = info.is_counter();
        match step {
            Step::Name(name) => {
                place.path.clear();
                place.path.push_str(name);
                (place.top, place.is_key) = (name.len(), false);
                let help = self.keep_help(info.get_help());
                (self.place.top_help, self.place.help) = (help, help);
            }
            Step::Key(key) if place.arrays == 0 => {
                place.path.push('.');
                place.path.push_str(key);
                let of_variable = self.place.top_help.map(|at| &self.helps[at as usize]);
                let is_own =
                    of_variable.map_or("", |range| Self::text(&*self, range)) != info.get_help();
                self.place.help =
                    if is_own { self.keep_help(info.get_help()) } else { self.place.top_help };
            }
            Step::Key(_) | Step::Index(_) => {}
        }
    }

    fn leave(&mut self) {
        if let Some(before) = self.place.before.pop() {
            self.place.path.truncate(before);
        }
    }

    fn number(&mut self, number: Number) {
        if self.place.arrays > 0 {
            return match number {
                Number::Unsigned(n) => self.element(itoa::Buffer::new().format(n)),
                Number::Signed(n) => self.element(itoa::Buffer::new().format(n)),
                Number::Float(n) => self.element(&n.to_string()),
            };
        }
        let kind = if self.place.is_counter { Kind::Counter } else { Kind::Gauge };
        self.push(kind, Found::Number(number));
    }

    fn text(&mut self, text: &str) {
        if self.place.arrays > 0 {
            return self.element(text);
        }
        self.push_text(Kind::Text, text);
    }

    fn boolean(&mut self, value: bool) {
        self.text(if value { "true" } else { "false" });
    }

    fn null(&mut self) {
        if self.place.arrays > 0 {
            return self.element("null");
        }
        self.push_text(Kind::Json, "null");
    }

    fn histogram(&mut self, mut histogram: Recorded<'_>) {
        // Take the stamp first: what is recorded after it shows in the next walk.
        let stamp = histogram.recent_stamp();
        let before = self.before.get(self.histograms.len());
        let distribution = match before.filter(|(before, _)| *before == stamp) {
            Some((_, distribution)) => *distribution,
            None => {
                let quantiles = [0.5, 0.9, 0.99].map(|q| histogram.recent().quantile_float(q));
                Distribution { count: histogram.count(), quantiles }
            }
        };
        self.histograms.push((stamp, distribution));
        self.push(Kind::Histogram, Found::Distribution(distribution));
    }

    fn begin(&mut self, shape: Shape) -> bool {
        if shape == Shape::Array {
            if self.place.arrays == 0 {
                let item = self.items.len();
                let pushed = self.push(Kind::Json, Found::Text(0..0));
                // The item's path is in the buffer now; its text follows.
                let end = self.text.len();
                if let (true, Some(item)) = (pushed, self.items.last_mut()) {
                    item.found = Found::Text(end..end);
                }
                self.place.array = pushed.then_some(item);
            }
            self.place.arrays += 1;
        } else {
            self.place.begun.push(self.items.len());
            self.place.is_key |= shape == Shape::Map;
        }
        true
    }

    fn end(&mut self, shape: Shape) {
        if shape != Shape::Array {
            let begun = self.place.begun.pop();
            if self.place.arrays == 0 && begun == Some(self.items.len()) {
                self.push_text(Kind::Json, "{}");
            }
            return;
        }
        self.place.arrays -= 1;
        if self.place.arrays == 0
            && let Some(item) = self.place.array.take()
            && let Found::Text(range) = &mut self.items[item].found
            && range.start == range.end
        {
            self.text.push_str("[]");
            range.end = self.text.len();
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
        registry.visit(&mut sample);
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
    fn what_is_kept_of_histograms_is_what_reading_them_gives() {
        let registry = Registry::new();
        let publish = |name: &str| registry.publish(name, Histogram::new()).unwrap();
        let (b, d) = (publish("b"), publish("d"));
        d.record(9);
        let mut kept = Sample::default();
        let mut compare = || {
            kept.clear();
            registry.visit(&mut kept);
            let mut fresh = Sample::default();
            registry.visit(&mut fresh);
            let of = |sample: &Sample| format!("{:?}", sample.items());
            assert_eq!(of(&kept), of(&fresh));
            of(&fresh)
        };
        let first = compare();
        assert_eq!(compare(), first);
        b.record(0);
        assert_ne!(compare(), first);
        d.record(1 << 40);
        compare();
        // One before the others, and others of the same names.
        publish("a").record(9);
        compare();
        registry.remove("b");
        registry.remove("d");
        drop((b, d));
        compare();
        publish("b").record(9);
        publish("d").record(0);
        compare();
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
        registry.visit(&mut sample);
        for item in sample.items() {
            let Found::Text(range) = &item.found else { panic!("{item:?}") };
            assert!(range.len() <= MAX_TEXT_BYTES + '…'.len_utf8(), "{}", range.len());
        }
        assert!(sample.text.len() < 500, "{}", sample.text.len());
    }

    #[test]
    fn members_have_their_own_kind_unit_and_help() {
        let mut sample = Sample::default();
        expvar::global().visit(&mut sample);
        let find = |path: &str| {
            let item = sample.items().iter().find(|item| sample.path(item) == path);
            item.map(|item| (item.kind, item.unit, sample.help(item)))
        };
        let (kind, unit, help) = find("process.cpu_user_seconds").unwrap();
        assert_eq!((kind, unit), (Kind::Counter, "seconds"));
        assert!(help.starts_with("Processor time in the program"), "{help}");
        let (kind, unit, _) = find("process.start_time_seconds").unwrap();
        assert_eq!((kind, unit), (Kind::Gauge, "unix"));
        let (kind, unit, _) = find("process.resident_bytes").unwrap();
        assert_eq!((kind, unit), (Kind::Gauge, "bytes"));
        let (kind, unit, _) = find("memstats.HeapSys").unwrap();
        assert_eq!((kind, unit), (Kind::Gauge, "bytes"));
        assert_eq!(find("memstats.NumGC"), None, "nobody measures it");
    }

    #[test]
    fn what_is_empty_is_shown_as_that_and_the_next_stands_beside_it() {
        let registry = Registry::new();
        let value = serde_json::json!({"a": [], "b": {}, "c": [[], {}], "d": 1});
        registry.publish("f", Func::new(move || value.clone())).unwrap();
        let expected = [
            "f.a Json \"\" \"[]\"",
            "f.b Json \"\" \"{}\"",
            "f.c Json \"\" \"[]\"",
            "f.d Gauge \"\" 1",
        ];
        assert_eq!(lines(&registry), expected);
    }
}
