//! Handles that a thread got from maps before, so that getting one again takes no lock.

use std::cell::{Cell, RefCell};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, Weak};

use crate::histogram::Histogram;
use crate::member::Member;
use crate::sync::Mutex;
use crate::var::{Handle, Var};

use super::query::Query;
use super::table::{Remembered, Table};

/// Handles that one thread remembers at the most, of all maps together.
const LIMIT: usize = 4096;

/// So often a thread asks for a histogram before it gets a handle whose references it counts alone.
const EARNS: u8 = 32;
const EARNED: u8 = u8::MAX;

thread_local! {
    static HELD: RefCell<Table<Known>> = const { RefCell::new(Table::new(LIMIT)) };
}

/// What threads share of a variable in a map.
pub(super) struct Held {
    /// False once the variable was taken out of its map.
    live: AtomicBool,
    /// Whether anybody asked for it since this was last cleared.
    used: AtomicBool,
    var: Var,
    /// Whether a thread has `var` as its handle; others get twins.
    taken: AtomicBool,
    twins: Mutex<Vec<Twin>>,
}

/// A handle that was made for a thread.
struct Twin {
    handle: Weak<Histogram>,
    /// Whether the thread still remembers it: that counts as one reference, and as no use.
    remembered: bool,
}

/// What a thread knows of it.
struct Known {
    held: Arc<Held>,
    /// A handle whose references this thread alone counts.
    twin: Option<Var>,
    /// How often it was asked for, up to `EARNS`; `EARNED` from then on.
    asked: Cell<u8>,
}

impl Remembered for Known {
    #[inline]
    fn is_live(&self) -> bool {
        // Pairs with the store in `retire`: what comes after a removal finds it done.
        self.held.live.load(Acquire)
    }
}

impl Held {
    pub(super) fn new(var: Var) -> Self {
        Self {
            live: AtomicBool::new(true),
            used: AtomicBool::new(true),
            var,
            taken: AtomicBool::new(false),
            twins: Mutex::new(Vec::new()),
        }
    }

    /// Makes every thread look again.
    pub(super) fn retire(&self) {
        // Pairs with the load in `is_live`.
        self.live.store(false, Release);
    }

    /// Whether anybody asked for it since the last time this was asked.
    pub(super) fn take_used(&self) -> bool {
        self.used.swap(false, Relaxed)
    }

    /// A handle for the calling thread alone; `None` if that is `var`, or there is no such thing.
    fn twin(&self) -> Option<Var> {
        let Var::Histogram(Handle::Shared(histogram)) = &self.var else { return None };
        if !self.taken.swap(true, Relaxed) {
            return None;
        }
        let twin = histogram.twin()?;
        let mut twins = self.twins.lock();
        twins.retain(|twin| twin.handle.strong_count() > 0);
        twins.push(Twin { handle: Arc::downgrade(&twin), remembered: true });
        drop(twins);
        Some(twin.into())
    }

    /// How many twins there are; `None` if anybody has a handle on one.
    pub(super) fn idle_twins(&self) -> Option<usize> {
        let mut twins = self.twins.lock();
        twins.retain(|twin| twin.handle.strong_count() > 0);
        let idle = |twin: &Twin| twin.handle.strong_count() == usize::from(twin.remembered);
        twins.iter().all(idle).then_some(twins.len())
    }
}

/// Runs `f` on a variable that the calling thread got before; `None` if it is to be looked for.
#[inline(always)]
pub(super) fn with<M: Member, R>(query: &Query<'_>, f: impl FnOnce(&Arc<M>) -> R) -> Option<R> {
    let known = |table: &RefCell<Table<Known>>| {
        let table = table.try_borrow().ok()?;
        let known = table.find(query)?;
        if !known.is_live() || !known.ask() {
            return None;
        }
        let member = M::of(known.twin.as_ref().unwrap_or(&known.held.var))?;
        if !known.held.used.load(Relaxed) {
            known.held.used.store(true, Relaxed);
        }
        Some(f(member))
    };
    HELD.try_with(known).ok().flatten()
}

impl Drop for Known {
    fn drop(&mut self) {
        if let Some(Var::Histogram(Handle::Shared(handle))) = &self.twin {
            let mut twins = self.held.twins.lock();
            let same = |twin: &&mut Twin| std::ptr::eq(twin.handle.as_ptr(), Arc::as_ptr(handle));
            if let Some(twin) = twins.iter_mut().find(same) {
                twin.remembered = false;
            }
        }
    }
}

impl Known {
    /// False when a twin is due.
    #[inline]
    fn ask(&self) -> bool {
        let asked = self.asked.get();
        if asked == EARNED {
            return true;
        }
        self.asked.set(asked.saturating_add(1).min(EARNS));
        asked < EARNS - 1
    }
}

/// Remembers a variable in the calling thread.
pub(super) fn learn(query: &Query<'_>, held: Arc<Held>) {
    // A thread in its teardown remembers nothing, which is slow and right.
    let old = HELD.try_with(|table| {
        let mut table = table.try_borrow_mut().ok()?;
        let earned = table
            .find(query)
            .is_some_and(|known| Arc::ptr_eq(&known.held, &held) && known.asked.get() == EARNS);
        let (twin, asked) = if earned { (held.twin(), EARNED) } else { (None, 0) };
        Some(table.put(query, Known { held, twin, asked: Cell::new(asked) }))
    });
    // Dropped when the table is no longer borrowed.
    drop(old);
}

/// Forgets, in the calling thread, variables that were taken out of their maps.
pub(super) fn forget_retired() {
    let gone = HELD.try_with(|table| Some(table.try_borrow_mut().ok()?.take_dead()));
    drop(gone);
}
