//! The lossless sender's work: drives the lanes, and answers who waits for them.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::send::connection::Network;
use crate::send::lane::{Host, Lane, Policy, Wish};
use crate::send::left::Left;
use crate::send::queue::Queue;
use crate::send::stats::{Counts, Stats, lock};

/// The part that does the work: [`run`](Driver::run) it in a tokio runtime.
#[must_use = "nothing is sent until it runs"]
pub struct Driver {
    shared: Arc<Shared>,
    network: Network,
    policy: Policy,
}

/// What the handles and the driver share.
pub(crate) struct Shared {
    pub(crate) lanes: Vec<Arc<Lane>>,
    pub(crate) counts: Arc<Counts>,
    requests: Mutex<Requests>,
    changed: Notify,
    /// No more is taken in.
    closed: AtomicBool,
    pub(crate) shutdown_timeout: Duration,
}

#[derive(Default)]
struct Requests {
    flushes: Vec<Flush>,
    /// The deadline of the end.
    closing: Option<Instant>,
    /// The driver has ended: nobody answers any more.
    ended: bool,
}

struct Flush {
    /// For each lane, the number of the first batch that came later.
    before: Vec<u64>,
    deadline: Instant,
    reply: Box<dyn FnOnce(Left) + Send>,
}

impl Shared {
    pub(crate) fn new(lanes: Vec<Lane>, counts: Counts, shutdown_timeout: Duration) -> Self {
        Self {
            lanes: lanes.into_iter().map(Arc::new).collect(),
            counts: Arc::new(counts),
            requests: Mutex::default(),
            changed: Notify::new(),
            closed: AtomicBool::new(false),
            shutdown_timeout,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }

    /// Asks for all that was sent so far to be read within this time, and for the end then if
    /// `closing`; `reply` is called with what is left.
    pub(crate) fn request(
        &self,
        within: Duration,
        closing: bool,
        reply: impl FnOnce(Left) + Send + 'static,
    ) {
        let now = Instant::now();
        let deadline = now.checked_add(within).unwrap_or(now + Duration::from_secs(1 << 30));
        let before = self.lanes.iter().map(|lane| lane.queue(|q| q.next_seq())).collect();
        let mut requests = lock(&self.requests);
        if closing {
            self.closed.store(true, Relaxed);
            let earlier = requests.closing.map_or(deadline, |other| other.min(deadline));
            requests.closing = Some(earlier);
        }
        if requests.ended {
            // Dropping the reply tells the caller to look for itself.
            return;
        }
        requests.flushes.push(Flush { before, deadline, reply: Box::new(reply) });
        drop(requests);
        self.changed.notify_one();
        self.lanes.iter().for_each(|lane| lane.wake());
    }

    pub(crate) fn left(&self, before: Option<&[u64]>) -> Left {
        let mut left = Left::default();
        for (at, lane) in self.lanes.iter().enumerate() {
            let before = before.map_or(u64::MAX, |before| before[at]);
            let (points, bytes, unconfirmed) = lane.queue(|q| q.left(before));
            left.points = left.points.max(points);
            left.bytes = left.bytes.max(bytes);
            left.unconfirmed = left.unconfirmed.max(unconfirmed);
        }
        left
    }

    /// Answers the requests that are fulfilled or over, and returns the next deadline.
    fn settle(&self) -> Option<Instant> {
        let now = Instant::now();
        let flushes = std::mem::take(&mut lock(&self.requests).flushes);
        let mut open = Vec::new();
        for flush in flushes {
            let left = self.left(Some(&flush.before));
            if left == Left::default() || now >= flush.deadline {
                (flush.reply)(left);
            } else {
                open.push(flush);
            }
        }
        let mut requests = lock(&self.requests);
        requests.flushes.append(&mut open);
        requests.flushes.iter().map(|f| f.deadline).min()
    }

    fn end(&self) {
        let flushes = {
            let mut requests = lock(&self.requests);
            requests.ended = true;
            std::mem::take(&mut requests.flushes)
        };
        for flush in flushes {
            (flush.reply)(self.left(Some(&flush.before)));
        }
    }

    /// What `of` says of the queue of which it says most.
    pub(crate) fn fullest(&self, of: fn(&Queue) -> u64) -> u64 {
        self.lanes.iter().map(|lane| lane.queue(|q| of(q))).max().unwrap_or(0)
    }

    pub(crate) fn stats(&self) -> Stats {
        let counts = &self.counts;
        Stats {
            points_sent: counts.points_sent.get(),
            points_resent: counts.points_resent.get(),
            points_dropped: counts.points_dropped.get(),
            points_unprotected: counts.points_unprotected.get(),
            refused: counts.refused(),
            points_rounded: counts.points_rounded.get(),
            queue_bytes: self.fullest(|q| q.bytes() as u64),
            queue_points: self.fullest(|q| q.left(u64::MAX).0),
            connects: counts.connects.get(),
            failures: counts.failures.get(),
            last_error: counts.last_error(),
            last_success_age: counts.last_success_age(),
            spool_bytes: counts.spool_bytes.load(Relaxed),
            spool_failures: counts.spool_failures.get(),
            spool_records_damaged: counts.spool_records_damaged.get(),
            points_recovered: counts.points_recovered.get(),
        }
    }
}

impl Host for Shared {
    fn wish(&self, lane: &Lane) -> Wish {
        let requests = lock(&self.requests);
        let unread = |flush: &Flush| lane.queue(|q| q.left(flush.before[lane.index])) != (0, 0, 0);
        if requests.closing.is_some() {
            Wish::Close
        } else if requests.flushes.iter().any(unread) {
            Wish::Flush
        } else {
            Wish::Serve
        }
    }

    fn confirmed(&self) {
        self.changed.notify_one();
    }
}

impl Driver {
    pub(crate) fn new(shared: Arc<Shared>, network: Network, policy: Policy) -> Self {
        Self { shared, network, policy }
    }

    /// Sends until `shutdown` resolves, or [`Sender::shutdown`](crate::Sender::shutdown) is called, or all handles are
    /// gone; then sends what waits within the deadline and returns what is left.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Left {
        let shared = self.shared.clone();
        let _ended = Ended(shared.clone());
        let lanes = async {
            let (network, policy, counts) = (&self.network, self.policy, &shared.counts);
            let driven = shared.lanes.iter().map(|l| l.drive(network, policy, counts, &*shared));
            futures_util::future::join_all(driven).await;
        };
        let spools = async {
            let kept = shared.lanes.iter().map(|l| l.clone().keep_spool(shared.counts.clone()));
            futures_util::future::join_all(kept).await;
            std::future::pending::<()>().await;
        };
        let deadline = async {
            tokio::pin!(shutdown);
            let mut asked = false;
            loop {
                let next = shared.settle();
                let closing = lock(&shared.requests).closing;
                let until = next.into_iter().chain(closing).min();
                if closing.is_some_and(|at| Instant::now() >= at) {
                    return;
                }
                tokio::select! {
                    () = &mut shutdown, if !asked => {
                        asked = true;
                        shared.request(shared.shutdown_timeout, true, drop);
                    }
                    () = shared.changed.notified() => {}
                    () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {}
                }
            }
        };
        tokio::select! {
            () = lanes => {}
            () = deadline => {}
            () = spools => {}
        }
        let left = shared.left(None);
        let closed = shared.clone();
        let close = move || closed.lanes.iter().for_each(|lane| lane.close_spool(&closed.counts));
        let _ = tokio::task::spawn_blocking(close).await;
        left
    }
}

/// Marks the end however it comes, so that nobody waits for an answer.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.end();
    }
}
