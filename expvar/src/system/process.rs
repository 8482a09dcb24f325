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
//! The [`global`](crate::global()) registry shows it under `process`. A value is at most 1 s old:
//! who reads an older one refreshes it, and who reads meanwhile gets the last. Nothing runs when
//! nobody reads. With 64 threads a refresh takes some 200 us of system calls, none of which
//! walks the process's pages or holds up its other threads.
//!
//! Linux is what is tested. On macOS and Windows `resident_bytes` and `virtual_bytes` are there
//! (crate `memory-stats`) and the rest is absent; on other systems all of it is.
//!
//! Whatever cannot be read (no `/proc`, no permission, an unknown format) is absent while the rest
//! stands, and the variable `expvar.unreadable` counts it.

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

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Serialize, Serializer};

#[cfg(not(any(target_os = "linux", target_os = "android")))]
use elsewhere::Reader;
#[cfg(any(target_os = "linux", target_os = "android"))]
use linux::Reader;
use record::record;

use crate::fresh::Fresh;
use crate::{Counter, Func};

record! {
    /// The process at one moment. Everything that could not be had is `None`, and left out of the
    /// JSON.
    ///
    /// Counts run from the start of the process. The sources named are Linux's.
    pub struct Process {
        /// Memory that is resident, of all kinds (`VmRSS` of `/proc/self/status`).
        pub resident_bytes: Option<u64>,
        /// Address space that is mapped (`VmSize`); most of it may never have been touched.
        pub virtual_bytes: Option<u64>,
        /// The most that was ever resident (`VmHWM`).
        pub peak_resident_bytes: Option<u64>,
        /// Resident and backed by no file: heap, stacks, data (`RssAnon`).
        pub anonymous_bytes: Option<u64>,
        /// Resident and backed by files: program text, libraries, mapped files (`RssFile`). The
        /// system can drop it and read it again.
        pub file_backed_bytes: Option<u64>,
        /// Resident in shared memory without a file (`RssShmem`).
        pub shared_bytes: Option<u64>,
        /// Anonymous memory that is swapped out (`VmSwap`).
        pub swap_bytes: Option<u64>,
        /// Page faults served without reading (`getrusage`).
        pub minor_page_faults: Option<u64>,
        /// Page faults that had to wait for a disk (`getrusage`).
        pub major_page_faults: Option<u64>,
        /// Live threads.
        pub threads: Option<u64>,
        /// Open file descriptors (`/proc/self/fd`).
        pub open_fds: Option<u64>,
        /// How many may be open (the soft limit of `/proc/self/limits`).
        pub max_fds: Option<u64>,
        /// Processor time in the program (`getrusage`).
        pub cpu_user_seconds: Option<f64>,
        /// Processor time in the kernel on the program's behalf (`getrusage`).
        pub cpu_system_seconds: Option<f64>,
        /// Processor time by thread name, user and system together, threads that have ended
        /// included; at most 64 names. `(other)` has the names past that, and threads that came
        /// and went between two readings; the sum is the process's.
        pub thread_cpu_seconds: Option<BTreeMap<String, f64>>,
        /// Times that a thread waited for something (`getrusage`).
        pub voluntary_context_switches: Option<u64>,
        /// Times that a thread had to yield its processor (`getrusage`).
        pub involuntary_context_switches: Option<u64>,
        /// Bytes that reading system calls returned, from files, pipes and sockets (`rchar` of
        /// `/proc/self/io`).
        pub read_bytes: Option<u64>,
        /// Bytes given to writing system calls (`wchar`).
        pub written_bytes: Option<u64>,
        /// Bytes fetched from storage (`read_bytes`).
        pub storage_read_bytes: Option<u64>,
        /// Bytes sent to storage (`write_bytes`).
        pub storage_written_bytes: Option<u64>,
        /// When the process started, in Unix seconds.
        pub start_time_seconds: Option<f64>,
        /// Seconds since then.
        pub uptime_seconds: Option<f64>,
        /// The control group that limits the process.
        pub cgroup: Option<Cgroup>,
        /// The whole machine's pressure (`/proc/pressure`), where the control group has none.
        pub system_pressure: Option<Pressure>,
    }
}

/// Files of the system that were missing, unreadable or in an unknown format.
pub(crate) static UNREADABLE: Counter = Counter::new();

static PROCESS: Fresh<Process, Reader> = Fresh::new();

/// The process as it is, or was less than a second ago.
pub fn read() -> Process {
    Process::clone(&PROCESS.get(refresh))
}

/// The process as it is now.
pub fn read_now() -> Process {
    Process::clone(&PROCESS.get_now(refresh))
}

/// The variable that the [`global`](crate::global()) registry shows as `process`.
pub fn variable() -> Func {
    Func::new(|| Shown(PROCESS.get(refresh)))
}

/// Serializes without copying the names.
struct Shown(Arc<Process>);

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

fn refresh(reader: &mut Reader) -> Process {
    let process = reader.read();
    UNREADABLE.add(std::mem::take(&mut reader.files.failures));
    process
}

/// Seconds from microseconds, the kernel's usual unit.
fn micros(microseconds: u64) -> f64 {
    microseconds as f64 / 1e6
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}
