//! The live samples and their stacks.
//!
//! The table is changed inside other code's allocations. So its mutex never allocates, its own
//! allocations are not sampled, and it grows by fixed chunks, without copying. If the system has no
//! memory or a bound is reached, the sample is dropped and counted.

use std::cell::Cell;
use std::hash::{DefaultHasher, Hasher};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};
// std's locks with a compare-and-swap and a futex; parking_lot's may allocate.
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use super::chunks::Chunks;
use super::{filter, sample};

/// The most return addresses of a stack, innermost first.
pub(super) const FRAMES: usize = 64;
/// The most live samples: 64 GiB of heap at the default rate. 32 bytes each.
const MAX_SAMPLES: u32 = 1 << 17;
/// The most distinct stacks since sampling began; up to 600 bytes each.
const MAX_STACKS: u32 = 1 << 14;
/// Hash chains: samples by address, and stacks by hash.
const LISTS: usize = 1 << 15;
const NONE: u32 = u32::MAX;

static TABLE: Mutex<Table> = Mutex::new(Table::new());
/// Dropped samples.
static DROPPED: AtomicU64 = AtomicU64::new(0);
/// Threads waiting for the table; a reader yields to them between two chunks.
static WAITING: AtomicU32 = AtomicU32::new(0);
/// The process that the table belongs to.
static OWNER: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// Whether this thread holds the table: its allocations and frees are then the table's.
    static HELD: Cell<bool> = const { Cell::new(false) };
}

/// A sampled block.
#[derive(Clone, Copy)]
pub(in crate::system) struct Sample {
    address: usize,
    size: usize,
    /// How many blocks it represents.
    weight: f64,
    stack: u32,
    /// The next sample of its chain or of the free list.
    next: u32,
}

/// An allocating stack.
struct Stack {
    frames: Arc<[usize]>,
    hash: u64,
    next: u32,
    /// Estimated blocks and bytes allocated so far.
    allocated: Weighed,
}

/// An estimate of blocks and of their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Weighed {
    pub(super) objects: f64,
    pub(super) bytes: f64,
}

impl Weighed {
    fn add(&mut self, size: usize, weight: f64) {
        self.objects += weight;
        self.bytes += size as f64 * weight;
    }
}

struct Table {
    /// The first sample of each chain; empty before the first sample.
    by_address: Vec<u32>,
    samples: Chunks<Sample>,
    /// The first sample of the free list.
    free: u32,
    by_hash: Vec<u32>,
    stacks: Chunks<Stack>,
}

impl Table {
    const fn new() -> Self {
        Self {
            by_address: Vec::new(),
            samples: Chunks::new(),
            free: NONE,
            by_hash: Vec::new(),
            stacks: Chunks::new(),
        }
    }

    /// Stores a sample; `None` at a bound.
    fn enter(&mut self, block: usize, size: usize, weight: f64, frames: &[usize]) -> Option<()> {
        lists(&mut self.by_address)?;
        lists(&mut self.by_hash)?;
        let stack = self.stack(frames)?;
        let sample = Sample { address: block, size, weight, stack, next: NONE };
        self.insert(sample)?;
        self.stacks.get_mut(stack)?.allocated.add(size, weight);
        Some(())
    }

    fn insert(&mut self, mut sample: Sample) -> Option<()> {
        let bit = filter::bit(sample.address);
        let first = self.by_address.get_mut(list_of(bit))?;
        sample.next = *first;
        if let Some(place) = self.samples.get_mut(self.free) {
            *first = std::mem::replace(&mut self.free, place.next);
            *place = sample;
        } else if self.samples.len() < MAX_SAMPLES {
            *first = self.samples.push(sample)?;
        } else {
            return None;
        }
        filter::set(bit);
        Some(())
    }

    /// The number of a stack, assigned now if it is new.
    fn stack(&mut self, frames: &[usize]) -> Option<u32> {
        let mut hasher = DefaultHasher::new();
        frames.iter().for_each(|&frame| hasher.write_usize(frame));
        let hash = hasher.finish();
        let first = self.by_hash.get_mut(hash as usize % LISTS)?;
        let mut at = *first;
        while let Some(stack) = self.stacks.get(at) {
            if stack.hash == hash && *stack.frames == *frames {
                return Some(at);
            }
            at = stack.next;
        }
        if self.stacks.len() >= MAX_STACKS {
            return None;
        }
        let allocated = Weighed::default();
        let stack = Stack { frames: frames.into(), hash, next: *first, allocated };
        *first = self.stacks.push(stack)?;
        Some(*first)
    }

    fn remove(&mut self, address: usize) -> Option<Sample> {
        let bit = filter::bit(address);
        let (mut found, mut bit_is_needed) = (None, false);
        let (mut before, mut at) = (NONE, *self.by_address.get(list_of(bit))?);
        while let Some(&sample) = self.samples.get(at) {
            if sample.address == address && found.is_none() {
                found = Some((before, at, sample));
            } else {
                bit_is_needed |= filter::bit(sample.address) == bit;
            }
            (before, at) = (at, sample.next);
        }
        let (before, at, sample) = found?;
        match self.samples.get_mut(before) {
            Some(before) => before.next = sample.next,
            None => self.by_address[list_of(bit)] = sample.next,
        }
        self.samples.get_mut(at)?.stack = NONE;
        self.samples.get_mut(at)?.next = self.free;
        self.free = at;
        if !bit_is_needed {
            filter::clear(bit);
        }
        Some(sample)
    }
}

