//! Where a histogram's cells are, and what is read of them without its buckets.

use super::buckets::Buckets;
use crate::cells::page::{CELLS, SUM};
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
        if self.buckets.floats {
            // Fractions are counted where whole numbers are summed up.
            reader.sums(self.first, self.pages, |_, sum| count = count.wrapping_add(sum));
            return count;
        }
        reader.run(self.first, self.pages, |_, sums| {
            count = sums[..CELLS].iter().fold(count, |count, n| count.wrapping_add(*n));
        });
        count
    }

    /// A number that changes with every record, for which a cell or two are read of each page.
    ///
    /// Of whole numbers those are the sums. Zeroes, which leave them as they are, are counted
    /// beside; and pages whose values are so large that their sum may come round to what it was
    /// are counted whole.
    pub(super) fn stamp(&self, reader: &Reader) -> u64 {
        let mut stamp = 0u64;
        let large = if self.buckets.floats { u32::MAX } else { self.buckets.index(1 << 32) as u32 };
        let small = (large / CELLS as u32).min(self.pages);
        reader.sums(self.first, small, |_, sum| stamp = stamp.wrapping_add(sum));
        if !self.buckets.floats {
            stamp = stamp.wrapping_add(reader.sum_now(self.first).wrapping_mul(MIX));
            let first = self.first + small * CELLS as u32;
            reader.run(first, self.pages - small, |_, sums| {
                let count = sums[..CELLS].iter().fold(0u64, |sum, n| sum.wrapping_add(*n));
                stamp = stamp.wrapping_add(sums[SUM]).wrapping_add(count.wrapping_mul(MIX));
            });
        }
        stamp
    }
}
