//! Which pages a thread records into often: 512 bytes a thread, and a few instructions a record
//! into a shared copy.
//!
//! A slot counts the records into one page at a time. Records into other pages that share the slot
//! count against it, one in [`AGAINST`] at its full weight; at zero the slot changes hands. So a
//! page is found to be hot if enough of the records that come here are its own, and what is hot but
//! shares a slot with something hotter is found once that has a private copy and comes here no
//! more. Heat ages by other records, not by a clock.

use std::cell::Cell;

use super::sizes::PRICE;

const SLOTS: usize = 128;
/// Of this many records into other pages, one counts against a slot.
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

    /// Notes `times` records into a page that the thread holds no private copy of; `true` when it
    /// earned one. `eighths` are those of the limit that are held.
    #[inline]
    pub(crate) fn note(&self, number: u32, times: u16, eighths: impl FnOnce() -> u32) -> bool {
        let Some((slot, heat)) = self.warm(number, times) else { return false };
        heat >= PRICE && heat >= price(eighths()) && {
            slot.heat.set(0);
            true
        }
    }

    /// Notes records without a look at what they earned. What the page's slot had before, if it is
    /// the page's.
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

/// What a page costs: once half of the limit is held, twice as much with each further eighth, so
/// that what is lukewarm in many threads does not soon take all of it from what is hot in one.
fn price(eighths: u32) -> u16 {
    PRICE << eighths.saturating_sub(3).min(5)
}
