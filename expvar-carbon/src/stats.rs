//! What the sender counts about itself.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use crate::lines::Lines;
use crate::refusal::{Refusal, Refused};

/// A snapshot of what the sender counts about itself; everything since it was made.
#[derive(Debug, Clone, Default, PartialEq)]
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
    /// Torn or damaged records of the spool, at which a segment was cut off.
    pub spool_records_damaged: u64,
    /// Points that an earlier process left in the spool.
    pub points_recovered: u64,
}

/// The live counts. None of them is touched more than once a batch.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) points_sent: AtomicU64,
    pub(crate) points_resent: AtomicU64,
    pub(crate) points_dropped: AtomicU64,
    pub(crate) points_unprotected: AtomicU64,
    pub(crate) points_rounded: AtomicU64,
    pub(crate) refused: [AtomicU64; Refusal::ALL.len()],
    pub(crate) connects: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) spool_failures: AtomicU64,
    pub(crate) spool_records_damaged: AtomicU64,
    pub(crate) spool_bytes: AtomicU64,
    pub(crate) points_recovered: AtomicU64,
    last_error: Mutex<String>,
    last_success: Mutex<Option<Instant>>,
}

pub(crate) fn add(count: &AtomicU64, n: u64) {
    count.fetch_add(n, Relaxed);
}

pub(crate) fn get(count: &AtomicU64) -> u64 {
    count.load(Relaxed)
}

impl Counts {
    /// Takes over what rendering refused.
    pub(crate) fn absorb(&self, lines: &Lines) {
        for (reason, count) in lines.refused().iter() {
            add(&self.refused[reason as usize], count);
        }
        add(&self.points_rounded, lines.rounded());
    }

    pub(crate) fn refuse(&self, reason: Refusal) {
        add(&self.refused[reason as usize], 1);
    }

    pub(crate) fn failed(&self, what: String) {
        add(&self.failures, 1);
        self.note(what);
    }

    /// Shows an error that is counted elsewhere.
    pub(crate) fn note(&self, what: String) {
        *lock(&self.last_error) = what;
    }

    pub(crate) fn succeeded(&self, at: Instant) {
        *lock(&self.last_success) = Some(at);
    }

    pub(crate) fn last_error(&self) -> String {
        lock(&self.last_error).clone()
    }

    pub(crate) fn last_success_age(&self) -> Option<Duration> {
        lock(&self.last_success).map(|at| at.elapsed())
    }

    pub(crate) fn refused(&self) -> Refused {
        Refused::from_counts(|reason| get(&self.refused[reason as usize]))
    }
}

/// Locks without regard to poison: every critical section here leaves its data whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
