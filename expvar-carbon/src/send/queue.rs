//! What waits to be sent, and what may have to be sent again: one bounded list with a cursor.
//!
//! Batches before the cursor were written to a connection and are kept until nobody can have
//! lost them; those after it wait. A lost connection moves the cursor back, so that what is sent
//! again goes oldest first and before anything newer without a second list.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

/// What a batch costs beside its bytes; counted so that many small batches stay bounded too.
const OVERHEAD_BYTES: usize = 128;

/// Some lines that were handed over together.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) bytes: Bytes,
    pub(crate) points: u64,
}

impl Batch {
    fn cost(&self) -> usize {
        self.bytes.len() + OVERHEAD_BYTES
    }
}

#[derive(Debug, Clone)]
struct Entry {
    seq: u64,
    batch: Batch,
    /// When it was last written, and where it ended in its connection's bytes (0: confirmed).
    written: Option<(Instant, u64)>,
}

/// What had to go to make room.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dropped {
    /// Points that were never written.
    pub(crate) points: u64,
    /// Points that were written once and can no longer be written again.
    pub(crate) unprotected: u64,
}

/// The list. Batches are numbered in the order in which they enter.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    entries: VecDeque<Entry>,
    /// How many entries, from the front, were written to the present connection.
    written: usize,
    /// How many after those are being written.
    taken: usize,
    bytes: usize,
    limit: usize,
    next_seq: u64,
}

impl Queue {
    pub(crate) fn new(limit: usize) -> Self {
        Self { entries: VecDeque::new(), written: 0, taken: 0, bytes: 0, limit, next_seq: 0 }
    }

    /// Lets the next batch have the number `seq`, which is higher than any so far.
    pub(crate) fn skip_to(&mut self, seq: u64) {
        self.next_seq = self.next_seq.max(seq);
    }

