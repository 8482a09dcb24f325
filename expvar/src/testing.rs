//! For tests of code that records into statics.
//!
//! The tests of one binary run in threads of one process, and statics are the process's. So
//! "the value before and after" counts what other tests did in between. Three ways are sound:
//! - Code that takes its variables as an argument gets others in a test: make a
//!   [`group!`](crate::group) and publish it in a [`Registry`](crate::Registry) of the test's own.
//! - Code that records into [`vars!`](crate::vars) is tested in a process of its own: see [`alone`].
//! - `cargo nextest` runs every test so.

use std::env;
use std::process::Command;
use std::thread;

/// Set in the process that runs one test.
const ALONE: &str = "EXPVAR_TEST_ALONE";

/// Runs the test that calls it in a process of its own, where nobody else records.
///
/// Put the whole test into `test`: the test binary is started again for this one test, and what
/// it panics with there is what it panics with here. A static begins at zero in it. This takes a few
/// milliseconds.
///
/// ```
/// expvar::vars! {
///     static REQUESTS: Counter = "requests";
/// }
///
/// fn handle() {
///     REQUESTS.inc();
/// }
///
/// # /*
/// #[test]
/// # */
/// fn requests_are_counted() {
///     expvar::testing::alone(|| {
///         handle();
///         assert_eq!(REQUESTS.get(), 1);
///     });
/// }
/// # requests_are_counted();
/// ```
///
/// It finds out which test is running by the name that the test harness gives its thread. In any
/// other thread, as with `--test-threads=1`, it runs `test` where it is.
///
/// # Panics
/// The test fails, or cannot be started again.
pub fn alone(test: impl FnOnce()) {
    let thread = thread::current();
    let name = thread.name().unwrap_or("main");
    if name == "main" || env::var_os(ALONE).is_some() {
        return test();
    }
    let run = env::current_exe().and_then(|binary| {
        Command::new(binary)
            .args(["--exact", name, "--include-ignored", "--nocapture", "--test-threads=1"])
            .env(ALONE, "1")
            .output()
    });
    match run {
        Ok(output) => {
            let (out, err) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success(), "in a process of its own:\n{out}{err}");
            // A thread that a test starts may have any name.
            assert!(
                out.contains("1 passed"),
                "no test is called {name:?}: call `alone` in the test's own thread"
            );
        }
        Err(error) => panic!("the test binary cannot be started again: {error}"),
    }
}
