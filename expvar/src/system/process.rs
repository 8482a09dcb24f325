//! Operating-system statistics of this process: memory, processor time, files, limits.
//!
//! ```
//! # #[cfg(target_os = "linux")] {
//! let process = expvar::process::read();
//! assert!(process.resident_bytes > Some(1 << 20));
//! assert!(process.threads >= Some(1));
//! # }
//! ```
//!
//! The [`global`](crate::global()) registry shows them under `process`. Nothing runs without
//! readers. A value is cached for 20 times as long as it took to read, so that reading takes at
//! most a twentieth of a processor. With 64 threads a read takes some 200 us of system calls, none
//! of which walks the process's pages or blocks its other threads; so a value is at most 4 ms old.
//! The uptime is always current.
//!
//! A forked child shows its own values. In a PID namespace without its own `/proc`,
//! `thread_cpu_seconds` is absent.
//!
//! Tested on Linux. macOS and Windows have `resident_bytes`, `peak_resident_bytes`, `virtual_bytes`,
//! processor time, `threads`, `open_fds`, start time and uptime; macOS also has `max_fds`, page
//! faults and context switches. On Windows `open_fds` counts handles of every kind, and
//! `virtual_bytes` is the commit charge. The code for macOS is compiled for it, but was not run.
//! Other systems have none.
//!
//! A value that cannot be read is absent; the others are not affected. The variable
//! `expvar.unreadable` counts files that should be readable: no `/proc`, no permission, an unknown
//! format. It does not count files that a system need not have, or those of a thread that has just
//! ended.

#![cfg_attr(
    not(any(target_os = "linux", target_os = "android")),
    allow(dead_code, reason = "Linux's files are parsed by the same code in tests everywhere")
)]

mod cgroup;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod elsewhere;
pub(crate) mod entries;
pub(crate) mod files;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux;
mod pressure;
mod record;
pub(crate) mod status;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod threads;
#[cfg(any(target_os = "linux", target_os = "android", target_os = "macos"))]
mod usage;

pub use cgroup::Cgroup;
pub use pressure::{Pressure, Stall, Stalls};

use std::borrow::Cow;
use std::collections::BTreeMap;

#[cfg(not(any(target_os = "linux", target_os = "android")))]
use elsewhere::{Reader, Started};
#[cfg(any(target_os = "linux", target_os = "android"))]
use linux::{Reader, Started};
use record::record;

use crate::Func;
use crate::Unit::{Bytes, Seconds};
use crate::fresh::Fresh;
use crate::health::UNREADABLE;

