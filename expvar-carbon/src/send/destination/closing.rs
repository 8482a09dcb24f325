//! Connections whose sending side is closed, until their servers close too.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::acknowledged::Acknowledged;
use super::{Command, Destination, Host, Policy};
use crate::send::address::Address;
use crate::send::connection::Connection;
use crate::send::stats::Counts;

/// How long a server may take to close a connection after acknowledging everything. Its points are
/// then unconfirmed, and not resent.
const PATIENCE: Duration = Duration::from_secs(300);

/// The most connections that wait for their server to close, each with its part of the queue;
/// beyond that the oldest is given up.
const CLOSING_MAX: usize = 4;

/// A connection whose sending side is closed. A slow server can still read what its kernel has
/// acknowledged.
pub(super) struct Closing {
    pub(super) id: u64,
    pub(super) server: Address,
    pub(super) connection: Connection,
    pub(super) written: u64,
    pub(super) acknowledged: Acknowledged,
    pub(super) timeout: Duration,
}

/// The result of a closing connection.
pub(super) enum Closed {
    /// The server has read everything.
    Read,
    /// The connection failed, with the number of acknowledged bytes if known.
    Lost(io::Error, Option<u64>),
    /// The server acknowledged everything and did not close.
    Unconfirmed,
    /// Handed over to another destination.
    Carried(Closing),
}

/// Why to stop waiting before the server closes.
pub(super) enum Ending {
    /// Unacknowledged points count as lost.
    GiveUp,
    /// Another destination waits on.
    HandOver,
}

impl Closing {
    /// Waits for the server: without limit while the number of unacknowledged bytes falls, for five
    /// minutes once it is zero or if it is unknown. Never longer than until `ended`.
    pub(super) async fn wait(
        mut self,
        ended: impl Future<Output = Ending>,
    ) -> (u64, Address, Closed) {
        tokio::pin!(ended);
        let end = Instant::now() + PATIENCE;
        let closed = loop {
            let now = Instant::now();
            self.acknowledged.ask(&self.connection, self.written, now, self.timeout);
            let is_open = self.acknowledged.bytes.is_some_and(|a| a < self.written);
            if self.acknowledged.is_silent {
                break Closed::Lost(Acknowledged::silent(), self.acknowledged.bytes);
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
                ending = &mut ended => {
                    if matches!(ending, Ending::HandOver) {
                        return (self.id, self.server.clone(), Closed::Carried(self));
                    }
                    self.acknowledged.ask_last(&self.connection, self.written, self.timeout);
                    break match self.acknowledged.bytes {
                        Some(acknowledged) if acknowledged < self.written => {
                            let error = io::Error::other("not read when others took over");
                            Closed::Lost(error, Some(acknowledged))
                        }
                        _ => Closed::Unconfirmed,
                    };
                }
                () = sleep_until(next) => {}
            }
        };
        (self.id, self.server, closed)
    }
}

/// Sends connections to [`Destination::settle`].
pub(super) struct Settling<'a> {
    pub(super) connections: mpsc::UnboundedSender<Closing>,
    /// The number of unsettled connections.
    pub(super) open: &'a AtomicUsize,
}

impl Settling<'_> {
    pub(super) fn add(&self, connection: Closing) {
        self.open.fetch_add(1, Relaxed);
        // The receiver lives as long as this sender.
        let _ = self.connections.send(connection);
    }
}

impl Destination {
    /// Waits for servers to close the connections that we closed, and informs the queue. Returns
    /// the connections to hand over.
    pub(super) async fn settle(
        &self,
        policy: Policy,
        counts: &Counts,
        host: &impl Host,
        open: &AtomicUsize,
        mut closing: mpsc::UnboundedReceiver<Closing>,
    ) -> Vec<Closing> {
        let (mut waits, mut carried) = (FuturesUnordered::new(), Vec::new());
        let mut tickets = VecDeque::new();
        loop {
            let (id, server, closed) = tokio::select! {
                Some(connection) = closing.recv() => {
                    // At the limit: gives up the oldest.
                    while tickets.len() >= CLOSING_MAX {
                        drop(tickets.pop_front());
                    }
                    let (ticket, given_up) = oneshot::channel::<()>();
                    tickets.push_back(ticket);
                    waits.push(connection.wait(async {
                        tokio::select! {
                            _ = given_up => Ending::GiveUp,
                            ending = self.until_late(host) => ending,
                        }
                    }));
                    continue;
                }
                Some(settled) = waits.next() => settled,
                else => return carried,
            };
            tickets.retain(|ticket| !ticket.is_closed());
            match closed {
                Closed::Read => {
                    self.hung.clear(&server);
                    self.queue(|q| q.confirm(id));
                }
                Closed::Unconfirmed => self.queue(|q| q.unconfirm(id)),
                Closed::Lost(error, acknowledged) => {
                    if error.kind() == io::ErrorKind::TimedOut {
                        self.hung.mark(&server, &error);
                    }
                    counts.failed(format!("{server}: {error}"));
                    self.lost(policy, Some(id), acknowledged);
                }
                Closed::Carried(connection) => {
                    carried.push(connection);
                    continue;
                }
            }
            open.fetch_sub(1, Relaxed);
            self.wake.notify_one();
            host.confirmed();
        }
    }

    /// Waits until this destination must stop waiting for closing connections.
    async fn until_late(&self, host: &impl Host) -> Ending {
        loop {
            let asked = self.asked.notified();
            tokio::pin!(asked);
            asked.as_mut().enable();
            match host.command(self) {
                Command::Leave(latest) => {
                    sleep_until(latest).await;
                    return Ending::GiveUp;
                }
                Command::HandOver => return Ending::HandOver,
                Command::Serve | Command::Flush | Command::Close => asked.await,
            }
        }
    }
}
