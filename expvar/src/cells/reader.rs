//! Reads of many variables.

use std::cell::Cell;

use super::page::{CELLS, FLOAT_SUM, READ, Sums};
use super::store::Store;

/// Reads many variables: cells of the same page are read under one lock.
pub(crate) struct Reader {
    store: &'static Store,
    process: u64,
    /// The page of the last cell read alone; the next read there reads the whole page.
    near: Cell<u32>,
    /// The page that is cached, if any.
    page: Cell<u32>,
    sums: [Cell<u64>; CELLS],
}

const NO_PAGE: u32 = u32::MAX;

impl Reader {
    pub(super) fn of(store: &'static Store, process: u64) -> Self {
        Self {
            store,
            process,
            near: Cell::new(NO_PAGE),
            page: Cell::new(NO_PAGE),
            sums: [const { Cell::new(0) }; CELLS],
        }
    }

    /// The process that this is.
    pub(crate) fn process(&self) -> u64 {
        self.process
    }

    /// Drops the cache, so that later reads are current.
    pub(crate) fn refresh(&self) {
        self.near.set(NO_PAGE);
        self.page.set(NO_PAGE);
    }

    /// The sum of a cell that only goes up.
    #[inline]
    pub(crate) fn sum(&self, id: u32) -> u64 {
        if id / CELLS as u32 == self.page.get() {
            return self.sums[id as usize % CELLS].get();
        }
        self.first_of_page(id, Store::read, Store::read_one)
    }

    /// The sum of a cell that goes up and down, as of one moment unless it changes all the time.
    #[inline]
    pub(crate) fn settled(&self, id: u32) -> u64 {
        if id / CELLS as u32 == self.page.get() {
            return self.sums[id as usize % CELLS].get();
        }
        self.first_of_page(id, Store::read_all_settled, Store::read_settled)
    }

    /// Sequential reads fetch a page at once, random reads one cell at a time.
    fn first_of_page(
        &self,
        id: u32,
        read: fn(&Store, &super::page::Page, u64, &mut Sums),
        read_one: fn(&Store, &super::page::Page, u64, usize) -> u64,
    ) -> u64 {
        let (number, at) = (id / CELLS as u32, id as usize % CELLS);
        let Some(shared) = self.store.shared(number) else { return 0 };
        let last = self.page.get();
        if at != 0 && self.near.get() != number && last.wrapping_add(1) != number {
            self.near.set(number);
            return read_one(self.store, shared, self.process, at);
        }
        let mut sums = [0; READ];
        read(self.store, shared, self.process, &mut sums);
        for (cell, sum) in self.sums.iter().zip(sums) {
            cell.set(sum);
        }
        self.page.set(number);
        sums[at]
    }

    /// Calls `f` with the index in the run and the numbers of each page that was ever recorded
    /// into.
    pub(crate) fn run(&self, first: u32, pages: u32, mut f: impl FnMut(usize, &Sums)) {
        let number = first / CELLS as u32;
        let mut sums = [0; READ];
        for at in 0..pages {
            if let Some(shared) = self.store.shared(number + at) {
                self.store.read(shared, self.process, &mut sums);
                f(at as usize * CELLS, &sums);
            }
        }
    }

    /// Calls `f` with the count of additions and the sum of whole numbers of each page in a run.
    pub(crate) fn totals(&self, first: u32, pages: u32, mut f: impl FnMut(u64, u64)) {
        let number = first / CELLS as u32;
        for shared in (number..number + pages).filter_map(|number| self.store.shared(number)) {
            let (count, sum) = self.store.read_totals(shared, self.process);
            f(count, sum);
        }
    }
}

/// The sum of floats of a page.
pub(crate) fn float_sum(sums: &Sums) -> f64 {
    f64::from_bits(sums[FLOAT_SUM])
}
