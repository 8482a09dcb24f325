//! Maps page numbers to shared copies.

use std::sync::atomic::Ordering::{AcqRel, Acquire};

use super::sizes::{LEAF, LEAVES};
use crate::sync::{AtomicU64, Table, Zeroes, constant, zeroed};

/// Page numbers from here on have no shared copy; two billion ids are below.
pub(crate) const NUMBERS: u32 = (LEAF * (LEAVES + 1)) as u32;

/// Shared copies by page number. An unused number takes 8 bytes.
pub(crate) struct Index {
    /// Static, so that the first variables need no memory.
    first: Zeroes<LEAF>,
    leaves: Table<[AtomicU64; LEAF], LEAVES>,
}

impl Index {
    constant! {
        pub(crate) fn new() -> Self {
            Self { first: Zeroes::new(), leaves: Table::new() }
        }
    }

    /// The shared copy of a page number.
    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<u32> {
        let leaf = self.leaf(number)?;
        // Pairs with the release in `set`.
        (leaf[number as usize % LEAF].load(Acquire) as u32).checked_sub(1)
    }

    #[inline]
    fn leaf(&self, number: u32) -> Option<&[AtomicU64; LEAF]> {
        match (number as usize / LEAF).checked_sub(1) {
            None => Some(&self.first.0),
            Some(at) => self.leaves.get(at),
        }
    }

    /// Sets the shared copy of a page number; `Err` with the existing one. `None` if the system
    /// refuses memory, if memory is needed and `grow` is false, or if the number is too large.
    pub(crate) fn set(&self, number: u32, index: u32, grow: bool) -> Option<Result<(), u32>> {
        let at = number as usize / LEAF;
        if grow && self.leaf(number).is_none() {
            self.leaves.set(at - 1, zeroed()?);
        }
        let entry = &self.leaf(number)?[number as usize % LEAF];
        let set = entry.compare_exchange(0, u64::from(index) + 1, AcqRel, Acquire);
        Some(set.map(drop).map_err(|other| other as u32 - 1))
    }
}
