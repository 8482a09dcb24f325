//! Bytes acknowledged by the peer's kernel.

use std::io;
use std::time::Duration;

use tokio::time::Instant;

use crate::send::connection::Connection;
use crate::send::unacknowledged;

/// The interval of queries to the kernel, while bytes are unacknowledged and unless the timeout is
/// shorter.
const ASK: Duration = Duration::from_secs(1);

/// The bytes of a connection that the peer's kernel has acknowledged.
pub(super) struct Acknowledged {
    /// `None` if unknown.
    pub(super) bytes: Option<u64>,
    /// Since when queries have shown no progress with bytes unacknowledged.
    stuck: Option<Instant>,
    /// Two queries, far enough apart, showed no progress.
    pub(super) is_silent: bool,
    pub(super) ask_at: Instant,
}

impl Acknowledged {
    pub(super) fn new(connection: &Connection) -> Self {
        let now = Instant::now();
        let known = connection.tcp().and_then(unacknowledged::bytes);
        Self { bytes: known.map(|_| 0), stuck: None, is_silent: false, ask_at: now }
    }

    /// The error of a silent peer.
    pub(super) fn silent() -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, "the server stopped acknowledging data")
    }

    /// Queries the kernel when due; marks the peer silent after `timeout` without progress.
    ///
    /// Decided by two answers only: where queries are slow they are far apart, and time between
    /// them means nothing.
    pub(super) fn ask(
        &mut self,
        connection: &Connection,
        written: u64,
        now: Instant,
        timeout: Duration,
    ) {
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
        // A connection that the kernel no longer lists has failed; reading it returns the error.
        if let Some(open) = connection.tcp().and_then(unacknowledged::bytes) {
            // TLS adds bytes that we do not count: this errs on the side of resending.
            let bytes = written.saturating_sub(open).max(before);
            if bytes > before {
                self.stuck = None;
            } else {
                let since = *self.stuck.get_or_insert(now);
                self.is_silent = now - since > timeout;
            }
            self.bytes = Some(bytes);
        }
        // The kernel may walk all sockets to answer: spend 0.1 % of the time, and up to 1 % only to
        // query twice within the timeout. After the timeout the kernel drops the connection, and
        // bytes acknowledged since the last answer would be resent.
        let cost = asked.elapsed();
        let rest = ASK.max(cost * 1_000).min(timeout / 2).max(cost * 100);
        self.ask_at = now + rest;
    }

    /// Queries a last time: after the peer has closed, the kernel still knows.
    pub(super) fn ask_last(&mut self, connection: &Connection, written: u64, timeout: Duration) {
        let now = Instant::now();
        self.ask_at = now;
        self.ask(connection, written, now, timeout);
    }
}
