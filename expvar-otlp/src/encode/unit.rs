//! Units as the conventions write them: UCUM, case sensitive.

use expvar::Unit;

/// Units that have another name here.
const KNOWN: &[(&str, &str)] = &[
    ("amperes", "A"),
    ("bits", "bit"),
    ("celsius", "Cel"),
    ("days", "d"),
    ("grams", "g"),
    ("hertz", "Hz"),
    ("hours", "h"),
    ("joules", "J"),
    ("kelvin", "K"),
    ("kibibytes", "KiBy"),
    ("kilobytes", "kBy"),
    ("mebibytes", "MiBy"),
    ("megabytes", "MBy"),
    ("meters", "m"),
    ("metres", "m"),
    ("minutes", "min"),
    ("volts", "V"),
    ("watts", "W"),
];

/// Appends the unit. A plain number has none: `1` would mean a ratio. Units that UCUM lacks are
/// annotations: `{requests}`.
pub(crate) fn push(to: &mut String, unit: Unit) {
    to.push_str(match unit {
        Unit::None => "",
        Unit::Bytes => "By",
        Unit::Nanoseconds => "ns",
        Unit::Microseconds => "us",
        Unit::Milliseconds => "ms",
        Unit::Seconds => "s",
        Unit::Ratio => "1",
        Unit::Percent => "%",
        other => return push_other(to, other.name()),
    });
}

fn push_other(to: &mut String, name: &str) {
    if let Some((_, code)) = KNOWN.iter().find(|(known, _)| *known == name) {
        return to.push_str(code);
    }
    if name.starts_with('{') {
        return to.push_str(name);
    }
    // An annotation has visible ASCII without braces, and a unit at most 63 characters.
    let is_visible = |c: &char| c.is_ascii_graphic() && !matches!(c, '{' | '}');
    to.push('{');
    to.extend(name.chars().map(|c| if c == ' ' { '_' } else { c }).filter(is_visible).take(61));
    to.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_has_its_code() {
        for (unit, code) in [
            (Unit::None, ""),
            (Unit::Bytes, "By"),
            (Unit::Nanoseconds, "ns"),
            (Unit::Microseconds, "us"),
            (Unit::Milliseconds, "ms"),
            (Unit::Seconds, "s"),
            (Unit::Ratio, "1"),
            (Unit::Percent, "%"),
            (Unit::Other("requests"), "{requests}"),
            (Unit::Other("cache misses"), "{cache_misses}"),
            (Unit::Other("{packet}"), "{packet}"),
            (Unit::Other("m}/s"), "{m/s}"),
            (Unit::Other("hertz"), "Hz"),
        ] {
            let mut written = String::new();
            push(&mut written, unit);
            assert_eq!(written, code, "{unit:?}");
        }
    }
}
