//! An open connection, independent of its destination.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::End;
use super::acknowledged::Acknowledged;
use super::closing::Closing;
use crate::send::address::Address;
use crate::send::connection::Connection;
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
