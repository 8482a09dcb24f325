//! The cell of one number.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use super::page::{CELLS, Page, bump};
use super::record::{self, Copy};
use super::sizes::PLACES;
use super::windows::place;
use super::{Calling, IDS, LOCAL, NONE, STORE, Use, WINDOWS, lose, process};
use crate::sync::AtomicU32;

/// The cell of one number: an id taken at first use and released on drop.
pub(crate) struct Cells {
    /// The id, or `NONE`.
    id: AtomicU32,
}

impl Cells {
    pub(crate) const fn new() -> Self {
        Self { id: AtomicU32::new(NONE) }
    }

    /// The id; `None` before the first recording.
    #[inline]
    pub(crate) fn id(&self) -> Option<u32> {
        // Pairs with the release in `claim`: a thread that sees the id sees the cell zeroed.
        let id = self.id.load(Acquire);
        (id != NONE).then_some(id)
    }

    /// The id, taken now if there is none. `None` if all are in use.
    #[cold]
    #[inline(never)]
    pub(crate) fn claim(&self, of: Use) -> Option<u32> {
        if let Some(id) = self.id() {
            return Some(id);
        }
        LOCAL.with(|local| {
            local.growing(|nested| {
                let fresh = IDS.cell(of, nested)?;
                match self.id.compare_exchange(NONE, fresh, AcqRel, Acquire) {
                    Ok(_) => Some(fresh),
                    Err(other) => {
                        IDS.release_cell(fresh, of, nested);
                        Some(other)
                    }
                }
            })
        })
    }

    /// The cell of an id that its former owner gave up for good.
    pub(crate) fn of(id: u32) -> Self {
        Self { id: AtomicU32::new(id) }
    }

    /// Makes a static share another's cell and returns its former one, to which recordings in
    /// progress may still go.
    pub(crate) fn share(&self, id: u32) -> Option<u32> {
        let own = self.id.swap(id, AcqRel);
        (own != NONE && own != id).then_some(own)
    }

    /// Adds to the cell if the thread's windows have its page. Otherwise use [`claim`](Self::claim)
    /// and [`add`].
    #[inline]
    pub(crate) fn try_add(&self, n: u64) -> bool {
        // Pairs with the release in `claim`.
        let found = private(self.id.load(Acquire));
        if let Some((page, at)) = found {
            bump(&page[at], n);
        }
        found.is_some()
    }

    /// Adds to the cell, taking an id first if necessary.
    #[inline(always)]
    pub(crate) fn add_cold(&self, of: Use, n: u64) {
        match self.id().or_else(|| self.claim(of)) {
            Some(id) => add_near(id, n),
            None => lose(),
        }
    }

    /// The sum of a cell that only goes up.
    pub(crate) fn sum(&self) -> u64 {
        let Some(id) = self.id() else { return 0 };
        let shared = STORE.shared(id / CELLS as u32);
        shared.map_or(0, |shared| STORE.read_one(shared, process(), id as usize % CELLS))
    }

    /// Releases the id. Called once, by the owner's `Drop`.
    pub(crate) fn release(&mut self, of: Use) {
        let id = std::mem::replace(self.id.get_mut(), NONE);
        if id != NONE {
            let at = id as usize % CELLS;
            if let Some(shared) = STORE.shared(id / CELLS as u32) {
                STORE.zero(shared, process(), at..at + 1);
            }
            LOCAL.with(|local| local.growing(|nested| IDS.release_cell(id, of, nested)));
        }
    }
}

/// The page of a cell and its place there, where the calling thread's windows show a private copy.
#[inline(always)]
pub(crate) fn private(id: u32) -> Option<(&'static Page, usize)> {
    WINDOWS.with(|windows| windows.at(id, STORE.epoch()))
}

/// Adds to a cell, wrapping. About a nanosecond where the calling thread does so often. Never
/// blocks.
#[inline]
pub(crate) fn add(id: u32, n: u64) {
    match private(id) {
        Some((page, at)) => bump(&page[at], n),
        None => add_cold(id, n),
    }
}

/// A cell that stays the same: the index of its window is computed once.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Fixed {
    id: u32,
    place: u8,
}

impl Fixed {
    pub(crate) fn new(id: u32) -> Self {
        Self { id, place: place(id / CELLS as u32) as u8 }
    }

    /// Adds to the cell if the thread's windows have its page. Otherwise use
    /// [`add_cold`](Self::add_cold).
    #[inline]
    pub fn try_add(self, n: u64) -> bool {
        let place = usize::from(self.place) % PLACES;
        let found = WINDOWS.with(|windows| windows.at_place(place, self.id, STORE.epoch()));
        if let Some((page, at)) = found {
            bump(&page[at], n);
        }
        found.is_some()
    }

    /// Adds to the cell after [`try_add`](Self::try_add) has failed.
    pub fn add_cold(self, n: u64) {
        add_cold(self.id, n);
    }
}

const _: () = assert!(PLACES <= 1 << u8::BITS);

/// The path of a thread's first recordings into many variables: inlines the case that the previous
/// recording was in the same page.
#[cold]
#[inline(never)]
fn add_cold(id: u32, n: u64) {
    add_near(id, n);
}

#[inline(always)]
fn add_near(id: u32, n: u64) {
    match LOCAL.with(|local| local.again(id / CELLS as u32)) {
        Some(page) => _ = page[id as usize % CELLS].fetch_add(n, Relaxed),
        None => add_far(id, n),
    }
}

#[inline(never)]
fn add_far(id: u32, n: u64) {
    let at = id as usize % CELLS;
    match record::copy(&Calling, &STORE, id / CELLS as u32) {
        Some(Copy::Private(page)) => bump(&page[at], n),
        Some(Copy::Shared(page)) => _ = page[at].fetch_add(n, Relaxed),
        None => lose(),
    }
}

/// The sum of a cell that goes up and down.
pub(crate) fn settled(id: u32) -> u64 {
    let shared = STORE.shared(id / CELLS as u32);
    shared.map_or(0, |shared| STORE.read_settled(shared, process(), id as usize % CELLS))
}

/// Replaces a cell's sum with `change` of it. A concurrent addition is either kept on top or
/// replaced. Takes the page's lock. False if the system refuses memory.
pub(crate) fn set(id: u32, change: impl FnOnce(u64) -> u64) -> bool {
    let number = id / CELLS as u32;
    let shared = LOCAL.with(|local| local.growing(|nested| STORE.shared_or_new(number, !nested)));
    match shared {
        Some(shared) => {
            STORE.set(shared, process(), id as usize % CELLS, change);
            true
        }
        None => {
            lose();
            false
        }
    }
}
