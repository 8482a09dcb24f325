//! The samples of one family, and how numbers are written.

use std::collections::HashSet;

use expvar::Number;
use expvar::json::{write_float, write_unsigned};

use super::names::{PLAIN, Shown};
use super::{Format, escaping, protobuf};

/// The type of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Counter,
    Gauge,
    Histogram,
    Summary,
    Info,
    /// A counter or an info metric under its full name, because OpenMetrics does not allow the bare
    /// one beside a gauge's; or a counter whose exact name has no suffix.
    Alone {
        ending: &'static str,
    },
}

impl Type {
    pub(super) fn name(self, format: Format) -> &'static str {
        match (self, format) {
            (Self::Counter, _) => "counter",
            (Self::Histogram, _) => "histogram",
            (Self::Summary, _) => "summary",
            (Self::Info, Format::OpenMetrics) => "info",
            (Self::Gauge | Self::Info | Self::Alone { ending: "_info" }, _) => "gauge",
            (Self::Alone { .. }, Format::OpenMetrics) => "unknown",
            (Self::Alone { .. }, Format::Text | Format::Protobuf) => "counter",
        }
    }

    /// The suffix of a sample's name.
    pub(super) fn ending(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Alone { ending } => ending,
            Self::Info => "_info",
            Self::Gauge | Self::Histogram | Self::Summary => "",
        }
    }

    /// Whether its samples can have `_created`.
    pub(super) fn has_created(self) -> bool {
        matches!(self, Self::Counter | Self::Histogram | Self::Summary)
    }

    /// Names that belong to a family beside its bare name.
    pub(super) fn reserved(self) -> &'static [&'static str] {
        match self {
            Self::Counter => &["_total", "_created"],
            Self::Histogram => &["_bucket", "_count", "_sum", "_created"],
            Self::Summary => &["_count", "_sum", "_created"],
            Self::Info => &["_info"],
            Self::Gauge | Self::Alone { .. } => &[],
        }
    }
}

/// Whether a counter can have this value.
pub(super) fn counts(number: Number) -> bool {
    match number {
        Number::Unsigned(_) => true,
        Number::Signed(n) => n >= 0,
        Number::Float(n) => n >= 0.0,
    }
}

/// Appends a number divided by 10 to the power `decimals`.
#[inline]
pub(super) fn write(to: &mut Vec<u8>, number: Number, decimals: u32) {
    match number {
        Number::Unsigned(n) => write_decimal(to, n, decimals),
        Number::Signed(n) => {
            if n < 0 {
                to.push(b'-');
            }
            write_decimal(to, n.unsigned_abs(), decimals);
        }
        Number::Float(n) => write_number(to, n / 10f64.powi(decimals as i32)),
    }
}

/// Appends a whole number, or one with this many decimals, exactly.
#[inline]
fn write_decimal(to: &mut Vec<u8>, n: u64, decimals: u32) {
    if decimals == 0 {
        return write_unsigned(to, n);
    }
    let mut digits = itoa::Buffer::new();
    let one = 10u64.pow(decimals);
    to.extend_from_slice(digits.format(n / one).as_bytes());
    let fraction = n % one;
    if fraction != 0 {
        to.push(b'.');
        let text = digits.format(fraction);
        to.resize(to.len() + decimals as usize - text.len(), b'0');
        to.extend_from_slice(text.trim_end_matches('0').as_bytes());
    }
}

/// Appends a float, in Go's shortest form.
pub(super) fn write_number(to: &mut Vec<u8>, n: f64) {
    match n {
        n if n.is_nan() => to.extend_from_slice(b"NaN"),
        f64::INFINITY => to.extend_from_slice(b"+Inf"),
        f64::NEG_INFINITY => to.extend_from_slice(b"-Inf"),
        n => write_float(to, n),
    }
}

/// Appends a bucket's bound; OpenMetrics requires the form of a float.
pub(super) fn write_bound(to: &mut Vec<u8>, bound: f64, format: Format) {
    let start = to.len();
    write_number(to, bound);
    let whole = to[start..].iter().all(|byte| byte.is_ascii_digit() || *byte == b'-');
    if format != Format::Text && whole {
        to.extend_from_slice(b".0");
    }
}

