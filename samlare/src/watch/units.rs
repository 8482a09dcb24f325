//! Formats values for people: `12.3MB`, `1m30s`, `4.56k/s`; at most nine characters.

use std::time::{Duration, SystemTime};

/// The unit of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A plain number.
    Number,
    /// Bytes; K is 1024 of them.
    Bytes,
    /// Nanoseconds.
    Nanoseconds,
    /// Microseconds.
    Microseconds,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// A point in time, in seconds since 1970.
    Unix,
    /// Not to be drawn.
    Text,
}

impl Unit {
    /// The unit implied by a name: Go's memory statistics by name, others by the suffix of one of
    /// the last two parts.
    pub fn of(name: &str) -> Unit {
        if let Some(field) = name.strip_prefix("memstats.") {
            return memstats(field);
        }
        let last = name.rsplit('.').next().unwrap_or(name).to_lowercase();
        if last.ends_with("start_time_seconds") || last.ends_with("timestamp_seconds") {
            return Unit::Unix;
        }
        let mut parts = name.rsplit('.');
        for _ in 0..2 {
            let Some(part) = parts.next() else { break };
            let lower = part.to_lowercase();
            let word = lower.trim_end_matches("_total");
            let ends = |words: &[&str]| {
                words.iter().any(|w| {
                    word.strip_suffix(w)
                        .is_some_and(|rest| rest.is_empty() || rest.ends_with(['_', '-', ' ']))
                })
            };
            if ends(&["count", "ratio", "percent"]) {
                return Unit::Number;
            } else if ends(&["bytes", "rss", "vms"]) {
                return Unit::Bytes;
            } else if ends(&["ns", "nanos", "nanoseconds"]) {
                return Unit::Nanoseconds;
            } else if ends(&["us", "micros", "microseconds"]) {
                return Unit::Microseconds;
            } else if ends(&["ms", "millis", "milliseconds"]) {
                return Unit::Milliseconds;
            } else if ends(&["seconds", "secs"]) {
                return Unit::Seconds;
            }
        }
        Unit::Number
    }

    /// A value in this unit.
    pub fn show(self, value: f64) -> String {
        match self {
            _ if !value.is_finite() => "-".to_owned(),
            Unit::Number | Unit::Text => number(value),
            Unit::Bytes => scaled(value, 1024.0, &["B", "KB", "MB", "GB", "TB", "PB", "EB"]),
            Unit::Nanoseconds => duration(value / 1e9),
            Unit::Microseconds => duration(value / 1e6),
            Unit::Milliseconds => duration(value / 1e3),
            Unit::Seconds => duration(value),
            Unit::Unix => moment(value),
        }
    }

    /// A change per second in this unit.
    pub fn show_rate(self, value: f64) -> String {
        if !value.is_finite() {
            return "-".to_owned();
        }
        format!("{}/s", self.show(value))
    }
}

fn memstats(field: &str) -> Unit {
    match field {
        "Alloc" | "TotalAlloc" | "Sys" | "HeapAlloc" | "HeapSys" | "HeapIdle" | "HeapInuse"
        | "HeapReleased" | "StackInuse" | "StackSys" | "MSpanInuse" | "MSpanSys"
        | "MCacheInuse" | "MCacheSys" | "BuckHashSys" | "GCSys" | "OtherSys" | "NextGC" => {
            Unit::Bytes
        }
        "PauseTotalNs" | "PauseNs" => Unit::Nanoseconds,
        _ => Unit::Number,
    }
}

/// Three significant digits and a power of a thousand.
fn number(value: f64) -> String {
    if value == value.trunc() && value.abs() < 100_000.0 {
        return format!("{value:.0}");
    }
    if value.abs() < 0.001 {
        return format!("{value:.1e}");
    }
    // Further letters are uncommon, and E looks like an exponent.
    scaled(value, 1000.0, &["", "k", "M", "G", "T"])
}

fn scaled(value: f64, base: f64, names: &[&str]) -> String {
    let mut value = value;
    let mut names = names.iter();
    let mut name = names.next().copied().unwrap_or_default();
    while value.abs() >= base - 0.5 {
        let Some(next) = names.next() else {
            return match base {
                1000.0 => format!("{:.2e}", value * 1e12),
                _ => format!("{value:.1e}{name}"),
            };
        };
        value /= base;
        name = next;
    }
    format!("{}{name}", digits(value))
}

