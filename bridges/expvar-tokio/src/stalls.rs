//! Detects workers that are stuck in one poll.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use expvar::{Info, Map, PublishError, Registry};
use tokio::runtime::RuntimeMetrics;

/// How long a worker may run without a new poll.
const STALLED: Duration = Duration::from_millis(100);
/// The interval of checks.
const EVERY: Duration = Duration::from_millis(20);

/// A thread that checks a runtime's workers until this is dropped.
pub(crate) struct Watch {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A worker's state at the last check.
#[derive(Clone, Copy)]
struct Worker {
    parks: u64,
    polls: u64,
    since: Instant,
    /// Whether this stall was already counted.
    counted: bool,
}

impl Worker {
    /// Updates the state; returns whether a stall has just begun.
    fn stalls(&mut self, parks: u64, polls: u64, now: Instant) -> bool {
        // Odd while it is parked.
        let asleep = parks % 2 == 1;
        if asleep || parks != self.parks || polls != self.polls {
            *self = Self { parks, polls, since: now, counted: false };
            return false;
        }
        let stalled = now.saturating_duration_since(self.since) > STALLED && !self.counted;
        self.counted |= stalled;
        stalled
    }
}

/// Publishes `name`, stalls by thread, and starts the thread.
pub(crate) fn watch(
    registry: &Registry,
    name: &str,
    metrics: RuntimeMetrics,
) -> Result<Watch, PublishError> {
    let help = "Times that a worker was awake for over 100 ms without a new poll.";
    let stalls =
        registry.publish_with(name, Map::new(), Info::with_help(help).label("thread").counter())?;
    let (stop, stopped) = mpsc::channel::<()>();
    let watch = move || {
        let look =
            |worker| (metrics.worker_park_unpark_count(worker), metrics.worker_poll_count(worker));
        let mut workers: Vec<Worker> = (0..metrics.num_workers())
            .map(|worker| {
                let (parks, polls) = look(worker);
                Worker { parks, polls, since: Instant::now(), counted: false }
            })
            .collect();
        while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
            for (at, worker) in workers.iter_mut().enumerate() {
                let (parks, polls) = look(at);
                if worker.stalls(parks, polls, Instant::now()) {
                    let thread = metrics.worker_thread_id(at);
                    let thread = thread.map_or_else(|| "?".to_owned(), |id| format!("{id:?}"));
                    stalls.inc(format!("{at} {thread}"));
                }
            }
        }
    };
    // Without a thread the map stays empty.
    let thread: io::Result<_> = thread::Builder::new().name("expvar-tokio".into()).spawn(watch);
    Ok(Watch { stop: Some(stop), thread: thread.ok() })
}

impl Watch {
    /// Keeps checking for the rest of the process.
    pub(crate) fn keep(mut self) {
        if let Some(stop) = self.stop.take() {
            std::mem::forget(stop);
        }
        self.thread = None;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_stalls_once_for_each_stay_in_one_poll() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut worker = Worker { parks: 0, polls: 5, since: start, counted: false };
        assert!(!worker.stalls(0, 5, at(90)));
        assert!(worker.stalls(0, 5, at(101)));
        assert!(!worker.stalls(0, 5, at(300)), "counted already");
        assert!(!worker.stalls(0, 6, at(310)), "the next poll");
        assert!(worker.stalls(0, 6, at(450)));
        assert!(!worker.stalls(1, 6, at(460)));
        assert!(!worker.stalls(1, 6, at(900)), "asleep");
        assert!(!worker.stalls(2, 6, at(910)), "awake again");
        assert!(worker.stalls(2, 6, at(1020)));
    }
}
