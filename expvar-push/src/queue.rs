//! A bounded queue of batches to send and to resend: one list with a cursor.
//!
//! Batches before the cursor were written to a connection and are kept until they cannot be lost
//! any more; those after it are unsent. When a connection is lost its batches move after the
//! cursor, so that resent batches go oldest first and before newer ones, without a second list.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::content::{Content, Packer};

mod written;

use written::{State, Written};

/// The cost of a batch beside its bytes, so that many small batches are bounded too.
const OVERHEAD_BYTES: usize = 128;

/// Bytes that are sent as a unit.
///
/// ```
/// let batch = expvar_push::Batch { bytes: "requests 17 1700000000\n".into(), points: 1 };
/// ```
#[derive(Debug, Clone)]
pub struct Batch {
    /// The bytes to send.
    pub bytes: Bytes,
    /// The number of points in them.
    pub points: u64,
}

#[derive(Debug, Clone)]
struct Entry {
    seq: u64,
    content: Content,
    points: u64,
    /// When and where it was last written.
    written: Option<Written>,
}

impl Entry {
    /// Its cost: the whole length, whether or not names are shared.
    fn cost(&self) -> usize {
        self.content.len() + OVERHEAD_BYTES
    }

    fn batch(&self) -> Batch {
        Batch { bytes: self.content.bytes(), points: self.points }
    }
}

/// Batches dropped to make room.
///
/// ```
/// use expvar_push::{Batch, Dropped, Queue};
///
/// let mut queue = Queue::new(200);
/// queue.push(Batch { bytes: "a 1 1700000000\n".into(), points: 1 });
/// let dropped = queue.push(Batch { bytes: "b 2 1700000000\n".into(), points: 1 });
/// assert_eq!(dropped, Dropped { points: 1, unprotected: 0 });
/// ```
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// Points that were never written.
    pub points: u64,
    /// Points that were written but can no longer be resent.
    pub unprotected: u64,
}

/// A bounded list of batches, numbered in order of arrival.
///
/// ```
/// use expvar_push::{Batch, Queue};
///
/// let mut queue = Queue::new(1 << 20);
/// queue.push(Batch { bytes: "a 1 1700000000\n".into(), points: 1 });
/// let mut taken = Vec::new();
/// queue.take(64 << 10, &mut taken);
/// assert_eq!(taken.len(), 1);
///
/// // The write failed: the batch is unsent again.
/// queue.untake();
/// assert!(queue.is_waiting());
/// ```
#[derive(Debug, Clone)]
pub struct Queue {
    entries: VecDeque<Entry>,
    /// The number of entries at the front that were written to the current connection.
    written: usize,
    /// The number of entries after those that are being written.
    taken: usize,
    bytes: usize,
    limit: usize,
    next_seq: u64,
    packer: Option<Packer>,
}

impl Queue {
    /// Creates an empty queue of at most `limit` bytes; a batch costs 128 more than its length.
    pub fn new(limit: usize) -> Self {
        let (entries, packer) = (VecDeque::new(), None);
        Self { entries, written: 0, taken: 0, bytes: 0, limit, next_seq: 0, packer }
    }

    /// Sets whether written lines share their names with earlier ones. Carbon lines of a service
    /// then take about a fifth, for about 20 ns a line. They cost the same as before.
    pub fn share_names(&mut self, share: bool) {
        match (share, &self.packer) {
            (true, None) => self.packer = Some(Packer::default()),
            (true, Some(_)) => {}
            (false, _) => self.packer = None,
        }
    }

    /// Sets the number of the next batch to `seq`, which must be higher than any so far.
    pub fn skip_to(&mut self, seq: u64) {
        self.next_seq = self.next_seq.max(seq);
    }

    /// The number of the next batch.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The lowest number of a batch still kept, or that of the next one.
    pub fn first_seq(&self) -> u64 {
        // Unsent batches are in order; written ones are in any.
        let kept = self.entries.iter().take(self.written + self.taken + 1).map(|e| e.seq);
        kept.min().unwrap_or(self.next_seq)
    }

