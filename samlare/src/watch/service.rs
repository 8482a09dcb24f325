//! One service: whether it is up, when it restarted, and its variables.

use std::collections::{BTreeMap, VecDeque};

use super::kinds::Kinds;
use super::reading::{Reading, Variable};
use super::restart::Clues;
use super::series::{POLLS, Series};
use super::text;

/// Most variables of one service that are kept, those of the document's
/// beginning.
pub const MAX_SERIES: usize = 5_000;
/// Most variables that all services may have together.
pub const MAX_SERIES_TOTAL: usize = 20_000;

/// How many polls in a row a variable may be missing before it is forgotten.
const FORGET_AFTER: u64 = POLLS as u64;

/// How a service answered last.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Not at all yet.
    Waiting,
    /// With a document.
    Up,
    /// With this error, since this time (seconds of the watch).
    Down {
        /// When it first failed.
        since: f64,
        /// Why, harmless.
        error: String,
    },
}

/// A service that is watched.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its address without credentials, harmless.
    pub address: String,
    /// Its program's name, once known, harmless.
    pub program: String,
    /// How it answered last.
    pub state: State,
    /// How often it restarted.
    pub restarts: u32,
    /// When it was last seen to have restarted, in seconds of the watch.
    pub restarted_at: Option<f64>,
    /// How many variables were left out for want of room at the last poll.
    pub left_out: usize,
    series: BTreeMap<String, Series>,
    times: VecDeque<f64>,
    polls: u64,
    max_series: usize,
    clues: Clues,
    kinds: Kinds,
}

impl Service {
    /// A service that has not been asked yet, one of `of`.
    pub fn new(address: &str, of: usize) -> Service {
        Service {
            address: text::harmless(address),
            program: String::new(),
            state: State::Waiting,
            restarts: 0,
            restarted_at: None,
            left_out: 0,
            series: BTreeMap::new(),
            times: VecDeque::new(),
            polls: 0,
            max_series: (MAX_SERIES_TOTAL / of.max(1)).min(MAX_SERIES),
            clues: Clues::default(),
            kinds: Kinds::default(),
        }
    }

    /// Takes in what the service declares of its variables, in Prometheus' text format.
    pub fn learn(&mut self, metrics: &str) {
        self.kinds = Kinds::parse(metrics);
        let names: Vec<String> = self.series.keys().cloned().collect();
        for name in names {
            self.declare(&name);
        }
    }

    fn declare(&mut self, name: &str) {
        let number = |name: &str| self.series.get(name)?.latest.as_number();
        if let Some(declared) = self.kinds.of(name, number)
            && let Some(series) = self.series.get_mut(name)
        {
            series.declare(declared.counts, declared.unit);
        }
    }

    /// Takes in the answer of one poll, at `now` seconds of the watch.
    pub fn take(&mut self, now: f64, answer: Result<&[u8], String>) {
        self.polls += 1;
        if self.times.len() == POLLS {
            self.times.pop_front();
        }
        self.times.push_back(now);
        match answer.and_then(Reading::of) {
            Ok(reading) => self.up(now, reading),
            Err(error) => self.down(now, &error),
        }
    }

    fn up(&mut self, now: f64, reading: Reading) {
        let was_down = matches!(self.state, State::Down { .. });
        if let Some(program) = reading.program() {
            self.program = text::harmless(text::cut(program, 64));
        }
        if self.clues.restarted(&reading, &self.series, was_down) {
            self.restarts += 1;
            self.restarted_at = Some(now);
            self.series.values_mut().for_each(Series::start_anew);
        }
        self.state = State::Up;
        self.left_out = reading.left_out;
        let mut fresh = Vec::new();
        for Variable { name, depth, value } in reading.variables {
            let mut name = text::bounded_name(&name);
            // A key `a.b` beside a `b` within an `a` is another variable.
            let taken = |s: &Series| s.seen == self.polls && s.depth != depth;
            if self.series.get(&*name).is_some_and(taken) {
                name = format!("{name} #2").into();
            }
            if !self.series.contains_key(&*name) {
                fresh.push(name.to_string());
                if self.series.len() >= self.max_series {
                    self.left_out += 1;
                    continue;
                }
                self.series.insert(name.to_string(), Series::new(&name));
            }
            if let Some(series) = self.series.get_mut(&*name) {
                // Of a name that stands twice the last one counts.
                if series.seen == self.polls {
                    series.latest = value;
                } else {
                    series.seen = self.polls;
                    series.depth = depth;
                    series.push(value);
                }
            }
        }
        for name in fresh {
            let part = name.ends_with(".count") || name.ends_with(".sum");
            if part
                && self.is_of_histogram(&name)
                && let Some(series) = self.series.get_mut(&name)
            {
                series.is_counter();
            }
            self.declare(&name);
        }
        let polls = self.polls;
        self.series.retain(|_, series| {
            if series.seen != polls {
                series.push(super::series::Latest::Null);
            }
            polls - series.seen < FORGET_AFTER
        });
    }

    fn down(&mut self, now: f64, error: &str) {
        let error = text::harmless(text::cut(error, 300));
        let since = match self.state {
            State::Down { since, .. } => since,
            _ => now,
        };
        self.state = State::Down { since, error };
        // Being away does not age a variable.
        for series in self.series.values_mut() {
            series.gap();
            series.seen += 1;
        }
    }

    /// Whether the name is the count or the sum of a histogram: percentiles
    /// stand beside it.
    fn is_of_histogram(&self, name: &str) -> bool {
        let base = name.trim_end_matches(".count").trim_end_matches(".sum");
        ["p99", "p90", "p50"].iter().any(|part| self.series.contains_key(&format!("{base}.{part}")))
    }

    /// A name to show: the program's and the address.
    pub fn title(&self) -> String {
        if self.program.is_empty() {
            return self.address.clone();
        }
        format!("{} {}", self.program, self.address)
    }

    /// A variable, if it has been seen.
    pub fn get(&self, name: &str) -> Option<&Series> {
        self.series.get(name)
    }

    /// All variables in order of their names.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Series)> {
        self.series.iter().map(|(name, series)| (name.as_str(), series))
    }

    /// How many variables it has.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether it has no variables.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// When it was polled, in seconds of the watch, oldest first.
    pub fn times(&self) -> &VecDeque<f64> {
        &self.times
    }

    /// How many polls there were.
    pub fn polls(&self) -> u64 {
        self.polls
    }
}
