//! Allocation of cell ids.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use super::index::NUMBERS;
use super::page::CELLS;
use crate::sync::{AtomicU32, Mutex, lock_for_a_while};

/// Allocates ids: single ones, and runs of whole pages.
pub(crate) struct Ids {
    free: Mutex<Free>,
    /// Page numbers from here on were never used. The first is 1.
    next: AtomicU32,
    /// The number of ids in use.
    used: AtomicU32,
}

struct Free {
    /// Free ids of counters, and of gauges, whose pages are read differently.
    cells: [Vec<u32>; 2],
    /// The unused rest of the newest page of each.
    begun: [std::ops::Range<u32>; 2],
    /// First ids of free runs, by their number of pages.
    runs: BTreeMap<u32, Vec<u32>>,
}

/// The use of a single id.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// A count that only goes up.
    Up,
    /// A number that goes up and down.
    UpAndDown,
}

impl Ids {
    pub(crate) const fn new() -> Self {
        Self {
            free: Mutex::new(Free {
                cells: [const { Vec::new() }; 2],
                begun: [0..0, 0..0],
                runs: BTreeMap::new(),
            }),
            next: AtomicU32::new(0),
            used: AtomicU32::new(0),
        }
    }

    /// A single id. `nested` if the calling thread is already in here, as with an allocator that
    /// records. `None` if all two billion are in use.
    pub(crate) fn cell(&self, of: Use, nested: bool) -> Option<u32> {
        let id = match self.lock(nested) {
            Some(mut free) => {
                let free = &mut *free;
                let begun = &mut free.begun[of as usize];
                match free.cells[of as usize].pop().or_else(|| begun.next()) {
                    Some(id) => id,
                    None => {
                        let first = self.pages(1)?;
                        *begun = first + 1..first + CELLS as u32;
                        first
                    }
                }
            }
            None => self.pages(1)?,
        };
        self.used.fetch_add(1, Relaxed);
        Some(id)
    }

    /// The first id of a run of pages.
    pub(crate) fn run(&self, pages: u32, nested: bool) -> Option<u32> {
        let free = self.lock(nested);
        let free = free.and_then(|mut free| free.runs.get_mut(&pages)?.pop());
        let first = match free {
            Some(first) => first,
            None => self.pages(pages)?,
        };
        self.used.fetch_add(pages * CELLS as u32, Relaxed);
        Some(first)
    }

    fn pages(&self, count: u32) -> Option<u32> {
        let after = |next: u32| next.checked_add(count).filter(|&next| next < NUMBERS - 1);
        let number = self.next.fetch_update(Relaxed, Relaxed, after).ok()? + 1;
        Some(number * CELLS as u32)
    }

    /// Releases an id whose cell is zero.
    pub(crate) fn release_cell(&self, id: u32, of: Use, nested: bool) {
        self.used.fetch_sub(1, Relaxed);
        if let Some(mut free) = self.lock(nested) {
            free.cells[of as usize].push(id);
        }
    }

    /// Releases a run whose cells are zero.
    pub(crate) fn release_run(&self, first: u32, pages: u32, nested: bool) {
        self.used.fetch_sub(pages * CELLS as u32, Relaxed);
        if let Some(mut free) = self.lock(nested) {
            free.runs.entry(pages).or_default().push(first);
        }
    }

    /// The number of ids in use.
    pub(crate) fn used(&self) -> u32 {
        self.used.load(Relaxed)
    }

    /// `None` if the lock would never be released: it is held by the calling thread, or by a thread
    /// of the process that this one was forked from. The caller then takes an unused id, or leaks
    /// one.
    fn lock(&self, nested: bool) -> Option<impl std::ops::DerefMut<Target = Free>> {
        if nested { None } else { lock_for_a_while(&self.free) }
    }
}
