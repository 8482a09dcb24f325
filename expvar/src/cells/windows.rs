//! How a thread finds its private copy of a page: the hot path.
//!
//! Each place has the first id of a page, with the epoch in which the thread made sure that it has a
//! copy, and a reference to that. Whether the page is the right one, whether the epoch is still the
//! same and where in the page the cell lies is one addition, one subtraction and one comparison.
//! What shares its place with another page is found in a second table, on the cold path.

use std::cell::Cell;

use super::page::{CELLS, Page, WORDS};
use super::sizes::{PLACES, SECOND};
use crate::sync::{constant, each, zeroes};

/// No cell lies in a window that shows nothing: page 0 has no ids.
const NOTHING: u64 = u64::MAX;

constant! {
    /// What a window refers to that shows nothing.
    fn nothing() -> &'static Page {
        zeroes!(WORDS)
    }
}

/// Windows by place. In two columns, so that the address of each is one operand.
struct Table<const N: usize> {
    /// The first id, plus the epoch, which is a multiple of what is larger than any id.
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

    /// Shows nothing from now on, if it shows the page.
    fn clear(&self, place: usize, first: u32) {
        let shown = &self.firsts[place];
        if shown.get() != NOTHING && shown.get() as u32 == first {
            shown.set(NOTHING);
        }
    }
}

impl Windows {
    constant! {
        /// Windows that show nothing.
        pub(crate) fn new() -> Self {
            Self { places: Table::new(), second: Table::new() }
        }
    }

    /// The private copy of the page in which a cell lies, and where in it, if the thread made sure of
    /// that in this epoch.
    #[inline(always)]
    pub(crate) fn at(&self, id: u32, epoch: u64) -> Option<(&'static Page, usize)> {
        self.places.at(place(id / CELLS as u32), id, epoch)
    }

    /// The private copy of a page that gave its place to another.
    #[inline]
    pub(crate) fn second(&self, number: u32, epoch: u64) -> Option<&'static Page> {
        let found = self.second.at(second(number), number * CELLS as u32, epoch);
        found.map(|(page, _)| page)
    }

    /// Shows a private copy for an epoch. What has the place now gets one in the second table.
    pub(crate) fn put(&self, number: u32, copy: &'static Page, epoch: u64) {
        let at = place(number);
        let (first, shown) = (self.places.firsts[at].get(), self.places.copies[at].get());
        if first != NOTHING {
            self.second.set(second(first as u32 / CELLS as u32), first, shown);
        }
        self.places.set(at, u64::from(number * CELLS as u32) + epoch, copy);
    }

    /// Shows a private copy no more.
    pub(crate) fn remove(&self, number: u32) {
        let first = number * CELLS as u32;
        self.places.clear(place(number), first);
        self.second.clear(second(number), first);
    }
}

#[inline(always)]
fn place(number: u32) -> usize {
    number as usize % PLACES
}

#[inline(always)]
fn second(number: u32) -> usize {
    (number.wrapping_mul(0x9E37_79B1) >> 26) as usize % SECOND
}
