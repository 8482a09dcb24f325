//! What the sender counts about itself.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use expvar::{Counter, FloatGauge, Map, Text};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::render::lines::Lines;
use crate::render::refusal::{Refusal, Refused};
use expvar_push::Dropped;
use expvar_push::{Event, Observer};

/// A snapshot of what the sender counts about itself; everything since it was made.
///
/// ```
/// let sender = expvar_carbon::Sender::builder().to("127.0.0.1:2003").spawn()?;
/// let stats = sender.stats();
/// assert_eq!((stats.points_dropped, stats.refused.total()), (0, 0));
/// # Ok::<(), expvar_carbon::ConfigError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Points written for the first time, to all destinations together.
    pub points_sent: u64,
    /// Points written again after a lost connection.
    pub points_resent: u64,
    /// Points dropped, oldest first, because the queue was full.
    pub points_dropped: u64,
    /// Points that had to leave the window of what can be sent again, because the queue was full.
    pub points_unprotected: u64,
    /// Points refused, by reason.
    pub refused: Refused,
    /// Integers beyond ±2⁵³: sent exactly, rounded by Carbon.
    pub points_rounded: u64,
    /// Bytes kept, waiting and written ones; the fullest destination's.
    pub queue_bytes: u64,
    /// Points that wait; the fullest destination's.
    pub queue_points: u64,
    /// Connections made.
    pub connects: u64,
    /// Connections that could not be made, or were lost.
    pub failures: u64,
    /// The last failure, in words; empty when there was none.
    pub last_error: String,
    /// How long ago something was last written; none when never.
    pub last_success_age: Option<Duration>,
    /// Bytes kept on disk.
    pub spool_bytes: u64,
    /// Writes to the spool that failed.
    pub spool_failures: u64,
    /// Torn or damaged records that an earlier process left in the spool.
    pub spool_records_damaged: u64,
    /// Points that an earlier process left in the spool.
    pub points_recovered: u64,
}

/// Events that wait to be told; more are forgotten.
const PENDING_MAX: usize = 64;

/// The live counts. None of them is touched more than once a batch.
#[derive(Debug)]
pub(crate) struct Counts {
    pub(crate) points_sent: Arc<Counter>,
    pub(crate) points_resent: Arc<Counter>,
    pub(crate) points_dropped: Arc<Counter>,
    pub(crate) points_unprotected: Arc<Counter>,
    pub(crate) points_rounded: Arc<Counter>,
    pub(crate) points_recovered: Arc<Counter>,
    pub(crate) refused: [Arc<Counter>; Refusal::EVERY.len()],
    pub(crate) connects: Arc<Counter>,
    pub(crate) failures: Arc<Counter>,
    pub(crate) spool_failures: Arc<Counter>,
    pub(crate) spool_records_damaged: Arc<Counter>,
    pub(crate) spool_bytes: AtomicU64,
    pub(crate) last_push_seconds: Arc<FloatGauge>,
    pub(crate) observer: Observer,
    /// Events that the observer has not been told yet.
    pending: Mutex<Vec<Event>>,
    /// Points were dropped or refused, or events are pending.
    pub(crate) trouble: Notify,
    /// When the push began that is on its way.
    push_began: Mutex<Option<Instant>>,
    last_error: Arc<Text>,
    last_success: Mutex<Option<Instant>>,
}

impl Default for Counts {
    fn default() -> Self {
        let count = || Arc::new(Counter::new());
        Self {
            points_sent: count(),
            points_resent: count(),
            points_dropped: count(),
            points_unprotected: count(),
            points_rounded: count(),
            points_recovered: count(),
            refused: std::array::from_fn(|_| count()),
            connects: count(),
            failures: count(),
            spool_failures: count(),
            spool_records_damaged: count(),
            spool_bytes: AtomicU64::new(0),
            last_push_seconds: Arc::new(FloatGauge::new()),
            observer: Observer::default(),
            pending: Mutex::default(),
            trouble: Notify::new(),
            push_began: Mutex::new(None),
            last_error: Arc::new(Text::new()),
            last_success: Mutex::new(None),
        }
    }
}

impl Counts {
    /// Takes over what rendering refused.
    pub(crate) fn absorb(&self, lines: &Lines) {
        if lines.refused().total() > 0 {
            for (reason, count) in lines.refused().iter() {
                self.refused[reason as usize].add(count);
            }
            self.trouble.notify_one();
        }
        self.points_rounded.add(lines.rounded());
    }

    pub(crate) fn refuse(&self, reason: Refusal) {
        self.refused[reason as usize].inc();
        self.trouble.notify_one();
    }

    /// Points refused for this reason.
    pub(crate) fn refusals(&self, reason: Refusal) -> u64 {
        self.refused[reason as usize].get()
    }

    /// Tells the observer of these soon: whoever calls this may hold locks, or be in a hurry.
    pub(crate) fn tell(&self, events: Vec<Event>) {
        let mut pending = self.pending.lock();
        if !events.is_empty() && pending.len() < PENDING_MAX {
            pending.extend(events);
            self.trouble.notify_one();
        }
    }

    /// Tells the observer what it has not been told yet. No lock may be held.
    pub(crate) fn deliver(&self) {
        let pending = std::mem::take(&mut *self.pending.lock());
        pending.iter().for_each(|event| self.observer.tell(event));
    }

    /// Points had to go to make room.
    pub(crate) fn dropped(&self, dropped: Dropped) {
        if dropped != Dropped::default() {
            self.points_dropped.add(dropped.points);
            self.points_unprotected.add(dropped.unprotected);
            self.trouble.notify_one();
        }
    }

    pub(crate) fn failed(&self, what: String) {
        self.failures.inc();
        self.note(what);
    }

    /// Shows an error that is counted elsewhere.
    pub(crate) fn note(&self, what: String) {
        self.last_error.set(what);
    }

    pub(crate) fn succeeded(&self, at: Instant) {
        *self.last_success.lock() = Some(at);
    }

    /// A push is handed over that began then.
    pub(crate) fn push_began(&self, at: Instant) {
        *self.push_began.lock() = Some(at);
    }

    /// Everything that waited was written.
    pub(crate) fn push_ended(&self, at: Instant) {
        if let Some(began) = self.push_began.lock().take() {
            self.last_push_seconds.set(at.duration_since(began).as_secs_f64());
        }
    }

    /// A map that shows these counts, live.
    pub(crate) fn variables(&self) -> Map {
        let map = Map::new();
        for (key, count) in [
            ("points_sent", &self.points_sent),
            ("points_resent", &self.points_resent),
            ("points_dropped", &self.points_dropped),
            ("points_unprotected", &self.points_unprotected),
            ("points_rounded", &self.points_rounded),
            ("points_recovered", &self.points_recovered),
            ("connects", &self.connects),
            ("failures", &self.failures),
            ("spool_failures", &self.spool_failures),
            ("spool_records_damaged", &self.spool_records_damaged),
        ] {
            map.set(key, count.clone());
        }
        let refused = Map::new();
        for reason in Refusal::EVERY {
            refused.set(reason.name(), self.refused[reason as usize].clone());
        }
        map.set("points_refused", refused);
        map.set("last_push_seconds", self.last_push_seconds.clone());
        map.set("last_error", self.last_error.clone());
        map
    }

    pub(crate) fn last_error(&self) -> String {
        self.last_error.get()
    }

    pub(crate) fn last_success_age(&self) -> Option<Duration> {
        self.last_success.lock().map(|at| at.elapsed())
    }

    pub(crate) fn refused(&self) -> Refused {
        Refused::from_counts(|reason| self.refused[reason as usize].get())
    }
}
