//! Log events of an endpoint.

use std::fmt::Display;

use crate::log::{Level, Log};
use crate::state::Flaw;

/// An event of one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The first successful poll.
    Up,
    /// A successful poll after failures.
    Recovered {
        /// How many polls failed in a row.
        failures: u64,
        /// How many failures were not logged since the last line.
        suppressed: u64,
    },
    /// A failed poll.
    Failed {
        /// Why.
        error: String,
        /// How many failures were not logged since the last line.
        suppressed: u64,
    },
    /// The endpoint is up, and this many of its failures were not logged.
    Suppressed(u64),
    /// The first document with points that Graphite cannot store or distinguish.
    Flawed(Flaw),
}

impl News {
    /// Logs the event.
    pub fn tell(&self, log: &Log, endpoint: &str) {
        let mut fields: Vec<(&str, &dyn Display)> = vec![("endpoint", &endpoint)];
        let (level, message, held) = match self {
            News::Up => (Level::Info, "good fetch", 0),
            News::Recovered { failures, suppressed } => {
                fields.push(("failures", failures));
                (Level::Info, "good fetch again", *suppressed)
            }
            News::Failed { error, suppressed } => {
                fields.push(("error", error));
                (Level::Warn, "fetch failed", *suppressed)
            }
            News::Suppressed(count) => (Level::Warn, "it is up; it failed more often", *count),
            News::Flawed(flaw) => {
                fields.push(("points", &flaw.count));
                fields.push(("first", &flaw.first));
                fields.push(("remedy", flaw.kind.remedy()));
                (Level::Warn, flaw.kind.problem(), 0)
            }
        };
        if held > 0 {
            fields.push(("suppressed", &held));
        }
        log.event(level, message, &fields);
    }
}
