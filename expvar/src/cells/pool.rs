//! The slabs that threads lease, and the ids of the cells in them.
//!
//! A slab is a row of cells that only its leaseholder writes. Cell `id` of every slab together hold
//! one number: reading sums it over all slabs ever made, so a slab that changes hands, or waits for
//! its next holder, keeps counting. Everything here runs under one lock and off the hot path.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use crate::sync::{AtomicU64, Mutex, zeroed_slab};

/// A row of cells; `&[]` when there is none.
pub(crate) type Slab = &'static [AtomicU64];

/// Every slab ever made, and which ids are in use.
pub(crate) struct Pool(pub(crate) Mutex<State>);

pub(crate) struct State {
    /// Every slab ever made here, leased or not.
    slabs: Vec<Slab>,
    /// Those that no thread holds.
    free: Vec<Slab>,
    /// Ids below this have been given out at least once.
    next: u32,
    /// Runs below `next` that were given back: start to length, never adjacent to each other.
    gaps: BTreeMap<u32, u32>,
}

impl Pool {
    /// Gives out `len` consecutive ids, whose cells are zero in every slab.
    pub(crate) fn allocate(&self, len: u32) -> u32 {
        let mut state = self.0.lock();
        let gap =
            state.gaps.iter().find(|&(_, &size)| size >= len).map(|(&start, &size)| (start, size));
        if let Some((start, size)) = gap {
            state.gaps.remove(&start);
            if size > len {
                state.gaps.insert(start + len, size - len);
            }
            return start;
        }
        let start = state.next;
        state.next = start.checked_add(len).expect("four billion cells are in use");
        start
    }

    /// Takes ids back. Nobody may hold them any more: their cells are zeroed in every slab here and
    /// in `others`, which is what makes the next holder start from zero.
    pub(crate) fn release(&self, start: u32, len: u32, others: &[Slab]) {
        let mut guard = self.0.lock();
        let state = &mut *guard;
        for slab in state.slabs.iter().chain(others) {
            let end = slab.len().min((start + len) as usize);
            for cell in slab.get(start as usize..end).unwrap_or(&[]) {
                cell.store(0, Relaxed);
            }
        }
        let (mut start, mut len) = (start, len);
        if let Some(after) = state.gaps.remove(&(start + len)) {
            len += after;
        }
        let before = state.gaps.range(..start).next_back().map(|(&at, &size)| (at, size));
        if let Some((at, size)) = before
            && at + size == start
        {
            state.gaps.remove(&at);
            (start, len) = (at, len + size);
        }
        if start + len == state.next {
            state.next = start;
        } else {
            state.gaps.insert(start, len);
        }
    }

    /// Leases a slab in which cell `id` lies, and takes `old` back as it is.
    ///
    /// A free slab that fits is preferred; a new one is made for all ids in use, and at least twice
    /// as long as the old one, so that a thread moves a logarithmic number of times.
    pub(crate) fn lease(&self, id: u32, old: Slab) -> Slab {
        let mut state = self.0.lock();
        if !old.is_empty() {
            state.free.push(old);
        }
        state.take(id, 2 * old.len())
    }

    /// Takes a slab back as it is: its cells go on counting.
    pub(crate) fn give_back(&self, slab: Slab) {
        self.0.lock().free.push(slab);
    }

    /// Changes a cell on behalf of a thread that can hold no lease: any free slab that reaches
    /// `last` will do, because the lock keeps every other thread from leasing it.
    pub(crate) fn update(&self, id: u32, last: u32, change: impl FnOnce(u64) -> u64) {
        let mut state = self.0.lock();
        let slab = state.take(last, 0);
        let cell = &slab[id as usize];
        cell.store(change(cell.load(Relaxed)), Relaxed);
        state.free.push(slab);
    }

    /// Appends every slab made so far to `list`.
    pub(crate) fn list(&self, list: &mut Vec<Slab>) {
        list.extend_from_slice(&self.0.lock().slabs);
    }

    /// How many ids are in use, how many slabs there are, and how many cells they hold together.
    pub(crate) fn usage(&self) -> (usize, usize, usize) {
        let state = self.0.lock();
        let gaps: u32 = state.gaps.values().sum();
        let cells = state.slabs.iter().map(|slab| slab.len()).sum();
        ((state.next - gaps) as usize, state.slabs.len(), cells)
    }

    /// Runs `f` while no id or slab can change hands.
    pub(crate) fn locked<R>(&self, f: impl FnOnce(&[Slab]) -> R) -> R {
        f(&self.0.lock().slabs)
    }
}

impl State {
    /// No slabs; ids below `reserved` are never given out.
    pub(crate) const fn new(reserved: u32) -> Self {
        Self { slabs: Vec::new(), free: Vec::new(), next: reserved, gaps: BTreeMap::new() }
    }

    fn take(&mut self, id: u32, at_least: usize) -> Slab {
        let needed = id as usize + 1;
        let fitting = self.free.iter().enumerate().filter(|(_, slab)| slab.len() >= needed);
        if let Some((at, _)) = fitting.min_by_key(|(_, slab)| slab.len()) {
            return self.free.swap_remove(at);
        }
        let slab = zeroed_slab(needed.max(self.next as usize).max(at_least));
        self.slabs.push(slab);
        slab
    }
}
