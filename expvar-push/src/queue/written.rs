//! Written batches: kept until their server cannot lose them any more.

use std::time::Duration;

use tokio::time::Instant;

use super::{Entry, Queue};

/// How a batch was written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    at: Instant,
    connection: u64,
    /// Its end in its connection's byte stream.
    end: u64,
    pub(super) state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The connection is open, or its state is unknown.
    Open,
    /// The connection waits for its server to close, which confirms that it has read everything.
    Closing,
    /// The server did not close in time, but acknowledged all bytes.
    Unconfirmed,
    /// The server has read it.
    Confirmed,
}

impl Queue {
    /// Marks the taken batches as written to a connection, with their ends in its byte stream.
    /// Returns how many points were sent for the first time and how many were resent.
    pub fn wrote(
        &mut self,
        at: Instant,
        connection: u64,
        ends: impl Iterator<Item = u64>,
    ) -> (u64, u64) {
        let (mut first, mut again) = (0, 0);
        let taken = self.entries.iter_mut().skip(self.written).take(self.taken);
        for (entry, end) in taken.zip(ends) {
            match entry.written.replace(Written { at, connection, end, state: State::Open }) {
                None => first += entry.points,
                Some(_) => again += entry.points,
            }
            if let Some(packer) = &mut self.packer {
                packer.pack(&mut entry.content);
            }
        }
        self.written += self.taken;
        self.taken = 0;
        (first, again)
    }

    /// Marks a connection as lost. What was written to it since `since`, or past `acknowledged` in
    /// its byte stream if that is known, is unsent again; the rest is removed.
    ///
    /// What earlier connections wrote since `since` is unsent again too, because a server that died
    /// may not have stored it; except on connections that still wait for their server to close.
    pub fn lost(
        &mut self,
        connection: Option<u64>,
        since: Option<Instant>,
        acknowledged: Option<u64>,
    ) {
        let (mut kept, mut again) = (Vec::new(), Vec::new());
        for entry in self.entries.drain(..self.written) {
            let Some(written) = entry.written else {
                again.push(entry);
                continue;
            };
            let is_recent = since.is_some_and(|since| written.at >= since);
            let (goes_again, is_kept) = match written.state {
                _ if Some(written.connection) == connection => {
                    (is_recent || acknowledged.is_some_and(|a| written.end > a), false)
                }
                State::Closing | State::Unconfirmed => (false, true),
                State::Open | State::Confirmed => (is_recent, false),
            };
            if goes_again {
                again.push(entry);
            } else if is_kept {
                kept.push(entry);
            } else {
                self.bytes -= entry.cost();
            }
        }
        self.written = kept.len();
        // Batches being written on another connection stay before the unsent ones.
        kept.extend(self.entries.drain(..self.taken));
        for entry in kept.into_iter().chain(again).rev() {
            self.entries.push_front(entry);
        }
        let waiting = &mut self.entries.make_contiguous()[self.written + self.taken..];
        waiting.sort_by_key(|entry| entry.seq);
    }

    /// Marks a connection's sending side as closed: its batches are kept until
    /// [confirmed](Self::confirm), [unconfirmed](Self::unconfirm) or [lost](Self::lost).
    pub fn closing(&mut self, connection: u64) {
        self.mark(connection, State::Closing);
    }

    /// Marks a connection as closed by the peer after our close: it has read everything. Its
    /// batches are kept for the window, because the peer may die before it has stored them.
    pub fn confirm(&mut self, connection: u64) {
        self.mark(connection, State::Confirmed);
    }

    /// Gives up waiting for the peer's close. It has acknowledged everything.
    pub fn unconfirm(&mut self, connection: u64) {
        self.mark(connection, State::Unconfirmed);
    }

    fn mark(&mut self, connection: u64, state: State) {
        for entry in self.entries.iter_mut().take(self.written) {
            if let Some(written) = &mut entry.written
                && written.connection == connection
            {
                written.state = state;
            }
        }
    }

    /// Removes confirmed batches.
    pub fn forget_confirmed(&mut self) {
        let confirmed = |e: &Entry| e.written.is_some_and(|w| w.state == State::Confirmed);
        let mut kept = 0;
        for _ in 0..self.written {
            if confirmed(&self.entries[kept]) {
                if let Some(entry) = self.entries.remove(kept) {
                    self.bytes -= entry.cost();
                }
            } else {
                kept += 1;
            }
        }
        self.written = kept;
    }

    /// Removes batches written more than `window` ago, unless their connection waits for its server
    /// to close or, if known, bytes are unacknowledged: of `open`, the current connection, this
    /// many are acknowledged.
    pub fn trim(&mut self, now: Instant, window: Duration, open: Option<(u64, u64)>) {
        let old = self
            .entries
            .iter()
            .take(self.written)
            .take_while(|entry| {
                entry.written.is_some_and(|written| {
                    now.duration_since(written.at) >= window
                        && written.state != State::Closing
                        && open.is_none_or(|(connection, acknowledged)| {
                            written.connection != connection || written.end <= acknowledged
                        })
                })
            })
            .count();
        self.forget(old);
    }

    fn forget(&mut self, count: usize) {
        for entry in self.entries.drain(..count) {
            self.bytes -= entry.cost();
        }
        self.written -= count;
    }

    /// When the oldest written batch was written.
    pub fn oldest_written(&self) -> Option<Instant> {
        self.entries.front().filter(|_| self.written > 0)?.written.map(|written| written.at)
    }
}
