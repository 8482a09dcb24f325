//! Events for operators: the beginning and end of a problem.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// A problem that an operator should know, reported once when it begins and once when it is over.
///
/// Displayed as one line for a log: what happened, where, and a remedy if there is one.
///
/// ```
/// use expvar_push::Event;
///
/// let event = Event::Away { destination: "tcp://h:1".into(), error: "refused".into() };
/// assert!(event.is_trouble());
/// assert_eq!(event.to_string(), "tcp://h:1 accepts no points, they are queued: refused");
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A destination is unreachable, hangs, or closes its connections again and again while they are
    /// in use. Points are queued.
    Away {
        /// The destination's addresses.
        destination: String,
        /// Why the last attempt failed.
        error: String,
    },
    /// A destination that was [away](Self::Away) accepts points again.
    Back {
        /// The destination's addresses.
        destination: String,
        /// How long it was away.
        after: Duration,
        /// Points dropped in that time because the queue was full.
        dropped: u64,
    },
    /// A preferred server is unreachable or hangs: another one of the destination gets the points.
    FailedOver {
        /// The server that gets them.
        server: String,
        /// Why the preferred ones do not.
        error: String,
    },
    /// The preferred server gets the points again.
    FailedBack {
        /// The server.
        server: String,
        /// How long another one got them.
        after: Duration,
    },
    /// A destination's queue is full: its oldest points are dropped.
    Dropping {
        /// The destination's addresses.
        destination: String,
    },
    /// A destination's queue is empty again.
    Dropped {
        /// The destination's addresses.
        destination: String,
        /// Points dropped since [`Dropping`](Self::Dropping).
        points: u64,
    },
    /// Invalid points, which no server would store, are rejected before sending.
    Refusing {
        /// The reason, in a word or two.
        reason: &'static str,
        /// The remedy.
        remedy: &'static str,
    },
    /// None were rejected for this reason for ten minutes.
    Refused {
        /// The reason.
        reason: &'static str,
        /// Points rejected since [`Refusing`](Self::Refusing).
        points: u64,
    },
    /// A destination rejects what it is sent, permanently: it is not resent.
    Rejecting {
        /// The destination's addresses.
        destination: String,
        /// The server's response.
        problem: String,
        /// The remedy.
        remedy: String,
    },
    /// The destination accepts everything again.
    Rejected {
        /// The destination's addresses.
        destination: String,
        /// Points that it rejected since [`Rejecting`](Self::Rejecting).
        points: u64,
    },
    /// A setting in the environment is invalid and was ignored.
    Ignored {
        /// The variable's name.
        setting: String,
        /// The problem.
        problem: String,
    },
    /// Writes to the spool fail: points are kept in memory only.
    SpoolFailed {
        /// The spool's directory.
        directory: String,
        /// The system's error.
        error: String,
    },
    /// The spool can be written again; it now has all points.
    SpoolRecovered {
        /// The spool's directory.
        directory: String,
    },
    /// A spool has points for a server that is no longer configured; nothing sends them.
    SpoolUnread {
        /// The spool's directory.
        directory: String,
        /// The points.
        points: u64,
    },
    /// A file in the spool's directory was not read, or only in part.
    SpoolDamaged {
        /// The file.
        file: String,
        /// The problem, and what happened to the file.
        problem: String,
    },
}

impl Event {
    /// Whether a problem begins; otherwise one is over.
    pub fn is_trouble(&self) -> bool {
        match self {
            Event::Away { .. }
            | Event::FailedOver { .. }
            | Event::Dropping { .. }
            | Event::Refusing { .. }
            | Event::Rejecting { .. }
            | Event::Ignored { .. }
            | Event::SpoolFailed { .. }
            | Event::SpoolUnread { .. }
            | Event::SpoolDamaged { .. } => true,
            Event::Back { .. }
            | Event::FailedBack { .. }
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
                write!(f, "{destination} accepts no points, they are queued: {error}")
            }
            Event::Back { destination, after, dropped } => {
                let seconds = after.as_secs();
                write!(f, "{destination} is back after {seconds} s, {dropped} points were dropped")
            }
            Event::FailedOver { server, error } => {
                write!(f, "points go to {server}, because a preferred server fails: {error}")
            }
            Event::FailedBack { server, after } => {
                write!(f, "points go to {server} again, after {} s", after.as_secs())
            }
            Event::Dropping { destination } => write!(
                f,
                "the queue for {destination} is full, its oldest points are dropped: \
                 raise queue_bytes, or find out why the server is slow or unreachable"
            ),
            Event::Dropped { destination, points } => {
                write!(
                    f,
                    "the queue for {destination} is empty again, {points} points were dropped"
                )
            }
            Event::Refusing { reason, remedy } => {
                write!(f, "points are rejected: {reason}: {remedy}")
            }
            Event::Refused { reason, points } => {
                write!(f, "no more points are rejected: {reason}, {points} were")
            }
            Event::Rejecting { destination, problem, remedy } => {
                write!(f, "{destination} rejects points: {problem}: {remedy}")
            }
            Event::Rejected { destination, points } => {
                write!(f, "{destination} accepts all points again, {points} were rejected")
            }
            Event::Ignored { setting, problem } => {
                write!(f, "{setting} is ignored: {problem}")
            }
            Event::SpoolFailed { directory, error } => write!(
                f,
                "the spool {directory} cannot be written, points are kept in memory: {error}"
            ),
            Event::SpoolRecovered { directory } => {
                write!(f, "the spool {directory} can be written again")
            }
            Event::SpoolUnread { directory, points } => write!(
                f,
                "the spool {directory} has {points} points for a server that is no longer \
                 configured: configure it again to send them, or remove the directory"
            ),
            Event::SpoolDamaged { file, problem } => write!(f, "the spool's {file}: {problem}"),
        }
    }
}

/// The observer of events; none by default.
///
/// ```
/// use expvar_push::{Event, Observer};
///
/// let observer = Observer::new(|event| eprintln!("{event}"));
/// observer.tell(&Event::Dropping { destination: "tcp://h:1".into() });
/// ```
#[derive(Clone, Default)]
pub struct Observer(Option<Arc<Tell>>);

type Tell = dyn Fn(&Event) + Send + Sync;

impl Observer {
    /// Creates an observer that calls a function with each event.
    pub fn new(observer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(observer)))
    }

    /// Calls the observer. Hold no lock: this is foreign code. If it panics, the sender continues.
    pub fn tell(&self, event: &Event) {
        if let Some(observer) = &self.0 {
            let _ = catch_unwind(AssertUnwindSafe(|| observer(event)));
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Observer" } else { "None" })
    }
}
