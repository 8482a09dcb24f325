//! The cells of the allocator hook: two pages whose shared copies are part of the program.
//!
//! Nothing here locks, waits or asks for memory. A thread that allocates often takes private copies
//! of both pages while there is memory made for them; what it counted before, after, or without
//! them goes to the shared ones.

use std::cell::Cell;
use std::sync::atomic::Ordering::Relaxed;

use super::page::{Page, SUM, Sums, WORDS, bump};
use super::{HELD, STORE, process};
use crate::sync::Zeroes;

static SHARED: [Zeroes<WORDS>; 2] = [const { Zeroes::new() }; 2];

/// Records into a shared copy that earn a private one.
const PRICE: u32 = 32;

thread_local! {
    static PAGES: [Cell<Option<&'static Page>>; 2] = const { [const { Cell::new(None) }; 2] };
    static INDICES: [Cell<u32>; 2] = const { [const { Cell::new(0) }; 2] };
    /// Records into shared copies.
    static COLD: Cell<u32> = const { Cell::new(0) };
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

/// Adds one to a cell of the hook's first or second page, and `n` to the page's sum.
#[inline(always)]
pub(crate) fn add(page: usize, cell: usize, n: u64) {
    match PAGES.with(|pages| pages[page].get()) {
        Some(page) => {
            bump(&page[cell], 1);
            bump(&page[SUM], n);
        }
        None => add_shared(page, cell, n),
    }
}

/// Not inlined, with arguments in registers, so that the hot path need not save any.
#[cold]
#[inline(never)]
fn add_shared(page: usize, cell: usize, n: u64) {
    let cold = COLD.get().wrapping_add(1);
    COLD.set(cold);
    let shared = &SHARED[page].0;
    shared[cell].fetch_add(1, Relaxed);
    shared[SUM].fetch_add(n, Relaxed);
    if (cold == 1 || cold.is_multiple_of(PRICE)) && !BUSY.replace(true) {
        // What gives pages back first: a thread that can no longer do that must not take any. The
        // standard library may allocate for that, which comes here again; it does so with the
        // thread's first allocation.
        if HELD.try_with(|_| ()).is_ok() && cold != 1 {
            (0..2).for_each(lease);
        }
        BUSY.set(false);
    }
}

fn lease(page: usize) {
    if PAGES.with(|pages| pages[page].get()).is_none()
        && let Some((index, copy)) = STORE.lease(&SHARED[page].0, process(), false)
    {
        INDICES.with(|indices| indices[page].set(index));
        PAGES.with(|pages| pages[page].set(Some(copy)));
    }
}

/// Gives back what the thread holds, which ends.
pub(super) fn end(process: u64) {
    for page in 0..2 {
        if PAGES.with(|pages| pages[page].take()).is_some() {
            let index = INDICES.with(|indices| indices[page].get());
            STORE.fold(&SHARED[page].0, index, process, true);
        }
    }
}

/// The sums of the hook's first or second page.
pub(crate) fn read(page: usize) -> Sums {
    let mut sums = [0; _];
    STORE.read(&SHARED[page].0, process(), &mut sums);
    sums
}
