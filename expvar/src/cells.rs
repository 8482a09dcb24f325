//! The cells that every recording lands in.
//!
//! Cells lie in pages of 64. Every page that was ever recorded into has a *shared* copy, to which
//! anybody adds with `fetch_add`. A thread that records into a page often earns a *private* copy
//! of it, which only that thread writes, with a plain load and store. Private copies together stay
//! within a limit ([`set_limit`]), and what one costs rises as the limit comes near. What a thread
//! holds when it ends, or has not used for long, is folded into the shared copy and serves the
//! next. So memory and the time of a read depend on the variables and the limit, never on how many
//! threads there are or were.
//!
//! Time is cut into epochs of at least 20 s, which readers begin. In each a thread makes sure once,
//! of each page that it records into, that it still has its copy; that is one addition on the hot
//! path. Whoever reads a page takes away the copies that were not used in three epochs. A record
//! must be over before two epochs have passed since it began: a thread that a debugger stops for
//! 40 s in the middle of its four instructions, and none of the others, may spoil a count.
//!
//! The storage knows nothing of variables: one is an id, or a run of pages ([`Cells`], [`Run`]).
//!
//! Floors, each using only those above it: `page` - `arena`, `index` - `store` - `windows`, `heat`,
//! `held` - `record` - this file, which has what belongs to the process and the thread.

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
/// What was recorded nowhere, because the system refused memory for a shared copy.
static LOST: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// It has no destructor, so an access is one addition.
    static WINDOWS: Windows = const { Windows::new() };
    static LOCAL: Local = const { Local::new() };
    static HELD: Lease = const { Lease(RefCell::new(Held::new())) };
}

/// Gives back what the thread holds when it ends.
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

/// The calling thread, as [`record`] sees it.
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

/// The process that this is. Asked each time, because a `fork` changes it.
pub(crate) fn process() -> u64 {
    u64::from(crate::clock::process_id())
}

/// Adds to a cell, wrapping. About a nanosecond where the calling thread does so often; waits for
/// nobody.
#[doc(hidden)]
#[inline]
pub fn add(id: u32, n: u64) {
    match WINDOWS.with(|windows| windows.at(id, STORE.epoch())) {
        Some((page, at)) => bump(&page[at], n),
        None => add_cold(id, n),
    }
}

/// A thread's first records into many variables come here: no call where the one before went to the
/// same page.
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

/// The cell of one number: an id that is given out at first use and comes back on drop.
pub(crate) struct Cells {
    /// The id, or `NONE`.
    id: AtomicU32,
}

/// No id is that large, nor are those of a run that would begin here, so a hot path that finds it
/// falls into the cold one by itself.
const NONE: u32 = u32::MAX - (1 << 20);

impl Cells {
    pub(crate) const fn new() -> Self {
        Self { id: AtomicU32::new(NONE) }
    }

    /// The id; `None` before anything was recorded.
    #[inline]
    pub(crate) fn id(&self) -> Option<u32> {
        // Pairs with the release in `claim`: whoever sees the id sees its cell zeroed.
        let id = self.id.load(Acquire);
        (id != NONE).then_some(id)
    }

    /// The id, given out now if there is none yet. `None` where all are in use.
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

    /// The cell of that id, which somebody else gave up for good.
    pub(crate) fn of(id: u32) -> Self {
        Self { id: AtomicU32::new(id) }
    }

    /// Makes a static share the cell of another, and returns the one that it had: a recording that
    /// is under way may still go there.
    pub(crate) fn share(&self, id: u32) -> Option<u32> {
        let own = self.id.swap(id, AcqRel);
        (own != NONE && own != id).then_some(own)
    }

    /// Adds to the cell if the thread's windows show it. Else [`claim`](Self::claim) and [`add`]
    /// do.
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

    /// Adds to the cell, whose id is given out now if need be.
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

