//! The statistics of a push.

use std::borrow::Cow;
use std::sync::Arc;

use expvar::{Counter, FloatGauge, Gauge, Info, Map, Text, Unit};

use crate::encode::refusal::Refused;

/// The statistics of a push: [`PushHandle::stats`](crate::PushHandle::stats).
///
/// ```no_run
/// # fn main() -> Result<(), expvar_otlp::ConfigError> {
/// let otlp = expvar_otlp::Otlp::new("http://collector:4318").spawn()?;
/// let stats = otlp.stats();
/// println!("{} accepted, {} rejected, {} dropped", stats.accepted, stats.rejected, stats.dropped);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests answered, with any status.
    pub requests: u64,
    /// Repeated attempts.
    pub retries: u64,
    /// Bytes of the requests that got a response.
    pub bytes: u64,
    /// Points accepted by the server.
    pub accepted: u64,
    /// Points rejected by the server, which are not resent.
    pub rejected: u64,
    /// Points that were dropped because the queue was full.
    pub dropped: u64,
    /// Deltas that were written completely but not answered, and are not resent. See
    /// [`Otlp`](crate::Otlp#deltas).
    pub unanswered: u64,
    /// Points rejected before they were sent.
    pub refused: Refused,
}

const REASON: &[Cow<'static, str>] = &[Cow::Borrowed("reason")];

/// Metadata of the keys of `expvar.otlp`, those of the task included.
pub(crate) const MEMBERS: &[(&str, Info)] = &[
    ("requests", Info::with_help("Requests that got a response, with any status.")),
    ("requests_retried", Info::with_help("Requests that were sent again.")),
    ("sent_bytes", Info::with_help("Bytes of the requests that got a response.").unit(Unit::Bytes)),
    ("points_accepted", Info::with_help("Points accepted by the server.")),
    (
        "points_rejected",
        Info::with_help("Points rejected, before sending or by the server, by reason.")
            .keyed(REASON),
    ),
    ("points_dropped", Info::with_help("Points dropped because the queue was full.")),
    ("points_unanswered", Info::with_help("Deltas sent in full without a response.")),
    ("queue_points", Info::with_help("Points that wait.")),
    ("queue_bytes", Info::with_help("Memory of the queue.").unit(Unit::Bytes)),
    (
        "last_success_seconds",
        Info::with_help("Unix time of the last successful request.").unit(Unit::Seconds),
    ),
    ("collections", Info::with_help("Collections of the registry.")),
    ("collections_late", Info::with_help("Collections that started late.")),
    (
        "collections_skipped",
        Info::with_help("Collections skipped because a previous one took too long."),
    ),
    ("late_seconds", Info::with_help("Delay of the last collection.").unit(Unit::Seconds)),
    (
        "last_collection_seconds",
        Info::with_help("Duration of the last collection.").unit(Unit::Seconds),
    ),
];

/// The live counts.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) requests: Arc<Counter>,
    pub(crate) retries: Arc<Counter>,
    pub(crate) bytes: Arc<Counter>,
    pub(crate) accepted: Arc<Counter>,
    pub(crate) rejected: Arc<Counter>,
    pub(crate) dropped: Arc<Counter>,
    pub(crate) unanswered: Arc<Counter>,
    pub(crate) conflict: Arc<Counter>,
    pub(crate) long_name: Arc<Counter>,
    pub(crate) bad_counter: Arc<Counter>,
    pub(crate) queue_points: Arc<Gauge>,
    pub(crate) queue_bytes: Arc<Gauge>,
    pub(crate) last_success_seconds: Arc<FloatGauge>,
    pub(crate) last_error: Arc<Text>,
}

impl Counts {
    pub(crate) fn stats(&self) -> Stats {
        Stats {
            requests: self.requests.get(),
            retries: self.retries.get(),
            bytes: self.bytes.get(),
            accepted: self.accepted.get(),
            rejected: self.rejected.get(),
            dropped: self.dropped.get(),
            unanswered: self.unanswered.get(),
            refused: Refused {
                conflict: self.conflict.get(),
                long_name: self.long_name.get(),
                bad_counter: self.bad_counter.get(),
            },
        }
    }

    /// Counts the points that a collection rejected.
    pub(crate) fn refuse(&self, refused: Refused) {
        self.conflict.add(refused.conflict);
        self.long_name.add(refused.long_name);
        self.bad_counter.add(refused.bad_counter);
    }

    /// Adds the statistics to `map`.
    pub(crate) fn show(&self, map: &Map) {
        for (name, counter) in [
            ("requests", &self.requests),
            ("requests_retried", &self.retries),
            ("sent_bytes", &self.bytes),
            ("points_accepted", &self.accepted),
            ("points_dropped", &self.dropped),
            ("points_unanswered", &self.unanswered),
        ] {
            map.set(name, counter.clone());
        }
        let rejected = Map::new();
        for (reason, counter) in [
            ("bad_counter", &self.bad_counter),
            ("conflict", &self.conflict),
            ("long_name", &self.long_name),
            ("server", &self.rejected),
        ] {
            rejected.set(reason, counter.clone());
        }
        map.set("points_rejected", rejected);
        map.set("queue_points", self.queue_points.clone());
        map.set("queue_bytes", self.queue_bytes.clone());
        map.set("last_success_seconds", self.last_success_seconds.clone());
        map.set("last_error", self.last_error.clone());
    }
}
