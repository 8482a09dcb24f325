//! `process` agrees with the system's own view of this process.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use expvar::process::{Process, read, read_now};
use serde_json::Value;

/// What one test does with files, threads and memory must not show in another. Each begins with this.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One field of `ps`.
fn ps(field: &str) -> String {
    let pid = std::process::id().to_string();
    let output =
        Command::new("ps").args(["-o", &format!("{field}="), "-p", &pid]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Reads before and after the other view: what only grows must lie between.
#[track_caller]
fn between<T: PartialOrd + std::fmt::Debug>(
    view: impl Fn() -> T,
    ours: impl Fn(&Process) -> Option<T>,
) {
    let before = ours(&read_now()).unwrap();
    let theirs = view();
    let after = ours(&read_now()).unwrap();
    assert!(before <= theirs && theirs <= after, "{before:?} {theirs:?} {after:?}");
}

fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn memory_is_what_ps_says() {
    let _alone = alone();
    const SLACK: u64 = 8 << 20;
    for (field, ours) in [
        ("rss", (|process| process.resident_bytes) as fn(&Process) -> Option<u64>),
        ("vsz", |process| process.virtual_bytes),
    ] {
        let theirs = ps(field).parse::<u64>().unwrap() * 1024;
        let ours = ours(&read_now()).unwrap();
        // The other tests of this program begin meanwhile; a new thread's arena is address space.
        let slack = if field == "vsz" { 512 << 20 } else { SLACK };
        assert!(ours.abs_diff(theirs) <= slack, "{field}: {ours} against {theirs}");
    }
    let process = read_now();
    let parts = [process.anonymous_bytes, process.file_backed_bytes, process.shared_bytes];
    let sum: u64 = parts.into_iter().flatten().sum();
    assert!(sum.abs_diff(process.resident_bytes.unwrap()) <= 4096, "{process:?}");
    assert!(process.peak_resident_bytes.unwrap() + SLACK >= process.resident_bytes.unwrap());
    between(|| status("VmHWM") * 1024, |process| process.peak_resident_bytes);
}

#[test]
fn start_and_uptime_are_what_ps_says() {
    let _alone = alone();
    let since_1970 = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let before = (read_now().uptime_seconds.unwrap(), since_1970());
    let elapsed: f64 = ps("etimes").parse().unwrap();
    let process = read_now();
    let uptime = process.uptime_seconds.unwrap();
    let after = (uptime, since_1970());
    // Whole seconds, counted from a start that the kernel has in ticks.
    assert!(
        before.0 - 1.1 <= elapsed && elapsed <= after.0 + 1.1,
        "{before:?} {elapsed} {after:?}"
    );
    let start = process.start_time_seconds.unwrap();
    let (least, most) = (before.1 - uptime - 1.0, after.1 - uptime + 1.0);
    assert!((least..=most).contains(&start), "{start} and {uptime}, {before:?} {after:?}");
}

#[test]
fn processor_time_grows_with_work_and_agrees_with_the_kernel() {
    let _alone = alone();
    // In ticks of 10 ms, cut off, for the whole process.
    let ticks = |field: usize| {
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        let rest = &stat[stat.rfind(')').unwrap() + 2..];
        rest.split(' ').nth(field - 3).unwrap().parse::<f64>().unwrap() / 100.0
    };
    let before = read_now();
    let start = Instant::now();
    let mut turns = 0_u64;
    while read_now().cpu_user_seconds.unwrap() - before.cpu_user_seconds.unwrap() < 0.1 {
        assert!(start.elapsed().as_secs() < 60, "no processor time is counted");
        for turn in 0..1_000_000 {
            turns = std::hint::black_box(turns + turn);
        }
    }
    let (user, system) = (ticks(14), ticks(15));
    let after = read_now();
    assert!(
        before.cpu_user_seconds.unwrap() < user && user - 0.02 <= after.cpu_user_seconds.unwrap()
    );
    assert!(system - 0.02 <= after.cpu_system_seconds.unwrap());
    let threads: f64 = after.thread_cpu_seconds.unwrap().values().sum();
    let total = after.cpu_user_seconds.unwrap() + after.cpu_system_seconds.unwrap();
    assert!((threads - total).abs() < 0.05, "{threads} by name, {total} in all");
}

#[test]
fn faults_and_switches_agree_with_getrusage() {
    let _alone = alone();
    let usage = || page_faults();
    between(|| usage().0, |process| process.minor_page_faults);
    between(|| usage().1, |process| process.major_page_faults);
    // The main thread's alone are in its status: a part of the process's.
    assert!(read_now().voluntary_context_switches.unwrap() >= status("voluntary_ctxt_switches"));
    let before = read_now().voluntary_context_switches.unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1));
    assert!(read_now().voluntary_context_switches.unwrap() > before);
    assert!(read_now().involuntary_context_switches.is_some());
}

