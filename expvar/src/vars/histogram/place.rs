//! Where a histogram's cells are, and its count and stamp.

use super::buckets::Buckets;
use crate::cells::{Reader, Run};

/// Where a histogram's cells are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The id of the first bucket's cell.
    pub(super) first: u32,
    pub(super) pages: u32,
    pub(super) buckets: Buckets,
}

/// Odd, and large: see [`Place::stamp`].
const MIX: u64 = 0x9E37_79B9_7F4A_7C15;

impl Place {
    pub(super) fn new(first: u32, run: &Run, buckets: Buckets) -> Self {
        Self { first, pages: run.pages(), buckets }
    }

    /// How many values were recorded.
    pub(super) fn count(&self, reader: &Reader) -> u64 {
        let mut count = 0u64;
        reader.totals(self.first, self.pages, |of_page, _| count = count.wrapping_add(of_page));
        count
    }

    /// A number that changes with every recording. Reads two cells per page.
    pub(super) fn stamp(&self, reader: &Reader) -> u64 {
        let mut stamp = 0u64;
        reader.totals(self.first, self.pages, |count, sum| {
            stamp = stamp.wrapping_add(sum).wrapping_add(count.wrapping_mul(MIX));
        });
        stamp
    }
}
