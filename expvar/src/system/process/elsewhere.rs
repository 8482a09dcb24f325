//! The process on systems other than Linux, by a portable crate.

use super::Process;
use super::files::Files;

#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) files: Files,
    pub(super) started: Option<Started>,
}

/// The process's start time: unknown here.
#[derive(Clone, Copy, Debug)]
pub(super) enum Started {}

impl Started {
    pub(super) fn uptime_seconds(self) -> Option<f64> {
        match self {}
    }
}

impl Reader {
    pub(super) fn read(&mut self) -> Process {
        let mut process = Process::default();
        #[cfg(any(target_os = "macos", windows))]
        match memory_stats::memory_stats() {
            Some(memory) => {
                process.resident_bytes = Some(memory.physical_mem as u64);
                process.virtual_bytes = Some(memory.virtual_mem as u64);
            }
            None => self.files.failures += 1,
        }
        process
    }
}
