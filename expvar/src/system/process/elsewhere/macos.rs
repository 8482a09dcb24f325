//! The process on macOS.

use super::super::{Process, micros, usage};
use crate::alloc::calls::{open_files_limit, task_info};

/// Fills in what is available; returns the number of failed calls.
pub(super) fn ask(process: &mut Process) -> u64 {
    let used = usage::ask(process);
    let task = task_info();
    if let Some(info) = &task {
        let (times, memory) = (&info.pbsd, &info.ptinfo);
        process.start_time_seconds =
            Some(times.pbi_start_tvsec as f64 + micros(times.pbi_start_tvusec));
        process.resident_bytes = Some(memory.pti_resident_size);
        process.virtual_bytes = Some(memory.pti_virtual_size);
        process.threads = u64::try_from(memory.pti_threadnum).ok();
    }
    // One of them is the directory that is read.
    let descriptors = std::fs::read_dir("/dev/fd").map(|files| files.count() as u64 - 1);
    process.open_fds = descriptors.as_ref().ok().copied();
    process.max_fds = open_files_limit();
    u64::from(!used) + u64::from(task.is_none()) + u64::from(descriptors.is_err())
}