/// The label of `thread_cpu_seconds`.
const THREAD: &[Cow<'static, str>] = &[Cow::Borrowed("thread")];

record! {
    /// The process at one moment. Unavailable values are `None`, and absent from the JSON.
    ///
    /// Counts start with the process. The sources named are Linux's.
    ///
    /// ```
    /// let process = expvar::process::read();
    /// // `None` where the system does not tell.
    /// if let Some(resident) = process.resident_bytes {
    ///     assert!(resident > 0);
    /// }
    /// ```
    pub struct Process {
        /// Memory that is resident, of all kinds (`VmRSS` of `/proc/self/status`).
        pub resident_bytes: Option<u64> [unit(Bytes), known_as("process_resident_memory_bytes")],
        /// Address space that is mapped (`VmSize`); most of it may never have been touched.
        pub virtual_bytes: Option<u64> [unit(Bytes), known_as("process_virtual_memory_bytes")],
        /// The peak of resident memory (`VmHWM`).
        pub peak_resident_bytes: Option<u64> [unit(Bytes), known_as("process_peak_resident_memory_bytes")],
        /// Resident and backed by no file: heap, stacks, data (`RssAnon`).
        pub anonymous_bytes: Option<u64> [unit(Bytes), known_as("process_anonymous_memory_bytes")],
        /// Resident and backed by files: program text, libraries, mapped files (`RssFile`). The
        /// system can drop it and read it again.
        pub file_backed_bytes: Option<u64> [unit(Bytes), known_as("process_file_backed_memory_bytes")],
        /// Resident in shared memory without a file (`RssShmem`).
        pub shared_bytes: Option<u64> [unit(Bytes), known_as("process_shared_memory_bytes")],
        /// Anonymous memory that is swapped out (`VmSwap`).
        pub swap_bytes: Option<u64> [unit(Bytes)],
        /// Page faults served without reading (`getrusage`).
        pub minor_page_faults: Option<u64> [counter()],
        /// Page faults that had to wait for a disk (`getrusage`).
        pub major_page_faults: Option<u64> [counter()],
        /// Live threads.
        pub threads: Option<u64>,
        /// Open file descriptors (`/proc/self/fd`).
        pub open_fds: Option<u64>,
        /// How many may be open (the soft limit of `/proc/self/limits`).
        pub max_fds: Option<u64>,
        /// Processor time in the program (`getrusage`).
        pub cpu_user_seconds: Option<f64> [unit(Seconds), counter()],
        /// Processor time in the kernel on the program's behalf (`getrusage`).
        pub cpu_system_seconds: Option<f64> [unit(Seconds), counter()],
        /// Processor time by thread name, user and system together, including ended threads; at
        /// most 64 names. `(other)` has further names, and threads that lived only between two
        /// reads. The sum is the process's.
        pub thread_cpu_seconds: Option<BTreeMap<String, f64>> [unit(Seconds), counter(), keyed(THREAD)],
        /// Times that a thread waited for something (`getrusage`).
        pub voluntary_context_switches: Option<u64> [counter()],
        /// Times that a thread had to yield its processor (`getrusage`).
        pub involuntary_context_switches: Option<u64> [counter()],
        /// Bytes that reading system calls returned, from files, pipes and sockets (`rchar` of
        /// `/proc/self/io`).
        pub read_bytes: Option<u64> [unit(Bytes), counter()],
        /// Bytes given to writing system calls (`wchar`).
        pub written_bytes: Option<u64> [unit(Bytes), counter()],
        /// Bytes fetched from storage (`read_bytes`).
        pub storage_read_bytes: Option<u64> [unit(Bytes), counter()],
        /// Bytes sent to storage (`write_bytes`).
        pub storage_written_bytes: Option<u64> [unit(Bytes), counter()],
        /// When the process started, in Unix seconds.
        pub start_time_seconds: Option<f64> [unit(Seconds)],
        /// Seconds since then.
        pub uptime_seconds: Option<f64> [unit(Seconds)],
        /// The control group that limits the process.
        pub cgroup: Option<Cgroup> [members(Cgroup::MEMBERS)],
        /// The pressure of the whole machine (`/proc/pressure`), if the control group has none.
        pub system_pressure: Option<Pressure> [members(Pressure::MEMBERS)],
    }
}

crate::vars! {
    /// What the system knows of this process.
    static PROCESS: Func = "process", init: variable();
}

static LAST: Fresh<Taken, Reader> = Fresh::new();

/// A read, and the start time from which its uptime is computed.
struct Taken {
    process: Process,
    started: Option<Started>,
}

/// Returns the process, cached. See the [module](self) for the age of a value.
pub fn read() -> Process {
    shown()
}

/// Returns the process as of now, without the cache.
pub fn read_now() -> Process {
    LAST.get_now(refresh).now()
}

/// The variable that the [`global`](crate::global()) registry shows as `process`.
pub const fn variable() -> Func {
    Func::of(&shown).members(Process::MEMBERS)
}

fn shown() -> Process {
    LAST.get(refresh).now()
}

fn refresh(reader: &mut Reader) -> Taken {
    let process = reader.read();
    UNREADABLE.add(std::mem::take(&mut reader.files.failures));
    Taken { process, started: reader.started }
}

impl Taken {
    /// The process with its current uptime.
    fn now(&self) -> Process {
        let uptime_seconds = self.started.and_then(Started::uptime_seconds);
        Process { uptime_seconds, ..self.process.clone() }
    }
}

/// Seconds from microseconds.
fn micros(microseconds: u64) -> f64 {
    microseconds as f64 / 1e6
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}
