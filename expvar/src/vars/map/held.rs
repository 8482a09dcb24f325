//! A thread's cache of handles from maps, so that getting one again takes no lock.

use std::any::Any;
use std::cell::Cell;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU8};
use std::sync::{Arc, Weak};

use crate::histogram::Histogram;
use crate::member::Member;
use crate::sync::Mutex;
use crate::var::{Handle, Owner, Var};

use super::query::Query;
use super::table::{EmptyAtEnd, Local, Remembered, Table};

/// The size of a thread's cache, over all maps.
const LIMIT: usize = 4096;

/// How often a thread requests a histogram before it gets a handle with its own reference count.
const EARNS: u8 = 32;
const EARNED: u8 = u8::MAX;

const LIVE: u8 = 1;
const USED: u8 = 2;

thread_local! {
    static HELD: Local<Known> = const { Table::local(LIMIT) };
    static FORGET: EmptyAtEnd<Known> = const { EmptyAtEnd(&HELD) };
}

/// Shared by the caches of a variable in a map.
pub(super) struct Held {
    /// `LIVE` until the variable was removed from the map, and `USED` if it was requested since that
    /// was last cleared. Together, so that one comparison checks both.
    state: AtomicU8,
    var: Var,
    /// Whether a thread uses `var` itself as its handle; other threads get twins.
    taken: AtomicBool,
    twins: Mutex<Vec<Twin>>,
}

/// A handle with its own reference count, made for one thread.
struct Twin {
    handle: Weak<Histogram>,
    /// Whether the thread still caches it: one reference that is not use.
    remembered: bool,
}

/// A cached variable.
struct Known {
    held: Arc<Held>,
    /// A handle whose reference count this thread alone uses.
    twin: Option<Arc<Histogram>>,
    /// How often it was requested, up to `EARNS`; then `EARNED`.
    asked: Cell<u8>,
}

impl Remembered for Known {
    #[inline]
    fn is_live(&self) -> bool {
        self.held.is_live()
    }
}

impl Held {
    pub(super) fn new(var: Var) -> Self {
        Self {
            state: AtomicU8::new(LIVE | USED),
            var,
            taken: AtomicBool::new(false),
            twins: Mutex::new(Vec::new()),
        }
    }

    /// Invalidates the cache entries of all threads.
    pub(super) fn retire(&self) {
        self.state.fetch_and(!LIVE, Relaxed);
    }

    /// Whether the variable is still in its map.
    #[inline]
    pub(super) fn is_live(&self) -> bool {
        // A request after a removal misses the caches. Nothing else is published by it.
        self.state.load(Relaxed) & LIVE != 0
    }

    /// Whether it was requested since the last call.
    pub(super) fn take_used(&self) -> bool {
        self.state.fetch_and(!USED, Relaxed) & USED != 0
    }

    /// Notes a request.
    fn mark_used(&self) {
        if self.state.load(Relaxed) & USED == 0 {
            self.state.fetch_or(USED, Relaxed);
        }
    }

    /// A handle for the calling thread alone; `None` if that is `var`, or the kind has no twins.
    fn twin(&self) -> Option<Arc<Histogram>> {
        let Var::Histogram(Handle(Owner::Shared(histogram))) = &self.var else { return None };
        if !self.taken.swap(true, Relaxed) {
            return None;
        }
        let twin = histogram.twin()?;
        let mut twins = self.twins.lock();
        twins.retain(|twin| twin.handle.strong_count() > 0);
        twins.push(Twin { handle: Arc::downgrade(&twin), remembered: true });
        drop(twins);
        Some(twin)
    }

    /// The number of twins; `None` if one of them has a handle elsewhere.
    pub(super) fn idle_twins(&self) -> Option<usize> {
        let mut twins = self.twins.lock();
        twins.retain(|twin| twin.handle.strong_count() > 0);
        let idle = |twin: &Twin| twin.handle.strong_count() == usize::from(twin.remembered);
        twins.iter().all(idle).then_some(twins.len())
    }
}

/// Runs `f` on a cached variable; `None` on a miss.
pub(super) fn with<M: Member, R>(query: &Query<'_>, f: impl FnOnce(&Arc<M>) -> R) -> Option<R> {
    HELD.with(|table| {
        let table = table.try_borrow().ok()?;
        let known = table.find_first(query).or_else(|| table.find(query))?;
        if !known.is_live() || !known.ask() {
            return None;
        }
        known.held.mark_used();
        known.member().map(f)
    })
}

/// A handle on a cached variable in its first slot that was requested often; `None` on a miss.
///
/// Not inlined: it is long. It makes no call, so it saves no registers.
#[inline(never)]
pub(super) fn often<M: Member>(map: u64, key: &str) -> Option<Arc<M>> {
    let query = Query::new(map, key);
    HELD.with(|table| {
        let table = table.try_borrow().ok()?;
        let known = table.find_first(&query)?;
        let is_current = known.held.state.load(Relaxed) == LIVE | USED;
        let often = known.asked.get() == EARNED && is_current;
        known.member().filter(|_| often).cloned()
    })
}

impl Drop for Known {
    fn drop(&mut self) {
        if let Some(handle) = &self.twin {
            let mut twins = self.held.twins.lock();
            let same = |twin: &&mut Twin| std::ptr::eq(twin.handle.as_ptr(), Arc::as_ptr(handle));
            if let Some(twin) = twins.iter_mut().find(same) {
                twin.remembered = false;
            }
        }
    }
}

impl Known {
    #[inline(always)]
    fn member<M: Member>(&self) -> Option<&Arc<M>> {
        match &self.twin {
            Some(twin) => (twin as &dyn Any).downcast_ref(),
            None => M::of(&self.held.var),
        }
    }

    /// False when it is time to make a twin.
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

/// Caches a variable for the calling thread.
pub(super) fn learn(query: &Query<'_>, held: Arc<Held>) {
    // A thread in teardown caches nothing, which is slower and still correct.
    if FORGET.try_with(|_| ()).is_err() {
        return;
    }
    let old = HELD.with(|table| {
        let mut table = table.try_borrow_mut().ok()?;
        let earned = table
            .find(query)
            .is_some_and(|known| Arc::ptr_eq(&known.held, &held) && known.asked.get() == EARNS);
        let (twin, asked) = if earned { (held.twin(), EARNED) } else { (None, 0) };
        Some(table.put(query, Known { held, twin, asked: Cell::new(asked) }))
    });
    // Dropped after the table is released.
    drop(old);
}

/// Drops the calling thread's entries of removed variables.
pub(super) fn forget_retired() {
    let gone = HELD.with(|table| Some(table.try_borrow_mut().ok()?.take_dead()));
    drop(gone);
}
