//! Chooses a service's most important variables: memory, then the counters that change most.

use std::cmp::Reverse;

use super::series::Series;
use super::service::Service;
use super::units::Unit;

/// Memory variables, most informative first, in groups of alternatives.
const MEMORY: &[&str] = &[
    "process.resident_bytes",
    "process.cgroup.memory_max_bytes",
    "memstats.HeapAlloc",
    "memstats.HeapInuse",
    "memstats.Sys",
];

/// Lists of points in time and of pauses, whose mean says nothing.
const MEANINGLESS: &[&str] = &["memstats.PauseNs", "memstats.PauseEnd"];

/// How many of the last polls determine whether a variable changes.
const RECENT: usize = 60;

/// The names of a service's variables, most important first.
///
/// Memory; then the service's own counters that changed in the last polls, by the number of polls
/// in which they did, then by rate; its other changing variables; the runtime's; unchanging ones;
/// texts. Ties are in order of their names. Variables without information are omitted.
pub(super) fn ranked(service: &Service) -> Vec<String> {
    let informative = service.all().filter(|(name, _)| !MEANINGLESS.contains(name));
    let mut all: Vec<_> = informative.map(|(name, series)| (rank(name, series), name)).collect();
    all.sort();
    all.into_iter().map(|(_, name)| name.to_owned()).collect()
}

/// The sort key: more important variables compare less.
type Rank = (usize, Reverse<usize>, Reverse<u64>);

fn rank(name: &str, series: &Series) -> Rank {
    let group = |group| (group, Reverse(0), Reverse(0));
    let Some(latest) = series.latest.as_number() else { return group(90) };
    if let Some(place) = MEMORY.iter().position(|&memory| memory == name) {
        return group(if latest > 0.0 { place } else { 80 });
    }
    if name.contains(".BySize.") {
        return group(85);
    }
    let own = !["memstats.", "process.", "expvar."].iter().any(|p| name.starts_with(p));
    if own && series.unit == Unit::Bytes && !series.counts() && name.contains("rss") {
        return group(MEMORY.len());
    }
    let values: Vec<f64> = series.values().rev().take(RECENT).collect();
    let moves = values.windows(2).filter(|pair| pair[0] != pair[1] && !pair[0].is_nan());
    let moves = moves.filter(|pair| !pair[1].is_nan()).count();
    let oldest = values.iter().rfind(|v| !v.is_nan()).copied().unwrap_or(latest);
    let distance = (latest - oldest).abs() as u64;
    let counts = series.counts() || series.may_count();
    let place = match (own, moves > 0, counts) {
        (true, true, true) => 20,
        (true, true, false) => 30,
        (false, true, _) => 40,
        (true, false, _) => 50,
        (false, false, _) => 80,
    };
    (place, Reverse(moves), Reverse(distance))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_first_then_what_moves_most() {
        let mut service = Service::new("x", 1);
        for i in 0..10u64 {
            let document = format!(
                r#"{{"still": 7, "name": "n", "slow": {}, "fast": {}, "faster": {}, "gauge": {},
                   "memstats": {{"HeapAlloc": 5, "Sys": {}, "Mallocs": {i}, "HeapInuse": 0,
                   "PauseNs": [{i}, 0], "PauseEnd": [{i}, 0]}},
                   "process": {{"resident_bytes": 9}}}}"#,
                i / 5,
                i * 2,
                i * 3,
                i % 3,
                i * i,
            );
            service.take(i as f64, Ok(document.as_bytes()));
        }
        assert_eq!(
            ranked(&service),
            [
                "process.resident_bytes",
                "memstats.HeapAlloc",
                "memstats.Sys",
                "faster",
                "fast",
                "gauge",
                "slow",
                "memstats.Mallocs",
                "still",
                "memstats.HeapInuse",
                "name",
            ]
        );
    }
}
