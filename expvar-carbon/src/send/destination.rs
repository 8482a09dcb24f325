//! One queue on its way to one server, or to the first of several that answers.

mod acknowledged;
mod carried;
mod closing;
mod health;
mod live;
mod session;
mod store;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until};

use crate::send::address::Address;
use crate::send::network::Dial;
use crate::send::stats::Counts;
use expvar_push::Backoff;
use expvar_push::Spool;
use expvar_push::{Batch, Queue};

use carried::Carried;
use closing::{Closing, Settling};
use health::Health;
use live::Live;
use session::Session;
use store::Store;

/// The longest wait before the next attempt once a deadline runs.
const HURRY: Duration = Duration::from_millis(250);

/// How a destination behaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    /// For each step of connecting, and for each write.
    pub(crate) timeout: Duration,
    /// How far back to send again after a lost connection; nothing when zero.
    pub(crate) window: Duration,
}

/// One queue, shared by those who fill it and the one that empties it.
pub(crate) struct Destination {
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
    /// From the destination before, until it is driven; for the one after, from then on.
    carried: Mutex<Carried>,
}

/// How a connection ended.
enum End {
    /// By us, and the server has yet to close it; perhaps in favour of a better one.
    Closing(Closing, Option<Live>),
    /// By the peer or by an error; with how many bytes were acknowledged, where that is known.
    Lost(io::Error, Option<u64>),
    /// It goes on, in another destination.
    Carried(Live),
}

/// Who tells a destination what to do, and hears from it.
pub(crate) trait Host: Sync {
    /// What `destination` is to do now.
    fn command(&self, destination: &Destination) -> Command;
    /// A server has read everything that was written to it.
    fn confirmed(&self);
}

/// What is asked of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// Send what comes.
    Serve,
    /// Send what waits, and see to it that it was read.
    Flush,
    /// The same, then end.
    Close,
    /// End the connection, then end, whatever waits: other destinations take it over. At this moment at
    /// the latest the connection counts as lost.
    Leave(Instant),
    /// End, whatever waits: another destination takes it over, and the connections too.
    HandOver,
}

impl Command {
    fn is_to_end(self) -> bool {
        matches!(self, Command::Leave(_) | Command::HandOver)
    }
}

impl Destination {
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
            carried: Mutex::default(),
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
        // Whoever drives the destination does not rest while something waits, but for a moment.
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

    /// Counts on from another queue's dropped points.
    pub(crate) fn count_on(&self, dropped: u64) {
        self.dropped.fetch_add(dropped, Relaxed);
    }

    /// The addresses, for messages.
    pub(crate) fn label(&self) -> String {
        let addresses: Vec<_> = self.addresses.iter().map(Address::to_string).collect();
        addresses.join(", ")
    }

    /// Lets [`drive`](Self::drive) ask its host again.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
        self.asked.notify_waiters();
    }

    /// Sends what the queue gets until the host's command is to close and nothing waits, or to end.
    pub(crate) async fn drive<D: Dial>(
        &self,
        dial: &D,
        policy: Policy,
        counts: &Counts,
        host: &impl Host,
    ) {
        let Carried { live, closing: earlier, away } = std::mem::take(&mut *self.carried.lock());
        let open = AtomicUsize::new(0);
        let (connections, closing) = mpsc::unbounded_channel();
        let settling = Settling { connections, open: &open };
        earlier.into_iter().for_each(|connection| settling.add(connection));
        let mut health = Health::new(self, counts, policy.timeout, away);
        let (live, closing) = tokio::join!(
            self.send(dial, policy, &mut health, host, settling, live),
            self.settle(policy, counts, host, &open, closing),
        );
        *self.carried.lock() = Carried { live, closing, away: health.into_away() };
    }

    /// Connects and sends, one connection after another. Those that it has closed from our side go
    /// to `settling`. Returns the one that goes on in another destination.
    async fn send<D: Dial>(
        &self,
        dial: &D,
        policy: Policy,
        health: &mut Health<'_>,
        host: &impl Host,
        settling: Settling<'_>,
        mut next: Option<Live>,
    ) -> Option<Live> {
        let mut backoff = Backoff::new();
        while next.is_some() || self.wait_for_work(policy, host, settling.open).await {
            let live = match next.take() {
                Some(live) => live,
                None => tokio::select! {
                    connected = self.connect(dial, policy, self.addresses.len(), health.counts()) => match connected {
                        Ok(live) => live,
                        Err(error) => {
                            health.unreachable(&error);
                            self.lost(policy, None, None);
                            self.pause(backoff.next(fastrand::f64()), host).await;
                            continue;
                        }
                    },
                    () = self.until_left(host) => return None,
                },
            };
            let (id, server, since) = (live.id, live.server.clone(), live.since);
            let end = Session { destination: self, policy, health, live }.run(dial, host).await;
            // A server that accepts and hangs up at once gets no more attempts than a dead one.
            if since.elapsed() >= Backoff::FIRST {
                backoff.reset();
            }
            match end {
                End::Closing(connection, better) => {
                    next = better;
                    settling.add(connection);
                }
                End::Lost(error, acknowledged) => {
                    health.lost(&server, &error, since.elapsed());
                    self.queue(Queue::untake);
                    self.lost(policy, Some(id), acknowledged);
                    self.pause(backoff.next(fastrand::f64()), host).await;
                }
                End::Carried(live) => return Some(live),
            }
        }
        None
    }

    /// Waits until something waits to be sent; returns false when there is nothing left to do.
    async fn wait_for_work(&self, policy: Policy, host: &impl Host, closing: &AtomicUsize) -> bool {
        loop {
            if host.command(self).is_to_end() {
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
            if host.command(self) == Command::Close && closing.load(Relaxed) == 0 {
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
    async fn connect(
        &self,
        dial: &impl Dial,
        policy: Policy,
        count: usize,
        counts: &Counts,
    ) -> io::Result<Live> {
        let (mut kind, mut errors) = (io::ErrorKind::Other, Vec::new());
        let generation = dial.generation();
        for address in self.addresses.iter().take(count) {
            match dial.dial(address, policy.timeout).await {
                Ok(connection) => {
                    counts.connects.add(1);
                    let id = NEXT_CONNECTION.fetch_add(1, Relaxed);
                    return Ok(Live::new(id, address.clone(), connection, generation));
                }
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

    /// Waits until this destination's work goes to others.
    async fn until_left(&self, host: &impl Host) {
        while !host.command(self).is_to_end() {
            self.wake.notified().await;
        }
    }

    /// Waits before the next attempt, not for long once somebody waits for us.
    async fn pause(&self, wait: Duration, host: &impl Host) {
        let start = Instant::now();
        loop {
            let wait = match host.command(self) {
                Command::Serve => wait,
                Command::Flush | Command::Close => wait.min(HURRY),
                Command::Leave(_) | Command::HandOver => return,
            };
            tokio::select! {
                () = sleep_until(start + wait) => return,
                () = self.wake.notified() => {}
            }
        }
    }
}

/// Tells connections apart, those of other destinations included: queues are handed on.
static NEXT_CONNECTION: AtomicU64 = AtomicU64::new(1);

#[cfg(test)]
mod tests;
