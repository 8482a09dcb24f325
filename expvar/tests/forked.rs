//! A child that was forked and goes on without `exec`.

#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::os::fd::FromRawFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use expvar::{Counter, Func, Gauge, Histogram, Registry, process};

/// Runs `f` in a forked child; what it returned there.
fn forked(f: impl FnOnce() -> String) -> String {
    let mut ends = [0; 2];
    // SAFETY: the pointer is to two integers of our own.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    // SAFETY: the child does nothing but what is tested, and ends without running destructors.
    let child = unsafe { libc::fork() };
    // SAFETY: both ends were opened above, and each process closes what it does not use.
    let [mut reads, mut writes] = ends.map(|end| unsafe { std::fs::File::from_raw_fd(end) });
    if child == 0 {
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
        let _ = writes.write_all(told.unwrap_or_else(|_| "panicked".into()).as_bytes());
        // SAFETY: no more than a system call.
        unsafe { libc::_exit(0) };
    }
    drop(writes);
    let mut told = String::new();
    reads.read_to_string(&mut told).unwrap();
    // SAFETY: it waits for our own child.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    told
}

fn spin(millis: u64) {
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(millis) {}
}

#[test]
fn a_child_reads_its_own_process() {
    spin(300);
    let parent = process::read();
    let told = forked(|| {
        let child = process::read();
        let by_thread: f64 = child.thread_cpu_seconds.unwrap().values().sum();
        format!(
            "{} {} {} {}",
            child.threads.unwrap(),
            child.start_time_seconds.unwrap(),
            child.uptime_seconds.unwrap(),
            by_thread,
        )
    });
    let told: Vec<f64> = told.split(' ').map(|number| number.parse().unwrap()).collect();
    let [threads, start, uptime, by_thread] = told[..] else { panic!("{told:?}") };
    assert_eq!(threads, 1.0);
    // Ticks are 10 ms.
    assert!(start > parent.start_time_seconds.unwrap() + 0.2, "{told:?} {parent:?}");
    let parent_s = process::read_now().uptime_seconds.unwrap();
    assert!(uptime < parent_s - 0.2, "{told:?}, the parent's {parent_s}");
    assert!(by_thread < 0.25, "the parent spun 0.3 s: {told:?}");
}

#[test]
fn a_child_records_beside_what_it_inherited() {
    let registry = Registry::new();
    let counter = registry.publish("counter", Counter::new()).unwrap();
    let histogram = registry.publish("histogram", Histogram::new()).unwrap();
    let gauge = registry.publish("gauge", Gauge::new()).unwrap();
    registry.publish("pid", Func::new(std::process::id)).unwrap();
    // Another thread holds pages, earns them, and folds them all the while.
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    std::thread::scope(|scope| {
                        scope.spawn(|| {
                            (0..2000).for_each(|_| {
                                counter.inc();
                                histogram.record(7);
                            });
                        });
                    });
                    let _ = (counter.get(), histogram.snapshot());
                }
            });
        }
        gauge.set(5);
        for _ in 0..200 {
            let told = forked(|| {
                let before = (counter.get(), histogram.snapshot().count());
                for _ in 0..3000 {
                    counter.inc();
                    histogram.record(7);
                    gauge.add(1);
                }
                let fresh = Counter::new();
                fresh.add(3);
                let after = (counter.get(), histogram.snapshot().count());
                let grown = (after.0 - before.0, after.1 - before.1);
                format!("{grown:?} {} {}", gauge.get(), fresh.get())
            });
            assert_eq!(told, "(3000, 3000) 3005 3");
        }
        stop.store(true, Relaxed);
    });
    let told = forked(|| format!("{} {}", std::process::id(), registry.to_json()));
    let (id, document) = told.split_once(' ').unwrap();
    assert!(document.contains(&format!("\"pid\": {id}\n")), "{told}");
}