/// Appends a label in the syntax of the format: `name="value"`, after a comma if there is a label,
/// or a `LabelPair` of protobuf.
pub(super) fn push_label(labels: &mut Vec<u8>, name: &str, value: &str, format: Format) {
    if format == Format::Protobuf {
        return protobuf::push_label(labels, name, value);
    }
    if !labels.is_empty() {
        labels.push(b',');
    }
    write_name(labels, name);
    labels.extend_from_slice(b"=\"");
    write_escaped(labels, value, true);
    labels.push(b'"');
}

/// Whether there may be a label of that name. False positives are possible for values that look
/// like one.
pub(super) fn has_label(labels: &[u8], name: &str, format: Format) -> bool {
    if format == Format::Protobuf {
        return protobuf::has_label(labels, name);
    }
    let mut label = Vec::new();
    write_name(&mut label, name);
    label.extend_from_slice(b"=\"");
    let at = labels.windows(label.len()).position(|window| window == label);
    at.is_some_and(|at| at == 0 || labels[at - 1] == b',')
}

/// Appends the name of a metric or a label, quoted if necessary.
pub(super) fn write_name(to: &mut Vec<u8>, name: &str) {
    if escaping::is_legacy(name) {
        return to.extend_from_slice(name.as_bytes());
    }
    to.push(b'"');
    write_escaped(to, name, true);
    to.push(b'"');
}

/// Appends a text with backslashes, line feeds and optionally quotes escaped.
pub(super) fn write_escaped(to: &mut Vec<u8>, text: &str, quotes: bool) {
    if !text.bytes().any(|byte| matches!(byte, b'\\' | b'\n' | b'"')) {
        return to.extend_from_slice(text.as_bytes());
    }
    for byte in text.bytes() {
        match byte {
            b'\\' => to.extend_from_slice(b"\\\\"),
            b'\n' => to.extend_from_slice(b"\\n"),
            b'"' if quotes => to.extend_from_slice(b"\\\""),
            byte => to.push(byte),
        }
    }
}

/// A family's name and samples, while its variable is visited.
#[derive(Debug)]
pub(super) struct Samples {
    pub(super) name: String,
    pub(super) kind: Type,
    pub(super) help: String,
    pub(super) shown: Shown,
    /// Lines, or the fields `metric` of a family in protobuf.
    pub(super) text: Vec<u8>,
    /// Where the value of the last sample begins.
    pub(super) value_at: usize,
    /// Where it ends.
    pub(super) value_end: usize,
    /// Labels already used, if duplicates are possible.
    series: HashSet<Vec<u8>>,
    format: Format,
    /// Whether the name must be quoted.
    is_quoted: bool,
}

impl Samples {
    pub(super) fn new(format: Format) -> Self {
        Self {
            name: String::new(),
            kind: Type::Gauge,
            help: String::new(),
            shown: PLAIN,
            text: Vec::new(),
            value_at: 0,
            value_end: 0,
            series: HashSet::new(),
            format,
            is_quoted: false,
        }
    }

    /// Resets it to an empty family of that name and type, and keeps its memory.
    pub(super) fn begin(&mut self, name: &str, kind: Type, format: Format) {
        (self.kind, self.format) = (kind, format);
        self.name.clear();
        self.name.push_str(name);
        self.is_quoted = !escaping::is_legacy(name);
        self.help.clear();
        self.shown = PLAIN;
        self.text.clear();
        self.series.clear();
    }

    /// Whether there is no series with these labels yet; adds it.
    pub(super) fn is_new(&mut self, labels: &[u8]) -> bool {
        self.series.insert(labels.to_vec())
    }