    /// The number that the next batch gets.
    pub(crate) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The number of the oldest batch still kept, or that of the next one.
    pub(crate) fn first_seq(&self) -> u64 {
        self.entries.front().map_or(self.next_seq, |e| e.seq)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends a batch and drops the oldest ones that no longer fit.
    pub(crate) fn push(&mut self, batch: Batch) -> Dropped {
        self.bytes += batch.cost();
        self.entries.push_back(Entry { seq: self.next_seq, batch, written: None });
        self.next_seq += 1;
        self.make_room()
    }

    /// Keeps at most so many bytes from now on, and drops the oldest batches that no longer fit.
    pub(crate) fn set_limit(&mut self, limit: usize) -> Dropped {
        self.limit = limit;
        self.make_room()
    }

    /// Appends another queue's batches under new numbers. What was written stays marked so where
    /// nothing waits before it; else it is counted as unprotected.
    pub(crate) fn append(&mut self, other: &Queue) -> Dropped {
        let mut dropped = Dropped::default();
        let keeps_marks = self.entries.is_empty();
        for (at, entry) in other.entries.iter().enumerate() {
            let is_written = at < other.written;
            if is_written && !keeps_marks {
                dropped.unprotected += entry.batch.points;
                continue;
            }
            self.bytes += entry.batch.cost();
            self.entries.push_back(Entry { seq: self.next_seq, ..entry.clone() });
            self.next_seq += 1;
            self.written += usize::from(is_written);
        }
        let room = self.make_room();
        dropped.points += room.points;
        dropped.unprotected += room.unprotected;
        dropped
    }

    fn make_room(&mut self) -> Dropped {
        let mut dropped = Dropped::default();
        while self.bytes > self.limit {
            // What is being written stays: it is on its way.
            let at = if self.written > 0 { 0 } else { self.taken };
            let Some(entry) = self.entries.remove(at) else {
                break;
            };
            self.written = self.written.saturating_sub(1);
            self.bytes -= entry.batch.cost();
            if entry.written.is_some() {
                dropped.unprotected += entry.batch.points;
            } else {
                dropped.points += entry.batch.points;
            }
        }
        dropped
    }

    /// Takes waiting batches of about `bytes` in all, at least one if there is one, to write them.
    pub(crate) fn take(&mut self, bytes: usize, into: &mut Vec<Batch>) {
        let mut sum = 0;
        while let Some(entry) = self.entries.get(self.written + self.taken) {
            if self.taken > 0 && sum + entry.batch.bytes.len() > bytes {
                break;
            }
            sum += entry.batch.bytes.len();
            into.push(entry.batch.clone());
            self.taken += 1;
        }
    }

    /// Marks what was taken as written, at these ends in the connection's bytes. Returns how many
    /// points went for the first time and how many again.
    pub(crate) fn wrote(&mut self, at: Instant, ends: impl Iterator<Item = u64>) -> (u64, u64) {
        let (mut first, mut again) = (0, 0);
        let taken = self.entries.iter_mut().skip(self.written).take(self.taken);
        for (entry, end) in taken.zip(ends) {
            match entry.written.replace((at, end)) {
                None => first += entry.batch.points,
                Some(_) => again += entry.batch.points,
            }
        }
        self.written += self.taken;
        self.taken = 0;
        (first, again)
    }

    /// The connection is gone: what was written on it since `since`, or past `acknowledged` in
    /// its bytes where that is known, waits again. The rest is forgotten.
    pub(crate) fn rewind(&mut self, since: Option<Instant>, acknowledged: Option<u64>) {
        self.taken = 0;
        let again = self.entries.iter().take(self.written).position(|entry| {
            entry.written.is_none_or(|(at, end)| {
                since.is_some_and(|since| at >= since) || acknowledged.is_some_and(|a| end > a)
            })
        });
        let kept = again.unwrap_or(self.written);
        self.forget(kept);
        self.written = 0;
    }

    /// The peer has closed in answer to our closing: it has read all that was written. It is
    /// still kept for the window, as the peer may die before it has stored it.
    pub(crate) fn confirm(&mut self) {
        for entry in self.entries.iter_mut().take(self.written) {
            if let Some((_, end)) = &mut entry.written {
                *end = 0;
            }
        }
    }

    /// Forgets what was confirmed.
    pub(crate) fn forget_confirmed(&mut self) {
        let confirmed = self.entries.iter().take(self.written);
        let count = confirmed.take_while(|e| e.written.is_some_and(|(_, end)| end == 0)).count();
        self.forget(count);
    }

    /// Forgets what was written more than `window` ago and is known, where it can be, to have
    /// been acknowledged.
    pub(crate) fn trim(&mut self, now: Instant, window: Duration, acknowledged: Option<u64>) {
        let old = self
            .entries
            .iter()
            .take(self.written)
            .take_while(|entry| {
                entry.written.is_some_and(|(at, end)| {
                    now.duration_since(at) >= window && acknowledged.is_none_or(|a| end <= a)
                })
            })
            .count();
        self.forget(old);
    }

    fn forget(&mut self, count: usize) {
        for entry in self.entries.drain(..count) {
            self.bytes -= entry.batch.cost();
        }
        self.written -= count;
    }

    /// When the oldest written batch was written.
    pub(crate) fn oldest_written(&self) -> Option<Instant> {
        self.entries.front().filter(|_| self.written > 0)?.written.map(|(at, _)| at)
    }

    /// Whether anything waits to be written.
    pub(crate) fn is_waiting(&self) -> bool {
        self.entries.len() > self.written + self.taken
    }

    /// Points and bytes that wait or are being written, and points that were written and may
    /// still be lost, of the batches numbered below `before`.
    pub(crate) fn left(&self, before: u64) -> (u64, u64, u64) {
        let (mut points, mut bytes, mut unconfirmed) = (0, 0, 0);
        for (at, entry) in self.entries.iter().enumerate() {
            if entry.seq >= before {
                break;
            }
            if at < self.written {
                if entry.written.is_some_and(|(_, end)| end > 0) {
                    unconfirmed += entry.batch.points;
                }
            } else {
                points += entry.batch.points;
                bytes += entry.batch.bytes.len() as u64;
            }
        }
        (points, bytes, unconfirmed)
    }

    /// The batches numbered from `seq` on, for the spool.
    pub(crate) fn since(&self, seq: u64) -> impl Iterator<Item = (u64, &Batch)> {
        let first = self.entries.partition_point(|e| e.seq < seq);
        self.entries.range(first..).map(|e| (e.seq, &e.batch))
    }
}
