//! One connection's run: writes what waits, watches the peer, and says how it ended.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::{End, HURRY, Host, Lane, Policy, Wish};
use crate::render::refusal::Refusal;
use crate::send::connection::{Connection, Dial};
use crate::send::pickle;
use crate::send::queue::Batch;
use crate::send::stats::Counts;
use crate::send::unacknowledged;

/// How much is written in one go.
const WRITE_BYTES: usize = 128 << 10;
/// A connection that wrote nothing for so long is renewed: go-carbon closes it after 120 s, and
/// what is written then is lost without an error.
const IDLE: Duration = Duration::from_secs(100);
/// How often a better server is tried while a worse one serves.
const FAILBACK: Duration = Duration::from_secs(60);
/// How long after a write what comes is gathered, to be written in one go: a write for each small
/// batch would cost more than making it.
const GATHER: Duration = Duration::from_millis(50);
/// How often the kernel is asked what the peer has acknowledged, while something is open and the
/// timeout is not too short for that.
const ASK: Duration = Duration::from_secs(1);

/// One connection's run.
pub(super) struct Flow<'a> {
    pub(super) lane: &'a Lane,
    pub(super) policy: Policy,
    pub(super) counts: &'a Counts,
    pub(super) pickle: bool,
    pub(super) written: u64,
    pub(super) last_write: Instant,
    /// Up to when what comes is gathered.
    pub(super) gather_until: Instant,
    pub(super) acknowledged: Acknowledged,
}

impl Flow<'_> {
    /// Sends what the lane's queue holds until the connection ends.
    pub(super) async fn run<D: Dial>(
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
            let wish = host.wish(self.lane);
            if let Wish::Leave(latest) = wish {
                return self.leave(connection, latest).await;
            }
            let serves = wish == Wish::Serve;
            let gathers = serves && now < self.gather_until;
            let (oldest, waits) = self.lane.queue(|q| {
                q.trim(now, self.policy.window, acknowledged);
                if !gathers {
                    q.take(WRITE_BYTES, &mut batches);
                }
                (q.oldest_written(), q.is_waiting())
            });
            if !batches.is_empty() {
                if let Err(error) = self.write(connection, &mut batches, &mut out).await {
                    return self.lost(error, connection);
                }
                continue;
            }
            if !serves || now - self.last_write >= IDLE {
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
            let mut next = if waits { self.gather_until } else { self.last_write + IDLE };
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
            self.gather_until = now + GATHER;
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

    /// Ends the connection as [`finish`](Self::finish) does, until `latest`.
    async fn leave(&mut self, connection: &mut Connection, latest: Instant) -> End {
        match timeout_at(latest, self.finish(connection)).await {
            Ok(end) => end,
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

/// What the peer's kernel has acknowledged of a connection's bytes.
pub(super) struct Acknowledged {
    /// None where nobody can tell.
    bytes: Option<u64>,
    /// Since when asking has shown no progress although something is open.
    stuck: Option<Instant>,
    /// Two answers without progress, far enough apart.
    silent: bool,
    ask_at: Instant,
}

impl Acknowledged {
    pub(super) fn new(connection: &Connection) -> Self {
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
            self.ask_at = self.ask_at.max(now + ASK);
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
        // The kernel walks all sockets to answer: spend 0.1 % of the time, and up to 1 % only to ask
        // twice within the timeout. Past it the kernel forgets the connection, and what was
        // acknowledged since the last answer would go again.
        let cost = asked.elapsed();
        let rest = ASK.max(cost * 1_000).min(timeout / 2).max(cost * 100);
        self.ask_at = now + rest;
    }
}
