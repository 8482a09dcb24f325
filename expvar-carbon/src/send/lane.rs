//! One queue on its way to one server, or to the first of several that answers.

mod acknowledged;
mod closing;
mod flow;
mod health;
mod store;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use crate::send::address::Address;
use crate::send::connection::Connection;
use crate::send::network::Dial;
use crate::send::stats::Counts;
use expvar_push::Backoff;
use expvar_push::Spool;
use expvar_push::{Batch, Queue};

use acknowledged::Acknowledged;
use closing::{Closed, Closing};
use flow::Flow;
use health::Health;
use store::Store;

/// The longest wait before the next attempt once a deadline runs.
const HURRY: Duration = Duration::from_millis(250);

/// How often the spool is told what is done with.
const SPOOL_TICK: Duration = Duration::from_millis(500);
/// How long a disk that took nothing is left alone.
const SPOOL_RETRY: Duration = Duration::from_secs(5);

/// How many connections at most wait for their server to close them, each with its part of the
/// queue; of more the oldest is given up.
const CLOSING_MAX: usize = 4;

/// How a lane behaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    /// For each step of connecting, and for each write.
    pub(crate) timeout: Duration,
    /// How far back to send again after a lost connection; nothing when zero.
    pub(crate) window: Duration,
}

/// One queue, shared by those who fill it and the one that empties it.
#[derive(Debug)]
pub(crate) struct Lane {
    /// Its place among the sender's.
    pub(crate) index: usize,
    /// In order of preference.
    pub(crate) addresses: Vec<Address>,
    queue: Mutex<Queue>,
    /// Wakes the part that sends.
    wake: Notify,
    /// Wakes those that wait for servers to close.
    asked: Notify,
    /// Points that this queue had no room for.
    dropped: AtomicU64,
    /// The queue's copy on disk; none after [`take_spool`](Self::take_spool). Locked before the
    /// queue.
    store: Mutex<Option<Store>>,
    /// Where the spool is, if there is one.
    pub(crate) spool_dir: Option<PathBuf>,
    spool_wake: Notify,
}

/// How a connection ended.
enum End {
    /// By us, and the server has yet to close it; perhaps in favour of a better one.
    Closing(Closing, Option<(usize, Connection)>),
    /// By the peer or by an error; with how many bytes were acknowledged, where that is known.
    Lost(io::Error, Option<u64>),
}

/// Who tells a lane what to do, and hears from it.
pub(crate) trait Host: Sync {
    /// What `lane` is to do now.
    fn wish(&self, lane: &Lane) -> Wish;
    /// A server has read everything that was written to it.
    fn confirmed(&self);
}

/// What is asked of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Send what comes.
    Serve,
    /// Send what waits, and see to it that it was read.
    Flush,
    /// The same, then end.
    Close,
    /// End the connection, then end, whatever waits: other lanes take it over. At this moment at
    /// the latest the connection counts as lost.
    Leave(Instant),
}

impl Lane {
    pub(crate) fn new(
        index: usize,
        addresses: Vec<Address>,
        queue: Queue,
        spool: Option<(Spool, u64)>,
    ) -> Self {
        let spool_dir = spool.as_ref().map(|(spool, _)| spool.dir().to_owned());
        Self {
            index,
            addresses,
            queue: Mutex::new(queue),
            wake: Notify::new(),
            asked: Notify::new(),
            dropped: AtomicU64::new(0),
            store: Mutex::new(spool.map(Store::new)),
            spool_dir,
            spool_wake: Notify::new(),
        }
    }

    /// Calls `f` with the queue. Nothing that waits happens under this lock.
    pub(crate) fn queue<R>(&self, f: impl FnOnce(&mut Queue) -> R) -> R {
        f(&mut self.queue.lock())
    }

    /// Takes a batch over. Where there is a spool the batch is in it when this returns, unless the
    /// disk fails.
    pub(crate) fn push(&self, batch: Batch, counts: &Counts) {
        let store = self.spool_dir.is_some().then(|| self.store.lock());
        // Whoever drives the lane does not rest while something waits, but for a moment.
        let (waited, seq, dropped) =
            self.queue(|q| (q.is_waiting(), q.next_seq(), q.push(batch.clone())));
        if !waited {
            self.wake.notify_one();
        }
        self.dropped.fetch_add(dropped.points, Relaxed);
        counts.dropped(dropped);
        if let Some(mut store) = store {
            self.spool_wake.notify_one();
            let events = store.as_mut().map(|s| s.append(seq, batch, |f| self.queue(f), counts));
            drop(store);
            counts.tell(events.unwrap_or_default());
        }
    }

    /// Points that this queue had no room for.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Its addresses, for people.
    pub(crate) fn destination(&self) -> String {
        let addresses: Vec<_> = self.addresses.iter().map(Address::to_string).collect();
        addresses.join(", ")
    }

