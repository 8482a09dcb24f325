//! What all polls together amount to.

use std::time::Duration;

use expvar::{Counter, Histogram, Info, Registry, Unit};

/// Counts over all endpoints, since the start.
#[derive(Clone)]
pub struct Counts {
    /// Polls that ended, well or not.
    pub polls: Shared<Counter>,
    /// Polls that failed.
    pub failures: Shared<Counter>,
    /// Slots that passed while the poll before was still running.
    pub skipped: Shared<Counter>,
    /// Points taken from documents.
    pub points: Shared<Counter>,
    /// Bytes of documents, decompressed.
    pub bytes: Shared<Counter>,
    /// How long polls took, in nanoseconds.
    pub durations: Shared<Histogram>,
}

type Shared<T> = std::sync::Arc<T>;

impl Counts {
    /// Makes them and shows them in `registry`, under `samlare.`.
    pub fn publish(registry: &Registry) -> Counts {
        let counter = |name: &str, help: &'static str, unit: Unit| {
            let counter = Shared::new(Counter::new());
            // A name that is taken belongs to somebody else: it stays theirs.
            let _ = registry.publish_with(name, counter.clone(), Info::new().help(help).unit(unit));
            counter
        };
        let durations = Shared::new(Histogram::new());
        let info = Info::new().help("How long polls took.").unit(Unit::Nanoseconds);
        let _ = registry.publish_with("samlare.durations", durations.clone(), info);
        Counts {
            polls: counter("samlare.polls", "Polls that ended, well or not.", Unit::None),
            failures: counter("samlare.failures", "Polls that failed.", Unit::None),
            skipped: counter(
                "samlare.skipped",
                "Slots that passed while the poll before was still running.",
                Unit::None,
            ),
            points: counter("samlare.points", "Points taken from documents.", Unit::None),
            bytes: counter("samlare.bytes", "Bytes of documents, decompressed.", Unit::Bytes),
            durations,
        }
    }

    pub(crate) fn polled(&self, elapsed: Duration, result: &Result<(usize, u64), String>) {
        self.polls.inc();
        self.durations.record_duration(elapsed);
        match result {
            Ok((bytes, points)) => {
                self.points.add(*points);
                self.bytes.add(*bytes as u64);
            }
            Err(_) => self.failures.inc(),
        }
    }
}
