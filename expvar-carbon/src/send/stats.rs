//! The sender's statistics.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use expvar::{Counter, FloatGauge, Info, Map, Text, Unit};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::render::lines::Lines;
use crate::render::refusal::{Refusal, Refused};
use expvar_push::Dropped;
use expvar_push::{Event, Observer};

/// A snapshot of the sender's statistics since it was built.
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
    /// Points resent after a lost connection.
    pub points_resent: u64,
    /// Points dropped, oldest first, because the queue was full.
    pub points_dropped: u64,
    /// Points that left the resend window early because the queue was full.
    pub points_unprotected: u64,
    /// Points rejected before sending, by reason.
    pub refused: Refused,
    /// Integers beyond ±2⁵³: sent exactly, rounded by Carbon.
    pub points_rounded: u64,
    /// Bytes kept, queued and written, of the fullest destination.
    pub queue_bytes: u64,
    /// Queued points of the fullest destination.
    pub queue_points: u64,
    /// Connections made.
    pub connects: u64,
    /// Connections that failed or were lost.
    pub failures: u64,
    /// The last error as text; empty without one.
    pub last_error: String,
    /// The time since the last write; `None` before the first.
    pub last_success_age: Option<Duration>,
    /// Bytes kept on disk.
    pub spool_bytes: u64,
    /// Failed writes to the spool.
    pub spool_failures: u64,
    /// Torn or damaged records found in the spool of an earlier process.
    pub spool_records_damaged: u64,
    /// Points found in the spool of an earlier process.
    pub points_recovered: u64,
}

const REASON: &[Cow<'static, str>] = &[Cow::Borrowed("reason")];

/// Metadata of the keys of `expvar.carbon`, those of the task included.
const MEMBERS: &[(&str, Info)] = &[
    ("points_sent", Info::with_help("Points written for the first time, to all destinations.")),
    ("points_resent", Info::with_help("Points written again after a lost connection.")),
    ("points_dropped", Info::with_help("Points dropped because the queue was full.")),
    ("points_unprotected", Info::with_help("Points that cannot be sent again any more.")),
    ("points_rounded", Info::with_help("Integers that Carbon rounds.")),
    ("points_recovered", Info::with_help("Points that an earlier process left in the spool.")),
    ("points_rejected", Info::with_help("Points that cannot be sent, by reason.").keyed(REASON)),
    ("connects", Info::with_help("Connections made.")),
    ("failures", Info::with_help("Connections that could not be made, or were lost.")),
    ("spool_failures", Info::with_help("Writes to the spool that failed.")),
    ("spool_records_damaged", Info::with_help("Damaged records found in the spool.")),
    ("queue_bytes", Info::with_help("Memory of the fullest queue.").unit(Unit::Bytes)),
    ("queue_points", Info::with_help("Points that wait in the fullest queue.")),
    ("spool_bytes", Info::with_help("Bytes kept on disk.").unit(Unit::Bytes)),
    (
        "last_success_age_seconds",
        Info::with_help("Time since something was last written.").unit(Unit::Seconds),
    ),
    (
        "last_push_seconds",
        Info::with_help("Time from the last collection until all of it was written.")
            .unit(Unit::Seconds),
    ),
    ("collections", Info::with_help("Collections of the registry.")),
    ("collections_late", Info::with_help("Collections that started late.")),
    (
        "collections_skipped",
        Info::with_help("Collections skipped because the previous one took too long."),
    ),
    ("late_seconds", Info::with_help("Delay of the last collection.").unit(Unit::Seconds)),
    (
        "last_collection_seconds",
        Info::with_help("Duration of the last collection.").unit(Unit::Seconds),
    ),
];

/// The most events waiting for the observer; more are discarded.
const PENDING_MAX: usize = 64;

/// The live counts. None changes more than once for each batch.
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
    /// Events not yet reported to the observer.
    pending: Mutex<Vec<Event>>,
    /// Points were dropped or rejected, or events are pending.
    pub(crate) trouble: Notify,
    /// When the current push began.
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
    /// Adds the rejected points of rendering.
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

    /// Points rejected for this reason.
    pub(crate) fn refusals(&self, reason: Refusal) -> u64 {
        self.refused[reason as usize].get()
    }

    /// Queues events for the observer: the caller may hold locks.
    pub(crate) fn tell(&self, events: Vec<Event>) {
        let mut pending = self.pending.lock();
        if !events.is_empty() && pending.len() < PENDING_MAX {
            pending.extend(events);
            self.trouble.notify_one();
        }
    }

    /// Reports queued events to the observer. Hold no lock.
    pub(crate) fn deliver(&self) {
        let pending = std::mem::take(&mut *self.pending.lock());
        pending.iter().for_each(|event| self.observer.tell(event));
    }

    /// Points were dropped to make room.
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

    /// Records an error that is counted elsewhere.
    pub(crate) fn note(&self, what: String) {
        self.last_error.set(what);
    }

    pub(crate) fn succeeded(&self, at: Instant) {
        *self.last_success.lock() = Some(at);
    }

    /// A push that began at this time is handed over.
    pub(crate) fn push_began(&self, at: Instant) {
        *self.push_began.lock() = Some(at);
    }

    /// Everything queued was written.
    pub(crate) fn push_ended(&self, at: Instant) {
        if let Some(began) = self.push_began.lock().take() {
            self.last_push_seconds.set(at.duration_since(began).as_secs_f64());
        }
    }

    /// A map that shows these counts live.
    pub(crate) fn variables(&self) -> Map {
        let map = Map::new().members(MEMBERS);
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
        let rejected = Map::new();
        for reason in Refusal::EVERY {
            rejected.set(reason.name(), self.refused[reason as usize].clone());
        }
        map.set("points_rejected", rejected);
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
