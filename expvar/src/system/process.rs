//! What the operating system knows of this process: memory, processor time, files, limits.
//!
//! ```
//! # #[cfg(target_os = "linux")] {
//! let process = expvar::process::read();
//! assert!(process.resident_bytes > Some(1 << 20));
//! assert!(process.threads >= Some(1));
//! # }
//! ```
//!
//! The [`global`](crate::global()) registry shows it under `process`. Nothing runs when nobody
//! reads. A value is handed out again for 20 times as long as it took to read, so that reading
//! takes at most a twentieth of a processor whoever asks: with 64 threads it takes some 200 us of
//! system calls, none of which walks the process's pages or holds up its other threads, and so a
//! value is at most 4 ms old. The uptime is always that of the moment.
//!
//! A child that was forked shows its own values, not its parent's. In a PID namespace without a
//! `/proc` of its own `thread_cpu_seconds` is absent.
//!
//! Linux is what is tested. On macOS and Windows `resident_bytes` and `virtual_bytes` are there
//! (crate `memory-stats`) and the rest is absent; on other systems all of it is.
//!
//! Whatever cannot be read is absent while the rest stands. The variable `expvar.unreadable` counts
//! what should have been readable: no `/proc`, no permission, an unknown format; not what a system
//! need not have, nor a thread that ended meanwhile.

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

/// What the keys of `thread_cpu_seconds` are.
const THREAD: &[Cow<'static, str>] = &[Cow::Borrowed("thread")];

record! {
    /// The process at one moment. Everything that could not be had is `None`, and left out of the
    /// JSON.
    ///
    /// Counts run from the start of the process. The sources named are Linux's.
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
        /// The most that was ever resident (`VmHWM`).
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
        /// Processor time by thread name, user and system together, threads that have ended
        /// included; at most 64 names. `(other)` has the names past that, and threads that came
        /// and went between two readings; the sum is the process's.
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
        /// The whole machine's pressure (`/proc/pressure`), where the control group has none.
        pub system_pressure: Option<Pressure> [members(Pressure::MEMBERS)],
    }
}

crate::vars! {
    /// What the system knows of this process.
    static PROCESS: Func = "process", init: variable();
}

static LAST: Fresh<Taken, Reader> = Fresh::new();

/// A reading, and what its uptime is computed from.
struct Taken {
    process: Process,
    started: Option<Started>,
}

/// The process as it is: see the [module](self) for how old a value may be.
pub fn read() -> Process {
    shown()
}

/// The process as it is now.
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
    /// The process with the uptime of this moment.
    fn now(&self) -> Process {
        let uptime_seconds = self.started.and_then(Started::uptime_seconds);
        Process { uptime_seconds, ..self.process.clone() }
    }
}

/// Seconds from microseconds, the kernel's usual unit.
fn micros(microseconds: u64) -> f64 {
    microseconds as f64 / 1e6
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}
