//! The process on Windows.

use super::super::Process;
use crate::alloc::calls::{open_handles, process_memory, process_threads, process_times};

/// The Unix epoch in Windows' time: units of 100 ns since 1601.
const UNIX_EPOCH: u64 = 116_444_736_000_000_000;

/// Fills in what is available; returns the number of failed calls.
pub(super) fn ask(process: &mut Process) -> u64 {
    let seconds = |units: u64| units as f64 / 1e7;
    let times = process_times();
    if let Some([started, kernel, user]) = times {
        process.start_time_seconds = Some(seconds(started.saturating_sub(UNIX_EPOCH)));
        process.cpu_system_seconds = Some(seconds(kernel));
        process.cpu_user_seconds = Some(seconds(user));
    }
    let memory = process_memory();
    if let Some(memory) = &memory {
        process.resident_bytes = Some(memory.WorkingSetSize as u64);
        process.peak_resident_bytes = Some(memory.PeakWorkingSetSize as u64);
        process.virtual_bytes = Some(memory.PagefileUsage as u64);
    }
    let (handles, threads) = (open_handles(), process_threads());
    process.open_fds = handles.map(u64::from);
    process.threads = threads.map(u64::from);
    [times.is_none(), memory.is_none(), handles.is_none(), threads.is_none()]
        .into_iter()
        .map(u64::from)
        .sum()
}
