//! One queue on its way to one server, or to the first of several that answers.

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use crate::address::{Address, Scheme};
use crate::backoff::{self, Backoff};
use crate::connection::{Connection, Dial};
use crate::pickle;
use crate::queue::{Batch, Dropped, Queue};
use crate::refusal::Refusal;
use crate::spool::Spool;
use crate::stats::{Counts, lock};
use crate::unacknowledged;

/// How much is written in one go.
const WRITE_BYTES: usize = 128 << 10;
/// A connection that wrote nothing for so long is renewed: go-carbon closes it after 120 s, and
/// what is written then is lost without an error.
const IDLE: Duration = Duration::from_secs(100);
/// How often a better server is tried while a worse one serves.
const FAILBACK: Duration = Duration::from_secs(60);
/// How often the kernel is asked what the peer has acknowledged, while something is open.
const ASK: Duration = Duration::from_secs(1);
/// The longest wait before the next attempt once a deadline runs.
const HURRY: Duration = Duration::from_millis(250);

/// How often the spool is told what is done with.
const SPOOL_TICK: Duration = Duration::from_millis(500);
/// How long a disk that took nothing is left alone.
const SPOOL_RETRY: Duration = Duration::from_secs(5);

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
    wake: Notify,
    /// The queue's copy on disk, and the number after the last batch there.
    spool: Option<Mutex<(Spool, u64)>>,
    spool_wake: Notify,
}

/// How a connection ended.
enum End {
    /// By us, and the peer has read everything.
    Finished,
    /// By the peer or by an error; with how many bytes were acknowledged, where that is known.
    Lost(io::Error, Option<u64>),
    /// By us, in favour of a better one.
    Replaced(usize, Connection),
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
}

impl Lane {
    pub(crate) fn new(
        index: usize,
        addresses: Vec<Address>,
        queue: Queue,
        spool: Option<Spool>,
    ) -> Self {
        let spool = spool.map(|spool| Mutex::new((spool, queue.next_seq())));
        Self {
            index,
            addresses,
            queue: Mutex::new(queue),
            wake: Notify::new(),
            spool,
            spool_wake: Notify::new(),
        }
    }

    /// Calls `f` with the queue. Nothing that waits happens under this lock.
    pub(crate) fn queue<R>(&self, f: impl FnOnce(&mut Queue) -> R) -> R {
        f(&mut lock(&self.queue))
    }

    pub(crate) fn push(&self, batch: Batch) -> Dropped {
        let dropped = self.queue(|q| q.push(batch));
        self.wake.notify_one();
        self.spool_wake.notify_one();
        dropped
    }

    /// Lets [`drive`](Self::drive) ask its host again.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Sends what the queue gets until the host's wish is to close and nothing waits.
    pub(crate) async fn drive<D: Dial>(
        &self,
        dial: &D,
        policy: Policy,
        counts: &Counts,
        host: &impl Host,
    ) {
        let mut backoff = Backoff::new();
        let mut better = None;
        while self.wait_for_work(policy, host).await {
            let connected = match better.take() {
                Some(connected) => Ok(connected),
                None => self.dial(dial, policy, self.addresses.len()).await,
            };
            let (index, mut connection) = match connected {
                Ok(connected) => connected,
                Err(error) => {
                    counts.failed(error.to_string());
                    self.rewind(policy, None);
                    self.pause(backoff.next(fastrand::f64()), host).await;
                    continue;
                }
            };
            counts.connects.add(1);
            let since = Instant::now();
            let end = Flow {
                lane: self,
                policy,
                counts,
                pickle: self.addresses[index].scheme() == Scheme::Pickle,
                written: 0,
                last_write: since,
                acknowledged: Acknowledged::new(&connection),
            }
            .run(&mut connection, index, dial, host)
            .await;
            // A server that accepts and hangs up at once gets no more attempts than a dead one.
            if since.elapsed() >= backoff::FIRST {
                backoff.reset();
            }
            match end {
                End::Finished => {
                    self.queue(Queue::confirm);
                    host.confirmed();
                }
                End::Replaced(index, connection) => {
                    self.queue(Queue::confirm);
                    host.confirmed();
                    better = Some((index, connection));
                }
                End::Lost(error, acknowledged) => {
                    let address = &self.addresses[index];
                    counts.failed(format!("{address}: {error}"));
                    self.rewind(policy, acknowledged);
                    self.pause(backoff.next(fastrand::f64()), host).await;
                }
            }
        }
    }

