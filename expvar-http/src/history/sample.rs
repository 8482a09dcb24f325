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
mod tests;
