//! A child that was forked while its parent's threads allocate goes on, whoever held the table.

#![cfg(target_os = "linux")]

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use expvar::alloc::Counting;

#[global_allocator]
static ALLOC: Counting = Counting::new();

#[test]
fn children_allocate_and_end() {
    static STOP: AtomicBool = AtomicBool::new(false);
    expvar::heap::start(64);
    let churn = || {
        while !STOP.load(Relaxed) {
            drop(black_box(vec![1_u8; 64]));
        }
    };
    let threads = [std::thread::spawn(churn), std::thread::spawn(churn)];
    for _ in 0..200 {
        // SAFETY: the child allocates, which glibc allows after a fork, and ends without running
        // anything of the parent's.
        let child = unsafe { libc::fork() };
        if child == 0 {
            for size in 1..2000 {
                drop(black_box(vec![1_u8; size]));
            }
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(7) };
        }
        assert!(child > 0);
        let mut status = 0;
        // SAFETY: `status` is ours. A child that hangs would hang the test, which fails it.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 7, "{status:#x}");
    }
    STOP.store(true, Relaxed);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    expvar::heap::start(0);
}
