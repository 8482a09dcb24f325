//! `process` on macOS and Windows: what is read changes as the process does.
#![cfg(any(target_os = "macos", windows))]

use std::fs::File;
use std::hint::black_box;
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use expvar::process::{Process, read_now};

const MIB: u64 = 1 << 20;

/// What a reading before and one after differ by.
fn grown(of: impl Fn(&Process) -> Option<u64>, by: impl FnOnce(&dyn Fn() -> u64) -> u64) -> u64 {
    let now = || of(&read_now()).unwrap();
    let before = now();
    by(&now).saturating_sub(before)
}

#[test]
fn memory_grows_with_what_is_written_to() {
    let grown = grown(
        |process| process.resident_bytes,
        |now| {
            let held = black_box(vec![1_u8; 64 << 20]);
            let after = now();
            drop(held);
            after
        },
    );
    assert!((32 * MIB..1024 * MIB).contains(&grown), "{grown}");
    let process = read_now();
    assert!(process.peak_resident_bytes >= process.resident_bytes, "{process:?}");
    assert!(process.virtual_bytes > Some(MIB));
}

#[test]
fn threads_and_files_are_counted() {
    let threads = grown(
        |process| process.threads,
        |now| {
            let start = || {
                let (end, waits) = mpsc::channel::<()>();
                (end, std::thread::spawn(move || waits.recv().unwrap_err()))
            };
            let started: Vec<_> = (0..20).map(|_| start()).collect();
            let after = now();
            for (end, thread) in started {
                drop(end);
                thread.join().unwrap();
            }
            after
        },
    );
    assert!((15..60).contains(&threads), "{threads}");
    let program = std::env::current_exe().unwrap();
    let files = grown(
        |process| process.open_fds,
        |now| {
            let files: Vec<File> = (0..50).map(|_| File::open(&program).unwrap()).collect();
            let after = now();
            drop(files);
            after
        },
    );
    assert!((40..200).contains(&files), "{files}");
    assert!(read_now().max_fds.is_some() == cfg!(target_os = "macos"));
}

#[test]
fn processor_time_grows_with_work() {
    let now = || read_now().cpu_user_seconds.unwrap();
    let (before, start) = (now(), Instant::now());
    let mut turns = 0_u64;
    while now() - before < 0.1 {
        assert!(start.elapsed() < Duration::from_secs(60), "no processor time is counted");
        for turn in 0..1_000_000 {
            turns = black_box(turns + turn);
        }
    }
    assert!(read_now().cpu_system_seconds.is_some());
}

#[test]
fn the_start_is_behind_and_the_uptime_goes_on() {
    let process = read_now();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let (start, uptime) = (process.start_time_seconds.unwrap(), process.uptime_seconds.unwrap());
    assert!((now - start - uptime).abs() < 2.0, "{start} + {uptime} against {now}");
    assert!((0.0..3600.0).contains(&uptime), "{uptime}");
    assert!(read_now().uptime_seconds.unwrap() > uptime);
}
