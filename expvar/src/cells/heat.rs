//! Detects which pages a thread records into often, in 512 bytes a thread and a few instructions
//! for each recording into a shared copy.
//!
//! A slot counts recordings into one page at a time. Recordings into other pages of the slot count
//! against it, one in [`AGAINST`] at full weight; at zero the slot changes owner. So a page is hot
//! if enough of the recordings here are its own. A hot page that shares its slot with a hotter one
//! is found after that has got its private copy and no longer comes here. Heat decays through other
//! recordings, not over time.

use std::cell::Cell;

use super::sizes::PRICE;

const SLOTS: usize = 128;
/// One of this many recordings into other pages counts against a slot.
const AGAINST: u32 = 16;

pub(crate) struct Heat {
    slots: [Slot; SLOTS],
    others: Cell<u32>,
}

pub(crate) struct Slot {
    tag: Cell<u16>,
    heat: Cell<u16>,
}

impl Heat {
    pub(crate) const fn new() -> Self {
        let slots = [const { Slot { tag: Cell::new(0), heat: Cell::new(0) } }; SLOTS];
        Self { slots, others: Cell::new(0) }
    }

    /// Counts `times` recordings into a page without a private copy; true when the page has earned
    /// one. `eighths` of the limit are in use.
    #[inline]
    pub(crate) fn note(&self, number: u32, times: u16, eighths: impl FnOnce() -> u32) -> bool {
        let Some((slot, heat)) = self.warm(number, times) else { return false };
        heat >= PRICE && heat >= price(eighths()) && {
            slot.heat.set(0);
            true
        }
    }

    /// Counts recordings without a decision. Returns the slot's previous count if the slot is the
    /// page's.
    #[inline]
    pub(crate) fn warm(&self, number: u32, times: u16) -> Option<(&Slot, u16)> {
        let hash = number.wrapping_mul(0x9E37_79B1);
        let tag = (hash >> 9) as u16;
        let slot = &self.slots[(hash >> 25) as usize % SLOTS];
        let heat = slot.heat.get();
        if slot.tag.get() == tag {
            slot.heat.set(heat.saturating_add(times));
            return Some((slot, heat));
        }
        if heat == 0 {
            slot.tag.set(tag);
            slot.heat.set(times);
            return None;
        }
        let others = self.others.get() + u32::from(times);
        self.others.set(others % AGAINST);
        slot.heat.set(heat.saturating_sub((others / AGAINST) as u16));
        None
    }
}

/// The price of a private copy: doubles with each eighth of the limit in use beyond half, so that
/// lukewarm pages of many threads leave room for hot pages.
fn price(eighths: u32) -> u16 {
    PRICE << eighths.saturating_sub(3).min(5)
}
