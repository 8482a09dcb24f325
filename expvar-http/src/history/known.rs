//! Units and kinds of numbers whose declaration does not tell: what functions return.

use expvar::{Info, Unit};

/// Numbers of `memstats` that are not bytes.
const MEMSTATS_COUNTS: [&str; 12] = [
    "Lookups",
    "Mallocs",
    "Frees",
    "HeapObjects",
    "NumGC",
    "NumForcedGC",
    "GCCPUFraction",
    "EnableGC",
    "DebugGC",
    "LastGC",
    "PauseTotalNs",
    "NumCgoCall",
];

/// Numbers of `memstats` that only go up.
const MEMSTATS_COUNTERS: [&str; 7] =
    ["TotalAlloc", "Lookups", "Mallocs", "Frees", "PauseTotalNs", "NumGC", "NumForcedGC"];

/// Ends of names of `process`' numbers that only go up.
const PROCESS_COUNTERS: [&str; 10] = [
    "_faults",
    "_switches",
    "cpu_user_seconds",
    "cpu_system_seconds",
    "total_seconds",
    "throttled_seconds",
    "_periods",
    "read_bytes",
    "written_bytes",
    "oom_kills",
];

/// The unit of the number at `path`, of which the first `top` bytes are the variable's name: what
/// was declared, or what the name's last word says.
pub(super) fn unit(info: &Info, path: &str, top: usize) -> &'static str {
    let declared = info.get_unit();
    if declared != Unit::None {
        return declared.name();
    }
    let last = &path[path.rfind('.').map_or(0, |dot| dot + 1)..];
    if &path[..top] == "memstats" && path.len() > top {
        return match last {
            "PauseTotalNs" => "nanoseconds",
            "GCCPUFraction" => "ratio",
            _ if MEMSTATS_COUNTS.contains(&last) => "",
            _ => "bytes",
        };
    }
    if path.starts_with("process.thread_cpu_seconds.") {
        return "seconds";
    }
    if last.ends_with("start_time_seconds") {
        return "unix";
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

/// Whether the number at `path` only goes up.
pub(super) fn is_counter(info: &Info, path: &str, top: usize) -> bool {
    if info.is_counter() {
        return true;
    }
    let Some(rest) = path.get(top + 1..) else { return false };
    match &path[..top] {
        "memstats" => MEMSTATS_COUNTERS.contains(&rest),
        "process" => {
            rest.starts_with("thread_cpu_seconds.")
                || PROCESS_COUNTERS.iter().any(|end| rest.ends_with(end))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_unit_goes_before_what_the_name_says() {
        let info = Info::new().unit(Unit::Seconds);
        assert_eq!(unit(&info, "cache_bytes", 11), "seconds");
        assert_eq!(unit(&Info::new(), "cache_bytes", 11), "bytes");
        assert_eq!(unit(&Info::new(), "http.wait_ms", 12), "milliseconds");
        assert_eq!(unit(&Info::new(), "http.requests", 13), "");
    }

    #[test]
    fn memory_and_process_are_known_by_name() {
        let info = Info::new();
        assert_eq!(unit(&info, "memstats.HeapAlloc", 8), "bytes");
        assert_eq!(unit(&info, "memstats.Mallocs", 8), "");
        assert_eq!(unit(&info, "process.start_time_seconds", 7), "unix");
        assert_eq!(unit(&info, "process.thread_cpu_seconds.main", 7), "seconds");
        assert!(is_counter(&info, "memstats.TotalAlloc", 8));
        assert!(!is_counter(&info, "memstats.HeapAlloc", 8));
        assert!(is_counter(&info, "process.cpu_user_seconds", 7));
        assert!(is_counter(&info, "process.thread_cpu_seconds.main", 7));
        assert!(!is_counter(&info, "process.resident_bytes", 7));
        assert!(!is_counter(&info, "process.uptime_seconds", 7));
    }
}