/// All samples that share a bit of the filter are in one chain.
fn list_of(bit: u32) -> usize {
    bit as usize % LISTS
}

/// Allocates the chains before the first sample.
fn lists(lists: &mut Vec<u32>) -> Option<()> {
    if lists.is_empty() {
        lists.try_reserve_exact(LISTS).ok()?;
        lists.resize(LISTS, NONE);
    }
    Some(())
}

/// The table, held by this thread.
struct Held(MutexGuard<'static, Table>);

impl Deref for Held {
    type Target = Table;

    fn deref(&self) -> &Table {
        &self.0
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut Table {
        &mut self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.set(false);
    }
}

/// Whether the calling thread holds the table.
pub(super) fn is_held_here() -> bool {
    HELD.get()
}

/// Locks the table. `None` for a thread that holds it, and in a child after a fork if a thread of
/// the parent held it: that lock is never released, so sampling ends.
fn hold() -> Option<Held> {
    if HELD.replace(true) {
        return None;
    }
    let table = try_hold().or_else(|| {
        WAITING.fetch_add(1, Relaxed);
        let table = wait();
        WAITING.fetch_sub(1, Relaxed);
        table
    });
    HELD.set(table.is_some());
    table
}

fn try_hold() -> Option<Held> {
    match TABLE.try_lock() {
        Ok(table) => Some(Held(table)),
        Err(TryLockError::Poisoned(table)) => Some(Held(table.into_inner())),
        Err(TryLockError::WouldBlock) => None,
    }
}

fn wait() -> Option<Held> {
    for turn in 1_u32.. {
        if let Some(table) = try_hold() {
            return Some(table);
        }
        if turn.is_multiple_of(1024) && OWNER.load(Relaxed) != std::process::id() {
            sample::set_rate(0);
            filter::clear_all();
            break;
        }
        if turn.is_multiple_of(64) { std::thread::yield_now() } else { std::hint::spin_loop() }
    }
    None
}

/// Prepares sampling in this process.
pub(super) fn own() {
    OWNER.store(std::process::id(), Relaxed);
}

/// Stores a sample before another thread knows the block.
pub(super) fn enter(block: usize, size: usize, weight: f64, frames: &[usize]) {
    let entered = hold().and_then(|mut table| table.enter(block, size, weight, frames));
    if entered.is_none() {
        DROPPED.fetch_add(1, Relaxed);
    }
}

/// Takes out the sample of a block, if it has one.
#[cold]
#[inline(never)]
pub(super) fn remove(block: usize) -> Option<Sample> {
    hold()?.remove(block)
}

/// Puts back a sample that was taken out.
#[cold]
pub(super) fn put_back(block: usize, sample: Sample) {
    let put = hold().and_then(|mut table| table.insert(Sample { address: block, ..sample }));
    if put.is_none() {
        DROPPED.fetch_add(1, Relaxed);
    }
}

/// Dropped samples so far.
pub(super) fn dropped() -> u64 {
    DROPPED.load(Relaxed)
}

/// One stack: return addresses, live blocks, and all allocated blocks.
pub(super) type Row = (Arc<[usize]>, Weighed, Weighed);

/// All stacks. Holds the table for 256 entries at a time, some microseconds, so concurrent
/// allocations and frees may be missing.
pub(super) fn rows() -> Vec<Row> {
    let stacks = hold().map_or(0, |table| table.stacks.len());
    // Allocated before the table is held, so that nothing allocates under it.
    let mut rows: Vec<Row> = Vec::with_capacity(stacks as usize);
    chunk_by_chunk(|table, chunk| {
        let room = rows.capacity() - rows.len();
        let stacks = table.stacks.chunk(chunk)?.iter().take(room);
        let live = Weighed::default();
        rows.extend(stacks.map(|stack| (Arc::clone(&stack.frames), live, stack.allocated)));
        Some(())
    });
    chunk_by_chunk(|table, chunk| {
        for sample in table.samples.chunk(chunk)? {
            // Free samples have no stack, and stacks added since the first pass have no row.
            if let Some((_, live, _)) = rows.get_mut(sample.stack as usize) {
                live.add(sample.size, sample.weight);
            }
        }
        Some(())
    });
    rows
}

fn chunk_by_chunk(mut f: impl FnMut(&Table, usize) -> Option<()>) {
    for chunk in 0.. {
        // Retaking the lock at once would starve other threads.
        for _ in 0..100 {
            if WAITING.load(Relaxed) == 0 {
                break;
            }
            std::thread::yield_now();
        }
        let Some(table) = hold() else { return };
        if f(&table, chunk).is_none() {
            return;
        }
    }
}
