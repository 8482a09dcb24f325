//! What an operator wants to hear of: trouble when it begins, and its end.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// What an operator wants to hear of, once when it begins and once when it is over.
///
/// Its text is one line for a log: what happened, where, and what to do about it where something
/// can be done.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A destination cannot be reached, or does not keep its connections. Points wait.
    Away {
        /// The destination's addresses.
        destination: String,
        /// Why the last attempt failed.
        error: String,
    },
    /// A destination that was [away](Self::Away) takes points again.
    Back {
        /// The destination's addresses.
        destination: String,
        /// How long it was away.
        after: Duration,
        /// Points that were dropped meanwhile because the queue was full.
        dropped: u64,
    },
    /// A destination's queue is full: its oldest points are dropped for newer ones.
    Dropping {
        /// The destination's addresses.
        destination: String,
    },
    /// A destination's queue is empty again.
    Dropped {
        /// The destination's addresses.
        destination: String,
        /// Points that were dropped since [`Dropping`](Self::Dropping).
        points: u64,
    },
    /// Points are refused that no server would store.
    Refusing {
        /// Why, in a word or two.
        reason: &'static str,
        /// What to do about it.
        remedy: &'static str,
    },
    /// None were refused for this reason for ten minutes.
    Refused {
        /// Why they were refused.
        reason: &'static str,
        /// Points that were refused since [`Refusing`](Self::Refusing).
        points: u64,
    },
    /// A destination answers that it does not take what it is sent, and would not take it a second
    /// time.
    Rejecting {
        /// The destination's addresses.
        destination: String,
        /// What it says.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
    /// It takes everything again.
    Rejected {
        /// The destination's addresses.
        destination: String,
        /// Points that it did not take since [`Rejecting`](Self::Rejecting).
        points: u64,
    },
    /// A setting of the environment cannot be used, and counts as not set.
    Ignored {
        /// The variable's name.
        setting: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The spool takes no more points: they are kept in memory only.
    SpoolFailed {
        /// The spool's directory.
        directory: String,
        /// What the system says.
        error: String,
    },
    /// The spool takes points again, those included that it did not take before.
    SpoolRecovered {
        /// The spool's directory.
        directory: String,
    },
    /// Something in the spool's directory was not read, or read in part.
    SpoolDamaged {
        /// The file.
        file: String,
        /// What is wrong with it, and what became of it.
        problem: String,
    },
}

impl Event {
    /// Whether something is wrong now; otherwise something that was wrong is over.
    pub fn is_trouble(&self) -> bool {
        match self {
            Event::Away { .. }
            | Event::Dropping { .. }
            | Event::Refusing { .. }
            | Event::Rejecting { .. }
            | Event::Ignored { .. }
            | Event::SpoolFailed { .. }
            | Event::SpoolDamaged { .. } => true,
            Event::Back { .. }
            | Event::Dropped { .. }
            | Event::Refused { .. }
            | Event::Rejected { .. }
            | Event::SpoolRecovered { .. } => false,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Away { destination, error } => {
                write!(f, "{destination} is away, points wait: {error}")
            }
            Event::Back { destination, after, dropped } => {
                let seconds = after.as_secs();
                write!(f, "{destination} is back after {seconds} s, {dropped} points were dropped")
            }
            Event::Dropping { destination } => write!(
                f,
                "the queue for {destination} is full, its oldest points are dropped: \
                 raise queue_bytes, or see why the server is slow or away"
            ),
            Event::Dropped { destination, points } => {
                write!(
                    f,
                    "the queue for {destination} is empty again, {points} points were dropped"
                )
            }
            Event::Refusing { reason, remedy } => {
                write!(f, "points are refused: {reason}: {remedy}")
            }
            Event::Refused { reason, points } => {
                write!(f, "no more points are refused: {reason}, {points} were")
            }
            Event::Rejecting { destination, problem, remedy } => {
                write!(f, "{destination} does not take what it is sent: {problem}: {remedy}")
            }
            Event::Rejected { destination, points } => {
                write!(f, "{destination} takes everything again, {points} points were not taken")
            }
            Event::Ignored { setting, problem } => {
                write!(f, "{setting} is ignored: {problem}")
            }
            Event::SpoolFailed { directory, error } => write!(
                f,
                "the spool {directory} takes no more points, they are kept in memory: {error}"
            ),
            Event::SpoolRecovered { directory } => {
                write!(f, "the spool {directory} takes points again")
            }
            Event::SpoolDamaged { file, problem } => write!(f, "the spool's {file}: {problem}"),
        }
    }
}

/// Whom events are told; nobody by default.
#[derive(Clone, Default)]
pub struct Observer(Option<Arc<Tell>>);

type Tell = dyn Fn(&Event) + Send + Sync;

impl Observer {
    /// Calls `observer` with each event.
    pub fn new(observer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(observer)))
    }

    /// Tells the observer. Hold no lock: this is foreign code. If it panics, the sender goes on.
    pub fn tell(&self, event: &Event) {
        if let Some(observer) = &self.0 {
            let _ = catch_unwind(AssertUnwindSafe(|| observer(event)));
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Observer" } else { "Nobody" })
    }
}
