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

struct Window {
    /// The first id, plus the epoch, which is a multiple of what is larger than any id.
    first: Cell<u64>,
    copy: Cell<&'static Page>,
}

/// The windows of one thread.
pub(crate) struct Windows {
    places: [Window; PLACES],
    second: [Window; SECOND],
}

impl Window {
    const fn new(copy: &'static Page) -> Self {
        Self { first: Cell::new(NOTHING), copy: Cell::new(copy) }
    }

    #[inline(always)]
    fn at(&self, id: u32, epoch: u64) -> Option<(&'static Page, usize)> {
        let at = (u64::from(id) + epoch).wrapping_sub(self.first.get()) as usize;
        (at < CELLS).then(|| (self.copy.get(), at))
    }

    fn set(&self, first: u64, copy: &'static Page) {
        self.first.set(first);
        self.copy.set(copy);
    }

    /// Shows nothing from now on, if it shows the page.
    fn clear(&self, first: u32) {
        if self.first.get() != NOTHING && self.first.get() as u32 == first {
            self.first.set(NOTHING);
        }
    }
}

impl Windows {
    constant! {
        /// Windows that show nothing.
        pub(crate) fn new() -> Self {
            Self { places: each!(Window::new(nothing())), second: each!(Window::new(nothing())) }
        }
    }

    /// The private copy of the page in which a cell lies, and where in it, if the thread made sure of
    /// that in this epoch.
    #[inline(always)]
    pub(crate) fn at(&self, id: u32, epoch: u64) -> Option<(&'static Page, usize)> {
        self.places[place(id / CELLS as u32)].at(id, epoch)
    }

    /// The private copy of a page that gave its place to another.
    #[inline]
    pub(crate) fn second(&self, number: u32, epoch: u64) -> Option<&'static Page> {
        let found = self.second[second(number)].at(number * CELLS as u32, epoch);
        found.map(|(page, _)| page)
    }

    /// Shows a private copy for an epoch. What has the place now gets one in the second table.
    pub(crate) fn put(&self, number: u32, copy: &'static Page, epoch: u64) {
        let window = &self.places[place(number)];
        let first = window.first.get();
        if first != NOTHING {
            self.second[second(first as u32 / CELLS as u32)].set(first, window.copy.get());
        }
        window.set(u64::from(number * CELLS as u32) + epoch, copy);
    }

    /// Shows a private copy no more.
    pub(crate) fn remove(&self, number: u32) {
        let first = number * CELLS as u32;
        self.places[place(number)].clear(first);
        self.second[second(number)].clear(first);
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
