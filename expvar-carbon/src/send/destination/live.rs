//! An open connection, independent of its destination.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::End;
use super::acknowledged::Acknowledged;
use super::closing::Closing;
use crate::send::address::Address;
use crate::send::connection::{Connection, Step};
use expvar_push::Queue;

/// An open connection.
pub(super) struct Live {
    /// Its id in the queue.
    pub(super) id: u64,
    pub(super) server: Address,
    /// Why more preferred servers do not serve; empty if there are none.
    pub(super) passed_over: String,
    pub(super) connection: Connection,
    /// The generation of certificates that it was made with.
    pub(super) generation: u64,
    pub(super) since: Instant,
    /// Bytes written.
    pub(super) written: u64,
    pub(super) last_write: Instant,
    /// Until when to gather lines before the next write.
    pub(super) gather_until: Instant,
    pub(super) acknowledged: Acknowledged,
}

impl Live {
    pub(super) fn new(id: u64, server: Address, connection: Connection, generation: u64) -> Self {
        let since = Instant::now();
        let acknowledged = Acknowledged::new(&connection);
        Self {
            id,
            server,
            passed_over: String::new(),
            connection,
            generation,
            since,
            written: 0,
            last_write: since,
            gather_until: since,
            acknowledged,
        }
    }

    /// Closes the sending side, which asks the server to close when it has read everything.
    pub(super) async fn close(
        mut self,
        limit: Duration,
        queue: impl FnOnce(&mut dyn FnMut(&mut Queue)),
        better: Option<Live>,
    ) -> End {
        if let Err(error) = self.step(Step::Shutdown, 0, limit).await {
            return self.lost(error, limit);
        }
        queue(&mut |q| q.closing(self.id));
        let closing = Closing {
            id: self.id,
            server: self.server,
            connection: self.connection,
            written: self.written,
            acknowledged: self.acknowledged,
            timeout: limit,
        };
        End::Closing(closing, better)
    }

    /// Performs a step. Fails after `limit` in which the server has taken nothing; a slow server
    /// may take longer. `so_far` bytes were written besides those that [`written`](Self::written)
    /// counts.
    pub(super) async fn step(
        &mut self,
        step: Step<'_>,
        so_far: u64,
        limit: Duration,
    ) -> io::Result<usize> {
        let Self { connection, acknowledged, written, .. } = self;
        let mut late = Instant::now() + limit;
        loop {
            let ask_at = acknowledged.bytes.map_or(late, |_| acknowledged.ask_at.min(late));
            if let Ok(done) = timeout_at(ask_at, connection.step(step)).await {
                return done;
            }
            let (before, now) = (acknowledged.bytes, Instant::now());
            acknowledged.ask(connection, *written + so_far, now, limit);
            if acknowledged.is_silent {
                return Err(Acknowledged::silent());
            }
            if acknowledged.bytes > before {
                late = now + limit;
            } else if now >= late {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }

    pub(super) fn lost(mut self, error: io::Error, limit: Duration) -> End {
        self.acknowledged.ask_last(&self.connection, self.written, limit);
        End::Lost(error, self.acknowledged.bytes)
    }
}
