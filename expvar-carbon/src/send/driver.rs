//! The sender's task: drives the destinations, and answers waiting callers.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::send::destination::{Command, Destination, Host};
use crate::send::handover::Handover;
use crate::send::reporter::report;
use crate::send::sender::builder::SenderBuilder;
use crate::send::setup::Setup;
use crate::send::stats::{Counts, Stats};
use expvar_push::ConfigError;
use expvar_push::Queue;
use expvar_push::Unsent;

/// The task that sends. [`run`](Driver::run) it in a tokio runtime.
///
/// ```
/// # let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # tokio.block_on(async {
/// let (sender, driver) = expvar_carbon::Sender::builder().to("127.0.0.1:2003").build()?;
/// let driving = tokio::spawn(driver.run(std::future::pending()));
/// # driving.abort();
/// # drop(sender);
/// # Ok::<(), expvar_carbon::ConfigError>(())
/// # }).unwrap();
/// ```
#[must_use = "nothing is sent until it runs"]
pub struct Driver {
    shared: Arc<Shared>,
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

/// State shared by the handles and the driver.
pub(crate) struct Shared {
    /// Locked before the requests, which are locked before a destination's queue.
    setup: RwLock<Setup>,
    pub(crate) counts: Arc<Counts>,
    requests: Mutex<Requests>,
    changed: Notify,
    change_asked: Notify,
    /// The driver is finishing the spools: they can no longer be handed over.
    pub(crate) has_ended: Mutex<bool>,
    /// No more lines are accepted.
    closed: AtomicBool,
}

#[derive(Default)]
struct Requests {
    flushes: Vec<Flush>,
    /// The shutdown deadline.
    closing: Option<Instant>,
    changes: VecDeque<Change>,
    /// The destinations are ending, as others take over.
    leaving: Option<Leaving>,
    /// The driver has ended: nothing will be answered.
    ended: bool,
}

/// How destinations end when others take over.
pub(crate) struct Leaving {
    /// Connections that are not handed over then count as lost.
    pub(crate) latest: Instant,
    /// For each destination, whether its connections are handed over.
    pub(crate) hands_over: Vec<bool>,
}

struct Flush {
    /// For each destination, the number of the first batch after the request.
    before: Vec<u64>,
    deadline: Instant,
    /// A shutdown: answered when the sender has ended.
    closing: bool,
    reply: Box<dyn FnOnce(Unsent) + Send>,
}

/// New settings.
pub(crate) struct Change {
    pub(crate) settings: SenderBuilder,
    pub(crate) within: Duration,
    pub(crate) reply: oneshot::Sender<Result<(), ConfigError>>,
}

impl Shared {
    pub(crate) fn new(setup: Setup, counts: Counts) -> Self {
        Self {
            setup: RwLock::new(setup),
            counts: Arc::new(counts),
            requests: Mutex::default(),
            changed: Notify::new(),
            change_asked: Notify::new(),
            has_ended: Mutex::new(false),
            closed: AtomicBool::new(false),
        }
    }

    #[cfg(feature = "tls")]
    pub(crate) fn reload_tls(&self) -> Result<(), ConfigError> {
        let setup = self.setup();
        if let Some(tls) = &setup.network.tls {
            tls.reload()?;
            setup.destinations.iter().for_each(|destination| destination.wake());
        }
        Ok(())
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }

    /// The current setup, unchanged while the guard is held. Do not block meanwhile.
    pub(crate) fn setup(&self) -> RwLockReadGuard<'_, Setup> {
        self.setup.read()
    }

    /// Requests that everything sent so far is read within this time, and then the shutdown if
    /// `closing`. Calls `reply` with what is unsent.
    pub(crate) fn request(
        &self,
        within: Duration,
        closing: bool,
        reply: impl FnOnce(Unsent) + Send + 'static,
    ) {
        let now = Instant::now();
        let deadline = now.checked_add(within).unwrap_or(now + Duration::from_secs(1 << 30));
        let setup = self.setup();
        let before = setup
            .destinations
            .iter()
            .map(|destination| destination.queue(|q| q.next_seq()))
            .collect();
        let mut requests = self.requests.lock();
        if closing {
            self.closed.store(true, Relaxed);
            let earlier = requests.closing.map_or(deadline, |other| other.min(deadline));
            requests.closing = Some(earlier);
        }
        if requests.ended {
            // Dropping the reply tells the caller to look for itself.
            return;
        }
        requests.flushes.push(Flush { before, deadline, closing, reply: Box::new(reply) });
        drop(requests);
        self.changed.notify_one();
        setup.destinations.iter().for_each(|destination| destination.wake());
    }

    /// Requests new settings. The reply is dropped if the sender has ended.
    pub(crate) fn change(&self, change: Change) {
        let mut requests = self.requests.lock();
        if !requests.ended {
            requests.changes.push_back(change);
            drop(requests);
            self.change_asked.notify_one();
        }
    }

    /// Waits for the next request of new settings.
    pub(crate) async fn next_change(&self) -> Change {
        loop {
            let change = self.requests.lock().changes.pop_front();
            match change {
                Some(change) => return change,
                None => self.change_asked.notified().await,
            }
        }
    }

    /// Replaces the setup by `exchange` of it, while no sends are in progress.
    pub(crate) fn exchange(&self, exchange: impl FnOnce(&Setup) -> Setup) {
        let mut setup = self.setup.write();
        *setup = exchange(&setup);
        let mut requests = self.requests.lock();
        requests.leaving = None;
        for flush in &mut requests.flushes {
            // Batches may be renumbered: wait for all that was sent so far.
            flush.before = setup
                .destinations
                .iter()
                .map(|destination| destination.queue(|q| q.next_seq()))
                .collect();
        }
    }

