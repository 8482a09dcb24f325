//! Recording where the system gives no memory, and where the limit is nothing.
//!
//! Each child is this program again, with one of the tests below that are ignored otherwise.

#![cfg(target_os = "linux")]

use std::process::Command;

use expvar::{Counter, Histogram, set_limit, usage};

/// Set for a child, which the others' records must not disturb: it does nothing without.
const ALONE: &str = "EXPVAR_TEST_ALONE";

fn is_alone() -> bool {
    std::env::var_os(ALONE).is_some()
}

fn run(script: &str, test: &str) {
    let exe = std::env::current_exe().unwrap();
    let script = format!("{script} exec \"$0\" --exact {test} --ignored --test-threads=1");
    let mut shell = Command::new("sh");
    let output = shell.args(["-c", &script]).arg(exe).env(ALONE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{error}");
}

/// Takes all the address space that the limit leaves, but for crumbs.
fn exhaust() -> Vec<Vec<u8>> {
    let mut all = Vec::with_capacity(4096);
    let mut size = 1 << 26;
    while size >= 32 << 10 {
        let mut block = Vec::new();
        if all.len() < 4096 && block.try_reserve_exact(size).is_ok() {
            all.push(block);
        } else {
            size /= 2;
        }
    }
    all
}

#[test]
fn records_go_to_the_shared_copies() {
    run("ulimit -v 400000;", "child_without_memory");
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
fn child_without_memory() {
    if !is_alone() {
        return;
    }
    let histograms: Vec<_> = (0..1000).map(|_| Histogram::new()).collect();
    histograms.iter().for_each(|histogram| histogram.record(200_000));
    let crumbs = exhaust();
    for _ in 0..1000 {
        histograms.iter().for_each(|histogram| histogram.record(200_000));
    }
    let (taken, shown) = (usage(), histograms[999].snapshot());
    drop(crumbs);
    assert_eq!((shown.count(), taken.lost), (1001, 0));
    assert!(taken.private_bytes < 1000 * 576, "{taken:?}: not all had private copies");
}

#[test]
fn a_limit_of_nothing_leaves_all_of_it_shared() {
    run("", "child_with_no_limit");
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
fn child_with_no_limit() {
    if !is_alone() {
        return;
    }
    assert!(set_limit(0));
    assert!(!set_limit(1 << 20), "once");
    let counter = Counter::new();
    (0..10_000).for_each(|_| counter.inc());
    let usage = usage();
    assert_eq!((counter.get(), usage.private_bytes, usage.limit_bytes), (10_000, 0, 0));
}

#[test]
fn no_thread_is_started_by_a_record() {
    run("", "child_that_records");
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
fn child_that_records() {
    if !is_alone() {
        return;
    }
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    let histogram = Histogram::new();
    (0..10_000).for_each(|_| histogram.record(7));
    drop(histogram.start());
    assert_eq!(threads(), before);
    assert_eq!(histogram.recent().count(), 10_001);
    assert_eq!(threads(), before + 1, "reading needs one");
}
