//! One variable over time.

use std::collections::VecDeque;

use super::units::Unit;

/// How many polls are kept.
pub const POLLS: usize = 240;

/// After this many rises without a fall, a number may be a counter.
const RISES: u32 = 3;

/// A variable's last value and its history.
#[derive(Clone, Debug)]
pub struct Series {
    /// The unit implied by its name.
    pub unit: Unit,
    /// Its value at the last poll.
    pub latest: Latest,
    history: VecDeque<f64>,
    rises: u32,
    falls: u32,
    counts: Option<bool>,
    /// The poll that last contained it.
    pub(super) seen: u64,
    /// The number of keys in its name then.
    pub(super) depth: usize,
}

/// A value as received.
#[derive(Clone, Debug, PartialEq)]
pub enum Latest {
    /// `null`, or no value yet.
    Null,
    /// A number, or the mean of an array of them.
    Number(f64),
    /// `true` or `false`, drawn as 1 or 0.
    Flag(bool),
    /// A text, truncated.
    Text(String),
}

impl Series {
    /// Creates a variable without a value.
    pub fn new(name: &str) -> Series {
        Series {
            unit: Unit::of(name),
            latest: Latest::Null,
            history: VecDeque::new(),
            rises: 0,
            falls: 0,
            counts: counts_by_name(name),
            seen: 0,
            depth: 0,
        }
    }

    /// Adds the value of a poll; a missing one is [`Latest::Null`].
    pub fn push(&mut self, value: Latest) {
        let number = value.as_number();
        if let (Some(new), Some(old)) = (number, self.latest.as_number()) {
            self.rises = self.rises.saturating_add(u32::from(new > old));
            self.falls = self.falls.saturating_add(u32::from(new < old));
        }
        self.latest = value;
        self.remember(number.unwrap_or(f64::NAN));
    }

    /// Adds a failed poll: the last value stays, the drawing gets a gap.
    pub fn gap(&mut self) {
        self.remember(f64::NAN);
    }

    /// The service restarted: discards what was learnt, and compares the next value with none.
    pub fn start_anew(&mut self) {
        self.latest = Latest::Null;
        self.rises = 0;
        self.falls = 0;
    }

    fn remember(&mut self, value: f64) {
        if self.history.len() == POLLS {
            self.history.pop_front();
        }
        self.history.push_back(value);
    }

    /// How many polls it rose, and fell, since the service started.
    pub fn moves(&self) -> (u32, u32) {
        (self.rises, self.falls)
    }

    /// Whether it is a counter, so that its rate is more informative than its value.
    pub fn counts(&self) -> bool {
        self.counts == Some(true) && self.falls == 0
    }

    /// Whether it may be a counter, because it has only risen, or a rising level: both value and
    /// rate are informative.
    pub fn may_count(&self) -> bool {
        self.counts.is_none()
            && self.rises >= RISES
            && self.falls == 0
            && self.latest.as_number().is_some_and(|n| n >= 0.0)
    }

    /// Adopts its service's declaration.
    pub(super) fn declare(&mut self, counts: bool, unit: Option<Unit>) {
        self.counts = Some(counts);
        self.unit = unit.unwrap_or(self.unit);
    }

    /// Treats it as a counter, whatever its name: it is the count or sum of a histogram.
    pub(super) fn is_counter(&mut self) {
        self.counts = Some(true);
    }

    /// The change per second between the last two values.
    pub fn rate(&self, times: &VecDeque<f64>) -> f64 {
        self.drawn(true, times).last().copied().unwrap_or(f64::NAN)
    }

    /// The values of the last polls, oldest first, NaN for none.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = f64> + ExactSizeIterator {
        self.history.iter().copied()
    }

    /// What to draw: values, or changes per second. `times` are the service's poll times in
    /// seconds, the last one for the last value.
    ///
    /// A counter that fell was reset: that change is unknown (NaN).
    pub fn drawn(&self, rates: bool, times: &VecDeque<f64>) -> Vec<f64> {
        if !rates {
            return self.values().collect();
        }
        let times = times.iter().skip(times.len().saturating_sub(self.history.len()));
        let mut before: Option<(f64, f64)> = None;
        let changes = self.history.iter().zip(times).map(|(&value, &time)| {
            let change = match before {
                Some((old, then)) if value >= old && time > then => (value - old) / (time - then),
                _ => f64::NAN,
            };
            if value.is_finite() {
                before = Some((value, time));
            }
            change
        });
        changes.collect()
    }
}