    /// Gives the id back. Called by the owner's `Drop`, once.
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

/// Replaces a cell's sum by what `change` makes of it. Of what is added meanwhile, each is kept on
/// top of that or replaced. Takes the lock of the page. `false` where the system refuses memory.
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

/// The cells of a distribution: a run of pages that is given out at first use and comes back on
/// drop. Each page has sums of its own, so that a record needs one page only.
pub(crate) struct Run {
    /// The first id, or `NONE`.
    first: AtomicU32,
    /// An odd number, so that the pages that are in use in many runs, the same of each, have places
    /// of their own in a thread's windows.
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

    /// The first id; `None` before anything was recorded.
    #[inline]
    pub(crate) fn first(&self) -> Option<u32> {
        // Pairs with the release in `claim`.
        let first = self.first.load(Acquire);
        (first != NONE).then_some(first)
    }

    /// The first id, given out now if there is none yet.
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

    /// Makes a static share the cells of another, and returns the ones that it had, as a run that
    /// nobody else has: a recording that is under way may still go there.
    pub(crate) fn share(&self, first: u32) -> Option<Self> {
        let own = self.first.swap(first, AcqRel);
        let run = Self { first: AtomicU32::new(own), pages: self.pages };
        (own != NONE && own != first).then_some(run)
    }

    /// Adds one to a cell and to its page's count, and `n` to the page's sum of whole numbers, if the
    /// thread's windows show the page. The count last: whoever reads it and then the cells finds no
    /// fewer there.
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

    /// Gives the pages back. Called by the owner's `Drop`, once.
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

/// How long an epoch lasts at least. A private copy that was not used in three is taken away.
const EPOCH: Duration = Duration::from_secs(20);

/// When the current epoch began.
static EPOCH_BEGAN: Mutex<Option<Time>> = Mutex::new(None);

/// Begins an epoch if the last has lasted long enough. Called by readers: where nobody reads, none
/// ends.
fn begin_epoch() {
    // Who finds the lock taken leaves it to who has it.
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

/// Makes all that threads hold look as if they had not used it for long: for tests. No thread may
/// be recording meanwhile.
#[doc(hidden)]
pub fn age() {
    (0..sizes::OLD).for_each(|_| STORE.begin_epoch());
}

impl Reader {
    /// Reads what was recorded until now, and later.
    pub(crate) fn now() -> Self {
        begin_epoch();
        Self::of(&STORE, process())
    }
}

/// Records of the calling thread that went to copies that threads share: for tests and benches.
#[doc(hidden)]
pub fn shared_records() -> u64 {
    LOCAL.with(Local::cold)
}

/// Bytes that recording takes: see [`usage`].
///
/// ```
/// let usage = expvar::usage();
/// assert!(usage.private_bytes <= usage.limit_bytes);
/// assert_eq!(usage.lost, 0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Cells that variables hold: one for a number, 1,088 for a histogram. They take memory only
    /// in pages of 64 that were recorded into.
    pub cells: usize,
    /// Bytes of the copies that all threads share: 9 a number, 576 a page of a histogram in which
    /// a value fell.
    pub shared_bytes: usize,
    /// Bytes of the copies that threads hold to themselves, of those variables that each records
    /// into often.
    pub private_bytes: usize,
    /// What `private_bytes` stays within: see [`set_limit`].
    pub limit_bytes: usize,
    /// Records that were lost because the system refused memory for a shared copy.
    pub lost: u64,
}

/// What recording takes now. A few loads.
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

/// Sets how many bytes threads' private copies may take together. Default: 16 MiB; at most 144.
///
/// A thread that ends gives back what it holds. One that lives gives back what it has not recorded
/// into for a minute, if somebody reads meanwhile.
///
/// Can be set once, best at the beginning of `main`: threads keep what they hold already. Beyond
/// the limit, recording goes to shared copies, which costs an atomic addition in place of a
/// nanosecond and loses nothing. With 0, all of it does. Returns false if it was set before.
pub fn set_limit(bytes: usize) -> bool {
    STORE.set_limit(bytes)
}
