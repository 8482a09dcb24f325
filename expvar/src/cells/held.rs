//! A thread's private copies, released when unused or when the thread ends.

use std::sync::atomic::Ordering::Relaxed;

use super::page::{Page, READ};
use super::sizes::LOOK;
use super::store::Store;
use super::windows::Windows;

/// One shared recording for each of this many pages must lie between two scans.
const SHARE: u64 = 64;

/// Marks a released page when the table could not be rebuilt.
const GONE: u32 = u32::MAX;

/// Pages by number: open addressing, at most half full.
pub(crate) struct Held {
    /// The page in each slot; 0, which is never used, for none.
    numbers: Vec<u32>,
    slots: Vec<Option<Copy>>,
    len: usize,
    /// The thread's shared recordings at the last scan.
    looked: u64,
}

#[derive(Clone)]
struct Copy {
    number: u32,
    /// Index in the arena.
    index: u32,
    page: &'static Page,
    /// The epoch in which the thread last verified its ownership.
    epoch: u64,
    /// The sum of the cells at the last scan.
    seen: u64,
    /// Whether that was unchanged since the scan before.
    idle: bool,
}

impl Held {
    pub(crate) const fn new() -> Self {
        Self { numbers: Vec::new(), slots: Vec::new(), len: 0, looked: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The thread's private copy of a page, if it was not reclaimed. It stays owned for some
    /// epochs.
    pub(crate) fn find(&mut self, number: u32, epoch: u64) -> Option<&'static Page> {
        let mut at = self.place(number);
        loop {
            match *self.numbers.get(at)? {
                0 => return None,
                held if held == number => break,
                _ => at = (at + 1) & (self.numbers.len() - 1),
            }
        }
        let copy = self.slots[at].as_mut()?;
        if copy.epoch == epoch || Store::renew(copy.page, copy.epoch, epoch) {
            copy.epoch = epoch;
            return Some(copy.page);
        }
        (self.numbers[at], self.slots[at]) = (GONE, None);
        self.rebuild(self.slots.len());
        None
    }

    fn place(&self, number: u32) -> usize {
        number.wrapping_mul(0x9E37_79B1) as usize >> 8 & self.slots.len().wrapping_sub(1)
    }

    /// Makes room for one more; false if the system refuses memory.
    pub(crate) fn reserve(&mut self) -> bool {
        2 * self.len < self.slots.len() || self.rebuild(2 * self.slots.len().max(8))
    }

    /// Adds a private copy of a page that has none here, after [`reserve`](Self::reserve).
    pub(crate) fn insert(&mut self, number: u32, index: u32, page: &'static Page, epoch: u64) {
        self.put(Copy { number, index, page, epoch, seen: 0, idle: false });
    }

    fn put(&mut self, copy: Copy) {
        let mut at = self.place(copy.number);
        while self.numbers[at] != 0 {
            at = (at + 1) & (self.numbers.len() - 1);
        }
        self.numbers[at] = copy.number;
        self.slots[at] = Some(copy);
        self.len += 1;
    }

    fn rebuild(&mut self, len: usize) -> bool {
        let (mut numbers, mut slots) = (Vec::new(), Vec::new());
        if numbers.try_reserve_exact(len).is_err() || slots.try_reserve_exact(len).is_err() {
            return false;
        }
        numbers.resize(len, 0);
        slots.resize(len, None);
        self.numbers = numbers;
        self.len = 0;
        for copy in std::mem::replace(&mut self.slots, slots).into_iter().flatten() {
            self.put(copy);
        }
        true
    }

    /// Whether `cold`, the recordings into shared copies, has grown enough for another scan.
    pub(crate) fn is_due(&self, cold: u64) -> bool {
        cold - self.looked >= LOOK.max(SHARE * self.len as u64)
    }

    /// Releases copies that were unchanged over the last two scans and now. Never blocks.
    pub(crate) fn look(&mut self, cold: u64, store: &Store, windows: &Windows, process: u64) {
        self.looked = cold;
        let mut gone = false;
        for (number, slot) in self.numbers.iter_mut().zip(&mut self.slots) {
            let Some(copy) = slot else { continue };
            let cells = copy.page[..READ].iter();
            let seen = cells.fold(0u64, |sum, cell| sum.wrapping_add(cell.load(Relaxed)));
            let idle = seen == copy.seen;
            if idle && copy.idle && copy.fold(store, windows, process, false) {
                (*number, *slot) = (GONE, None);
                gone = true;
            } else {
                (copy.seen, copy.idle) = (seen, idle);
            }
        }
        if gone {
            // Without memory, the slots of released pages stay marked.
            self.rebuild(self.slots.len());
        }
    }

    /// Releases everything.
    pub(crate) fn end(&mut self, store: &Store, windows: &Windows, process: u64) {
        for copy in std::mem::take(self).slots.into_iter().flatten() {
            copy.fold(store, windows, process, true);
        }
    }
}

impl Default for Held {
    fn default() -> Self {
        Self::new()
    }
}

impl Copy {
    fn fold(&self, store: &Store, windows: &Windows, process: u64, wait: bool) -> bool {
        // From here on the thread records into the shared copy.
        windows.remove(self.number);
        let folded = |shared| store.fold(shared, self.index, process, self.epoch, wait);
        let folded = store.shared(self.number).is_some_and(folded);
        if !folded {
            windows.put(self.number, self.page, self.epoch);
        }
        folded
    }
}
