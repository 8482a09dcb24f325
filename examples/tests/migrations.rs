//! Checks the migration pages' code in other languages; Rust is a doctest of `lib.rs`.

use std::process::Command;

#[test]
#[ignore = "needs go (package golang-go)"]
fn go_takes_the_program_of_before() {
    let page = include_str!("../../docs/migrations/go-expvar.md");
    let (_, rest) = page.split_once("```go\n").unwrap();
    let (program, _) = rest.split_once("```").unwrap();
    let dir = std::env::temp_dir().join(format!("expvar-migrations-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("main.go"), program).unwrap();
    let mut go = Command::new("go");
    let vetted = go.args(["vet", "main.go"]).current_dir(&dir).output();
    let formatted = Command::new("gofmt").args(["-l", "main.go"]).current_dir(&dir).output();
    std::fs::remove_dir_all(&dir).unwrap();
    let vetted = vetted.expect("go: apt-get install golang-go");
    assert!(vetted.status.success(), "{}", String::from_utf8_lossy(&vetted.stderr));
    assert_eq!(String::from_utf8_lossy(&formatted.unwrap().stdout), "");
}
