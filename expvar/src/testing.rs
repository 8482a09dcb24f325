//! Support for tests of code that records into statics.
//!
//! The tests of one binary run as threads of one process and share its statics, so a value before
//! and after includes other tests' recordings. There are three ways to isolate a test:
//! - Code that takes its variables as an argument gets new ones in each test: declare a
//!   [`group!`](crate::group) and publish it in the test's own [`Registry`](crate::Registry).
//! - For code that records into [`vars!`](crate::vars), run the test in a process of its own: see
//!   [`alone`].
//! - `cargo nextest` runs every test in its own process.

use std::env;
use std::process::Command;
use std::thread;

/// Set in the process that runs one test.
const ALONE: &str = "EXPVAR_TEST_ALONE";
/// What that process prints when the test has returned.
const RETURNED: &str = "expvar::testing::alone: returned";
/// The exit code of a test binary with failed tests.
const FAILED: i32 = 101;

/// Runs the calling test in a process of its own, where no other test records.
///
/// Put the whole test into `test`: the test binary is started again for this one test, and a panic
/// there is a panic here, also for `#[should_panic]`. Statics start at zero. Takes a few
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
/// Finds the running test by the name of its thread, which the test harness sets. In any other
/// thread, as with `--test-threads=1`, it runs `test` in place.
///
/// # Panics
/// If the test fails or cannot be started again.
pub fn alone(test: impl FnOnce()) {
    let thread = thread::current();
    let name = thread.name().unwrap_or("main");
    if name == "main" {
        return test();
    }
    if env::var_os(ALONE).is_some() {
        test();
        return println!("{RETURNED}");
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
            let returned = out.lines().any(|line| line.ends_with(RETURNED));
            let is_failure = output.status.code() == Some(FAILED);
            if returned && (output.status.success() || is_failure) {
                // It fails there if it has `#[should_panic]`, and then here too.
                return;
            }
            // A thread that a test starts may have any name.
            assert!(
                !output.status.success() || out.contains("1 passed"),
                "no test is called {name:?}: call `alone` in the test's own thread"
            );
            panic!("in a process of its own:\n{out}{err}");
        }
        Err(error) => panic!("the test binary cannot be started again: {error}"),
    }
}
