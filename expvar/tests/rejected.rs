//! What is wrong with a declaration is a compile error that says what to write.

#![forbid(unsafe_code)]

#[test]
#[ignore = "builds expvar a second time, for about a minute"]
fn declarations_in_error_do_not_compile_and_say_what_to_write() {
    trybuild::TestCases::new().compile_fail("tests/rejected/*.rs");
}
