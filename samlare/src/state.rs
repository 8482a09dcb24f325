//! The state of each endpoint.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use serde::Serialize;

use expvar_carbon::Refusal;

use crate::document::boundary_before;
use crate::log::Limiter;
use crate::news::News;

/// The state of one endpoint, shared with pages and variables.
#[derive(Debug)]
pub struct State {
    name: String,
    prefix: String,
    interval_ms: u64,
    current: Mutex<Current>,
}

/// How many durations of polls are kept.
pub const RECENT: usize = 60;

#[derive(Debug, Default)]
struct Current {
    report: Counts,
    /// Durations of the last polls in milliseconds, newest last; negative for failures.
    recent_ms: VecDeque<f32>,
    limiter: Limiter,
    /// Problems of points already logged.
    told: Vec<FlawKind>,
}

#[derive(Clone, Debug, Default)]
struct Counts {
    up: Option<bool>,
    polls: u64,
    failures: u64,
    failures_in_row: u64,
    skipped: u64,
    last_poll_secs: u64,
    last_ms: f64,
    last_bytes: u64,
    last_points: u64,
    last_conflicts: u64,
    last_conflict: String,
    last_rejected: u64,
    last_rejection: String,
    last_error: String,
}

/// [`State`] at one moment; has no secrets.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The endpoint's URL without credentials and query.
    pub url: String,
    /// The prefix of its metrics.
    pub prefix: String,
    /// `up`, `down`, or `waiting` before the first poll.
    pub state: &'static str,
    /// 1 when up, else 0; a number, so that it can be collected.
    pub up: u8,
    /// Between two polls.
    pub interval_ms: u64,
    /// Finished polls, successful or not.
    pub polls: u64,
    /// Polls that failed.
    pub failures: u64,
    /// The number of consecutive failures.
    pub failures_in_row: u64,
    /// Slots skipped because a poll was still running.
    pub skipped: u64,
    /// The last poll's slot, as in `2026-11-27T03:10:00Z`; empty before the first.
    pub last_poll: String,
    /// How long the last poll took.
    pub last_ms: f64,
    /// The size of the last document, decompressed.
    pub last_bytes: u64,
    /// The points of the last document.
    pub last_points: u64,
    /// How many points of the last document have the name of an earlier one.
    pub last_conflicts: u64,
    /// The first such name; empty without one.
    pub last_conflict: String,
    /// How many points of the last document were rejected.
    pub last_rejected: u64,
    /// The reason, and the first such name; empty without one.
    pub last_rejection: String,
    /// The error of the last failed poll; empty without one.
    pub last_error: String,
}

/// The result of a poll.
pub struct Outcome {
    /// The slot's Unix time.
    pub secs: u64,
    /// How long it took.
    pub ms: f64,
    /// Its points, or its error.
    pub result: Result<Taken, String>,
}

/// The points of a successful poll.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The size of the document, decompressed.
    pub bytes: usize,
    /// The number of points.
    pub points: u64,
    /// Problems with points, each kind once, in any order.
    pub flaws: Vec<Flaw>,
}

/// Points of one document with the same problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// The problem.
    pub kind: FlawKind,
    /// The number of points.
    pub count: u64,
    /// The name of the first, truncated if it is long.
    pub first: String,
}

/// A problem with points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlawKind {
    /// An earlier point has the same name: Graphite keeps the last one.
    Conflict,
    /// No server would store it.
    Refused(Refusal),
}

/// The most bytes of an example name.
const FIRST_MAX_BYTES: usize = 200;

impl FlawKind {
    /// The problem as text.
    pub fn problem(self) -> &'static str {
        match self {
            FlawKind::Conflict => "several points have one name, of which Graphite keeps the last",
            FlawKind::Refused(Refusal::LongName) => "names are too long for Graphite's files",
            FlawKind::Refused(Refusal::EmptyName) => "numbers have no name",
            FlawKind::Refused(Refusal::Infinite | Refusal::NotANumber) => {
                "numbers are out of range"
            }
            FlawKind::Refused(_) => "points cannot be stored",
        }
    }

    /// The remedy.
    pub fn remedy(self) -> &'static &'static str {
        match self {
            FlawKind::Conflict => &"rename or ignore one of the keys",
            FlawKind::Refused(Refusal::LongName) => &"ignore or rename the key",
            FlawKind::Refused(Refusal::EmptyName) => &"give the endpoint a Prefix",
            FlawKind::Refused(_) => &"ignore the key, or mend the service",
        }
    }
}

