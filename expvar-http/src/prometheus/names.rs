//! Names and units in Prometheus' conventions.

use expvar::Unit;

use super::escaping::Escaping;

/// The beginning of a variable's metric names: made legal, or unchanged if it is escaped later.
/// `None` if it cannot be.
pub(super) fn stem(variable: &str, escaping: Escaping) -> Option<String> {
    match escaping.is_exact() {
        true => (!variable.is_empty()).then(|| variable.to_owned()),
        false => legal(variable),
    }
}

/// Appends a member's name, legal or unchanged.
pub(super) fn push_member(to: &mut String, member: &str, escaping: Escaping) {
    match escaping.is_exact() {
        true => to.push_str(member),
        false => push_legal(to, member),
    }
}

/// A label's name; the default one of its level if it cannot be made legal.
pub(super) fn label(name: &str, level: usize, escaping: Escaping) -> String {
    if !escaping.is_exact() {
        return legal_label(name, level);
    }
    let mut label = match name {
        "" => default_label(level),
        name => name.to_owned(),
    };
    kept_free(&mut label);
    escaping.escape(&label).into_owned()
}

/// Whether a name has this suffix, once it is legal.
pub(super) fn ends_in(name: &str, ending: &str) -> bool {
    match ending.strip_prefix('_') {
        None => name.ends_with(ending),
        Some(word) => name.strip_suffix(word).is_some_and(ends_in_separator),
    }
}

fn ends_in_separator(name: &str) -> bool {
    name.chars().next_back().is_some_and(|c| !c.is_ascii_alphanumeric())
}

/// Removes such a suffix.
pub(super) fn strip(name: &mut String, ending: &str) -> bool {
    let word = ending.strip_prefix('_').unwrap_or(ending);
    let before = name.len().checked_sub(word.len());
    let Some(before) = before.filter(|_| ends_in(name, ending)) else { return false };
    let stem = match ending.len() > word.len() {
        true => name[..before].char_indices().next_back().map_or(0, |(at, _)| at),
        false => before,
    };
    if stem > 0 {
        name.truncate(stem);
    }
    stem > 0
}

/// Makes a metric's name legal: see [`Prometheus`](super::Prometheus). `None` if it cannot be.
pub(super) fn legal(name: &str) -> Option<String> {
    let mut legal = String::with_capacity(name.len() + 24);
    push_legal(&mut legal, name);
    legal.bytes().any(|byte| byte.is_ascii_alphanumeric()).then_some(legal)
}

/// Appends a name, made legal.
pub(super) fn push_legal(to: &mut String, name: &str) {
    if to.is_empty() && name.starts_with(|first: char| first.is_ascii_digit()) {
        to.push('_');
    }
    let is_legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    to.extend(name.chars().map(|c| if is_legal(c) { c } else { '_' }));
}

/// Whether a name is legal.
pub(super) fn is_legal(name: &str) -> bool {
    legal(name).is_some_and(|legal| legal == name)
}

/// Whether an exact name is legal: like [`is_legal`], but with colons.
pub(super) fn is_legal_exactly(name: &str) -> bool {
    is_legal(&name.replace(':', "_"))
}

/// Makes a label's name legal; the default one of its level if that is impossible.
pub(super) fn legal_label(name: &str, level: usize) -> String {
    let mut label = legal(name).unwrap_or_else(|| default_label(level));
    kept_free(&mut label);
    label
}

/// Changes a label that Prometheus reserves.
fn kept_free(label: &mut String) {
    while label.starts_with("__") {
        label.remove(0);
    }
    if label == "le" {
        label.push('_');
    }
}

/// The default label of a level.
pub(super) fn default_label(level: usize) -> String {
    match level {
        0 => "key".to_owned(),
        level => format!("key{}", level + 1),
    }
}

/// The presentation of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown {
    /// Prometheus' unit.
    pub(super) unit: &'static str,
    /// Values are divided by 10 to this power.
    pub(super) decimals: u32,
    /// Suffixes accepted instead.
    endings: &'static [&'static str],
}

/// A plain number.
pub(super) const PLAIN: Shown = Shown { unit: "", decimals: 0, endings: &[] };

impl From<Unit> for Shown {
    fn from(unit: Unit) -> Self {
        let (unit, decimals, endings): (_, _, &'static [&'static str]) = match unit {
            Unit::Nanoseconds => ("seconds", 9, &["_nanoseconds", "_nanos", "_ns"]),
            Unit::Microseconds => ("seconds", 6, &["_microseconds", "_micros", "_us"]),
            Unit::Milliseconds => ("seconds", 3, &["_milliseconds", "_millis", "_ms"]),
            Unit::Seconds => ("seconds", 0, &["_secs"]),
            Unit::Percent => ("ratio", 2, &["_percent"]),
            unit => (unit.name(), 0, &[]),
        };
        Self { unit, decimals, endings }
    }
}

impl Shown {
    /// Whether a name ends in the unit, after a `_`.
    pub(super) fn ends(self, name: &str) -> bool {
        let rest = name.strip_suffix(self.unit);
        !self.unit.is_empty() && rest.is_some_and(ends_in_separator)
    }

    /// Appends the unit to a name.
    pub(super) fn name(self, name: &mut String) {
        if self.unit.is_empty() {
            return;
        }
        let ends_in = |name: &str, unit: &str| {
            name.strip_suffix(unit).is_some_and(|rest| rest.is_empty() || ends_in_separator(rest))
        };
        if let Some(ending) = self.endings.iter().find(|ending| self::ends_in(name, ending)) {
            strip(name, ending);
        }
        let start = name.len();
        name.push('_');
        push_legal(name, self.unit);
        if ends_in(&name[..start], &name[start + 1..]) {
            name.truncate(start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_legal() {
        for (name, legal_name) in [
            ("http.requests", "http_requests"),
            ("a:b-c/d e", "a_b_c_d_e"),
            ("2xx", "_2xx"),
            ("größe", "gr__e"),
            ("_", ""),
            ("", ""),
            ("…", ""),
            ("日本1", "__1"),
        ] {
            assert_eq!(legal(name).unwrap_or_default(), legal_name, "{name}");
        }
    }

    #[test]
    fn label_names_are_made_legal() {
        for (name, label) in [
            ("route", "route"),
            ("http method", "http_method"),
            ("le", "le_"),
            ("__name__", "_name__"),
            ("", "key"),
            ("2nd", "_2nd"),
        ] {
            assert_eq!(legal_label(name, 0), label, "{name}");
        }
        assert_eq!(legal_label("…", 7), "key8");
    }

    #[test]
    fn names_end_in_their_unit() {
        for (name, unit, shown) in [
            ("latency", Unit::Nanoseconds, "latency_seconds"),
            ("latency_ns", Unit::Nanoseconds, "latency_seconds"),
            ("latency_seconds", Unit::Milliseconds, "latency_seconds"),
            ("_ns", Unit::Nanoseconds, "_ns_seconds"),
            ("kilobytes", Unit::Bytes, "kilobytes_bytes"),
            ("bytes", Unit::Bytes, "bytes"),
            ("sent_bytes", Unit::Bytes, "sent_bytes"),
            ("load_percent", Unit::Percent, "load_ratio"),
            ("rate", Unit::Other("m/s"), "rate_m_s"),
            ("plain", Unit::None, "plain"),
        ] {
            let mut named = name.to_owned();
            Shown::from(unit).name(&mut named);
            assert_eq!(named, shown);
        }
    }
}
