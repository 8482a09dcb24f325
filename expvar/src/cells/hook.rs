//! The cells of the allocator hook: two pages with static shared copies.
//!
//! Lock-free. A thread that allocates often takes private copies of both pages; what it counts
//! before, after or without them goes to the shared ones. Memory for private copies is requested
//! for 128 such threads at a time, and counted in the shared ones.

use std::cell::Cell;
use std::sync::atomic::Ordering::Relaxed;

use super::page::{Page, SUM, Sums, WORDS, bump};
use super::store::Store;
use super::{HELD, STORE, process};
use crate::sync::Zeroes;

static SHARED: [Zeroes<WORDS>; 2] = [const { Zeroes::new() }; 2];

/// Recordings into a shared copy that earn a private one.
const PRICE: u32 = 32;

thread_local! {
    static PLACES: [Place; 2] = const { [const { Place::new() }; 2] };
    /// Recordings into shared copies.
    static COLD: Cell<u32> = const { Cell::new(0) };
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

/// A thread's state for one of the pages.
struct Place {
    /// The epoch in which the thread last verified that it owns a private copy, or `NONE`.
    epoch: Cell<u64>,
    copy: Cell<&'static Page>,
    index: Cell<u32>,
}

/// No epoch.
const NONE: u64 = u64::MAX;

impl Place {
    const fn new() -> Self {
        Self { epoch: Cell::new(NONE), copy: Cell::new(&SHARED[0].0), index: Cell::new(0) }
    }

    /// The private copy, if the thread has one that was not reclaimed.
    fn renew(&self) -> Option<&'static Page> {
        let (before, epoch) = (self.epoch.get(), STORE.epoch());
        if before == NONE {
            return None;
        }
        let copy = self.copy.get();
        let renewed = Store::renew(copy, before, epoch);
        self.epoch.set(if renewed { epoch } else { NONE });
        renewed.then_some(copy)
    }
}

/// Adds one to a cell of the hook's first or second page, and `n` to the page's sum.
#[inline(always)]
pub(crate) fn add(page: usize, cell: usize, n: u64) {
    let copy = PLACES.with(|places| {
        let place = &places[page];
        (place.epoch.get() == STORE.epoch()).then(|| place.copy.get())
    });
    match copy {
        Some(copy) => {
            bump(&copy[cell], 1);
            bump(&copy[SUM], n);
        }
        None => add_cold(page, cell, n),
    }
}

/// Not inlined, with arguments in registers, so that the hot path saves none.
#[cold]
#[inline(never)]
fn add_cold(page: usize, cell: usize, n: u64) {
    if let Some(copy) = PLACES.with(|places| places[page].renew()) {
        bump(&copy[cell], 1);
        bump(&copy[SUM], n);
        return;
    }
    let cold = COLD.get().wrapping_add(1);
    COLD.set(cold);
    let shared = &SHARED[page].0;
    shared[cell].fetch_add(1, Relaxed);
    shared[SUM].fetch_add(n, Relaxed);
    if (cold == 1 || cold.is_multiple_of(PRICE)) && !BUSY.replace(true) {
        // Registers the destructor first: a thread that cannot release copies must not take any.
        // Without a list of destructors in the C library (macOS, Windows, musl), std keeps one in
        // memory of the system's allocator. Before Rust 1.93 it used the global allocator, and a
        // registration inside another one aborted the process.
        if HELD.try_with(|_| ()).is_ok() && cold != 1 {
            (0..2).for_each(lease);
        }
        BUSY.set(false);
    }
}

fn lease(page: usize) {
    PLACES.with(|places| {
        let (place, epoch) = (&places[page], STORE.epoch());
        if place.epoch.get() == NONE
            && let Some((index, copy)) = STORE.lease(&SHARED[page].0, process(), true, epoch)
        {
            place.index.set(index);
            place.copy.set(copy);
            place.epoch.set(epoch);
        }
    });
}

/// Releases the copies of a thread that ends.
pub(super) fn end(process: u64) {
    PLACES.with(|places| {
        for (place, shared) in places.iter().zip(&SHARED) {
            let epoch = place.epoch.replace(NONE);
            if epoch != NONE {
                STORE.fold(&shared.0, place.index.get(), process, epoch, true);
            }
        }
    });
}

/// The sums of the hook's first or second page.
pub(crate) fn read(page: usize) -> Sums {
    let mut sums = [0; _];
    STORE.read(&SHARED[page].0, process(), &mut sums);
    sums
}