    /// Appends the sample of a family of single numbers, and optionally when it was registered, in
    /// nanoseconds since 1970.
    #[inline]
    pub(super) fn push_number(&mut self, labels: &[u8], number: Number, created: Option<u64>) {
        let decimals = self.shown.decimals;
        let created = created.filter(|_| self.kind.has_created());
        if self.format == Format::Protobuf {
            return protobuf::push_number(self, labels, scaled(number, decimals), created);
        }
        self.push(self.kind.ending(), labels, number, decimals);
        self.push_created(labels, created);
    }

    /// Appends when a series was registered.
    pub(super) fn push_created(&mut self, labels: &[u8], created: Option<u64>) {
        if let Some(nanos) = created {
            let value = (self.value_at, self.value_end);
            self.push("_created", labels, Number::Unsigned(nanos), 9);
            (self.value_at, self.value_end) = value;
        }
    }

    /// The samples without `_created`.
    pub(super) fn without_created(&self) -> Vec<u8> {
        let mut created = Self::new(self.format);
        created.begin(&self.name, self.kind, self.format);
        // With a label: the beginning of each such line, and of the one without labels except for
        // its end.
        created.start("_created", b"x");
        let start = created.text.iter().rposition(|byte| *byte == b'x').unwrap_or_default();
        let start = &created.text[..start - 1];
        let ends = |line: &[u8]| matches!(line.get(start.len()), Some(b'{' | b' ' | b',' | b'}'));
        let lines = self.text.split_inclusive(|byte| *byte == b'\n');
        let kept = lines.filter(|line| !(line.starts_with(start) && ends(line)));
        kept.flatten().copied().collect()
    }

    /// Appends one sample.
    #[inline]
    pub(super) fn push(&mut self, ending: &str, labels: &[u8], number: Number, decimals: u32) {
        self.start(ending, labels);
        write(&mut self.text, number, decimals);
        self.value_end = self.text.len();
        self.text.push(b'\n');
    }

    /// Appends a sample up to its value.
    #[inline]
    fn start(&mut self, ending: &str, labels: &[u8]) {
        if self.is_quoted {
            self.start_quoted(ending, labels);
        } else {
            self.text.extend_from_slice(self.name.as_bytes());
            self.text.extend_from_slice(ending.as_bytes());
            if !labels.is_empty() {
                self.text.push(b'{');
                self.text.extend_from_slice(labels);
                self.text.push(b'}');
            }
        }
        self.text.push(b' ');
        self.value_at = self.text.len();
    }

    /// A quoted name is the first of the labels.
    fn start_quoted(&mut self, ending: &str, labels: &[u8]) {
        self.text.extend_from_slice(b"{\"");
        write_escaped(&mut self.text, &self.name, true);
        self.text.extend_from_slice(ending.as_bytes());
        self.text.push(b'"');
        if !labels.is_empty() {
            self.text.push(b',');
            self.text.extend_from_slice(labels);
        }
        self.text.push(b'}');
    }
}

/// A number divided by 10 to the power `decimals`.
pub(super) fn scaled(number: Number, decimals: u32) -> f64 {
    match decimals {
        0 => number.to_f64(),
        decimals => number.to_f64() / 10f64.powi(decimals as i32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(number: Number, decimals: u32) -> String {
        let mut text = Vec::new();
        write(&mut text, number, decimals);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn whole_numbers_stay_exact_in_another_unit() {
        for (n, decimals, text) in [
            (0, 9, "0"),
            (1, 9, "0.000000001"),
            (1_500_000_000, 9, "1.5"),
            (u64::MAX, 9, "18446744073.709551615"),
            (50, 2, "0.5"),
            (7, 0, "7"),
        ] {
            assert_eq!(written(Number::Unsigned(n), decimals), text);
        }
        assert_eq!(written(Number::Signed(-1500), 3), "-1.5");
        assert_eq!(written(Number::Signed(i64::MIN), 0), "-9223372036854775808");
    }

    #[test]
    fn floats_have_prometheus_words_for_what_is_none() {
        for (n, text) in [
            (0.5, "0.5"),
            (1e6, "1e+06"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(written(Number::Float(n), 0), text);
        }
    }
}