    /// Copies the queue's changes to the spool, for ever; at once where there is none.
    pub(crate) async fn keep_spool(self: Arc<Self>, counts: Arc<Counts>) {
        while self.spool.is_some() {
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
        let Some(spool) = &self.spool else { return true };
        let (spool, next_seq) = &mut *lock(spool);
        let (new, end, first) = self.queue(|q| {
            let new: Vec<_> = q.since(*next_seq).map(|(n, b)| (n, b.clone())).collect();
            (new, q.next_seq(), q.first_seq())
        });
        // What is done with first, as it makes room.
        let written = spool.done_below(first).and_then(|()| spool.append(&new, next_seq));
        if written.is_ok() {
            *next_seq = end;
        }
        counts.spool_bytes.store(spool.bytes(), Relaxed);
        if let Err(error) = &written {
            counts.spool_failures.add(1);
            counts.note(format!("spool: {error}"));
        }
        written.is_ok()
    }

    /// Settles the spool at the end: what the servers are known to have read is not kept.
    pub(crate) fn close_spool(&self, counts: &Counts) {
        self.queue(Queue::forget_confirmed);
        self.write_spool(counts);
        let synced = self.spool.as_ref().map(|spool| lock(spool).0.sync());
        if let Some(Err(error)) = synced {
            counts.note(format!("spool: {error}"));
        }
    }

    /// Waits until something waits to be sent; returns false when there is nothing left to do.
    async fn wait_for_work(&self, policy: Policy, host: &impl Host) -> bool {
        loop {
            let (waiting, oldest) = self.queue(|q| {
                q.trim(Instant::now(), policy.window, None);
                (q.is_waiting(), q.oldest_written())
            });
            if waiting {
                return true;
            }
            if host.wish(self) == Wish::Close {
                return false;
            }
            let expiry = oldest.map(|at| at + policy.window);
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
        let mut last = io::Error::other("there is no address");
        for (index, address) in self.addresses.iter().enumerate().take(count) {
            match dial.dial(address, policy.timeout).await {
                Ok(connection) => return Ok((index, connection)),
                Err(error) => last = io::Error::new(error.kind(), format!("{address}: {error}")),
            }
        }
        Err(last)
    }

    fn rewind(&self, policy: Policy, acknowledged: Option<u64>) {
        let since = match policy.window {
            Duration::ZERO => None,
            window => Instant::now().checked_sub(window),
        };
        // A clock younger than the window: everything is inside it.
        let everything = since.is_none() && policy.window > Duration::ZERO;
        self.queue(|q| q.rewind(since, if everything { Some(0) } else { acknowledged }));
    }

    /// Waits before the next attempt, not for long once somebody waits for us.
    async fn pause(&self, wait: Duration, host: &impl Host) {
        let start = Instant::now();
        loop {
            let wait = if host.wish(self) == Wish::Serve { wait } else { wait.min(HURRY) };
            tokio::select! {
                () = sleep_until(start + wait) => return,
                () = self.wake.notified() => {}
            }
        }
    }
}

/// What the peer's kernel has acknowledged of a connection's bytes.
struct Acknowledged {
    /// None where nobody can tell.
    bytes: Option<u64>,
    /// Since when asking has shown no progress although something is open.
    stuck: Option<Instant>,
    /// Two answers without progress, far enough apart.
    silent: bool,
    ask_at: Instant,
}

impl Acknowledged {
    fn new(connection: &Connection) -> Self {
        let now = Instant::now();
        let known = connection.tcp().and_then(unacknowledged::bytes);
        Self { bytes: known.map(|_| 0), stuck: None, silent: false, ask_at: now }
    }

    /// Asks the kernel, if it is time to; finds it silent after `timeout` without progress.
    ///
    /// Only what two answers say counts: where asking is slow they are far apart, and no news
    /// between them is no sign of anything.
    fn ask(&mut self, connection: &Connection, written: u64, now: Instant, timeout: Duration) {
        let Some(before) = self.bytes else { return };
        if before >= written {
            self.stuck = None;
            self.ask_at = now + ASK;
            return;
        }
        if now < self.ask_at {
            return;
        }
        let asked = std::time::Instant::now();
        // A connection that the kernel no longer lists has failed; reading it will tell.
        if let Some(open) = connection.tcp().and_then(unacknowledged::bytes) {
            // TLS adds to the bytes that we count: then this errs on the side of sending again.
            let bytes = written.saturating_sub(open).max(before);
            if bytes > before {
                self.stuck = None;
            } else {
                let since = *self.stuck.get_or_insert(now);
                self.silent = now - since > timeout;
            }
            self.bytes = Some(bytes);
        }
        // On a machine with very many sockets asking is slow: spend 0.5 % of the time at most.
        self.ask_at = now + ASK.max(asked.elapsed() * 200);
    }
}

/// One connection's run.
struct Flow<'a> {
    lane: &'a Lane,
    policy: Policy,
    counts: &'a Counts,
    pickle: bool,
    written: u64,
    last_write: Instant,
    acknowledged: Acknowledged,
}

impl Flow<'_> {
    async fn run<D: Dial>(
        mut self,
        connection: &mut Connection,
        index: usize,
        dial: &D,
        host: &impl Host,
    ) -> End {
        let mut batches = Vec::new();
        let mut out = Vec::new();
        let mut failback = Instant::now() + FAILBACK;
        loop {
            if let Some(error) = connection.is_closed() {
                return self.lost(error, connection);
            }
            let now = Instant::now();
            self.acknowledged.ask(connection, self.written, now, self.policy.timeout);
            let acknowledged = self.acknowledged.bytes;
            if self.acknowledged.silent {
                let silent = "the server acknowledges nothing any more";
                return self.lost(io::Error::new(io::ErrorKind::TimedOut, silent), connection);
            }
            let oldest = self.lane.queue(|q| {
                q.trim(now, self.policy.window, acknowledged);
                q.take(WRITE_BYTES, &mut batches);
                q.oldest_written()
            });
            if !batches.is_empty() {
                if let Err(error) = self.write(connection, &mut batches, &mut out).await {
                    return self.lost(error, connection);
                }
                continue;
            }
            if host.wish(self.lane) != Wish::Serve || now - self.last_write >= IDLE {
                return self.finish(connection).await;
            }
            if index > 0 && now >= failback {
                failback = now + FAILBACK;
                if let Ok((index, better)) = self.lane.dial(dial, self.policy, index).await {
                    return match self.finish(connection).await {
                        End::Finished => End::Replaced(index, better),
                        other => other,
                    };
                }
            }
            let mut next = self.last_write + IDLE;
            if let Some(oldest) = oldest {
                next = next.min((oldest + self.policy.window).max(now + HURRY));
            }
            if acknowledged.is_some_and(|a| a < self.written) {
                next = next.min(self.acknowledged.ask_at);
            }
            if index > 0 {
                next = next.min(failback);
            }
            tokio::select! {
                biased;
                error = connection.until_closed() => return self.lost(error, connection),
                () = self.lane.wake.notified() => {}
                () = sleep_until(next) => {}
            }
        }
    }

