//! The private copies that a thread holds, given back when it has not used them or ends.

use std::sync::atomic::Ordering::Relaxed;

use super::page::{Page, READ};
use super::sizes::LOOK;
use super::store::Store;
use super::windows::Windows;

/// Pages for which one more shared record must lie between two looks.
const SHARE: u64 = 64;

/// In the place of a page that was given back, where the table could not be made anew.
const GONE: u32 = u32::MAX;

/// Pages by number: open addressing, at most half full.
pub(crate) struct Held {
    /// The page in each slot; 0, which is never given out, where there is none.
    numbers: Vec<u32>,
    slots: Vec<Option<Copy>>,
    len: usize,
    /// The thread's shared records at the last look.
    looked: u64,
}

#[derive(Clone)]
struct Copy {
    number: u32,
    /// In the arena.
    index: u32,
    page: &'static Page,
    /// When the thread last made sure that it has it.
    epoch: u64,
    /// What the cells added up to at the last look.
    seen: u64,
    /// Whether that was the same as at the look before.
    idle: bool,
}

impl Held {
    pub(crate) const fn new() -> Self {
        Self { numbers: Vec::new(), slots: Vec::new(), len: 0, looked: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The private copy of a page, if nobody has taken it away; nobody does now for some epochs.
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

    /// Makes room for one more; `false` where the system refuses memory.
    pub(crate) fn reserve(&mut self) -> bool {
        2 * self.len < self.slots.len() || self.rebuild(2 * self.slots.len().max(8))
    }

    /// Takes a private copy of a page that has none here. [`reserve`](Self::reserve) comes first.
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

    /// Whether enough was recorded into shared copies, `cold`, to look again.
    pub(crate) fn is_due(&self, cold: u64) -> bool {
        cold - self.looked >= LOOK.max(SHARE * self.len as u64)
    }

    /// Gives back what did not change between the last two looks and now. Waits for nobody.
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
            // Where memory is refused, the places of those that are gone stay taken.
            self.rebuild(self.slots.len());
        }
    }

    /// Gives everything back.
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
