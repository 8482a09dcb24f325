//! The allocator hook under valgrind: no invalid access and no leak, in threads that come and go.

use std::cell::RefCell;
use std::process::Command;
use std::thread;

use expvar::alloc::{Counting, counts};

#[global_allocator]
static ALLOC: Counting = Counting::new();

struct Late;

impl Drop for Late {
    fn drop(&mut self) {
        drop(std::hint::black_box(vec![1_u8; 100]));
    }
}

thread_local! {
    static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
}

#[test]
fn workload() {
    let counter = expvar::Counter::new();
    for _ in 0..20 {
        let spawn = |_| {
            thread::spawn(|| {
                LATE.set(Some(Late));
                (0..100).map(|size| vec![1_u8; size * 100]).fold(0, |sum, block| sum + block.len())
            })
        };
        let threads: Vec<_> = (0..8).map(spawn).collect();
        for thread in threads {
            counter.add(thread.join().unwrap() as u64);
        }
    }
    assert_eq!(counter.get(), 20 * 8 * 100 * 99 * 50);
    assert!(counts().unwrap().allocations > 20 * 8 * 101);
    assert!(expvar::global().to_json().contains("\"memstats\""));
}

#[test]
#[ignore = "needs valgrind (.ci/peers.sh)"]
fn valgrind_is_content() {
    let valgrind = Command::new("valgrind")
        .args(["--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "workload", "--test-threads=1"])
        .output()
        .expect("valgrind: .ci/peers.sh installs it");
    let said = String::from_utf8_lossy(&valgrind.stderr);
    assert!(valgrind.status.success(), "{said}");
    assert!(said.contains("ERROR SUMMARY: 0 errors"), "{said}");
    assert!(String::from_utf8_lossy(&valgrind.stdout).contains("1 passed"), "{said}");
}
