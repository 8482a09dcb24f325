//! A thread's lookup of its private copies: the hot path.
//!
//! A window holds the first id of a page plus the epoch in which the thread verified its copy, and
//! a reference to the copy. One addition, one subtraction and one comparison check page and epoch
//! and give the cell's index. Pages that collide in the first table are found in a second one, on
//! the cold path.

use std::cell::Cell;

use super::page::{CELLS, Page, WORDS};
use super::sizes::{PLACES, SECOND};
use crate::sync::{constant, each, zeroes};

/// An empty window: page 0 has no ids.
const NOTHING: u64 = u64::MAX;

constant! {
    /// The target of an empty window.
    fn nothing() -> &'static Page {
        zeroes!(WORDS)
    }
}

/// Windows by index, in two columns, so that each address is one operand.
struct Table<const N: usize> {
    /// The first id, plus the epoch, a multiple of more than any id.
    firsts: [Cell<u64>; N],
    copies: [Cell<&'static Page>; N],
}

/// The windows of one thread.
pub(crate) struct Windows {
    places: Table<PLACES>,
    second: Table<SECOND>,
}

impl<const N: usize> Table<N> {
    constant! {
        fn new() -> Self {
            Self { firsts: each!(Cell::new(NOTHING)), copies: each!(Cell::new(nothing())) }
        }
    }

    #[inline(always)]
    fn at(&self, place: usize, id: u32, epoch: u64) -> Option<(&'static Page, usize)> {
        let at = (u64::from(id) + epoch).wrapping_sub(self.firsts[place].get()) as usize;
        (at < CELLS).then(|| (self.copies[place].get(), at))
    }

    fn set(&self, place: usize, first: u64, copy: &'static Page) {
        self.firsts[place].set(first);
        self.copies[place].set(copy);
    }

    /// Empties the window if it shows the page.
    fn clear(&self, place: usize, first: u32) {
        let shown = &self.firsts[place];
        if shown.get() != NOTHING && shown.get() as u32 == first {
            shown.set(NOTHING);
        }
    }
}

impl Windows {
    constant! {
        /// Empty windows.
        pub(crate) fn new() -> Self {
            Self { places: Table::new(), second: Table::new() }
        }
    }

    /// The private copy of a cell's page and the cell's index in it, if the thread verified the
    /// copy in this epoch.
    #[inline(always)]
    pub(crate) fn at(&self, id: u32, epoch: u64) -> Option<(&'static Page, usize)> {
        self.at_place(place(id / CELLS as u32), id, epoch)
    }

    /// The same, of a cell whose place was computed before.
    #[inline(always)]
    pub(crate) fn at_place(
        &self,
        place: usize,
        id: u32,
        epoch: u64,
    ) -> Option<(&'static Page, usize)> {
        self.places.at(place, id, epoch)
    }

    /// The private copy of a page that lost its window to another.
    #[inline]
    pub(crate) fn second(&self, number: u32, epoch: u64) -> Option<&'static Page> {
        let found = self.second.at(second(number), number * CELLS as u32, epoch);
        found.map(|(page, _)| page)
    }

    /// Adds a private copy for an epoch. The window's previous page moves to the second table.
    pub(crate) fn put(&self, number: u32, copy: &'static Page, epoch: u64) {
        let at = place(number);
        let (first, shown) = (self.places.firsts[at].get(), self.places.copies[at].get());
        if first != NOTHING {
            self.second.set(second(first as u32 / CELLS as u32), first, shown);
        }
        self.places.set(at, u64::from(number * CELLS as u32) + epoch, copy);
    }

    /// Removes a private copy.
    pub(crate) fn remove(&self, number: u32) {
        let first = number * CELLS as u32;
        self.places.clear(place(number), first);
        self.second.clear(second(number), first);
    }
}

/// The index of the window of a page.
#[inline(always)]
pub(super) fn place(number: u32) -> usize {
    number as usize % PLACES
}

#[inline(always)]
fn second(number: u32) -> usize {
    (number.wrapping_mul(0x9E37_79B1) >> 26) as usize % SECOND
}
