//! One connection's run: writes what waits, watches the peer, and says how it ended.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::acknowledged::Acknowledged;
use super::closing::Closing;
use super::health::Health;
use super::{End, HURRY, Host, Lane, Policy, Wish};
use crate::render::refusal::Refusal;
use crate::send::address::Scheme;
use crate::send::connection::Connection;
use crate::send::network::Dial;
use crate::send::pickle;
use crate::send::stats::Counts;
use expvar_push::Batch;

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
/// How often the host of a `udp://` address is resolved again: nothing else tells that it moved.
const RESOLVE: Duration = Duration::from_secs(30);

/// One connection's run.
pub(super) struct Flow<'f, 'h> {
    pub(super) lane: &'f Lane,
    pub(super) policy: Policy,
    pub(super) counts: &'f Counts,
    pub(super) health: &'f mut Health<'h>,
    pub(super) connection: Connection,
    pub(super) id: u64,
    /// Where its server is among the lane's addresses.
    pub(super) address: usize,
    pub(super) generation: u64,
    pub(super) written: u64,
    pub(super) last_write: Instant,
    /// Up to when what comes is gathered.
    pub(super) gather_until: Instant,
    pub(super) acknowledged: Acknowledged,
}

impl Flow<'_, '_> {
    /// Sends what the lane's queue holds until the connection ends.
    pub(super) async fn run<D: Dial>(mut self, dial: &D, host: &impl Host) -> End {
        let mut batches = Vec::new();
        let mut out = Vec::new();
        let since = Instant::now();
        let mut failback = since + FAILBACK;
        let is_udp = self.scheme() == Scheme::Udp;
        let mut resolve = since + RESOLVE;
        loop {
            if let Some(error) = self.connection.is_closed() {
                return self.lost(error);
            }
            let now = Instant::now();
            self.acknowledged.ask(&self.connection, self.written, now, self.policy.timeout);
            let acknowledged = self.acknowledged.bytes;
            if self.acknowledged.is_silent {
                let error = io::Error::new(io::ErrorKind::TimedOut, Acknowledged::SILENT);
                return self.lost(error);
            }
            self.health.lives(now - since);
            if is_udp && now >= resolve {
                let address = &self.lane.addresses[self.address];
                match dial.dial(address, self.policy.timeout).await {
                    Ok(connection) => self.connection = connection,
                    Err(error) => self.counts.failed(format!("{address}: {error}")),
                }
                resolve = Instant::now() + RESOLVE;
            }
            if self.generation != dial.generation() {
                return self.close(None).await;
            }
            let wish = host.wish(self.lane);
            if matches!(wish, Wish::Leave(_)) {
                return self.close(None).await;
            }
            let serves = wish == Wish::Serve;
            let gathers = serves && now < self.gather_until;
            let (oldest, waits) = self.lane.queue(|q| {
                q.trim(now, self.policy.window, acknowledged.map(|bytes| (self.id, bytes)));
                if !gathers {
                    q.take(WRITE_BYTES, &mut batches);
                }
                (q.oldest_written(), q.is_waiting())
            });
            if !batches.is_empty() {
                if let Err(error) = self.write(&mut batches, &mut out).await {
                    return self.lost(error);
                }
                continue;
            }
            if !serves || now - self.last_write >= IDLE {
                return self.close(None).await;
            }
            if self.address > 0 && now >= failback {
                failback = now + FAILBACK;
                if let Ok(better) = self.lane.dial(dial, self.policy, self.address).await {
                    return self.close(Some(better)).await;
                }
            }
            let mut next = if waits { self.gather_until } else { self.last_write + IDLE };
            if let Some(oldest) = oldest {
                next = next.min((oldest + self.policy.window).max(now + HURRY));
            }
            if acknowledged.is_some_and(|a| a < self.written) {
                next = next.min(self.acknowledged.ask_at);
            }
            if self.address > 0 {
                next = next.min(failback);
            }
            if is_udp {
                next = next.min(resolve);
            }
            if let Some(proof) = self.health.proof() {
                next = next.min(since + proof);
            }
            tokio::select! {
                biased;
                error = self.connection.until_closed() => return self.lost(error),
                () = self.lane.wake.notified() => {}
                () = sleep_until(next) => {}
            }
        }
    }

    fn scheme(&self) -> Scheme {
        self.lane.addresses[self.address].scheme()
    }

    /// Writes the batches and tells the queue.
    async fn write(&mut self, batches: &mut Vec<Batch>, out: &mut Vec<u8>) -> io::Result<()> {
        out.clear();
        let mut ends = Vec::with_capacity(batches.len());
        let is_pickle = self.scheme() == Scheme::Pickle;
        for batch in batches.drain(..) {
            if is_pickle {
                pickle::encode(&batch.bytes, pickle::FRAME_MAX_BYTES, out);
            } else {
                out.extend_from_slice(&batch.bytes);
            }
            ends.push(self.written + out.len() as u64);
        }
        let (mut rest, mut refused) = (out.as_slice(), 0);
        while !rest.is_empty() {
            match timeout(self.policy.timeout, self.connection.write(rest)).await? {
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
        timeout(self.policy.timeout, self.connection.flush()).await??;
        let now = Instant::now();
        self.written += out.len() as u64;
        self.last_write = now;
        let ((first, again), more) =
            self.lane.queue(|q| (q.wrote(now, self.id, ends.into_iter()), q.is_waiting()));
        if !more {
            self.gather_until = now + GATHER;
            self.counts.push_ended(now);
        }
        self.counts.points_sent.add(first.saturating_sub(refused));
        self.counts.points_resent.add(again);
        self.counts.succeeded(now);
        Ok(())
    }

    /// Closes our side, which asks the server to close its own when it has read everything.
    async fn close(mut self, better: Option<(usize, Connection)>) -> End {
        match timeout(self.policy.timeout, self.connection.shutdown()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return self.lost(error),
            Err(late) => return self.lost(late.into()),
        }
        self.lane.queue(|q| q.closing(self.id));
        let closing = Closing {
            id: self.id,
            address: self.address,
            connection: self.connection,
            written: self.written,
            acknowledged: self.acknowledged,
            timeout: self.policy.timeout,
        };
        End::Closing(closing, better)
    }

    fn lost(mut self, error: io::Error) -> End {
        self.acknowledged.ask_last(&self.connection, self.written, self.policy.timeout);
        End::Lost(error, self.acknowledged.bytes)
    }
}
