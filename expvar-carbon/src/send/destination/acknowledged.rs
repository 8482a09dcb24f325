//! What a peer's kernel has acknowledged of a connection's bytes.

use std::time::Duration;

use tokio::time::Instant;

use crate::send::connection::Connection;
use crate::send::unacknowledged;

/// How often the kernel is asked, while something is open and the timeout is not too short for
/// that.
const ASK: Duration = Duration::from_secs(1);

/// What the peer's kernel has acknowledged of a connection's bytes.
pub(super) struct Acknowledged {
    /// None where nobody can tell.
    pub(super) bytes: Option<u64>,
    /// Since when asking has shown no progress although something is open.
    stuck: Option<Instant>,
    /// Two answers without progress, far enough apart.
    pub(super) is_silent: bool,
    pub(super) ask_at: Instant,
}

impl Acknowledged {
    /// What is wrong with a silent peer.
    pub(super) const SILENT: &str = "the server acknowledges nothing any more";

    pub(super) fn new(connection: &Connection) -> Self {
        let now = Instant::now();
        let known = connection.tcp().and_then(unacknowledged::bytes);
        Self { bytes: known.map(|_| 0), stuck: None, is_silent: false, ask_at: now }
    }

    /// Asks the kernel, if it is time to; finds it silent after `timeout` without progress.
    ///
    /// Only what two answers say counts: where asking is slow they are far apart, and no news
    /// between them is no sign of anything.
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
        // A connection that the kernel no longer lists has failed; reading it will tell.
        if let Some(open) = connection.tcp().and_then(unacknowledged::bytes) {
            // TLS adds to the bytes that we count: then this errs on the side of sending again.
            let bytes = written.saturating_sub(open).max(before);
            if bytes > before {
                self.stuck = None;
            } else {
                let since = *self.stuck.get_or_insert(now);
                self.is_silent = now - since > timeout;
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

    /// Asks a last time: where the peer has closed, the kernel still knows.
    pub(super) fn ask_last(&mut self, connection: &Connection, written: u64, timeout: Duration) {
        let now = Instant::now();
        self.ask_at = now;
        self.ask(connection, written, now, timeout);
    }
}
