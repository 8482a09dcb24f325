//! Guards against user functions that panic or read themselves.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Once;
use std::sync::atomic::Ordering::Relaxed;

use super::Func;

/// The greatest depth of functions that read each other.
const DEPTH: usize = 4;

thread_local! {
    /// Addresses of the functions running in this thread, outermost first. Has no destructor, so it
    /// works during thread teardown.
    static RUNNING: Cell<[usize; DEPTH]> = const { Cell::new([0; DEPTH]) };
    /// Whether to suppress the message of a panic in this thread.
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Calls `f` on behalf of `func`. Returns `None` if it panics, or if `func` is already running in
/// this thread, or at the depth limit.
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

/// Drops a panic's payload, whose destructor is foreign code and may panic too.
fn discard(payload: Box<dyn Any + Send>) {
    IS_QUIET.set(true);
    if let Err(next) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // This payload's drop may panic in turn: leak it.
        std::mem::forget(next);
    }
}

/// Installs a panic hook that suppresses quiet panics and passes all others to the previous hook.
/// Installed at the first panic of a function, so other programs keep their hook.
fn install_hook() {
    static INSTALLED: Once = Once::new();
    // A panicking thread cannot change the hook; it gets here if it reads variables while
    // unwinding.
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