/// Minor and major faults of the whole process, which the kernel keeps where `getrusage` reads.
fn page_faults() -> (u64, u64) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    (fields[10 - 3].parse().unwrap(), fields[12 - 3].parse().unwrap())
}

#[test]
fn open_files_and_threads_are_counted() {
    let _alone = alone();
    let open = || fs::read_dir("/proc/self/fd").unwrap().count() as u64 - 1;
    // Other tests open files meanwhile, a few at a time.
    let before = read_now().open_fds.unwrap();
    let files: Vec<File> = (0..200).map(|_| File::open("/dev/null").unwrap()).collect();
    let during = read_now().open_fds.unwrap();
    assert!(during.abs_diff(before + 200) < 30, "{before} {during}");
    assert!(during.abs_diff(open()) < 30);
    drop(files);
    let limit = Command::new("sh").args(["-c", "ulimit -Sn"]).output().unwrap().stdout;
    assert_eq!(read_now().max_fds, String::from_utf8(limit).unwrap().trim().parse().ok());

    let before = read_now().threads.unwrap();
    let (end, may_end) = std::sync::mpsc::channel::<()>();
    let may_end = std::sync::Arc::new(std::sync::Mutex::new(may_end));
    let threads: Vec<_> = (0..50)
        .map(|_| {
            let may_end = may_end.clone();
            std::thread::spawn(move || may_end.lock().unwrap().recv().unwrap_err())
        })
        .collect();
    let during = read_now().threads.unwrap();
    assert!(during.abs_diff(before + 50) < 20, "{before} {during}");
    drop(end);
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn reading_and_writing_is_counted() {
    let _alone = alone();
    let before = read_now();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&vec![7; 10 << 20]).unwrap();
    file.reopen().unwrap().read_to_end(&mut Vec::new()).unwrap();
    let after = read_now();
    assert!(after.read_bytes.unwrap() - before.read_bytes.unwrap() >= 10 << 20);
    assert!(after.written_bytes.unwrap() - before.written_bytes.unwrap() >= 10 << 20);
    let rchar = || {
        let io = fs::read_to_string("/proc/self/io").unwrap();
        io.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    between(rchar, |process| process.read_bytes);
}

#[test]
fn threads_show_by_name() {
    let _alone = alone();
    let worker = std::thread::Builder::new().name("named-worker".into());
    let (show, is_shown) = std::sync::mpsc::channel::<()>();
    let worker = worker.spawn(move || is_shown.recv().unwrap_err()).unwrap();
    let start = Instant::now();
    while !read_now().thread_cpu_seconds.unwrap().contains_key("named-worker") {
        assert!(start.elapsed().as_secs() < 60, "the thread has its name soon after its start");
    }
    drop(show);
    worker.join().unwrap();
}

#[test]
fn the_document_has_what_was_read_and_leaves_out_the_rest() {
    let _alone = alone();
    let shown = expvar::global().get("process").unwrap().to_string();
    let document: Value = serde_json::from_str(&shown).unwrap();
    let whole = [
        "resident_bytes",
        "virtual_bytes",
        "peak_resident_bytes",
        "anonymous_bytes",
        "file_backed_bytes",
        "shared_bytes",
        "swap_bytes",
        "minor_page_faults",
        "major_page_faults",
        "threads",
        "open_fds",
        "max_fds",
        "voluntary_context_switches",
        "involuntary_context_switches",
        "read_bytes",
        "written_bytes",
    ];
    for name in whole {
        assert!(document[name].is_u64(), "{name}: {shown}");
    }
    let seconds =
        ["cpu_user_seconds", "cpu_system_seconds", "start_time_seconds", "uptime_seconds"];
    for name in seconds {
        assert!(document[name].is_number(), "{name}: {shown}");
    }
    assert!(document["thread_cpu_seconds"].as_object().unwrap().len() >= 2, "{shown}");
    assert!(!shown.contains("null"), "{shown}");
    assert_eq!(expvar::global().get("expvar.unreadable").unwrap().to_string(), "0");
    assert_eq!(read().max_fds, read_now().max_fds);
}

#[test]
fn many_readers_at_once_get_whole_values() {
    let _alone = alone();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..200 {
                    assert!(read().resident_bytes.is_some());
                    assert!(read_now().thread_cpu_seconds.is_some());
                }
            });
        }
    });
}

#[test]
fn the_start_time_is_one_and_the_uptime_is_of_the_moment() {
    let _alone = alone();
    let start = read_now().start_time_seconds.unwrap();
    let mut uptime = 0.0;
    for _ in 0..100 {
        let process = read();
        assert_eq!(process.start_time_seconds, Some(start));
        assert!(process.uptime_seconds.unwrap() > uptime, "it is never that of the reading before");
        uptime = process.uptime_seconds.unwrap();
    }
}
