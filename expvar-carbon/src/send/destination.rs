//! A destination: one queue for one server, or for the first of several that answers.

mod acknowledged;
mod carried;
mod closing;
mod health;
mod hung;
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
use hung::Hung;
use live::Live;
use session::Session;
use store::Store;

/// The longest pause between attempts once a deadline runs.
const HURRY: Duration = Duration::from_millis(250);

/// A destination's timeouts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    /// Timeout of each step of connecting, and of each write.
    pub(crate) timeout: Duration,
    /// How far back to resend after a lost connection; zero for none.
    pub(crate) window: Duration,
}

/// A queue shared by its producers and its one sending task.
pub(crate) struct Destination {
    /// Its index in the sender.
    pub(crate) index: usize,
    /// In order of preference.
    pub(crate) addresses: Vec<Address>,
    queue: Mutex<Queue>,
    /// Wakes the sending task.
    wake: Notify,
    /// Wakes tasks that wait for servers to close.
    asked: Notify,
    /// Points dropped because this queue was full.
    dropped: AtomicU64,
    /// The queue's copy on disk; `None` after [`take_spool`](Self::take_spool). Locked before the
    /// queue.
    store: Mutex<Option<Store>>,
    /// The directory of the spool, if there is one.
    pub(crate) spool_dir: Option<PathBuf>,
    spool_wake: Notify,
    hung: Hung,
    /// Connections from the predecessor until this is driven; for the successor afterwards.
    carried: Mutex<Carried>,
}

/// How a connection ended.
enum End {
    /// Closed by us, and waiting for the server to close; perhaps replaced by a better one.
    Closing(Closing, Option<Live>),
    /// Closed by the peer or by an error, with the number of acknowledged bytes if known.
    Lost(io::Error, Option<u64>),
    /// Handed over to another destination.
    Carried(Live),
}

/// The owner of a destination: gives commands and receives results.
pub(crate) trait Host: Sync {
    /// The current command for `destination`.
    fn command(&self, destination: &Destination) -> Command;
    /// Called when a server has read everything written to it.
    fn confirmed(&self);
}

/// A command to a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// Send what arrives.
    Serve,
    /// Send what is queued, and confirm that it was read.
    Flush,
    /// Flush, then end.
    Close,
    /// Close the connection and end, without emptying the queue: other destinations take it over.
    /// The connection counts as lost at this time at the latest.
    Leave(Instant),
    /// End without emptying the queue: another destination takes over queue and connections.
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
            hung: Hung::default(),
            carried: Mutex::default(),
        }
    }

    /// Calls `f` with the locked queue. `f` must not block.
    pub(crate) fn queue<R>(&self, f: impl FnOnce(&mut Queue) -> R) -> R {
        f(&mut self.queue.lock())
    }

    /// Appends a batch to the queue. With a spool, the batch is on disk when this returns, unless
    /// the disk fails.
    pub(crate) fn push(&self, batch: Batch, counts: &Counts) {
        let store = self.spool_dir.is_some().then(|| self.store.lock());
        // The sending task only idles while the queue is empty.
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

    /// Points dropped because this queue was full.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Adds another queue's dropped points.
    pub(crate) fn count_on(&self, dropped: u64) {
        self.dropped.fetch_add(dropped, Relaxed);
    }

    /// The addresses, for messages.
    pub(crate) fn label(&self) -> String {
        let addresses: Vec<_> = self.addresses.iter().map(Address::to_string).collect();
        addresses.join(", ")
    }

    /// Makes [`drive`](Self::drive) get the command again.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
        self.asked.notify_waiters();
    }

    /// Sends from the queue until the command is to close and the queue is empty, or to end.
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
        if let Some(live) = &live {
            health.continues(live);
        }
        let (live, closing) = tokio::join!(
            self.send(dial, policy, &mut health, host, settling, live),
            self.settle(policy, counts, host, &open, closing),
        );
        *self.carried.lock() = Carried { live, closing, away: health.into_away() };
    }

    /// Connects and sends, one connection after another. Connections closed by us go to `settling`.
    /// Returns the connection to hand over.
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
            let attempts = self.attempts();
            let live = match next.take() {
                Some(live) => live,
                None => tokio::select! {
                    connected = self.connect(dial, policy, &attempts, health.counts()) => match connected {
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
            health.served_by(&live);
            let (id, server, since) = (live.id, live.server.clone(), live.since);
            let end = Session { destination: self, policy, health, live }.run(dial, host).await;
            // A server that accepts and closes at once gets no more attempts than an unreachable
            // one.
            if since.elapsed() >= Backoff::FIRST {
                backoff.reset();
            }
            match end {
                End::Closing(connection, better) => {
                    next = better;
                    settling.add(connection);
                }
                End::Lost(error, acknowledged) => {
                    if error.kind() == io::ErrorKind::TimedOut {
                        self.hung.mark(&server, &error);
                    }
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

    /// Waits until the queue has something to send; false if there is nothing left to do.
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
            // A closing connection may still fail, and its points must then be resent.
            if host.command(self) == Command::Close && closing.load(Relaxed) == 0 {
                return false;
            }
            // Not at once: points of a closing connection are kept longer.
            let expiry = oldest.map(|at| (at + policy.window).max(Instant::now() + HURRY));
            tokio::select! {
                () = self.wake.notified() => {}
                () = sleep_until(expiry.unwrap_or_else(Instant::now)), if expiry.is_some() => {}
            }
        }
    }

    /// Connects to the first of these servers that answers.
    async fn connect(
        &self,
        dial: &impl Dial,
        policy: Policy,
        servers: &[&Address],
        counts: &Counts,
    ) -> io::Result<Live> {
        let (mut kind, mut errors) = (io::ErrorKind::Other, Vec::new());
        let generation = dial.generation();
        for &address in servers {
            match dial.dial(address, policy.timeout).await {
                Ok(connection) => {
                    counts.connects.add(1);
                    let id = NEXT_CONNECTION.fetch_add(1, Relaxed);
                    let live = Live::new(id, address.clone(), connection, generation);
                    let preferred = self.addresses.iter().take_while(|other| *other != address);
                    let hung =
                        preferred.filter_map(|a| Some(format!("{a}: {}", self.hung.reason(a)?)));
                    errors.extend(hung);
                    return Ok(Live { passed_over: errors.join("; "), ..live });
                }
                Err(error) => {
                    kind = error.kind();
                    errors.push(format!("{address}: {error}"));
                }
            }
        }
        Err(io::Error::new(kind, errors.join("; ")))
    }

    /// Tells the queue that a connection was lost, or that none can be made.
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

    /// Waits for the command to end.
    async fn until_left(&self, host: &impl Host) {
        while !host.command(self).is_to_end() {
            self.wake.notified().await;
        }
    }

    /// Pauses before the next attempt, briefly once a flush or close is waiting.
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

/// Ids are unique over all destinations, because queues are handed over.
static NEXT_CONNECTION: AtomicU64 = AtomicU64::new(1);

#[cfg(test)]
mod tests;
