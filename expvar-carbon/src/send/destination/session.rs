//! A session: writes to one connection, watches the peer, and reports the end.

use std::io;
use std::time::Duration;

use futures_util::future::{Fuse, FusedFuture, FutureExt};
use tokio::time::{Instant, sleep, sleep_until};

use super::acknowledged::Acknowledged;
use super::health::Health;
use super::live::Live;
use super::{Command, Destination, End, HURRY, Host, Policy};
use crate::render::refusal::Refusal;
use crate::send::address::{Address, Scheme};
use crate::send::connection::Step;
use crate::send::network::Dial;
use expvar_push::Batch;

/// The most bytes of one write.
const WRITE_BYTES: usize = 128 << 10;
/// A connection without writes for this long is renewed: go-carbon closes it after 120 s, and later
/// writes would be lost without an error.
const IDLE: Duration = Duration::from_secs(100);
/// How often to try a preferred server while another one serves.
const FAILBACK: Duration = Duration::from_secs(60);
/// How long after a write to gather lines for the next: a write for each small batch would cost
/// more than rendering it.
const GATHER: Duration = Duration::from_millis(50);
/// How often to resolve the host of a `udp://` address again: nothing else shows that it moved.
const RESOLVE: Duration = Duration::from_secs(30);

/// A session on one connection.
pub(super) struct Session<'f, 'h> {
    pub(super) destination: &'f Destination,
    pub(super) policy: Policy,
    pub(super) health: &'f mut Health<'h>,
    pub(super) live: Live,
}

impl Session<'_, '_> {
    /// Sends from the destination's queue until the connection ends or is handed over.
    pub(super) async fn run<D: Dial>(mut self, dial: &D, host: &impl Host) -> End {
        let mut batches = Vec::new();
        let mut out = Vec::new();
        let since = self.live.since;
        let mut failback = Instant::now() + FAILBACK;
        let better = Fuse::terminated();
        tokio::pin!(better);
        let is_udp = self.scheme() == Scheme::Udp;
        let is_tls = self.scheme() == Scheme::Tls;
        let mut resolve = Instant::now() + RESOLVE;
        // A connection that was handed over may go to a server that this destination does not have.
        let is_server = |address: &Address| *address == self.live.server;
        let Some(place) = self.destination.addresses.iter().position(is_server) else {
            return self.close(None).await;
        };
        loop {
            if let Some(error) = self.live.connection.is_closed() {
                return self.lost(error);
            }
            let now = Instant::now();
            let Live { connection, acknowledged, written, .. } = &mut self.live;
            acknowledged.ask(connection, *written, now, self.policy.timeout);
            if acknowledged.is_silent {
                return self.lost(Acknowledged::silent());
            }
            let acknowledged = acknowledged.bytes;
            self.health.lives(now - since);
            if is_udp && now >= resolve {
                let address = &self.live.server;
                match dial.dial(address, self.policy.timeout).await {
                    Ok(connection) => self.live.connection = connection,
                    Err(error) => self.health.counts().failed(format!("{address}: {error}")),
                }
                resolve = Instant::now() + RESOLVE;
            }
            let command = host.command(self.destination);
            if command == Command::HandOver {
                return End::Carried(self.live);
            }
            let is_outdated = is_tls && self.live.generation != dial.generation();
            if is_outdated || matches!(command, Command::Leave(_)) {
                return self.close(None).await;
            }
            let serves = command == Command::Serve;
            let gathers = serves && now < self.live.gather_until;
            let (oldest, waits) = self.destination.queue(|q| {
                q.trim(now, self.policy.window, acknowledged.map(|bytes| (self.live.id, bytes)));
                if !gathers {
                    q.take(WRITE_BYTES, &mut batches);
                }
                (q.oldest_written(), q.is_waiting())
            });
            if !batches.is_empty() {
                let (destination, limit) = (self.destination, self.policy.timeout);
                let late = async {
                    destination.until_left(host).await;
                    sleep(limit).await;
                };
                let written = tokio::select! {
                    written = self.write(&mut batches, &mut out) => written,
                    // Others are waiting for this destination to end.
                    () = late => Err(io::ErrorKind::TimedOut.into()),
                };
                if let Err(error) = written {
                    let error = self.live.connection.reason(error).await;
                    return self.lost(error);
                }
                continue;
            }
            if !serves || now - self.live.last_write >= IDLE {
                return self.close(None).await;
            }
            if place > 0 && now >= failback && better.is_terminated() {
                let (destination, counts) = (self.destination, self.health.counts());
                better.set(destination.prefer(dial, self.policy, place, counts).fuse());
            }
            let mut next = if waits { self.live.gather_until } else { self.live.last_write + IDLE };
            if let Some(oldest) = oldest {
                next = next.min((oldest + self.policy.window).max(now + HURRY));
            }
            if acknowledged.is_some_and(|a| a < self.live.written) {
                next = next.min(self.live.acknowledged.ask_at);
            }
            if place > 0 && better.is_terminated() {
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
                error = self.live.connection.until_closed() => return self.lost(error),
                better = &mut better => match better {
                    Some(better) => return self.close(Some(better)).await,
                    None => failback = Instant::now() + FAILBACK,
                },
                () = self.destination.wake.notified() => {}
                () = sleep_until(next) => {}
            }
        }
    }

    fn scheme(&self) -> Scheme {
        self.live.server.scheme()
    }

    /// Writes the batches and informs the queue.
    async fn write(&mut self, batches: &mut Vec<Batch>, out: &mut Vec<u8>) -> io::Result<()> {
        out.clear();
        let mut ends = Vec::with_capacity(batches.len());
        let scheme = self.scheme();
        for batch in batches.drain(..) {
            scheme.frame(&batch.bytes, out);
            ends.push(self.live.written + out.len() as u64);
        }
        let (mut rest, mut refused) = (out.as_slice(), 0);
        while !rest.is_empty() {
            let so_far = (out.len() - rest.len()) as u64;
            match self.live.step(Step::Write(rest), so_far, self.policy.timeout).await {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => rest = &rest[n..],
                Err(e) if e.kind() == io::ErrorKind::InvalidInput => {
                    let line =
                        rest.iter().position(|&b| b == b'\n').map_or(rest.len(), |at| at + 1);
                    rest = &rest[line..];
                    self.health.counts().refuse(Refusal::LongDatagram);
                    refused += 1;
                }
                Err(e) => return Err(e),
            }
        }
        self.live.step(Step::Flush, out.len() as u64, self.policy.timeout).await?;
        let now = Instant::now();
        self.live.written += out.len() as u64;
        self.live.last_write = now;
        let ((first, again), more) = self
            .destination
            .queue(|q| (q.wrote(now, self.live.id, ends.into_iter()), q.is_waiting()));
        let counts = self.health.counts();
        if !more {
            self.live.gather_until = now + GATHER;
            counts.push_ended(now);
        }
        counts.points_sent.add(first.saturating_sub(refused));
        counts.points_resent.add(again);
        counts.succeeded(now);
        self.health.wrote(now);
        Ok(())
    }

    async fn close(self, better: Option<Live>) -> End {
        let destination = self.destination;
        self.live.close(self.policy.timeout, |f| destination.queue(f), better).await
    }

    fn lost(self, error: io::Error) -> End {
        self.live.lost(error, self.policy.timeout)
    }
}
