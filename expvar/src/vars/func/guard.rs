//! What keeps a function of somebody else from doing harm: panics, and functions that read
//! themselves.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Once;
use std::sync::atomic::Ordering::Relaxed;

use super::Func;

/// Functions that run one inside the other, each read by the one before it.
const DEPTH: usize = 4;

thread_local! {
    /// The functions that run in this thread, by address, outermost first. No destructor, so it can
    /// be read in a thread's teardown.
    static RUNNING: Cell<[usize; DEPTH]> = const { Cell::new([0; DEPTH]) };
    /// Whether a panic of this thread is not printed.
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Calls what belongs to `func`. `None` where that panics, or `func` runs already in this thread, or
/// too many others do.
pub(super) fn call<R>(func: &Func, f: impl FnOnce() -> Option<R>) -> Option<R> {
    let (running, was_quiet) = (RUNNING.get(), IS_QUIET.get());
    let address = ptr::from_ref(func).addr();
    let place = running.iter().position(|&other| other == 0 || other == address)?;
    if running[place] == address {
        return None;
    }
    let mut now = running;
    now[place] = address;
    RUNNING.set(now);
    IS_QUIET.set(func.has_panicked.load(Relaxed));
    let done = catch_unwind(AssertUnwindSafe(f));
    RUNNING.set(running);
    let done = done.map_err(|payload| {
        func.has_panicked.store(true, Relaxed);
        install_hook();
        discard(payload);
    });
    IS_QUIET.set(was_quiet);
    done.ok().flatten()
}

/// Drops what a panic carried, which is foreign code too.
fn discard(payload: Box<dyn Any + Send>) {
    IS_QUIET.set(true);
    if let Err(next) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // Its drop may panic as well, and so on: enough.
        std::mem::forget(next);
    }
}

/// Puts a hook before the program's own that passes on every panic but the quiet ones. Only a
/// program in which a function panicked has it.
fn install_hook() {
    static INSTALLED: Once = Once::new();
    // The hook cannot be changed by a thread that panics: one that reads variables while it unwinds.
    if std::thread::panicking() {
        return;
    }
    INSTALLED.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !IS_QUIET.get() {
                before(panic);
            }
        }));
    });
}
