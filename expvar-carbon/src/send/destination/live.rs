//! A connection that lines are written to, apart from the destination that does so.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::End;
use super::acknowledged::Acknowledged;
use super::closing::Closing;
use crate::send::address::Address;
use crate::send::connection::Connection;
use expvar_push::Queue;

/// A connection that lines are written to.
pub(super) struct Live {
    /// What the queue knows it by.
    pub(super) id: u64,
    pub(super) server: Address,
    pub(super) connection: Connection,
    /// Of the certificates that it was made with.
    pub(super) generation: u64,
    pub(super) since: Instant,
    /// In bytes.
    pub(super) written: u64,
    pub(super) last_write: Instant,
    /// Up to when what comes is gathered.
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
            connection,
            generation,
            since,
            written: 0,
            last_write: since,
            gather_until: since,
            acknowledged,
        }
    }

    /// Closes our side, which asks the server to close its own when it has read everything.
    pub(super) async fn close(
        mut self,
        limit: Duration,
        queue: impl FnOnce(&mut dyn FnMut(&mut Queue)),
        better: Option<Live>,
    ) -> End {
        match timeout(limit, self.connection.shutdown()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return self.lost(error, limit),
            Err(late) => return self.lost(late.into(), limit),
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

    pub(super) fn lost(mut self, error: io::Error, limit: Duration) -> End {
        self.acknowledged.ask_last(&self.connection, self.written, limit);
        End::Lost(error, self.acknowledged.bytes)
    }
}
