//! The cells of a distribution.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use super::page::{self, CELLS, COUNT, FLOAT_SUM, SUM, bump, bump_float, share_float};
use super::record::{self, Copy};
use super::{Calling, IDS, LOCAL, NONE, STORE, lose, private, process};
use crate::sync::AtomicU32;

/// The cells of a distribution: a run of pages taken at first use and released on drop. Each page
/// has its own sums, so that a recording needs one page only.
pub(crate) struct Run {
    /// The first id, or `NONE`.
    first: AtomicU32,
    /// An odd number, so that the same pages of many runs map to different windows of a thread.
    pages: u32,
}

impl Run {
    /// A run of at least `cells`.
    pub(crate) const fn new(cells: usize) -> Self {
        Self { first: AtomicU32::new(NONE), pages: cells.div_ceil(CELLS) as u32 | 1 }
    }

    /// How many pages there are.
    pub(crate) fn pages(&self) -> u32 {
        self.pages
    }

    /// The first id; `None` before the first recording.
    #[inline]
    pub(crate) fn first(&self) -> Option<u32> {
        // Pairs with the release in `claim`.
        let first = self.first.load(Acquire);
        (first != NONE).then_some(first)
    }

    /// The first id, taken now if there is none.
    #[cold]
    #[inline(never)]
    pub(crate) fn claim(&self) -> Option<u32> {
        if let Some(first) = self.first() {
            return Some(first);
        }
        LOCAL.with(|local| {
            local.growing(|nested| {
                let fresh = IDS.run(self.pages, nested)?;
                match self.first.compare_exchange(NONE, fresh, AcqRel, Acquire) {
                    Ok(_) => Some(fresh),
                    Err(other) => {
                        IDS.release_run(fresh, self.pages, nested);
                        Some(other)
                    }
                }
            })
        })
    }

    /// Makes a static share another's cells and returns its former ones, to which recordings in
    /// progress may still go.
    pub(crate) fn share(&self, first: u32) -> Option<Self> {
        let own = self.first.swap(first, AcqRel);
        let run = Self { first: AtomicU32::new(own), pages: self.pages };
        (own != NONE && own != first).then_some(run)
    }

    /// Adds one to a cell and to its page's count, and `n` to the page's sum of whole numbers, if
    /// the thread's windows have the page. The count goes last, so that a reader which reads the
    /// count first finds at least as many in the cells.
    #[inline]
    pub(crate) fn try_record(&self, cell: u32, n: u64) -> bool {
        // Pairs with the release in `claim`.
        let id = self.first.load(Acquire).wrapping_add(cell);
        let found = private(id);
        if let Some((page, at)) = found {
            bump(&page[SUM], n);
            bump(&page[at], 1);
            bump(&page[COUNT], 1);
        }
        found.is_some()
    }

    /// The same, with `n` added to the page's sum of floats.
    #[inline]
    pub(crate) fn try_record_float(&self, cell: u32, n: f64) -> bool {
        let id = self.first.load(Acquire).wrapping_add(cell);
        let found = private(id);
        if let Some((page, at)) = found {
            bump_float(&page[FLOAT_SUM], n);
            bump(&page[at], 1);
            bump(&page[COUNT], 1);
        }
        found.is_some()
    }

    /// Adds one to a cell and to its page's count, `n` to the page's sum of whole numbers and `float`
    /// to that of floats.
    #[cold]
    #[inline(never)]
    pub(crate) fn record_cold(&self, cell: u32, n: u64, float: f64) {
        let Some(first) = self.claim() else { return lose() };
        let id = first + cell;
        let at = id as usize % CELLS;
        match record::copy(&Calling, &STORE, id / CELLS as u32) {
            Some(Copy::Private(page)) => {
                bump(&page[SUM], n);
                bump_float(&page[FLOAT_SUM], float);
                bump(&page[at], 1);
                bump(&page[COUNT], 1);
            }
            Some(Copy::Shared(page)) => {
                page[SUM].fetch_add(n, Relaxed);
                if float != 0.0 {
                    share_float(&page[FLOAT_SUM], float);
                }
                page[at].fetch_add(1, Relaxed);
                page[COUNT].fetch_add(1, Relaxed);
            }
            None => lose(),
        }
    }

    /// Releases the pages. Called once, by the owner's `Drop`.
    pub(crate) fn release(&mut self) {
        let first = std::mem::replace(self.first.get_mut(), NONE);
        if first != NONE {
            let number = first / CELLS as u32;
            let process = process();
            for shared in (number..number + self.pages).filter_map(|number| STORE.shared(number)) {
                STORE.zero(shared, process, 0..page::READ);
            }
            let give_back = |nested| IDS.release_run(first, self.pages, nested);
            LOCAL.with(|local| local.growing(give_back));
        }
    }
}
