//! Units of numbers without a declared one.

use expvar::Unit;

/// The unit of the number at `path`: the declared one, or the one that the last word of the name
/// implies. Points in time are recognized by name only.
pub(super) fn unit(declared: Unit, path: &str) -> &'static str {
    let last = &path[path.rfind('.').map_or(0, |dot| dot + 1)..];
    if last.ends_with("start_time_seconds") {
        return "unix";
    }
    if declared != Unit::None {
        return declared.name();
    }
    match last.rsplit('_').next().unwrap_or_default() {
        "bytes" => "bytes",
        "ns" | "nanos" | "nanoseconds" => "nanoseconds",
        "us" | "micros" | "microseconds" => "microseconds",
        "ms" | "millis" | "milliseconds" => "milliseconds",
        "secs" | "seconds" => "seconds",
        "ratio" => "ratio",
        "percent" => "percent",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_unit_goes_before_what_the_name_says() {
        assert_eq!(unit(Unit::Seconds, "cache_bytes"), "seconds");
        assert_eq!(unit(Unit::None, "cache_bytes"), "bytes");
        assert_eq!(unit(Unit::None, "http.wait_ms"), "milliseconds");
        assert_eq!(unit(Unit::None, "http.requests"), "");
        assert_eq!(unit(Unit::Seconds, "process.start_time_seconds"), "unix");
    }
}