    /// The bytes that it holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends a batch, and drops the oldest ones that no longer fit.
    pub fn push(&mut self, batch: Batch) -> Dropped {
        let (content, points) = (Content::Whole(batch.bytes), batch.points);
        let entry = Entry { seq: self.next_seq, content, points, written: None };
        self.bytes += entry.cost();
        self.entries.push_back(entry);
        self.next_seq += 1;
        self.make_room()
    }

    /// Sets the limit in bytes, and drops the oldest batches that no longer fit.
    pub fn set_limit(&mut self, limit: usize) -> Dropped {
        self.limit = limit;
        self.make_room()
    }

    /// Appends another queue's batches under new numbers; neither may be writing. Written batches
    /// stay written, and if resent follow the unsent ones here.
    pub fn append(&mut self, other: &Queue) -> Dropped {
        let mut waiting = self.entries.split_off(self.written);
        for (at, entry) in other.entries.iter().enumerate() {
            let entry = Entry { seq: self.next_seq, ..entry.clone() };
            self.next_seq += 1;
            self.bytes += entry.cost();
            if at < other.written {
                self.entries.push_back(entry);
                self.written += 1;
            } else {
                waiting.push_back(entry);
            }
        }
        self.entries.append(&mut waiting);
        self.make_room()
    }

    fn make_room(&mut self) -> Dropped {
        let mut dropped = Dropped::default();
        while self.bytes > self.limit {
            // Batches being written stay.
            let at = if self.written > 0 { 0 } else { self.taken };
            let Some(entry) = self.entries.remove(at) else {
                break;
            };
            self.written = self.written.saturating_sub(1);
            self.bytes -= entry.cost();
            if entry.written.is_some() {
                dropped.unprotected += entry.points;
            } else {
                dropped.points += entry.points;
            }
        }
        dropped
    }

    /// Takes unsent batches of about `bytes` in all, but at least one, to write them.
    pub fn take(&mut self, bytes: usize, into: &mut Vec<Batch>) {
        let mut sum = 0;
        while let Some(entry) = self.entries.get(self.written + self.taken) {
            if self.taken > 0 && sum + entry.content.len() > bytes {
                break;
            }
            sum += entry.content.len();
            into.push(entry.batch());
            self.taken += 1;
        }
    }

    /// Returns the taken batches to the unsent ones: they were not written completely.
    pub fn untake(&mut self) {
        self.taken = 0;
    }

    /// The batches that are unsent or being written, in order.
    pub fn waiting(&self) -> impl Iterator<Item = Batch> {
        self.entries.iter().skip(self.written).map(Entry::batch)
    }

    /// Whether any batch is unsent.
    pub fn is_waiting(&self) -> bool {
        self.entries.len() > self.written + self.taken
    }

    /// Points and bytes that are unsent or being written, and points that were written and may
    /// still be lost, of batches numbered below `before`.
    pub fn left(&self, before: u64) -> (u64, u64, u64) {
        let (mut points, mut bytes, mut unconfirmed) = (0, 0, 0);
        for (at, entry) in self.entries.iter().enumerate() {
            if entry.seq >= before {
                if at >= self.written {
                    break;
                }
            } else if at >= self.written {
                points += entry.points;
                bytes += entry.content.len() as u64;
            } else if entry.written.is_some_and(|w| w.state != State::Confirmed) {
                unconfirmed += entry.points;
            }
        }
        (points, bytes, unconfirmed)
    }

    /// Whether a batch numbered below `before` is unsent, or was written to a connection that is
    /// not closing.
    pub fn is_unflushed(&self, before: u64) -> bool {
        let mut entries = self.entries.iter().enumerate();
        entries.any(|(at, entry)| {
            let is_open = || entry.written.is_some_and(|w| w.state == State::Open);
            entry.seq < before && (at >= self.written || is_open())
        })
    }

    /// The batches numbered from `seq` on, for the spool.
    pub fn since(&self, seq: u64) -> impl Iterator<Item = (u64, Batch)> {
        self.entries.iter().filter(move |e| e.seq >= seq).map(|e| (e.seq, e.batch()))
    }
}

#[cfg(test)]
mod tests;
