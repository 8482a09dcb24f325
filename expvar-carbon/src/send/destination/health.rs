//! Detects the beginning and end of a destination's outages.

use std::io;
use std::time::Duration;

use tokio::time::Instant;

use super::Destination;
use super::live::Live;
use crate::send::address::Address;
use crate::send::stats::Counts;
use expvar_push::Backoff;
use expvar_push::Event;

/// A connection that lasts this long is stable.
pub(super) const STABLE: Duration = Duration::from_secs(30);
/// A connection is in use for this long after a write: a server that closes idle ones is well.
const IN_USE: Duration = Duration::from_secs(10);
/// How many unstable connections in a row are restarts. More are an outage: a load balancer without
/// a server behind it accepts connections and closes them some seconds later.
const RESTARTS: u32 = 3;

/// Reports when a destination becomes unreachable and reachable again.
pub(super) struct Health<'a> {
    destination: &'a Destination,
    counts: &'a Counts,
    away: Option<Away>,
    /// The number of connections in a row that failed at once.
    brief: u32,
    /// The number of connections in a row that failed in use, and soon.
    unstable: u32,
    /// The last write.
    wrote: Option<Instant>,
    /// How long a connection must live to end an outage.
    proof: Duration,
    timeout: Duration,
    /// Since when a less preferred server serves.
    failed_over: Option<Instant>,
}

/// An outage.
pub(super) struct Away {
    since: Instant,
    /// Points that the destination had dropped when it began.
    dropped: u64,
    /// How long a connection must live to end it.
    proof: Duration,
}

impl<'a> Health<'a> {
    /// Begins with an outage that was handed over, if any.
    pub(super) fn new(
        destination: &'a Destination,
        counts: &'a Counts,
        timeout: Duration,
        away: Option<Away>,
    ) -> Self {
        let (brief, unstable, wrote) = (0, 0, None);
        let proof = away.as_ref().map_or(Backoff::FIRST, |away| away.proof);
        let failed_over = None;
        Self { destination, counts, away, brief, unstable, wrote, proof, timeout, failed_over }
    }

    /// Begins with a connection that was handed over.
    pub(super) fn continues(&mut self, live: &Live) {
        if self.is_second_choice(live) {
            self.failed_over = Some(live.since);
        }
    }

    /// Whether a connection is to another server because preferred ones failed.
    fn is_second_choice(&self, live: &Live) -> bool {
        !self.is_preferred(live) && !live.passed_over.is_empty()
    }

    fn is_preferred(&self, live: &Live) -> bool {
        self.destination.addresses.first() == Some(&live.server)
    }

    /// Points go to this connection's server from now on.
    pub(super) fn served_by(&mut self, live: &Live) {
        let server = live.server.to_string();
        match self.failed_over {
            Some(since) if self.is_preferred(live) => {
                self.failed_over = None;
                let after = since.elapsed();
                self.counts.observer.tell(&Event::FailedBack { server, after });
            }
            None if self.is_second_choice(live) => {
                self.failed_over = Some(live.since);
                let error = live.passed_over.clone();
                self.counts.observer.tell(&Event::FailedOver { server, error });
            }
            _ => {}
        }
    }

    /// The sender's statistics.
    pub(super) fn counts(&self) -> &'a Counts {
        self.counts
    }

    /// The current outage, to hand over.
    pub(super) fn into_away(self) -> Option<Away> {
        self.away.map(|away| Away { proof: self.proof, ..away })
    }

    /// No connection could be made.
    pub(super) fn unreachable(&mut self, error: &io::Error) {
        self.counts.failed(error.to_string());
        if self.unstable <= RESTARTS {
            self.proof = Backoff::FIRST;
        }
        self.gone(error.to_string());
    }

    /// Something was written.
    pub(super) fn wrote(&mut self, now: Instant) {
        self.wrote = Some(now);
    }

    /// A connection failed after `lived`. A single one is no outage: servers restart.
    pub(super) fn lost(&mut self, server: &Address, error: &io::Error, lived: Duration) {
        let text = format!("{server}: {error}");
        self.counts.failed(text.clone());
        let is_in_use = self.wrote.is_some_and(|at| at.elapsed() < IN_USE);
        self.unstable = if is_in_use && lived < STABLE { self.unstable + 1 } else { 0 };
        if error.kind() == io::ErrorKind::TimedOut {
            // A hanging server still accepts connections.
            self.proof = self.timeout + Backoff::FIRST;
            if !self.destination.has_choice() {
                self.gone(text);
            }
        } else if lived < Backoff::FIRST {
            self.brief += 1;
            if self.brief > 1 {
                self.gone(text);
            }
        } else if self.unstable > RESTARTS {
            self.proof = STABLE;
            self.gone(text);
        }
    }

    fn gone(&mut self, error: String) {
        if self.away.is_none() {
            let (since, dropped) = (Instant::now(), self.destination.dropped());
            self.away = Some(Away { since, dropped, proof: self.proof });
            let destination = self.destination.label();
            self.counts.observer.tell(&Event::Away { destination, error });
        }
    }

    /// A connection has lived for `lived` so far.
    pub(super) fn lives(&mut self, lived: Duration) {
        if lived >= STABLE {
            self.unstable = 0;
        }
        if lived >= self.proof {
            self.serves();
        }
    }

    /// The servers accept points.
    pub(super) fn serves(&mut self) {
        self.brief = 0;
        self.proof = Backoff::FIRST;
        if let Some(away) = self.away.take() {
            self.counts.observer.tell(&Event::Back {
                destination: self.destination.label(),
                after: away.since.elapsed(),
                dropped: self.destination.dropped().saturating_sub(away.dropped),
            });
        }
    }

    /// How long a connection must live to end the outage, if there is one.
    pub(super) fn proof(&self) -> Option<Duration> {
        self.away.as_ref().map(|_| self.proof)
    }
}
