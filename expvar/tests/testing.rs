//! Statics can be tested exactly while other tests record into them.

#![forbid(unsafe_code)]

use std::panic::catch_unwind;
use std::thread;

expvar::vars! {
    static REQUESTS: Counter = "testing.requests";
    static ROUTES: Map = "testing.routes";
}

/// What a service does: into the same statics in every test here.
fn handle(route: &str) {
    for _ in 0..1000 {
        REQUESTS.inc();
        ROUTES.inc(route);
        thread::yield_now();
    }
}

fn check(route: &str) {
    expvar::testing::alone(|| {
        assert_eq!(REQUESTS.get(), 0);
        handle(route);
        assert_eq!(REQUESTS.get(), 1000);
        assert_eq!(ROUTES.keys(), [route]);
    });
}

macro_rules! tests {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            check(stringify!($name));
        }
    )*};
}

tests! { one two three four }

/// Another thread records all the time.
#[test]
fn a_test_that_records_without_care_disturbs_nobody() {
    for _ in 0..20 {
        handle("careless");
    }
}

#[test]
fn what_fails_alone_fails_with_its_message() {
    let fails = || expvar::testing::alone(|| assert_eq!(REQUESTS.get(), 7, "as it should"));
    // In the process that is started for it.
    if std::env::var_os("EXPVAR_TEST_ALONE").is_some() {
        return fails();
    }
    let failed = catch_unwind(fails);
    let message = *failed.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("as it should") && message.contains("right: 7"), "{message}");
}

#[test]
fn a_thread_that_is_no_test_is_told() {
    let other = thread::Builder::new().name("other".to_owned());
    let failed = other.spawn(|| expvar::testing::alone(|| ())).unwrap().join();
    let message = *failed.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("no test is called \"other\""), "{message}");
}

#[test]
#[should_panic(expected = "as it should")]
fn a_panic_that_the_test_expects_is_one_here_too() {
    expvar::testing::alone(|| panic!("as it should"));
}

/// The process that is started for it fails, because nothing panics there.
#[test]
#[should_panic(expected = "came back")]
fn an_expected_panic_that_does_not_come_is_not_made_up() {
    expvar::testing::alone(|| ());
    assert!(std::env::var_os("EXPVAR_TEST_ALONE").is_some(), "came back");
}
