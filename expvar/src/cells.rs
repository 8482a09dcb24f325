//! The cells that values are recorded in.
//!
//! Cells are grouped in pages of 64. Every page that was ever recorded into has a *shared* copy, to
//! which any thread adds with `fetch_add`. A thread that records into a page often earns a
//! *private* copy of it, which only that thread writes, with a plain load and store. Private copies
//! together stay within a limit ([`set_limit`]); the price of one rises as the limit comes near.
//! When a thread ends, or has not used a copy for a while, the copy is folded into the shared one
//! and reused. So memory and read time depend on the number of variables and on the limit, not on
//! the number of threads.
//!
//! Time is divided into epochs of at least 20 s, which readers begin. Once per epoch and page a
//! thread verifies that it still owns its copy; on the hot path the check is one addition. A reader
//! of a page reclaims copies that were unused for three epochs. A recording must therefore finish
//! within two epochs: if a debugger stops a single thread for 40 s inside these four instructions,
//! a count may be wrong.
//!
//! This module knows nothing of variables: a variable is an id, or a run of pages ([`Cells`],
//! [`Run`]).
//!
//! Layers, each using only those above it: `page` - `arena`, `index` - `store` - `windows`, `heat`,
//! `held` - `record` - this file, which holds per-process and per-thread state.

mod arena;
mod heat;
mod held;
pub(crate) mod hook;
mod ids;
mod index;
pub(crate) mod page;
mod reader;
mod record;
mod sizes;
mod store;
#[cfg(test)]
mod tests;
mod windows;

use std::cell::RefCell;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::time::Duration;

use held::Held;
use ids::Ids;
pub(crate) use ids::Use;
use page::{CELLS, COUNT, FLOAT_SUM, SUM, bump, bump_float, share_float};
pub(crate) use reader::{Reader, float_sum};
use record::{Copy, Local, Thread};
use store::Store;
use windows::Windows;

use crate::clock::Time;
use crate::sync::{AtomicU32, AtomicU64, Mutex};

static STORE: Store = Store::new();
static IDS: Ids = Ids::new();
/// Recordings lost because the system refused memory for a shared copy.
static LOST: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// It has no destructor, so an access is one addition.
    static WINDOWS: Windows = const { Windows::new() };
    static LOCAL: Local = const { Local::new() };
    static HELD: Lease = const { Lease(RefCell::new(Held::new())) };
}

/// Releases the thread's copies when the thread ends.
struct Lease(RefCell<Held>);

impl Drop for Lease {
    fn drop(&mut self) {
        let held = self.0.get_mut();
        let process = process();
        WINDOWS.with(|windows| {
            LOCAL.with(|local| record::end(held, local, &STORE, windows, process));
        });
        hook::end(process);
    }
}

/// The calling thread's side of [`record`].
struct Calling;

impl Thread for Calling {
    #[inline(always)]
    fn windows<R>(&self, f: impl FnOnce(&Windows) -> R) -> R {
        WINDOWS.with(f)
    }

    #[inline(always)]
    fn local<R>(&self, f: impl FnOnce(&Local) -> R) -> R {
        LOCAL.with(f)
    }

    fn held<R>(&self, f: impl FnOnce(&RefCell<Held>) -> R) -> Option<R> {
        HELD.try_with(|held| f(&held.0)).ok()
    }

    fn process(&self) -> u64 {
        process()
    }
}

/// The id of this process. Read each time, because a `fork` changes it.
pub(crate) fn process() -> u64 {
    u64::from(crate::clock::process_id())
}

/// Adds to a cell, wrapping. About a nanosecond where the calling thread does so often. Never
/// blocks.
#[doc(hidden)]
#[inline]
pub fn add(id: u32, n: u64) {
    match WINDOWS.with(|windows| windows.at(id, STORE.epoch())) {
        Some((page, at)) => bump(&page[at], n),
        None => add_cold(id, n),
    }
}

/// The path of a thread's first recordings into many variables: inlines the case that the previous
/// recording was in the same page.
#[cold]
#[inline(never)]
fn add_cold(id: u32, n: u64) {
    add_near(id, n);
}

