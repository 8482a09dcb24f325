//! A service: its state, restarts, and variables.

use std::collections::{BTreeMap, VecDeque};

use super::flattened::{Flattened, Variable};
use super::kinds::Kinds;
use super::restart::Clues;
use super::series::{POLLS, Series};
use super::text;

/// The most variables of one service; the first of the document are kept.
pub const MAX_SERIES: usize = 5_000;
/// The most variables of all services together.
pub const MAX_SERIES_TOTAL: usize = 20_000;

/// After how many polls without it a variable is removed.
const FORGET_AFTER: u64 = POLLS as u64;

/// The last result of a service.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Not polled yet.
    Waiting,
    /// A document.
    Up,
    /// An error, since this time (seconds of the watch).
    Down {
        /// When it first failed.
        since: f64,
        /// The error, sanitized.
        error: String,
    },
}

/// A watched service.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its address without credentials, sanitized.
    pub address: String,
    /// Its program's name, once known, sanitized.
    pub program: String,
    /// The last result.
    pub state: State,
    /// The number of restarts.
    pub restarts: u32,
    /// When it was last seen to have restarted, in seconds of the watch.
    pub restarted_at: Option<f64>,
    /// How many variables of the last poll exceeded the limit.
    pub left_out: usize,
    series: BTreeMap<String, Series>,
    times: VecDeque<f64>,
    polls: u64,
    max_series: usize,
    clues: Clues,
    kinds: Kinds,
}

impl Service {
    /// Creates a service that was not polled yet, one of `of`.
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

    /// Reads the service's declarations in Prometheus' text format.
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

    /// Updates with the response of a poll, at `now` seconds of the watch.
    pub fn take(&mut self, now: f64, answer: Result<&[u8], String>) {
        self.polls += 1;
        if self.times.len() == POLLS {
            self.times.pop_front();
        }
        self.times.push_back(now);
        match answer.and_then(Flattened::of) {
            Ok(document) => self.up(now, document),
            Err(error) => self.down(now, &error),
        }
    }

    fn up(&mut self, now: f64, document: Flattened) {
        let was_down = matches!(self.state, State::Down { .. });
        if let Some(program) = document.program() {
            self.program = text::harmless(text::cut(program, 64));
        }
        if self.clues.restarted(&document, &self.series, was_down) {
            self.restarts += 1;
            self.restarted_at = Some(now);
            self.series.values_mut().for_each(Series::start_anew);
        }
        self.state = State::Up;
        self.left_out = document.left_out;
        let mut fresh = Vec::new();
        for Variable { name, depth, value } in document.variables {
            let mut name = text::bounded_name(&name);
            // The key `a.b` and the `b` within an `a` are two variables.
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
                // If a name appears twice, the last one counts.
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
        // An outage does not age variables.
        for series in self.series.values_mut() {
            series.gap();
            series.seen += 1;
        }
    }

    /// Whether the name is the count or sum of a histogram: there are percentiles beside it.
    fn is_of_histogram(&self, name: &str) -> bool {
        let base = name.trim_end_matches(".count").trim_end_matches(".sum");
        ["p99", "p90", "p50"].iter().any(|part| self.series.contains_key(&format!("{base}.{part}")))
    }

    /// A title: the program's name and the address.
    pub fn title(&self) -> String {
        if self.program.is_empty() {
            return self.address.clone();
        }
        format!("{} {}", self.program, self.address)
    }

    /// A variable, if it was seen.
    pub fn get(&self, name: &str) -> Option<&Series> {
        self.series.get(name)
    }

    /// All variables in order of their names.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Series)> {
        self.series.iter().map(|(name, series)| (name.as_str(), series))
    }

    /// The number of variables.
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

    /// The number of polls.
    pub fn polls(&self) -> u64 {
        self.polls
    }
}
