//! Failures held back until it is known that this member is not partitioned.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::membership::Confidence;
use crate::config::Endpoint;

/// The most failures held back; beyond that the oldest are discarded.
const MAX_HELD: usize = 100_000;

/// Failure metrics of a cluster that are not sent yet.
///
/// A partitioned member sees all of its endpoints fail while another member polls them. So a
/// failure is sent once the lease was renewed after it. While the engine is unreachable, it is sent
/// an interval later if at least three quarters of the polls in between succeeded; otherwise it is
/// discarded. Successes are always sent at once.
#[derive(Debug, Default)]
pub(crate) struct Doubt {
    is_on: AtomicBool,
    good: AtomicU64,
    bad: AtomicU64,
    /// Discarded failures.
    withheld: AtomicU64,
    held: Mutex<VecDeque<Held>>,
}

/// A failure held back.
#[derive(Debug)]
pub(crate) struct Held {
    /// Its endpoint.
    pub(crate) endpoint: Arc<Endpoint>,
    /// Its slot in Unix time.
    pub(crate) secs: u64,
    began: Instant,
    ended: Instant,
    good: u64,
    bad: u64,
}

impl Doubt {
    /// Whether failures are held back.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on.load(Relaxed)
    }

    /// Sets whether failures are held back.
    pub(crate) fn switch(&self, on: bool) {
        self.is_on.store(on, Relaxed);
    }

    /// How many failures were discarded.
    pub(crate) fn withheld(&self) -> u64 {
        self.withheld.load(Relaxed)
    }

    /// Records a poll's result; a failure's metric is held back.
    pub(crate) fn polled(
        &self,
        endpoint: &Arc<Endpoint>,
        secs: u64,
        began: Instant,
        is_good: bool,
    ) {
        let count = if is_good { &self.good } else { &self.bad };
        count.fetch_add(1, Relaxed);
        if is_good || endpoint.failure_metric.is_none() {
            return;
        }
        let mut held = self.held.lock();
        if held.len() == MAX_HELD {
            held.pop_front();
            self.withheld.fetch_add(1, Relaxed);
        }
        let (good, bad) = (self.good.load(Relaxed), self.bad.load(Relaxed));
        let (endpoint, ended) = (endpoint.clone(), Instant::now());
        held.push_back(Held { endpoint, secs, began, ended, good, bad });
    }

    /// The failures to send now; discards those that can no longer be confirmed.
    pub(crate) fn released(&self, confidence: Confidence) -> Vec<Held> {
        let (good, bad) = (self.good.load(Relaxed), self.bad.load(Relaxed));
        let mut released = Vec::new();
        let mut kept = VecDeque::new();
        let mut held = self.held.lock();
        for failure in held.drain(..) {
            let judged = match confidence {
                // Another member may have owned the endpoint at that time.
                Confidence::Held { granted, .. } if failure.began < granted => Some(false),
                Confidence::Held { renewed, .. } => (failure.ended < renewed).then_some(true),
                Confidence::Gone => Some(false),
                Confidence::Unknown => {
                    let is_due = failure.ended.elapsed() >= failure.endpoint.polling.interval;
                    // Its own endpoint may have failed once more.
                    let bad = (bad - failure.bad).saturating_sub(1);
                    is_due.then_some(good - failure.good > 3 * bad)
                }
            };
            match judged {
                None => kept.push_back(failure),
                Some(true) => released.push(failure),
                Some(false) => drop(self.withheld.fetch_add(1, Relaxed)),
            }
        }
        *held = kept;
        released
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn endpoint() -> Arc<Endpoint> {
        let text =
            "CheckInterval = 10000\n[[endpoint]]\nURL = \"http://h/\"\nFailureMetric = \"f\"\n";
        Arc::new(crate::config::Config::parse(text).unwrap().0.endpoints.remove(0))
    }

    fn sent(doubt: &Doubt, confidence: Confidence) -> Vec<u64> {
        doubt.released(confidence).iter().map(|held| held.secs).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_sent_once_the_lease_was_renewed_after_it() {
        let (doubt, endpoint, granted) = (Doubt::default(), endpoint(), Instant::now());
        let pass = |ms| tokio::time::advance(Duration::from_millis(ms));
        pass(1000).await;
        let before = Instant::now();
        pass(1000).await;
        doubt.polled(&endpoint, 7, before, false);
        assert_eq!(sent(&doubt, Confidence::Held { granted, renewed: before }), [] as [u64; 0]);
        pass(1000).await;
        assert_eq!(sent(&doubt, Confidence::Held { granted, renewed: Instant::now() }), [7]);
        assert_eq!(
            sent(&doubt, Confidence::Held { granted, renewed: Instant::now() }),
            [] as [u64; 0]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_from_before_a_new_lease_is_never_sent() {
        let (doubt, endpoint, began) = (Doubt::default(), endpoint(), Instant::now());
        tokio::time::advance(Duration::from_secs(20)).await;
        // The poll was in progress while the member was stopped.
        let granted = Instant::now();
        tokio::time::advance(Duration::from_millis(10)).await;
        doubt.polled(&endpoint, 7, began, false);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(
            sent(&doubt, Confidence::Held { granted, renewed: Instant::now() }),
            [] as [u64; 0]
        );
        doubt.polled(&endpoint, 8, Instant::now(), false);
        assert_eq!(sent(&doubt, Confidence::Gone), [] as [u64; 0]);
        assert_eq!(doubt.withheld.load(Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn without_the_engine_a_failure_is_sent_where_other_endpoints_answer() {
        for (good, bad, expected) in [(0, 0, 0), (0, 9, 0), (3, 1, 1), (9, 3, 1), (9, 6, 0)] {
            let (doubt, endpoint) = (Doubt::default(), endpoint());
            doubt.polled(&endpoint, 7, Instant::now(), false);
            (0..good).for_each(|_| doubt.polled(&endpoint, 8, Instant::now(), true));
            let mut other = Endpoint::clone(&endpoint);
            other.failure_metric = None;
            let other = Arc::new(other);
            (0..bad).for_each(|_| doubt.polled(&other, 8, Instant::now(), false));
            assert_eq!(sent(&doubt, Confidence::Unknown).len(), 0, "{good} {bad}");
            tokio::time::advance(Duration::from_secs(10)).await;
            assert_eq!(sent(&doubt, Confidence::Unknown).len(), expected, "{good} {bad}");
        }
    }
}
