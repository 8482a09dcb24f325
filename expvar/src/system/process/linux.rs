//! The process on Linux: `/proc`, control groups and system calls.

use std::time::{SystemTime, UNIX_EPOCH};

use super::cgroup::Cgroups;
use super::entries::{entries, number};
use super::files::Files;
use super::pressure::Pressure;
use super::status::Status;
use super::threads::Threads;
use super::{Process, seconds, usage};
use crate::alloc::calls::clock_ns;

/// The process's start time, in nanoseconds after boot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Started(u64);

/// State kept between reads.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) files: Files,
    cgroups: Cgroups,
    threads: Threads,
    pub(super) started: Option<Started>,
    /// The process's start in Unix seconds. Computed once: it is the difference of two clocks that
    /// are not read at one instant, and one of them can be set.
    start_time: Option<f64>,
}

impl Reader {
    /// Reads everything available. The rest is absent, and counted in `files.failures`.
    pub(super) fn read(&mut self) -> Process {
        let mut process = self.read_files();
        process.thread_cpu_seconds = self.threads.read(&mut self.files);
        self.ask_system(&mut process);
        process
    }

    /// Values from files. Tests use recorded files below another root.
    fn read_files(&mut self) -> Process {
        let files = &mut self.files;
        let status = Status::read(files);
        let mut process = Process {
            resident_bytes: status.resident,
            virtual_bytes: status.size,
            peak_resident_bytes: status.peak,
            anonymous_bytes: status.anonymous,
            file_backed_bytes: status.file,
            shared_bytes: status.shared,
            swap_bytes: status.swap,
            threads: status.threads,
            ..Process::default()
        };
        if let Some(text) = files.read_if_there(&["/proc/self/io"]) {
            for (name, value) in entries(text) {
                match name {
                    b"rchar" => process.read_bytes = number(value),
                    b"wchar" => process.written_bytes = number(value),
                    b"read_bytes" => process.storage_read_bytes = number(value),
                    b"write_bytes" => process.storage_written_bytes = number(value),
                    _ => {}
                }
            }
            files.check(process.read_bytes.is_some());
        }
        if let Some(text) = files.read(&["/proc/self/limits"]) {
            let limit = open_files_limit(text);
            let understood = limit.is_some();
            process.max_fds = limit.and_then(number);
            files.check(understood);
        }
        process.cgroup = self.cgroups.read(files);
        if process.cgroup.as_ref().is_none_or(|cgroup| cgroup.pressure.is_none()) {
            process.system_pressure = Pressure::read(files, "/proc/pressure", "");
        }
        process
    }

    /// Values that a system call gives more cheaply or precisely than a file.
    fn ask_system(&mut self, process: &mut Process) {
        usage::ask(process);
        process.open_fds = open_fds();
        if self.started.is_none() {
            self.started = started_ns(&mut self.files).map(Started);
        }
        process.uptime_seconds = self.started.and_then(Started::uptime_seconds);
        if let (None, Some(uptime), Ok(now)) =
            (self.start_time, process.uptime_seconds, SystemTime::now().duration_since(UNIX_EPOCH))
        {
            // The kernel's start time is in ticks of usually 10 ms.
            self.start_time = Some(((now.as_secs_f64() - uptime) * 100.0).round() / 100.0);
        }
        process.start_time_seconds = self.start_time;
    }
}

impl Started {
    /// The uptime in seconds.
    pub(super) fn uptime_seconds(self) -> Option<f64> {
        let booted_ns = clock_ns(libc::CLOCK_BOOTTIME)?;
        Some(seconds(booted_ns.saturating_sub(self.0)))
    }
}

/// The process's start after boot, in whole ticks of usually 10 ms.
///
/// Source: field 22 of `/proc/self/stat`. The name before the fields is in parentheses and may
/// contain parentheses, spaces and newlines.
fn started_ns(files: &mut Files) -> Option<u64> {
    let ticks = files.read(&["/proc/self/stat"]).and_then(start_ticks);
    files.check(ticks.is_some());
    let per_second = files.read_binary(&["/proc/self/auxv"]).and_then(ticks_per_second);
    Some((ticks? as f64 / per_second.unwrap_or(100) as f64 * 1e9) as u64)
}

/// Ticks per second, from the auxiliary vector: pairs of a key and a value. Key 17 is `AT_CLKTCK`.
fn ticks_per_second(auxv: &[u8]) -> Option<u64> {
    const WORD: usize = size_of::<usize>();
    let word = |bytes: &[u8]| Some(usize::from_ne_bytes(bytes.try_into().ok()?));
    let pair = |pair: &[u8]| Some((word(&pair[..WORD])?, word(&pair[WORD..])?));
    let mut pairs = auxv.chunks_exact(2 * WORD).filter_map(pair);
    pairs.find(|(kind, _)| *kind == 17).map(|(_, rate)| rate as u64).filter(|rate| *rate > 0)
}

fn start_ticks(stat: &[u8]) -> Option<u64> {
    let name_ends = stat.iter().rposition(|byte| *byte == b')')?;
    // The first field behind the name is the third.
    stat[name_ends + 1..].trim_ascii().split(|byte| *byte == b' ').nth(22 - 3).and_then(number)
}

/// The soft limit: `Max open files            1024                 524288               files`.
fn open_files_limit(limits: &[u8]) -> Option<&[u8]> {
    let mut lines = limits.split(|byte| *byte == b'\n');
    let columns = lines.find_map(|line| line.strip_prefix(b"Max open files"))?.trim_ascii();
    columns.split(|byte| *byte == b' ').next()
}

/// Since Linux 6.2 the directory's size is the number; before, the entries are counted.
fn open_fds() -> Option<u64> {
    const FDS: &str = "/proc/self/fd";
    match std::fs::metadata(FDS).ok()?.len() {
        // One entry is the directory being read.
        0 => Some(std::fs::read_dir(FDS).ok()?.count().saturating_sub(1) as u64),
        count => Some(count),
    }
}

#[cfg(test)]
mod tests;