    pub(crate) fn left(&self, before: Option<&[u64]>) -> Unsent {
        let mut left = Unsent::default();
        let setup = self.setup();
        for (at, destination) in setup.destinations.iter().enumerate() {
            let before = before.and_then(|before| before.get(at)).copied().unwrap_or(u64::MAX);
            let (points, bytes, unconfirmed) = destination.queue(|q| q.left(before));
            if setup.routing.splits() {
                left.points += points;
                left.bytes += bytes;
                left.unconfirmed += unconfirmed;
            } else {
                left.points = left.points.max(points);
                left.bytes = left.bytes.max(bytes);
                left.unconfirmed = left.unconfirmed.max(unconfirmed);
            }
        }
        left
    }

    /// Answers the requests that are done or expired, and returns the next deadline.
    fn settle(&self) -> Option<Instant> {
        let now = Instant::now();
        let flushes = std::mem::take(&mut self.requests.lock().flushes);
        let mut open = Vec::new();
        for flush in flushes {
            let left = self.left(Some(&flush.before));
            if !flush.closing && (left == Unsent::default() || now >= flush.deadline) {
                (flush.reply)(left);
            } else {
                open.push(flush);
            }
        }
        let mut requests = self.requests.lock();
        requests.flushes.append(&mut open);
        requests.flushes.iter().filter(|f| !f.closing).map(|f| f.deadline).min()
    }

    fn end(&self) {
        let flushes = {
            let mut requests = self.requests.lock();
            requests.ended = true;
            requests.changes.clear();
            std::mem::take(&mut requests.flushes)
        };
        // If the driver was dropped before its end, its spools are still open.
        self.setup().destinations.iter().for_each(|destination| drop(destination.take_spool()));
        for flush in flushes {
            (flush.reply)(self.left(Some(&flush.before)));
        }
    }

    /// The largest value of `of` over all queues.
    pub(crate) fn fullest(&self, of: fn(&Queue) -> u64) -> u64 {
        self.setup()
            .destinations
            .iter()
            .map(|destination| destination.queue(|q| of(q)))
            .max()
            .unwrap_or(0)
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
    fn command(&self, destination: &Destination) -> Command {
        let requests = self.requests.lock();
        let unread = |flush: &Flush| {
            let before = flush.before.get(destination.index).copied().unwrap_or(u64::MAX);
            destination.queue(|q| q.is_unflushed(before))
        };
        if let Some(Leaving { latest, hands_over }) = &requests.leaving {
            if hands_over.get(destination.index).is_some_and(|hands_over| *hands_over) {
                return Command::HandOver;
            }
            Command::Leave(requests.closing.map_or(*latest, |closing| closing.min(*latest)))
        } else if requests.closing.is_some() {
            Command::Close
        } else if requests.flushes.iter().any(unread) {
            Command::Flush
        } else {
            Command::Serve
        }
    }

    fn confirmed(&self) {
        self.changed.notify_one();
    }
}

impl Driver {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Sends until `shutdown` resolves, [`Sender::shutdown`](crate::Sender::shutdown) is called, or
    /// all handles are dropped; then sends what is queued within the deadline and returns what is
    /// unsent.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Unsent {
        let shared = &self.shared;
        let _ended = Ended(shared.clone());
        let deadline = async {
            tokio::pin!(shutdown);
            let mut asked = false;
            loop {
                let next = shared.settle();
                let closing = shared.requests.lock().closing;
                let until = next.into_iter().chain(closing).min();
                if closing.is_some_and(|at| Instant::now() >= at) {
                    return;
                }
                tokio::select! {
                    () = &mut shutdown, if !asked => {
                        asked = true;
                        let within = shared.setup().shutdown_timeout;
                        shared.request(within, true, drop);
                    }
                    () = shared.changed.notified() => {}
                    () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {}
                }
            }
        };
        let serve = async {
            while let Some(handover) = self.serve().await {
                handover.carry_out(shared).await;
            }
        };
        tokio::select! {
            () = serve => {}
            () = deadline => {}
            () = report(shared) => {}
        }
        let left = shared.left(None);
        let closed = shared.clone();
        let close = move || {
            *closed.has_ended.lock() = true;
            let destinations = closed.setup().destinations.clone();
            destinations.iter().for_each(|destination| destination.close_spool(&closed.counts));
        };
        let _ = tokio::task::spawn_blocking(close).await;
        shared.counts.deliver();
        left
    }

    /// Drives the current destinations to their end; returns their successors, if any.
    async fn serve(&self) -> Option<Handover> {
        let shared = &self.shared;
        let setup = shared.setup().clone();
        let Setup { destinations, network, policy, .. } = &setup;
        let next = Mutex::new(None);
        let driven =
            destinations.iter().map(|l| l.drive(network, *policy, &shared.counts, &**shared));
        let kept = destinations.iter().map(|l| l.clone().keep_spool(shared.counts.clone()));
        let changes = async {
            let (handover, leaving) = Handover::prepare(shared, &setup).await;
            *next.lock() = Some(handover);
            shared.requests.lock().leaving = Some(leaving);
            destinations.iter().for_each(|destination| destination.wake());
        };
        tokio::select! {
            _ = join_all(driven) => {}
            () = async {
                tokio::join!(join_all(kept), changes, std::future::pending::<()>());
            } => {}
        }
        next.into_inner()
    }
}

/// Marks the end, also on a panic, so that no caller waits forever.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.end();
    }
}
