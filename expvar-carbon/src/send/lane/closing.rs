//! Connections whose write side is closed, until their servers close too.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::acknowledged::Acknowledged;
use crate::send::connection::Connection;

/// How long a server may take to close a connection after it has acknowledged everything. Its
/// points count as unconfirmed then; they are not sent again.
const PATIENCE: Duration = Duration::from_secs(300);

/// A connection whose write side is closed. It is left alone: a slow server reads what its kernel
/// has acknowledged when it comes to it.
pub(super) struct Closing {
    pub(super) id: u64,
    pub(super) address: usize,
    pub(super) connection: Connection,
    pub(super) written: u64,
    pub(super) acknowledged: Acknowledged,
    pub(super) timeout: Duration,
}

/// What became of it.
pub(super) enum Closed {
    /// The server has read everything.
    Read,
    /// The connection failed; with how many bytes were acknowledged, where that is known.
    Lost(io::Error, Option<u64>),
    /// The server has acknowledged everything and did not close.
    Unconfirmed,
}

impl Closing {
    /// Waits for the server: without limit while the kernel's count of unacknowledged bytes falls,
    /// for five minutes once it is zero or where nobody counts. In any case no longer than for
    /// `given_up`.
    pub(super) async fn wait(mut self, given_up: impl Future<Output = ()>) -> (u64, usize, Closed) {
        tokio::pin!(given_up);
        let end = Instant::now() + PATIENCE;
        let closed = loop {
            let now = Instant::now();
            self.acknowledged.ask(&self.connection, self.written, now, self.timeout);
            let is_open = self.acknowledged.bytes.is_some_and(|a| a < self.written);
            if self.acknowledged.is_silent {
                let error = io::Error::new(io::ErrorKind::TimedOut, Acknowledged::SILENT);
                break Closed::Lost(error, self.acknowledged.bytes);
            }
            if now >= end && !is_open {
                break Closed::Unconfirmed;
            }
            let next = if is_open { self.acknowledged.ask_at } else { end };
            tokio::select! {
                read = self.connection.until_read() => break match read {
                    Ok(()) => Closed::Read,
                    Err(error) => {
                        self.acknowledged.ask_last(&self.connection, self.written, self.timeout);
                        Closed::Lost(error, self.acknowledged.bytes)
                    }
                },
                () = &mut given_up => {
                    self.acknowledged.ask_last(&self.connection, self.written, self.timeout);
                    break match self.acknowledged.bytes {
                        Some(acknowledged) if acknowledged < self.written => {
                            Closed::Lost(io::ErrorKind::TimedOut.into(), Some(acknowledged))
                        }
                        _ => Closed::Unconfirmed,
                    };
                }
                () = sleep_until(next) => {}
            }
        };
        (self.id, self.address, closed)
    }
}