impl std::fmt::Display for Flaw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Flaw { kind, count, first } = self;
        let s = if *count == 1 { "" } else { "s" };
        write!(f, "{}: {count} point{s}, the first is {first}: {}", kind.problem(), kind.remedy())
    }
}

impl Taken {
    /// Counts a point with a problem.
    pub fn note(&mut self, kind: FlawKind, name: &str) {
        if let Some(flaw) = self.flaws.iter_mut().find(|flaw| flaw.kind == kind) {
            flaw.count += 1;
            return;
        }
        let first = name[..boundary_before(name, FIRST_MAX_BYTES)].to_owned();
        self.flaws.push(Flaw { kind, count: 1, first });
    }

    /// How many points have the name of an earlier one, and the first such name.
    pub fn conflicts(&self) -> (u64, &str) {
        let conflict = self.flaws.iter().find(|flaw| flaw.kind == FlawKind::Conflict);
        conflict.map_or((0, ""), |flaw| (flaw.count, flaw.first.as_str()))
    }

    /// How many points were rejected, and why the first kind was.
    fn rejected(&self) -> (u64, String) {
        let rejected = || self.flaws.iter().filter(|flaw| flaw.kind != FlawKind::Conflict);
        let why = rejected().next().map(|flaw| format!("{}: {}", flaw.kind.problem(), flaw.first));
        (rejected().map(|flaw| flaw.count).sum(), why.unwrap_or_default())
    }
}

impl State {
    /// The state of an endpoint that was never polled.
    pub fn new(name: String, prefix: String, interval_ms: u64) -> State {
        State { name, prefix, interval_ms, current: Mutex::default() }
    }

    /// The endpoint's URL without credentials and query.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Counts skipped slots.
    pub fn skipped(&self, slots: u64) {
        if slots > 0 {
            self.current.lock().report.skipped += slots;
        }
    }

    /// Updates with a poll's result; returns what to log.
    pub fn polled(&self, outcome: Outcome) -> Vec<News> {
        let mut current = self.current.lock();
        let Current { report: counts, recent_ms, limiter, told } = &mut *current;
        counts.polls += 1;
        counts.last_poll_secs = outcome.secs;
        counts.last_ms = outcome.ms;
        let ms = if outcome.result.is_ok() { outcome.ms } else { -1.0 };
        while recent_ms.len() >= RECENT {
            recent_ms.pop_front();
        }
        recent_ms.push_back(ms as f32);
        let mut news = Vec::new();
        match outcome.result {
            Ok(taken) => {
                counts.last_bytes = taken.bytes as u64;
                counts.last_points = taken.points;
                let (conflicts, conflict) = taken.conflicts();
                (counts.last_conflicts, counts.last_conflict) = (conflicts, conflict.to_owned());
                (counts.last_rejected, counts.last_rejection) = taken.rejected();
                let failures = std::mem::take(&mut counts.failures_in_row);
                match counts.up.replace(true) {
                    Some(true) => news.extend(limiter.held_back().map(News::Suppressed)),
                    Some(false) => news.extend(
                        limiter
                            .recovered()
                            .map(|suppressed| News::Recovered { failures, suppressed }),
                    ),
                    None => news.push(News::Up),
                }
                for flaw in taken.flaws {
                    if !told.contains(&flaw.kind) {
                        told.push(flaw.kind);
                        news.push(News::Flawed(flaw));
                    }
                }
            }
            Err(error) => {
                counts.failures += 1;
                counts.failures_in_row += 1;
                counts.up = Some(false);
                counts.last_error.clone_from(&error);
                news.extend(limiter.failed().map(|suppressed| News::Failed { error, suppressed }));
            }
        }
        news
    }

