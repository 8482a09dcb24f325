//! Processor time, page faults and context switches, by `getrusage`.

use super::{Process, micros};
use crate::alloc::calls::resource_usage;

/// Fills them in. Returns false if the call failed.
pub(super) fn ask(process: &mut Process) -> bool {
    let Some(usage) = resource_usage() else { return false };
    let count = |value: libc::c_long| u64::try_from(value).ok();
    process.cpu_user_seconds = duration(usage.ru_utime);
    process.cpu_system_seconds = duration(usage.ru_stime);
    process.minor_page_faults = count(usage.ru_minflt);
    process.major_page_faults = count(usage.ru_majflt);
    process.voluntary_context_switches = count(usage.ru_nvcsw);
    process.involuntary_context_switches = count(usage.ru_nivcsw);
    // In bytes on macOS alone. Linux has it in a file.
    #[cfg(target_os = "macos")]
    {
        process.peak_resident_bytes = count(usage.ru_maxrss);
    }
    true
}

fn duration(time: libc::timeval) -> Option<f64> {
    let whole = u64::try_from(time.tv_sec).ok()?;
    Some(whole as f64 + micros(u64::try_from(time.tv_usec).ok()?))
}
