//! Prometheus 3's escaping schemes for names with characters other than ASCII letters, digits and
//! `_`.
//!
//! Source: <https://prometheus.io/docs/instrumenting/escaping_schemes>. It leaves the case of
//! hexadecimal digits open; they are lower case here, as in Prometheus' own libraries.

use std::borrow::Cow;
use std::fmt::Write;

use super::samples::Type;

/// How names with characters other than ASCII letters, digits and `_` are written, shown for the
/// variable `http.größe`. A client requests one by `escaping=` in its `Accept` header.
///
/// ```
/// use expvar_http::{Escaping, Format, MediaType, Prometheus};
///
/// let registry = expvar::Registry::new();
/// registry.publish("größe", expvar::Gauge::new())?.set(3);
/// let as_is = MediaType::new(Format::Text, Escaping::Utf8);
/// let text = Prometheus::new().to_text(&registry, as_is);
/// assert!(text.contains("{\"größe\"} 3\n"), "{text}");
/// # Ok::<(), expvar::PublishError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Escaping {
    /// `underscores`, the default: each becomes a `_`, also a colon: `http_gr__e`.
    #[default]
    Underscores,
    /// `allow-utf-8`: unchanged, in quotes: `{"http.größe"}`.
    Utf8,
    /// `dots`: a dot is `_dot_`, `_` is `__`, any other is `_`: `http_dot_gr__e`.
    Dots,
    /// `values`: prefix `U__`, then each by its code point, and `_` as `__`:
    /// `U__http_2e_gr_f6__df_e`.
    Values,
}

impl Escaping {
    /// The value of the parameter `escaping`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Underscores => "underscores",
            Self::Utf8 => "allow-utf-8",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }

    /// Parses the parameter. The specification of content negotiation spells `allow-utf8`; programs
    /// and the specification of escaping spell `allow-utf-8`.
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "allow-utf8" => Some(Self::Utf8),
            _ => [Self::Underscores, Self::Utf8, Self::Dots, Self::Values]
                .into_iter()
                .find(|escaping| escaping.name() == name),
        }
    }

    /// Whether names start from the recorded name rather than from the legal one.
    pub(super) fn is_exact(self) -> bool {
        self != Self::Underscores
    }

    /// A name, escaped.
    pub(super) fn escape(self, name: &str) -> Cow<'_, str> {
        match self {
            Self::Utf8 => Cow::Borrowed(name),
            Self::Underscores if is_legacy(name) => Cow::Borrowed(name),
            Self::Values if is_legacy(name) => Cow::Borrowed(name),
            _ => Cow::Owned(self.escaped(name)),
        }
    }

    fn escaped(self, name: &str) -> String {
        let mut escaped = String::with_capacity(name.len() + 8);
        if self == Self::Values && !name.is_empty() {
            escaped.push_str("U__");
        }
        for (at, c) in name.chars().enumerate() {
            let keeps = is_legacy_at(c, at);
            match self {
                Self::Dots | Self::Values if c == '_' => escaped.push_str("__"),
                _ if keeps => escaped.push(c),
                Self::Dots if c == '.' => escaped.push_str("_dot_"),
                // Writing to a string does not fail.
                Self::Values => _ = write!(escaped, "_{:x}_", u32::from(c)),
                _ => escaped.push('_'),
            }
        }
        escaped
    }

    /// A family's name without the suffix of its samples. Where the suffix's underscore would be
    /// doubled, the name ends in the first of the two.
    pub(super) fn family(self, mut name: String, kind: Type) -> String {
        let doubles = match self {
            Self::Underscores | Self::Utf8 => return name,
            Self::Dots => true,
            Self::Values => !is_legacy(&name),
        };
        if let Cow::Owned(escaped) = self.escape(&name) {
            name = escaped;
        }
        if doubles && kind.ending().starts_with('_') {
            name.push('_');
        }
        name
    }
}

/// Whether every reader accepts the name.
pub(super) fn is_legacy(name: &str) -> bool {
    !name.is_empty() && name.chars().enumerate().all(|(at, c)| is_legacy_at(c, at))
}

fn is_legacy_at(c: char, at: usize) -> bool {
    c.is_ascii_alphabetic() || c == '_' || c == ':' || (c.is_ascii_digit() && at > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specification_s_own_examples() {
        for (escaping, name, escaped) in [
            (Escaping::Underscores, "metric.name/with/slashes", "metric_name_with_slashes"),
            (Escaping::Dots, "metric.name.with.dots", "metric_dot_name_dot_with_dot_dots"),
            (Escaping::Values, "metric.name", "U__metric_2e_name"),
            (Escaping::Utf8, "metric.name", "metric.name"),
        ] {
            assert_eq!(escaping.escape(name), escaped);
        }
    }

    /// Test cases of `prometheus/common`, except where the specification differs: in `dots`, other
    /// characters become one underscore.
    #[test]
    fn names_that_prometheus_tests() {
        for (name, underscores, dots, values) in [
            ("", "", "", ""),
            (
                "no:escaping_required",
                "no:escaping_required",
                "no:escaping__required",
                "no:escaping_required",
            ),
            (
                "mysystem.prod.west.cpu.load",
                "mysystem_prod_west_cpu_load",
                "mysystem_dot_prod_dot_west_dot_cpu_dot_load",
                "U__mysystem_2e_prod_2e_west_2e_cpu_2e_load",
            ),
            (
                "mysystem.prod.west.cpu.load_total",
                "mysystem_prod_west_cpu_load_total",
                "mysystem_dot_prod_dot_west_dot_cpu_dot_load__total",
                "U__mysystem_2e_prod_2e_west_2e_cpu_2e_load__total",
            ),
            ("http.status:sum", "http_status:sum", "http_dot_status:sum", "U__http_2e_status:sum"),
            ("label with 😱", "label_with__", "label_with__", "U__label_20_with_20__1f631_"),
            ("花火", "__", "__", "U___82b1__706b_"),
            ("label with \u{100}", "label_with__", "label_with__", "U__label_20_with_20__100_"),
            ("0.5", "__5", "__dot_5", "U___30__2e_5"),
        ] {
            assert_eq!(Escaping::Underscores.escape(name), underscores);
            assert_eq!(Escaping::Dots.escape(name), dots);
            assert_eq!(Escaping::Values.escape(name), values);
        }
    }

    #[test]
    fn a_family_with_its_ending_is_the_escaped_name_of_its_samples() {
        for escaping in [Escaping::Utf8, Escaping::Dots, Escaping::Values] {
            for name in ["http.requests", "plain", "größe_x"] {
                let family = escaping.family(name.to_owned(), Type::Counter);
                let sample = format!("{name}_total");
                assert_eq!(format!("{family}_total"), escaping.escape(&sample));
                let gauge = escaping.family(name.to_owned(), Type::Gauge);
                assert_eq!(gauge, escaping.escape(name));
            }
        }
    }
}
