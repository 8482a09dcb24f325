//! How a thread finds its private copy of a page: the hot path.
//!
//! Each place has the first id of a page and a reference to the copy. Whether the page is the right
//! one and where in it the cell lies is one subtraction and one comparison. What shares its place
//! with another page is found in a second table, on the cold path.

use std::cell::Cell;

use super::page::{CELLS, Page, WORDS};
use super::sizes::{PLACES, SECOND};
use crate::sync::{constant, each, zeroes};

/// No id is that large, so that no cell lies in a window that shows nothing.
const NOTHING: u32 = 1 << 31;

constant! {
    /// What a window refers to that shows nothing.
    fn nothing() -> &'static Page {
        zeroes!(WORDS)
    }
}

struct Window {
    first: Cell<u32>,
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
    fn at(&self, id: u32) -> Option<(&'static Page, usize)> {
        let at = id.wrapping_sub(self.first.get()) as usize;
        (at < CELLS).then(|| (self.copy.get(), at))
    }

    fn set(&self, first: u32, copy: &'static Page) {
        self.first.set(first);
        self.copy.set(copy);
    }

    /// Shows nothing from now on, if it shows the page.
    fn clear(&self, first: u32) {
        if self.first.get() == first {
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

    /// The private copy of the page in which a cell lies, and where in it.
    #[inline(always)]
    pub(crate) fn at(&self, id: u32) -> Option<(&'static Page, usize)> {
        self.places[place(id / CELLS as u32)].at(id)
    }

    /// The private copy of a page that gave its place to another.
    #[inline]
    pub(crate) fn second(&self, number: u32) -> Option<&'static Page> {
        let found = self.second[second(number)].at(number * CELLS as u32);
        found.map(|(page, _)| page)
    }

    /// Shows a private copy. What has the place now gets one in the second table.
    pub(crate) fn put(&self, number: u32, copy: &'static Page) {
        let window = &self.places[place(number)];
        let first = window.first.get();
        if first != NOTHING {
            self.second[second(first / CELLS as u32)].set(first, window.copy.get());
        }
        window.set(number * CELLS as u32, copy);
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