    /// The current state.
    pub fn report(&self) -> Report {
        let counts = self.current.lock().report.clone();
        Report {
            url: self.name.clone(),
            prefix: self.prefix.clone(),
            state: match counts.up {
                None => "waiting",
                Some(true) => "up",
                Some(false) => "down",
            },
            up: u8::from(counts.up == Some(true)),
            interval_ms: self.interval_ms,
            polls: counts.polls,
            failures: counts.failures,
            failures_in_row: counts.failures_in_row,
            skipped: counts.skipped,
            last_poll: match counts.last_poll_secs {
                0 => String::new(),
                secs => {
                    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(secs);
                    humantime::format_rfc3339_seconds(time).to_string()
                }
            },
            last_ms: (counts.last_ms * 1000.0).round() / 1000.0,
            last_bytes: counts.last_bytes,
            last_points: counts.last_points,
            last_conflicts: counts.last_conflicts,
            last_conflict: counts.last_conflict,
            last_rejected: counts.last_rejected,
            last_rejection: counts.last_rejection,
            last_error: counts.last_error,
        }
    }

    /// Unix time of the last poll's slot; 0 before the first.
    pub fn last_poll_secs(&self) -> u64 {
        self.current.lock().report.last_poll_secs
    }

    /// How many points the last good poll brought.
    pub(crate) fn last_points(&self) -> u64 {
        self.current.lock().report.last_points
    }

    /// How long the last polls took, in milliseconds, the newest last; `None` where one failed.
    pub fn recent_ms(&self) -> Vec<Option<f32>> {
        self.current.lock().recent_ms.iter().map(|&ms| (ms >= 0.0).then_some(ms)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(result: Result<Taken, String>) -> Outcome {
        Outcome { secs: 1, ms: 1.5, result }
    }

    #[tokio::test(start_paused = true)]
    async fn changes_are_news_and_the_ordinary_is_not() {
        let state = State::new("u".into(), "p".into(), 1000);
        let report = state.report();
        assert_eq!((report.state, report.last_poll.as_str()), ("waiting", ""));
        assert_eq!(state.polled(outcome(Ok(Taken::default()))), [News::Up]);
        assert_eq!(state.polled(outcome(Ok(Taken::default()))), []);
        for _ in 0..5 {
            state.polled(outcome(Err("refused".into())));
        }
        let recovered = News::Recovered { failures: 5, suppressed: 2 };
        assert_eq!(state.polled(outcome(Ok(Taken::default()))), [recovered]);
        let report = state.report();
        assert_eq!((report.polls, report.failures, report.failures_in_row), (8, 5, 0));
        assert_eq!((report.state, report.last_error.as_str()), ("up", "refused"));
        assert_eq!(report.last_poll, "1970-01-01T00:00:01Z");
    }

    #[tokio::test(start_paused = true)]
    async fn failures_that_were_not_logged_are_told_when_the_minute_is_over() {
        let state = State::new("u".into(), "p".into(), 1000);
        let good = || state.polled(outcome(Ok(Taken::default())));
        good();
        for failures in 1..=5 {
            let told = state.polled(outcome(Err("refused".into()))).len() + good().len();
            assert_eq!(told, if failures <= 3 { 2 } else { 0 }, "{failures}");
        }
        assert_eq!(good(), []);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(good(), [News::Suppressed(2)]);
        assert_eq!(good(), []);
    }

    #[test]
    fn points_that_cannot_be_stored_are_told_once_and_counted_each_time() {
        let state = State::new("u".into(), "p".into(), 1000);
        let taken = || {
            let mut taken = Taken { points: 9, ..Taken::default() };
            taken.note(FlawKind::Conflict, "p.a");
            taken.note(FlawKind::Refused(Refusal::Infinite), "p.b");
            taken.note(FlawKind::Refused(Refusal::Infinite), "p.c");
            taken
        };
        let flaws = |news: Vec<News>| news.iter().filter(|n| matches!(n, News::Flawed(_))).count();
        assert_eq!(flaws(state.polled(outcome(Ok(taken())))), 2);
        assert_eq!(flaws(state.polled(outcome(Ok(taken())))), 0);
        let report = state.report();
        assert_eq!((report.last_conflicts, report.last_conflict.as_str()), (1, "p.a"));
        assert_eq!(report.last_rejected, 2);
        assert_eq!(report.last_rejection, "numbers are out of range: p.b");
    }
}
