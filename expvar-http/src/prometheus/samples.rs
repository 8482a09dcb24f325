//! The samples of one family, and how numbers are written.

use expvar::json::write_float;

use super::Format;

/// What a family is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Counter,
    Gauge,
    Histogram,
    Info,
    /// A counter or an info metric by its full name, because OpenMetrics would not let the bare
    /// one stand beside a gauge's.
    Alone {
        ending: &'static str,
    },
}

impl Type {
    pub(super) fn name(self, format: Format) -> &'static str {
        match (self, format) {
            (Self::Counter, _) => "counter",
            (Self::Histogram, _) => "histogram",
            (Self::Info, Format::OpenMetrics) => "info",
            (Self::Gauge | Self::Info | Self::Alone { ending: "_info" }, _) => "gauge",
            (Self::Alone { .. }, Format::OpenMetrics) => "unknown",
            (Self::Alone { .. }, Format::Text) => "counter",
        }
    }

    /// What a sample's name ends in.
    pub(super) fn ending(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Alone { ending } => ending,
            Self::Info => "_info",
            Self::Gauge | Self::Histogram => "",
        }
    }

    /// What belongs to a family beside its bare name.
    pub(super) fn reserved(self) -> &'static [&'static str] {
        match self {
            Self::Counter => &["_total", "_created"],
            Self::Histogram => &["_bucket", "_count", "_sum", "_created"],
            Self::Info => &["_info"],
            Self::Gauge | Self::Alone { .. } => &[],
        }
    }
}

/// A number that may be shown in another unit.
#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    Whole { magnitude: u64, negative: bool },
    Float(f64),
}

impl Number {
    pub(super) fn unsigned(magnitude: u64) -> Self {
        Self::Whole { magnitude, negative: false }
    }

    pub(super) fn signed(n: i64) -> Self {
        Self::Whole { magnitude: n.unsigned_abs(), negative: n < 0 }
    }

    /// Whether a counter can have it.
    pub(super) fn counts(self) -> bool {
        match self {
            Self::Whole { negative, .. } => !negative,
            Self::Float(n) => n >= 0.0,
        }
    }

    /// Appends the number divided by 10 to the `decimals`.
    #[inline]
    pub(super) fn write(self, to: &mut Vec<u8>, decimals: u32) {
        match self {
            Self::Whole { magnitude, negative } => {
                if negative {
                    to.push(b'-');
                }
                write_decimal(to, magnitude, decimals);
            }
            Self::Float(n) => write_number(to, n / 10f64.powi(decimals as i32)),
        }
    }
}

/// Appends a whole number, or one with so many digits after the point: exactly.
#[inline]
fn write_decimal(to: &mut Vec<u8>, n: u64, decimals: u32) {
    let mut digits = itoa::Buffer::new();
    if decimals == 0 {
        return to.extend_from_slice(digits.format(n).as_bytes());
    }
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

/// Appends a bucket's bound; OpenMetrics wants it to look like a float.
pub(super) fn write_bound(to: &mut Vec<u8>, bound: f64, format: Format) {
    let start = to.len();
    write_number(to, bound);
    let whole = to[start..].iter().all(|byte| byte.is_ascii_digit() || *byte == b'-');
    if format == Format::OpenMetrics && whole {
        to.extend_from_slice(b".0");
    }
}

/// Appends `name="value"`, after a comma where there is a label already.
pub(super) fn push_label(labels: &mut Vec<u8>, name: &str, value: &str) {
    if !labels.is_empty() {
        labels.push(b',');
    }
    labels.extend_from_slice(name.as_bytes());
    labels.extend_from_slice(b"=\"");
    write_escaped(labels, value, true);
    labels.push(b'"');
}

/// Appends a text with backslashes and line feeds escaped, and quotes where they end it.
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

/// A family's name and samples, for as long as its variable is looked at.
pub(super) struct Samples {
    pub(super) name: String,
    pub(super) kind: Type,
    pub(super) text: Vec<u8>,
}

impl Samples {
    /// Appends one sample.
    #[inline]
    pub(super) fn push(&mut self, ending: &str, labels: &[u8], number: Number, decimals: u32) {
        self.start(ending, labels);
        number.write(&mut self.text, decimals);
        self.text.push(b'\n');
    }

    /// Appends a sample up to its value.
    #[inline]
    fn start(&mut self, ending: &str, labels: &[u8]) {
        self.text.extend_from_slice(self.name.as_bytes());
        self.text.extend_from_slice(ending.as_bytes());
        if !labels.is_empty() {
            self.text.push(b'{');
            self.text.extend_from_slice(labels);
            self.text.push(b'}');
        }
        self.text.push(b' ');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(number: Number, decimals: u32) -> String {
        let mut text = Vec::new();
        number.write(&mut text, decimals);
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
            assert_eq!(written(Number::unsigned(n), decimals), text);
        }
        assert_eq!(written(Number::signed(-1500), 3), "-1.5");
        assert_eq!(written(Number::signed(i64::MIN), 0), "-9223372036854775808");
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
