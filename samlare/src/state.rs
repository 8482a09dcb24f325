//! How each endpoint is doing.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::PoisonError;

use serde::Serialize;

use crate::log::Limiter;

/// How one endpoint is doing; shared between its task and whoever looks.
#[derive(Debug)]
pub struct State {
    name: String,
    prefix: String,
    interval_ms: u64,
    current: Mutex<Current>,
}

/// How many of the last polls' durations are kept.
pub const RECENT: usize = 60;

#[derive(Debug, Default)]
struct Current {
    report: Counts,
    /// The last polls in milliseconds, the newest last; negative where one failed.
    recent_ms: VecDeque<f32>,
    limiter: Limiter,
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
    last_clashing: u64,
    last_clash: String,
    last_error: String,
}

/// [`State`] at one moment; holds no secrets.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The endpoint's URL without credentials and query.
    pub url: String,
    /// What its metrics begin with.
    pub prefix: String,
    /// `up`, `down`, or `waiting` before the first poll.
    pub state: &'static str,
    /// 1 when up, else 0; a number, so that it can be collected.
    pub up: u8,
    /// Between two polls.
    pub interval_ms: u64,
    /// Polls that ended, well or not.
    pub polls: u64,
    /// Polls that failed.
    pub failures: u64,
    /// How many of the last polls failed one after the other.
    pub failures_in_row: u64,
    /// Slots that passed while a poll was still running.
    pub skipped: u64,
    /// Unix time of the last poll's slot; 0 before the first.
    pub last_poll_secs: u64,
    /// How long the last poll took.
    pub last_ms: f64,
    /// The size of the last document, decompressed.
    pub last_bytes: u64,
    /// The points of the last document.
    pub last_points: u64,
    /// How many points of the last document have a name that another one before them has too.
    pub last_clashing: u64,
    /// The first such name; empty when there was none.
    pub last_clash: String,
    /// Why the last failed poll failed; empty when none did.
    pub last_error: String,
}

/// How a poll ended.
pub struct Outcome {
    /// The slot's Unix time.
    pub secs: u64,
    /// How long it took.
    pub ms: f64,
    /// What it brought, or what went wrong.
    pub result: Result<Taken, String>,
}

/// What a good poll brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The size of the document, decompressed.
    pub bytes: usize,
    /// Points that were taken from it.
    pub points: u64,
    /// How many of them have a name that another one before them has too.
    pub clashing: u64,
    /// The first such name.
    pub clash: Option<String>,
}

/// What is worth writing to the log about a poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The first good poll.
    Up,
    /// A good poll after so many failed ones.
    Recovered(u64),
    /// A failed poll.
    Failed,
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

    /// Counts slots that passed unused.
    pub fn skipped(&self, slots: u64) {
        if slots > 0 {
            self.lock().report.skipped += slots;
        }
    }

    /// Takes a poll's outcome; returns what to log about it and how much was not logged before.
    pub fn polled(&self, outcome: Outcome) -> Option<(News, u64)> {
        let mut current = self.lock();
        let counts = &mut current.report;
        counts.polls += 1;
        counts.last_poll_secs = outcome.secs;
        counts.last_ms = outcome.ms;
        let ms = if outcome.result.is_ok() { outcome.ms } else { -1.0 };
        while current.recent_ms.len() >= RECENT {
            current.recent_ms.pop_front();
        }
        current.recent_ms.push_back(ms as f32);
        let counts = &mut current.report;
        let news = match outcome.result {
            Ok(taken) => {
                counts.last_bytes = taken.bytes as u64;
                counts.last_points = taken.points;
                counts.last_clashing = taken.clashing;
                counts.last_clash = taken.clash.unwrap_or_default();
                let before = std::mem::take(&mut counts.failures_in_row);
                match counts.up.replace(true) {
                    Some(true) => return None,
                    Some(false) => News::Recovered(before),
                    None => News::Up,
                }
            }
            Err(error) => {
                counts.failures += 1;
                counts.failures_in_row += 1;
                counts.up = Some(false);
                counts.last_error = error;
                News::Failed
            }
        };
        current.limiter.admit().map(|suppressed| (news, suppressed))
    }

    /// Everything that is known, at this moment.
    pub fn report(&self) -> Report {
        let counts = self.lock().report.clone();
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
            last_poll_secs: counts.last_poll_secs,
            last_ms: (counts.last_ms * 1000.0).round() / 1000.0,
            last_bytes: counts.last_bytes,
            last_points: counts.last_points,
            last_clashing: counts.last_clashing,
            last_clash: counts.last_clash,
            last_error: counts.last_error,
        }
    }

    /// How long the last polls took, in milliseconds, the newest last; `None` where one failed.
    pub fn recent_ms(&self) -> Vec<Option<f32>> {
        self.lock().recent_ms.iter().map(|&ms| (ms >= 0.0).then_some(ms)).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
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
        assert_eq!(state.report().state, "waiting");
        assert_eq!(state.polled(outcome(Ok(Taken::default()))), Some((News::Up, 0)));
        assert_eq!(state.polled(outcome(Ok(Taken::default()))), None);
        for _ in 0..5 {
            state.polled(outcome(Err("refused".into())));
        }
        tokio::time::advance(std::time::Duration::from_secs(60)).await;
        assert_eq!(state.polled(outcome(Ok(Taken::default()))), Some((News::Recovered(5), 3)));
        let report = state.report();
        assert_eq!((report.polls, report.failures, report.failures_in_row), (8, 5, 0));
        assert_eq!((report.state, report.last_error.as_str()), ("up", "refused"));
    }
}
