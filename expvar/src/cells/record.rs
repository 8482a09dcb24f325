//! The recording path for pages without a private copy.

use std::cell::{Cell, RefCell};

use super::heat::Heat;
use super::held::Held;
use super::page::Page;
use super::sizes::STREAK;
use super::store::Store;
use super::windows::Windows;

/// Per-thread state beside the windows. All zeroes at first, so it costs nothing before its first
/// use.
pub(crate) struct Local {
    heat: Heat,
    /// Recordings that went to a shared copy, without those of the current streak.
    cold: Cell<u64>,
    /// The number of private copies held.
    holds: Cell<usize>,
    /// The shared copy recorded into last: consecutive variables share a page lookup.
    last: Cell<Option<(u32, &'static Page)>>,
    /// Recordings into that page not yet counted as heat.
    streak: Cell<u16>,
    /// Set while memory for a shared copy is requested: an allocator that records must then not
    /// request memory itself.
    growing: Cell<bool>,
}

impl Local {
    pub(crate) const fn new() -> Self {
        Self {
            heat: Heat::new(),
            cold: Cell::new(0),
            holds: Cell::new(0),
            last: Cell::new(None),
            streak: Cell::new(0),
            growing: Cell::new(false),
        }
    }

    /// Recordings that went to a shared copy.
    pub(crate) fn cold(&self) -> u64 {
        self.cold.get() + u64::from(self.streak.get())
    }

    /// The shared copy of a page if the previous recording was there too. One in [`STREAK`]
    /// recordings goes to [`copy`] instead.
    #[inline(always)]
    pub(crate) fn again(&self, number: u32) -> Option<&'static Page> {
        let (last, page) = self.last.get()?;
        let streak = self.streak.get();
        (last == number && streak < STREAK).then(|| {
            self.streak.set(streak + 1);
            page
        })
    }

    /// Ends the streak and counts it as heat of its page. Returns its length if the page is
    /// `number`.
    fn end_streak(&self, number: u32) -> u16 {
        let streak = self.streak.replace(0);
        self.cold.set(self.cold.get() + u64::from(streak));
        match self.last.get() {
            Some((last, _)) if last == number => streak,
            // If the page has earned a copy, its next recording finds out.
            Some((last, _)) if streak > 0 => {
                self.heat.warm(last, streak);
                0
            }
            _ => 0,
        }
    }

    /// Runs `f`, which may request memory; its argument is false if such a request is already
    /// running.
    pub(crate) fn growing<R>(&self, f: impl FnOnce(bool) -> R) -> R {
        let nested = self.growing.replace(true);
        let result = f(nested);
        self.growing.set(nested);
        result
    }
}

/// The state of the calling thread.
pub(crate) trait Thread {
    fn windows<R>(&self, f: impl FnOnce(&Windows) -> R) -> R;
    fn local<R>(&self, f: impl FnOnce(&Local) -> R) -> R;
    /// `None` if the thread has ended and can hold nothing.
    fn held<R>(&self, f: impl FnOnce(&RefCell<Held>) -> R) -> Option<R>;
    fn process(&self) -> u64;
}

/// The copy to record into.
pub(crate) enum Copy {
    /// Written by the calling thread alone.
    Private(&'static Page),
    /// Written by all threads.
    Shared(&'static Page),
}

/// The copy of a page to record into, if the thread's windows do not have it: the private one if
/// the thread holds or has just earned it, else the shared one. `None` if the system refuses
/// memory.
pub(crate) fn copy(thread: &impl Thread, store: &'static Store, number: u32) -> Option<Copy> {
    thread.local(|local| {
        // Loaded before the recording: reclaiming waits for recordings that began before.
        let epoch = store.epoch();
        if local.holds.get() != 0
            && let Some(page) = find(thread, number, epoch)
        {
            return Some(Copy::Private(page));
        }
        let times = 1 + local.end_streak(number);
        if local.heat.note(number, times, || store.eighths())
            && let Some(page) = promote(thread, local, store, number, epoch)
        {
            return Some(Copy::Private(page));
        }
        local.cold.set(local.cold.get() + 1);
        match local.last.get() {
            Some((last, page)) if last == number => Some(Copy::Shared(page)),
            _ => {
                let page = shared(local, store, number)?;
                local.last.set(Some((number, page)));
                Some(Copy::Shared(page))
            }
        }
    })
}

fn find(thread: &impl Thread, number: u32, epoch: u64) -> Option<&'static Page> {
    thread.windows(|windows| {
        windows.second(number, epoch).or_else(|| {
            let find = |held: &RefCell<Held>| held.try_borrow_mut().ok()?.find(number, epoch);
            let page = thread.held(find).flatten()?;
            windows.put(number, page, epoch);
            Some(page)
        })
    })
}

fn shared(local: &Local, store: &'static Store, number: u32) -> Option<&'static Page> {
    if let Some(page) = store.shared(number) {
        return Some(page);
    }
    local.growing(|nested| store.shared_or_new(number, !nested))
}

/// Gives the thread a private copy of a page. `None` if the limit is reached, the thread has ended,
/// or it is already in here (an allocator that records).
#[cold]
#[inline(never)]
fn promote(
    thread: &impl Thread,
    local: &Local,
    store: &'static Store,
    number: u32,
    epoch: u64,
) -> Option<&'static Page> {
    let promote = |held: &RefCell<Held>| {
        let mut held = held.try_borrow_mut().ok()?;
        let process = thread.process();
        if held.is_due(local.cold()) {
            thread.windows(|windows| held.look(local.cold(), store, windows, process));
        }
        let shared = shared(local, store, number)?;
        if !held.reserve() {
            return None;
        }
        let (index, page) = store.lease(shared, process, true, epoch)?;
        held.insert(number, index, page, epoch);
        thread.windows(|windows| windows.put(number, page, epoch));
        local.holds.set(held.len());
        local.last.set(None);
        Some(page)
    };
    thread.held(promote).flatten()
}

/// Releases the copies of a thread that ends.
pub(crate) fn end(held: &mut Held, local: &Local, store: &Store, windows: &Windows, process: u64) {
    local.holds.set(0);
    held.end(store, windows, process);
}