impl Latest {
    /// The number to draw.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Latest::Number(number) => Some(*number),
            Latest::Flag(flag) => Some(f64::from(u8::from(*flag))),
            Latest::Null | Latest::Text(_) => None,
        }
    }
}

/// What the name implies: Go's memory counters and names that end in `_total` are counters, and
/// some names are known not to be. A `count` may be either.
fn counts_by_name(name: &str) -> Option<bool> {
    if let Some(field) = name.strip_prefix("memstats.") {
        return Some(matches!(
            field,
            "TotalAlloc"
                | "Mallocs"
                | "Frees"
                | "Lookups"
                | "NumGC"
                | "NumForcedGC"
                | "PauseTotalNs"
        ));
    }
    let last = name.rsplit('.').next().unwrap_or(name).to_lowercase();
    if last.ends_with("_total") {
        return Some(true);
    }
    let quantile =
        last.len() >= 2 && last.starts_with('p') && last[1..].chars().all(|c| c.is_ascii_digit());
    let level =
        ["uptime", "resident", "anonymous", "memory"].iter().any(|word| last.contains(word));
    if quantile || matches!(last.as_str(), "min" | "max" | "mean") || level {
        return Some(false);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_skip_gaps_and_restarts() {
        let mut series = Series::new("hits");
        let mut times = VecDeque::new();
        for (time, value) in [
            (0.0, Some(10.0)),
            (1.0, Some(12.0)),
            (2.0, None),
            (4.0, Some(18.0)),
            (5.0, Some(1.0)),
            (6.0, Some(1.0)),
        ] {
            times.push_back(time);
            match value {
                Some(value) => series.push(Latest::Number(value)),
                None => series.gap(),
            }
        }
        let drawn: Vec<_> = series.drawn(true, &times).iter().map(|v| v.to_string()).collect();
        assert_eq!(drawn, ["NaN", "2", "NaN", "2", "NaN", "0"]);
        assert_eq!(series.moves(), (2, 1));
    }

    #[test]
    fn counters_are_known_by_name() {
        let feed = |name, values: &[f64]| {
            let mut series = Series::new(name);
            values.iter().for_each(|&v| series.push(Latest::Number(v)));
            series.counts()
        };
        assert!(feed("memstats.Mallocs", &[1.0]));
        assert!(!feed("memstats.HeapAlloc", &[1.0, 2.0, 3.0, 4.0]));
        assert!(feed("errors_total", &[1.0]));
        assert!(!feed("process.resident_bytes", &[1.0, 2.0, 3.0, 4.0]));
        assert!(!feed("latency.p99", &[1.0, 2.0, 3.0, 4.0]));
        assert!(!feed("x_total", &[1.0, 0.0]));
        for level in ["pool.count", "max_count", "active_requests", "queue", "disk_free"] {
            assert!(!feed(level, &[1.0, 2.0, 3.0, 4.0, 5.0]), "{level}");
        }
    }

    #[test]
    fn what_only_rises_may_be_a_counter() {
        let feed = |name, values: &[f64]| {
            let mut series = Series::new(name);
            values.iter().for_each(|&v| series.push(Latest::Number(v)));
            series.may_count()
        };
        assert!(!feed("x", &[1.0, 2.0, 3.0]));
        assert!(feed("x", &[1.0, 2.0, 3.0, 3.0, 4.0]));
        assert!(!feed("x", &[1.0, 2.0, 3.0, 4.0, 3.0]));
        assert!(!feed("x_total", &[1.0, 2.0, 3.0, 4.0]), "it is one");
        assert!(!feed("latency.p99", &[1.0, 2.0, 3.0, 4.0]), "it is none");
        assert!(!feed("temperature", &[-4.0, -3.0, -2.0, -1.0]));
    }

    #[test]
    fn memory_is_bounded() {
        let mut series = Series::new("x");
        (0..10_000).for_each(|i| series.push(Latest::Number(f64::from(i))));
        assert_eq!(series.values().len(), POLLS);
        assert!(series.history.capacity() <= 2 * POLLS);
    }
}
