//! Rendered documents being sent, and the bound on their memory.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::limits::{MAX_HELD_BYTES, MAX_PIECE_BYTES};
use crate::stats;

/// A document's bytes, shared by its readers. Can be dropped while they read.
#[derive(Debug)]
pub(crate) struct Held {
    bytes: Mutex<Bytes>,
    len: usize,
    epoch: Instant,
    /// When a client last read a piece.
    taken_us: AtomicU64,
}

impl Held {
    fn new(bytes: Bytes, epoch: Instant) -> Self {
        let len = bytes.len();
        let held = Self { bytes: Mutex::new(bytes), len, epoch, taken_us: AtomicU64::new(0) };
        held.note_taken();
        held
    }

    /// Its length in bytes, also after it was dropped.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The piece that begins at `at`; `None` at the end, and after the document was dropped.
    ///
    /// A piece of a long document is a copy, so that a client that stops reading holds no more than
    /// its piece.
    pub(crate) fn piece(&self, at: usize) -> Option<Bytes> {
        self.note_taken();
        let bytes = self.bytes.lock();
        let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
        Some(match self.len {
            0..=MAX_PIECE_BYTES => bytes.slice(at..),
            _ => Bytes::copy_from_slice(&rest[..rest.len().min(MAX_PIECE_BYTES)]),
        })
    }

    fn note_taken(&self) {
        self.taken_us.store(self.epoch.elapsed().as_micros() as u64, Relaxed);
    }

    fn give_up(&self) {
        drop(std::mem::take(&mut *self.bytes.lock()));
    }
}

/// The documents of a service that are being sent.
#[derive(Debug)]
pub(crate) struct Ledger {
    epoch: Instant,
    held: Mutex<Vec<Weak<Held>>>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self { epoch: Instant::now(), held: Mutex::default() }
    }

    /// Adds a document. If all together exceed [`MAX_HELD_BYTES`], drops the ones unread for
    /// longest, but never the new one.
    pub(crate) fn hold(&self, bytes: Bytes) -> Arc<Held> {
        let new = Arc::new(Held::new(bytes, self.epoch));
        if new.len <= MAX_PIECE_BYTES {
            // Small enough for each connection to hold by itself.
            return new;
        }
        let mut entries = self.held.lock();
        entries.retain(|held| held.strong_count() > 0);
        let mut held: Vec<Arc<Held>> = entries.iter().filter_map(Weak::upgrade).collect();
        entries.push(Arc::downgrade(&new));
        drop(entries);
        held.retain(|held| !held.bytes.lock().is_empty());
        held.sort_unstable_by_key(|held| held.taken_us.load(Relaxed));
        let mut bytes = new.len + held.iter().map(|held| held.len).sum::<usize>();
        for held in held {
            if bytes <= MAX_HELD_BYTES {
                break;
            }
            held.give_up();
            stats::GIVEN_UP.inc();
            bytes -= held.len;
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(mib: usize) -> Bytes {
        vec![b'x'; mib * 1024 * 1024].into()
    }

    fn read(held: &Held) -> usize {
        let (mut at, mut pieces) = (0, 0);
        while let Some(piece) = held.piece(at) {
            at += piece.len();
            pieces += 1;
            assert!(piece.len() <= MAX_PIECE_BYTES);
        }
        assert!(at == 0 || pieces == at.div_ceil(MAX_PIECE_BYTES));
        at
    }

    #[test]
    fn a_document_is_read_in_pieces() {
        let ledger = Ledger::new();
        assert_eq!(read(&ledger.hold(document(3))), 3 << 20);
        assert_eq!(read(&ledger.hold(Bytes::from_static(b"short"))), 5);
        assert_eq!(read(&ledger.hold(Bytes::new())), 0);
    }

    #[test]
    fn what_has_not_been_read_for_longest_is_given_up() {
        let ledger = Ledger::new();
        let all: Vec<_> = (0..6).map(|_| ledger.hold(document(10))).collect();
        // The first is being read.
        std::thread::sleep(std::time::Duration::from_millis(1));
        assert!(all[0].piece(0).is_some());
        let seventh = ledger.hold(document(10));
        let left: Vec<bool> = all.iter().map(|held| held.piece(1 << 20).is_some()).collect();
        assert_eq!(left, [true, false, true, true, true, true]);
        assert_eq!((read(&seventh), all[1].len()), (10 << 20, 10 << 20));
    }

    #[test]
    fn a_document_larger_than_the_bound_is_still_answered() {
        let ledger = Ledger::new();
        let small = ledger.hold(document(1));
        let large = ledger.hold(document(65));
        assert_eq!((read(&small), read(&large)), (0, 65 << 20));
    }

    #[test]
    fn what_nobody_wants_any_more_does_not_count() {
        let ledger = Ledger::new();
        let first = ledger.hold(document(30));
        (0..10).for_each(|_| drop(ledger.hold(document(30))));
        assert_eq!(read(&first), 30 << 20);
    }
}
