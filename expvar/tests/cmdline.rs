//! `cmdline` of a program that was started with secrets.

use std::process::Command;

#[test]
#[ignore = "run by the test below, in a process of its own"]
fn child() {
    if std::env::var_os("EXPVAR_SHOW_SECRETS").is_some() {
        expvar::cmdline::show_secrets();
    }
    println!("cmdline {}", expvar::global().get("cmdline").unwrap());
    expvar::global().remove("cmdline");
    assert!(expvar::global().get("cmdline").is_none());
}

/// Starts this program again, with more arguments than a test would have.
fn start(show_secrets: bool) -> String {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(&program);
    // To the test harness they are names of tests; one of them is `child`.
    command.args(["--ignored", "--nocapture", "child", "--skip", "password=hunter2"]);
    command.args(["--skip", "postgres://me:sesame@db/"]);
    command.env_remove("EXPVAR_SHOW_SECRETS");
    if show_secrets {
        command.env("EXPVAR_SHOW_SECRETS", "1");
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let at = said.find("cmdline ").expect("the child printed it") + "cmdline ".len();
    let line = said[at..].lines().next().unwrap();
    let arguments: Vec<String> = serde_json::from_str(line).unwrap();
    assert_eq!(arguments[0], program.to_str().unwrap());
    arguments[4..].join(" ")
}

#[test]
fn secrets_are_redacted_by_default() {
    assert_eq!(start(false), "--skip password=[redacted] --skip postgres://me:[redacted]@db/");
    assert_eq!(start(true), "--skip password=hunter2 --skip postgres://me:sesame@db/");
}
