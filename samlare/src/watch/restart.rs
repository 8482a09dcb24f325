//! Detects restarts of a service.

use std::collections::BTreeMap;

use super::flattened::{Flattened, Variable};
use super::series::{Latest, Series};

/// State compared between polls.
#[derive(Clone, Debug, Default)]
pub(super) struct Clues {
    line: Option<String>,
}

impl Clues {
    /// Whether the service restarted between the last values of `series` and this document.
    ///
    /// Certain signs of a restart: another command line or process id, a later start time, an
    /// uptime or a Go counter that went back. Certain signs against: an unchanged start time or,
    /// without an outage, an uptime or Go counter that did not go back. Without either, counters
    /// decide: at least half of the known counters, or after an outage all numbers that had only
    /// risen, must have fallen to less than half. Gauges are ignored, because they fall together
    /// with load.
    pub(super) fn restarted(
        &mut self,
        document: &Flattened,
        series: &BTreeMap<String, Series>,
        was_down: bool,
    ) -> bool {
        let (mut another, mut same) = (false, false);
        let (mut counters, mut counters_back) = (0, 0);
        let (mut risen, mut risen_back) = (0, 0);
        for Variable { name, depth, value } in &document.variables {
            if let ("cmdline", Latest::Text(line)) = (name.as_str(), value) {
                another |= self.line.as_ref().is_some_and(|before| before != line);
                self.line = Some(line.clone());
                continue;
            }
            let known = series.get(name).filter(|series| series.depth == *depth);
            let Some(known) = known else { continue };
            let (Some(new), Some(old)) = (value.as_number(), known.latest.as_number()) else {
                continue;
            };
            let back = new < old / 2.0;
            match kind(name) {
                Kind::Id => another |= new != old,
                Kind::Start => {
                    let is_later = new > old + 2.0 * one_second(old);
                    another |= is_later;
                    same |= !is_later && old > 0.0;
                }
                Kind::Uptime | Kind::Sure => {
                    another |= new < old;
                    same |= new >= old && old > 0.0 && !was_down;
                }
                Kind::Other if known.counts() && old > 0.0 => {
                    counters += 1;
                    counters_back += u32::from(back);
                }
                Kind::Other if known.moves().0 > 0 && known.moves().1 == 0 && old > 0.0 => {
                    risen += 1;
                    risen_back += u32::from(back);
                }
                Kind::Other => {}
            }
        }
        let guessed = match counters {
            0 => was_down && risen > 0 && risen_back == risen,
            _ => 2 * counters_back >= counters,
        };
        another || (guessed && !same)
    }
}

enum Kind {
    Id,
    Start,
    Uptime,
    Sure,
    Other,
}

fn kind(name: &str) -> Kind {
    if matches!(name, "memstats.TotalAlloc" | "memstats.Mallocs") {
        return Kind::Sure;
    }
    let last = name.rsplit('.').next().unwrap_or(name).to_lowercase();
    if last == "pid" {
        Kind::Id
    } else if last.contains("uptime") {
        Kind::Uptime
    } else if last.contains("start") && last.contains("time") {
        Kind::Start
    } else {
        Kind::Other
    }
}

/// One second in the unit of a point in time of this size.
fn one_second(time: f64) -> f64 {
    match time {
        t if t > 1e17 => 1e9,
        t if t > 1e14 => 1e6,
        t if t > 1e11 => 1e3,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::service::Service;

    /// The number of restarts seen in these documents, one a second; `None` is a failed poll.
    fn restarts(documents: impl IntoIterator<Item = Option<String>>) -> u32 {
        let mut service = Service::new("x", 1);
        for (second, document) in documents.into_iter().enumerate() {
            let answer = document.as_ref().map(|text| text.as_bytes()).ok_or("gone".to_owned());
            service.take(second as f64, answer);
        }
        service.restarts
    }

    #[test]
    fn gauges_that_fall_together_are_no_restart() {
        let load = |second: u32| 50.0 + 45.0 * (f64::from(second) / 4.0).sin();
        let gauges = |second: u32| {
            let load = load(second);
            format!(
                r#""queue": {:.0}, "sessions": {:.0}, "cache_bytes": {:.0}"#,
                load,
                load * 10.0,
                load * 1e5
            )
        };
        assert_eq!(restarts((0..300).map(|second| Some(format!("{{{}}}", gauges(second))))), 0);
        // To zero in one poll, and after an outage: the start time proves that it is the same
        // process.
        let sudden = |second: u32| match second {
            0..20 => Some(format!(r#"{{"start_time_seconds": 7, "a": {second}, "b": {second}}}"#)),
            20..25 => None,
            _ => Some(r#"{"start_time_seconds": 7, "a": 0, "b": 0}"#.to_owned()),
        };
        assert_eq!(restarts((0..30).map(sudden)), 0);
        let same = |second: u32| {
            let value = if second < 20 { second } else { 0 };
            Some(format!(r#"{{"uptime": {second}, "a_total": {value}, "b_total": {value}}}"#))
        };
        assert_eq!(restarts((1..30).map(same)), 0, "it has been up all the while");
    }

    #[test]
    fn a_restart_is_seen_by_its_sure_signs_and_by_its_counters() {
        let saw = |second: u32| second % 10 + 1;
        let documents = |name: &'static str, last: u32| {
            (0..last).map(move |second| Some(format!(r#"{{"{name}": {}}}"#, saw(second))))
        };
        for name in ["uptime_seconds", "hits_total"] {
            assert_eq!(restarts(documents(name, 30)), 2, "{name}");
        }
        assert_eq!(restarts(documents("queue", 30)), 0);
        let after_outage = documents("hits", 10).chain([None]).chain(documents("hits", 1));
        assert_eq!(restarts(after_outage), 1);
        let pids = [1, 1, 2, 2].map(|pid| Some(format!(r#"{{"pid": {pid}}}"#)));
        assert_eq!(restarts(pids), 1);
    }
}