/// Three significant digits, without trailing zeros.
fn digits(value: f64) -> String {
    let places = match value.abs() {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        v if v >= 0.9995 => 2,
        _ => 3,
    };
    let text = format!("{value:.places$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A point in time in UTC: the time within the last day, else the date.
fn moment(unix: f64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // Outside of recent decades, it is a duration.
    if !(1e9..5e9).contains(&unix) {
        return duration(unix);
    }
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs_f64(unix);
    let text = humantime::format_rfc3339_seconds(time).to_string();
    let is_recent = (now.as_secs_f64() - unix).abs() < 86_400.0;
    // 2026-11-27T03:10:00Z
    text.get(if is_recent { 11..19 } else { 2..10 }).unwrap_or_default().to_owned()
}

/// A span of time.
pub fn duration(seconds: f64) -> String {
    let (sign, seconds) = if seconds < 0.0 { ("-", -seconds) } else { ("", seconds) };
    let whole = seconds.round() as u64;
    match seconds {
        0.0 => "0s".to_owned(),
        s if s < 999.5e-9 => format!("{sign}{}ns", digits(s * 1e9)),
        s if s < 999.5e-6 => format!("{sign}{}µs", digits(s * 1e6)),
        s if s < 999.5e-3 => format!("{sign}{}ms", digits(s * 1e3)),
        s if s < 59.95 => format!("{sign}{}s", digits(s)),
        _ if whole < 3600 => format!("{sign}{}m{}s", whole / 60, whole % 60),
        _ if whole < 100 * 3600 => format!("{sign}{}h{}m", whole / 3600, whole % 3600 / 60),
        _ if whole < 1000 * 86_400 => {
            format!("{sign}{}d{}h", whole / 86_400, whole % 86_400 / 3600)
        }
        _ if whole < 1_000_000 * 86_400 => format!("{sign}{}d", whole / 86_400),
        s => format!("{sign}{:.1e}d", s / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well_and_stay_short() {
        for (value, shown) in [
            (0.0, "0"),
            (-1.0, "-1"),
            (42.0, "42"),
            (99_999.0, "99999"),
            (100_000.0, "100k"),
            (999_600.0, "1M"),
            (1_234_567.0, "1.23M"),
            (0.25, "0.25"),
            (1.5e-7, "1.5e-7"),
            (13.24, "13.2"),
            (1e21, "1.00e21"),
            (9_223_372_036_854_775_807.0, "9.22e18"),
            (f64::NAN, "-"),
        ] {
            assert_eq!(Unit::Number.show(value), shown);
        }
        for (value, shown) in [
            (0.0, "0B"),
            (12.0, "12B"),
            (1023.0, "1023B"),
            (1024.0, "1KB"),
            (1536.0, "1.5KB"),
            (6_815_744.0, "6.5MB"),
            (128_849_018_880.0, "120GB"),
            (f64::MAX, "1.6e290EB"),
        ] {
            assert_eq!(Unit::Bytes.show(value), shown);
        }
        assert_eq!(Unit::Bytes.show_rate(1_000_000.0), "977KB/s");
        assert_eq!(Unit::Number.show_rate(0.5), "0.5/s");
    }

    #[test]
    fn spans_of_time_read_well_and_stay_short() {
        for (nanoseconds, shown) in [
            (0.0, "0s"),
            (12.0, "12ns"),
            (1e3, "1µs"),
            (155e6, "155ms"),
            (1e9, "1s"),
            (13.5e9, "13.5s"),
            (59.96e9, "1m0s"),
            (90e9, "1m30s"),
            (48.0 * 3600e9, "48h0m"),
            (730.0 * 86_400e9, "730d0h"),
            (-2e6, "-2ms"),
        ] {
            assert_eq!(Unit::Nanoseconds.show(nanoseconds), shown);
        }
        for unit in [Unit::Nanoseconds, Unit::Seconds, Unit::Number, Unit::Bytes] {
            for exponent in -20..30 {
                let shown = unit.show(-9.9951 * 10f64.powi(exponent));
                assert!(shown.chars().count() <= 9, "{shown}");
            }
        }
    }

    #[test]
    fn a_moment_is_a_time_or_a_date_and_no_span() {
        assert_eq!(Unit::Unix.show(1_700_000_000.0), "23-11-14");
        assert_eq!(Unit::Unix.show(90.0), "1m30s");
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let shown = Unit::Unix.show(now.as_secs_f64());
        assert_eq!((shown.len(), shown.matches(':').count()), (8, 2), "{shown}");
    }

    #[test]
    fn names_say_their_unit() {
        for (name, unit) in [
            ("memstats.Alloc", Unit::Bytes),
            ("memstats.Mallocs", Unit::Number),
            ("memstats.PauseTotalNs", Unit::Nanoseconds),
            ("process.resident_bytes", Unit::Bytes),
            ("badger_size_bytes_total", Unit::Bytes),
            ("http.latency_ns.p99", Unit::Nanoseconds),
            ("http.latency_ns.count", Unit::Number),
            ("uptime_seconds", Unit::Seconds),
            ("resource.ru_ms", Unit::Milliseconds),
            ("process.start_time_seconds", Unit::Unix),
            ("requests", Unit::Number),
            ("status", Unit::Number),
            ("bonus", Unit::Number),
        ] {
            assert_eq!(Unit::of(name), unit, "{name}");
        }
    }
}
