//! Totals over all polls.

use std::time::Duration;

use expvar::{Counter, Histogram, Info, Registry, Unit};

use crate::state::Taken;

/// Counts over all endpoints, since the start.
#[derive(Clone)]
pub struct Counts {
    /// Finished polls, successful or not.
    pub polls: Shared<Counter>,
    /// Polls that failed.
    pub failures: Shared<Counter>,
    /// Slots skipped because the previous poll was still running.
    pub skipped: Shared<Counter>,
    /// Points taken from documents.
    pub points: Shared<Counter>,
    /// Points with the name of an earlier point of the same document.
    pub conflicts: Shared<Counter>,
    /// Bytes of documents, decompressed.
    pub bytes: Shared<Counter>,
    /// Durations of polls, in nanoseconds.
    pub durations: Shared<Histogram>,
}

type Shared<T> = std::sync::Arc<T>;

impl Counts {
    /// Publishes the counts in `registry`, under `samlare.`.
    pub fn publish(registry: &Registry) -> Counts {
        let counter = |name: &str, help: &'static str, unit: Unit| {
            let counter = Shared::new(Counter::new());
            // A name that is taken stays its owner's.
            let _ = registry.publish_with(name, counter.clone(), Info::new().help(help).unit(unit));
            counter
        };
        let durations = Shared::new(Histogram::new());
        let info = Info::new().help("How long polls took.").unit(Unit::Nanoseconds);
        let _ = registry.publish_with("samlare.durations", durations.clone(), info);
        Counts {
            polls: counter("samlare.polls", "Completed polls, failed ones included.", Unit::None),
            failures: counter("samlare.failures", "Polls that failed.", Unit::None),
            skipped: counter(
                "samlare.skipped",
                "Slots skipped because the previous poll was still running.",
                Unit::None,
            ),
            points: counter("samlare.points", "Points taken from documents.", Unit::None),
            conflicts: counter(
                "samlare.conflicts",
                "Points with the name of an earlier point of the same document.",
                Unit::None,
            ),
            bytes: counter("samlare.bytes", "Bytes of documents, decompressed.", Unit::Bytes),
            durations,
        }
    }

    pub(crate) fn polled(&self, elapsed: Duration, result: &Result<Taken, String>) {
        self.polls.inc();
        self.durations.record_duration(elapsed);
        match result {
            Ok(taken) => {
                self.points.add(taken.points);
                self.conflicts.add(taken.conflicts().0);
                self.bytes.add(taken.bytes as u64);
            }
            Err(_) => self.failures.inc(),
        }
    }
}