    /// Lets [`drive`](Self::drive) ask its host again.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
        self.asked.notify_waiters();
    }

    /// Sends what the queue gets until the host's wish is to close and nothing waits.
    pub(crate) async fn drive<D: Dial>(
        &self,
        dial: &D,
        policy: Policy,
        counts: &Counts,
        host: &impl Host,
    ) {
        let (close, closing) = mpsc::unbounded_channel();
        let open = AtomicUsize::new(0);
        tokio::join!(
            self.send(dial, policy, counts, host, &open, close),
            self.settle(policy, counts, host, &open, closing),
        );
    }

    /// Connects and sends, one connection after another. Those that it has closed from our side go
    /// to `close`; `closing` counts them.
    async fn send<D: Dial>(
        &self,
        dial: &D,
        policy: Policy,
        counts: &Counts,
        host: &impl Host,
        closing: &AtomicUsize,
        close: mpsc::UnboundedSender<Closing>,
    ) {
        let mut backoff = Backoff::new();
        let mut health = Health::new(self, counts, policy.timeout);
        let mut better = None;
        while self.wait_for_work(policy, host, closing).await {
            let generation = dial.generation();
            let connected = match better.take() {
                Some(connected) => Ok(connected),
                None => tokio::select! {
                    connected = self.dial(dial, policy, self.addresses.len()) => connected,
                    () = self.until_left(host) => return,
                },
            };
            let (address, connection) = match connected {
                Ok(connected) => connected,
                Err(error) => {
                    health.unreachable(&error);
                    self.lost(policy, None, None);
                    self.pause(backoff.next(fastrand::f64()), host).await;
                    continue;
                }
            };
            counts.connects.add(1);
            let since = Instant::now();
            let id = NEXT_CONNECTION.fetch_add(1, Relaxed);
            let end = Flow {
                lane: self,
                policy,
                counts,
                health: &mut health,
                id,
                address,
                generation,
                written: 0,
                last_write: since,
                gather_until: since,
                acknowledged: Acknowledged::new(&connection),
                connection,
            }
            .run(dial, host)
            .await;
            // A server that accepts and hangs up at once gets no more attempts than a dead one.
            if since.elapsed() >= Backoff::FIRST {
                backoff.reset();
            }
            match end {
                End::Closing(connection, next) => {
                    better = next;
                    closing.fetch_add(1, Relaxed);
                    // The other half lives as long as this one.
                    let _ = close.send(connection);
                }
                End::Lost(error, acknowledged) => {
                    health.lost(address, &error, since.elapsed());
                    self.queue(Queue::untake);
                    self.lost(policy, Some(id), acknowledged);
                    self.pause(backoff.next(fastrand::f64()), host).await;
                }
            }
        }
    }

    /// Waits for the servers to close what we have closed, and tells the queue.
    async fn settle(
        &self,
        policy: Policy,
        counts: &Counts,
        host: &impl Host,
        open: &AtomicUsize,
        mut closing: mpsc::UnboundedReceiver<Closing>,
    ) {
        let mut waits = FuturesUnordered::new();
        let mut tickets = VecDeque::new();
        loop {
            let (id, address, closed) = tokio::select! {
                Some(connection) = closing.recv() => {
                    // One too many: its server is not waited for any longer.
                    while tickets.len() >= CLOSING_MAX {
                        drop(tickets.pop_front());
                    }
                    let (ticket, given_up) = oneshot::channel::<()>();
                    tickets.push_back(ticket);
                    waits.push(connection.wait(async {
                        tokio::select! {
                            _ = given_up => {}
                            () = self.until_late(host) => {}
                        }
                    }));
                    continue;
                }
                Some(settled) = waits.next() => settled,
                else => return,
            };
            tickets.retain(|ticket| !ticket.is_closed());
            match closed {
                Closed::Read => self.queue(|q| q.confirm(id)),
                Closed::Unconfirmed => self.queue(|q| q.unconfirm(id)),
                Closed::Lost(error, acknowledged) => {
                    counts.failed(format!("{}: {error}", self.addresses[address]));
                    self.lost(policy, Some(id), acknowledged);
                }
            }
            open.fetch_sub(1, Relaxed);
            self.wake.notify_one();
            host.confirmed();
        }
    }

    /// Copies the queue's changes to the spool, for ever; at once where there is none.
    pub(crate) async fn keep_spool(self: Arc<Self>, counts: Arc<Counts>) {
        while self.spool_dir.is_some() {
            let (lane, counted) = (self.clone(), counts.clone());
            let write = move || lane.write_spool(&counted);
            let written = tokio::task::spawn_blocking(write).await.unwrap_or(true);
            let wait = if written { SPOOL_TICK } else { SPOOL_RETRY };
            if written && self.queue(|q| q.bytes()) == 0 {
                self.spool_wake.notified().await;
            } else if written {
                let _ = timeout(wait, self.spool_wake.notified()).await;
            } else {
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// Copies the queue's changes to the spool; returns whether the disk took them.
    pub(crate) fn write_spool(&self, counts: &Counts) -> bool {
        let mut store = self.store.lock();
        let Some(written) = store.as_mut() else { return true };
        let events = written.write(|f| self.queue(f), counts);
        let is_written = !written.has_failed();
        drop(store);
        counts.tell(events);
        is_written
    }

    /// Settles the spool at the end: what the servers are known to have read is not kept. The
    /// directory is free when this returns.
    pub(crate) fn close_spool(&self, counts: &Counts) {
        self.queue(Queue::forget_confirmed);
        self.write_spool(counts);
        if let Some((spool, _)) = self.take_spool()
            && let Err(error) = spool.sync()
        {
            counts.note(format!("spool: {error}"));
        }
    }

    /// The spool, after the writes that are under way; the lane goes on without it.
    pub(crate) fn take_spool(&self) -> Option<(Spool, u64)> {
        self.store.lock().take().map(|store| (store.spool, store.next_seq))
    }

    /// Waits until something waits to be sent; returns false when there is nothing left to do.
    async fn wait_for_work(&self, policy: Policy, host: &impl Host, closing: &AtomicUsize) -> bool {
        loop {
            if matches!(host.wish(self), Wish::Leave(_)) {
                return false;
            }
            let (waiting, oldest) = self.queue(|q| {
                q.trim(Instant::now(), policy.window, None);
                (q.is_waiting(), q.oldest_written())
            });
            if waiting {
                return true;
            }
            // A connection that is closing may fail yet, and its points wait again.
            if host.wish(self) == Wish::Close && closing.load(Relaxed) == 0 {
                return false;
            }
            // Not before a moment: what is in a closing connection is kept for longer.
            let expiry = oldest.map(|at| (at + policy.window).max(Instant::now() + HURRY));
            tokio::select! {
                () = self.wake.notified() => {}
                () = sleep_until(expiry.unwrap_or_else(Instant::now)), if expiry.is_some() => {}
            }
        }
    }

    /// Connects to the first of the `count` most preferred servers that answers.
    async fn dial(
        &self,
        dial: &impl Dial,
        policy: Policy,
        count: usize,
    ) -> io::Result<(usize, Connection)> {
        let (mut kind, mut errors) = (io::ErrorKind::Other, Vec::new());
        for (index, address) in self.addresses.iter().enumerate().take(count) {
            match dial.dial(address, policy.timeout).await {
                Ok(connection) => return Ok((index, connection)),
                Err(error) => {
                    kind = error.kind();
                    errors.push(format!("{address}: {error}"));
                }
            }
        }
        Err(io::Error::new(kind, errors.join("; ")))
    }

    /// Tells the queue that a connection was lost, or that none can be had.
    fn lost(&self, policy: Policy, connection: Option<u64>, acknowledged: Option<u64>) {
        let since = match policy.window {
            Duration::ZERO => None,
            window => Instant::now().checked_sub(window),
        };
        // A clock younger than the window: everything is inside it.
        let everything = since.is_none() && policy.window > Duration::ZERO;
        let acknowledged = if everything { Some(0) } else { acknowledged };
        self.queue(|q| q.lost(connection, since, acknowledged));
    }

    /// Waits until others take over this lane's work whether or not its connections are closed.
    async fn until_late(&self, host: &impl Host) {
        loop {
            let asked = self.asked.notified();
            tokio::pin!(asked);
            asked.as_mut().enable();
            if let Wish::Leave(latest) = host.wish(self) {
                sleep_until(latest).await;
                return;
            }
            asked.await;
        }
    }

    /// Waits until this lane's work goes to others.
    async fn until_left(&self, host: &impl Host) {
        while !matches!(host.wish(self), Wish::Leave(_)) {
            self.wake.notified().await;
        }
    }

    /// Waits before the next attempt, not for long once somebody waits for us.
    async fn pause(&self, wait: Duration, host: &impl Host) {
        let start = Instant::now();
        loop {
            let wait = match host.wish(self) {
                Wish::Serve => wait,
                Wish::Flush | Wish::Close => wait.min(HURRY),
                Wish::Leave(_) => return,
            };
            tokio::select! {
                () = sleep_until(start + wait) => return,
                () = self.wake.notified() => {}
            }
        }
    }
}

/// Tells connections apart, those of other lanes included: queues are handed on.
static NEXT_CONNECTION: AtomicU64 = AtomicU64::new(1);

#[cfg(test)]
mod tests;
