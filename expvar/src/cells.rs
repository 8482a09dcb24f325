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
mod epoch;
mod heat;
mod held;
pub(crate) mod hook;
mod ids;
mod index;
mod number;
pub(crate) mod page;
mod reader;
mod record;
mod run;
mod sizes;
mod store;
#[cfg(test)]
mod tests;
mod usage;
mod windows;

use std::cell::RefCell;
use std::sync::atomic::Ordering::Relaxed;

#[doc(hidden)]
pub use epoch::age;
use held::Held;
use ids::Ids;
pub(crate) use ids::Use;
#[doc(hidden)]
pub use number::Fixed;
pub(crate) use number::add;
pub(crate) use number::{Cells, private, set, settled};
pub(crate) use reader::{Reader, float_sum};
use record::{Local, Thread};
pub(crate) use run::Run;
use store::Store;
pub use usage::{Usage, set_limit, usage};
use windows::Windows;

use crate::sync::AtomicU64;

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

/// Larger than any id, and than those of a run beginning here, so that the hot path falls through
/// to the cold one without a check of its own.
const NONE: u32 = u32::MAX - (1 << 20);

fn lose() {
    LOST.fetch_add(1, Relaxed);
}

impl Reader {
    /// A reader of what was recorded until now, and later.
    pub(crate) fn now() -> Self {
        epoch::begin();
        Self::of(&STORE, process())
    }
}

/// For tests and benches: recordings of the calling thread that went to shared copies.
#[doc(hidden)]
pub fn shared_records() -> u64 {
    LOCAL.with(Local::cold)
}