#[inline(always)]
fn add_near(id: u32, n: u64) {
    match LOCAL.with(|local| local.again(id / CELLS as u32)) {
        Some(page) => _ = page[id as usize % CELLS].fetch_add(n, Relaxed),
        None => add_far(id, n),
    }
}

#[inline(never)]
fn add_far(id: u32, n: u64) {
    let at = id as usize % CELLS;
    match record::copy(&Calling, &STORE, id / CELLS as u32) {
        Some(Copy::Private(page)) => bump(&page[at], n),
        Some(Copy::Shared(page)) => _ = page[at].fetch_add(n, Relaxed),
        None => lose(),
    }
}

fn lose() {
    LOST.fetch_add(1, Relaxed);
}

/// The cell of one number: an id taken at first use and released on drop.
pub(crate) struct Cells {
    /// The id, or `NONE`.
    id: AtomicU32,
}

/// Larger than any id, and than those of a run beginning here, so that the hot path falls through
/// to the cold one without a check of its own.
const NONE: u32 = u32::MAX - (1 << 20);

impl Cells {
    pub(crate) const fn new() -> Self {
        Self { id: AtomicU32::new(NONE) }
    }

    /// The id; `None` before the first recording.
    #[inline]
    pub(crate) fn id(&self) -> Option<u32> {
        // Pairs with the release in `claim`: a thread that sees the id sees the cell zeroed.
        let id = self.id.load(Acquire);
        (id != NONE).then_some(id)
    }

    /// The id, taken now if there is none. `None` if all are in use.
    #[cold]
    #[inline(never)]
    pub(crate) fn claim(&self, of: Use) -> Option<u32> {
        if let Some(id) = self.id() {
            return Some(id);
        }
        LOCAL.with(|local| {
            local.growing(|nested| {
                let fresh = IDS.cell(of, nested)?;
                match self.id.compare_exchange(NONE, fresh, AcqRel, Acquire) {
                    Ok(_) => Some(fresh),
                    Err(other) => {
                        IDS.release_cell(fresh, of, nested);
                        Some(other)
                    }
                }
            })
        })
    }

    /// The cell of an id that its former owner gave up for good.
    pub(crate) fn of(id: u32) -> Self {
        Self { id: AtomicU32::new(id) }
    }

    /// Makes a static share another's cell and returns its former one, to which recordings in
    /// progress may still go.
    pub(crate) fn share(&self, id: u32) -> Option<u32> {
        let own = self.id.swap(id, AcqRel);
        (own != NONE && own != id).then_some(own)
    }

    /// Adds to the cell if the thread's windows have its page. Otherwise use [`claim`](Self::claim)
    /// and [`add`].
    #[inline]
    pub(crate) fn try_add(&self, n: u64) -> bool {
        // Pairs with the release in `claim`.
        let id = self.id.load(Acquire);
        let found = WINDOWS.with(|windows| windows.at(id, STORE.epoch()));
        if let Some((page, at)) = found {
            bump(&page[at], n);
        }
        found.is_some()
    }

    /// Adds to the cell, taking an id first if necessary.
    #[inline(always)]
    pub(crate) fn add_cold(&self, of: Use, n: u64) {
        match self.id().or_else(|| self.claim(of)) {
            Some(id) => add_near(id, n),
            None => lose(),
        }
    }

    /// The sum of a cell that only goes up.
    pub(crate) fn sum(&self) -> u64 {
        let Some(id) = self.id() else { return 0 };
        let shared = STORE.shared(id / CELLS as u32);
        shared.map_or(0, |shared| STORE.read_one(shared, process(), id as usize % CELLS))
    }

    /// Releases the id. Called once, by the owner's `Drop`.
    pub(crate) fn release(&mut self, of: Use) {
        let id = std::mem::replace(self.id.get_mut(), NONE);
        if id != NONE {
            let at = id as usize % CELLS;
            if let Some(shared) = STORE.shared(id / CELLS as u32) {
                STORE.zero(shared, process(), at..at + 1);
            }
            LOCAL.with(|local| local.growing(|nested| IDS.release_cell(id, of, nested)));
        }
    }
}