    /// Writes the batches and tells the queue.
    async fn write(
        &mut self,
        connection: &mut Connection,
        batches: &mut Vec<Batch>,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        out.clear();
        let mut ends = Vec::with_capacity(batches.len());
        for batch in batches.drain(..) {
            if self.pickle {
                pickle::encode(&batch.bytes, pickle::FRAME_MAX_BYTES, out);
            } else {
                out.extend_from_slice(&batch.bytes);
            }
            ends.push(self.written + out.len() as u64);
        }
        let (mut rest, mut refused) = (out.as_slice(), 0);
        while !rest.is_empty() {
            match timeout(self.policy.timeout, connection.write(rest)).await? {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => rest = &rest[n..],
                Err(e) if e.kind() == io::ErrorKind::InvalidInput => {
                    let line =
                        rest.iter().position(|&b| b == b'\n').map_or(rest.len(), |at| at + 1);
                    rest = &rest[line..];
                    self.counts.refuse(Refusal::LongDatagram);
                    refused += 1;
                }
                Err(e) => return Err(e),
            }
        }
        timeout(self.policy.timeout, connection.flush()).await??;
        let now = Instant::now();
        self.written += out.len() as u64;
        self.last_write = now;
        let ((first, again), more) =
            self.lane.queue(|q| (q.wrote(now, ends.into_iter()), q.is_waiting()));
        if !more {
            self.counts.push_ended(now);
        }
        self.counts.points_sent.add(first.saturating_sub(refused));
        self.counts.points_resent.add(again);
        self.counts.succeeded(now);
        Ok(())
    }

    async fn finish(&mut self, connection: &mut Connection) -> End {
        match timeout(self.policy.timeout, connection.finish()).await {
            Ok(Ok(())) => End::Finished,
            Ok(Err(error)) => self.lost(error, connection),
            Err(late) => self.lost(late.into(), connection),
        }
    }

    /// Asks a last time what was acknowledged: where the peer has closed, the kernel still knows.
    fn lost(&mut self, error: io::Error, connection: &Connection) -> End {
        let now = Instant::now();
        self.acknowledged.ask_at = now;
        self.acknowledged.ask(connection, self.written, now, self.policy.timeout);
        End::Lost(error, self.acknowledged.bytes)
    }
}

#[cfg(test)]
mod tests;