/// The sum of a cell that goes up and down.
pub(crate) fn settled(id: u32) -> u64 {
    let shared = STORE.shared(id / CELLS as u32);
    shared.map_or(0, |shared| STORE.read_settled(shared, process(), id as usize % CELLS))
}

/// Replaces a cell's sum with `change` of it. A concurrent addition is either kept on top or
/// replaced. Takes the page's lock. False if the system refuses memory.
pub(crate) fn set(id: u32, change: impl FnOnce(u64) -> u64) -> bool {
    let number = id / CELLS as u32;
    let shared = LOCAL.with(|local| local.growing(|nested| STORE.shared_or_new(number, !nested)));
    match shared {
        Some(shared) => {
            STORE.set(shared, process(), id as usize % CELLS, change);
            true
        }
        None => {
            lose();
            false
        }
    }
}

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
        let found = WINDOWS.with(|windows| windows.at(id, STORE.epoch()));
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
        let found = WINDOWS.with(|windows| windows.at(id, STORE.epoch()));
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

/// The least duration of an epoch. A private copy unused for three is reclaimed.
const EPOCH: Duration = Duration::from_secs(20);

/// When the current epoch began.
static EPOCH_BEGAN: Mutex<Option<Time>> = Mutex::new(None);

/// Begins an epoch if the current one has lasted long enough. Called by readers: without reads, no
/// epoch ends.
fn begin_epoch() {
    // Another thread has the lock and does it.
    let Some(mut began) = EPOCH_BEGAN.try_lock() else { return };
    let now = Time::now();
    match *began {
        Some(before) if now.since(before) < EPOCH => {}
        Some(_) => {
            STORE.begin_epoch();
            *began = Some(now);
        }
        None => *began = Some(now),
    }
}

/// For tests: makes all private copies look unused for a long time. No thread may be recording.
#[doc(hidden)]
pub fn age() {
    (0..sizes::OLD).for_each(|_| STORE.begin_epoch());
}

impl Reader {
    /// A reader of what was recorded until now, and later.
    pub(crate) fn now() -> Self {
        begin_epoch();
        Self::of(&STORE, process())
    }
}

/// For tests and benches: recordings of the calling thread that went to shared copies.
#[doc(hidden)]
pub fn shared_records() -> u64 {
    LOCAL.with(Local::cold)
}

/// Memory that recording takes, in bytes. See [`usage`].
///
/// ```
/// let usage = expvar::usage();
/// assert!(usage.private_bytes <= usage.limit_bytes);
/// assert_eq!(usage.lost, 0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Cells of all variables: one for a number, 1,088 for a histogram. Only pages of 64 that were
    /// recorded into take memory.
    pub cells: usize,
    /// Bytes of shared copies: 9 for each number, 576 for each page of a histogram with a value.
    pub shared_bytes: usize,
    /// Bytes of private copies, each for a page that a thread records into often.
    pub private_bytes: usize,
    /// The limit on `private_bytes`. See [`set_limit`].
    pub limit_bytes: usize,
    /// Recordings lost because the system refused memory for a shared copy.
    pub lost: u64,
}

/// Returns the memory that recording takes now. Costs a few loads.
pub fn usage() -> Usage {
    let (shared, private) = STORE.held();
    Usage {
        cells: IDS.used() as usize,
        shared_bytes: shared as usize * page::BYTES,
        private_bytes: private as usize * page::BYTES,
        limit_bytes: STORE.limit() as usize * page::BYTES,
        lost: LOST.load(Relaxed),
    }
}

/// Sets the limit on the memory of all threads' private copies together, in bytes. Default: 16 MiB.
/// Maximum: 144 MiB.
///
/// A thread releases its copies when it ends. A live thread's copies are reclaimed when they were
/// unused for a minute, provided that something reads.
///
/// Can be set once, best at the start of `main`: threads keep the copies that they have. Past the
/// limit, recording uses shared copies, at the cost of an atomic addition; nothing is lost. With 0,
/// all recording does. Returns false if it was already set.
pub fn set_limit(bytes: usize) -> bool {
    STORE.set_limit(bytes)
}
