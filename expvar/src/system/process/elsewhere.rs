//! The process on macOS and Windows, by system calls. Other systems have nothing.

#[cfg(target_os = "macos")]
mod macos;
#[cfg(windows)]
mod windows;

use std::time::{Instant, SystemTime, UNIX_EPOCH};

#[cfg(target_os = "macos")]
use macos::ask;
#[cfg(windows)]
use windows::ask;

use super::Process;
use super::files::Files;

#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) files: Files,
    pub(super) started: Option<Started>,
}

/// The uptime at one moment: the system's clock may be set later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Started {
    uptime_seconds: f64,
    at: Instant,
}

impl Started {
    fn at(start_time_seconds: f64) -> Option<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
        Some(Self { uptime_seconds: (now - start_time_seconds).max(0.0), at: Instant::now() })
    }

    pub(super) fn uptime_seconds(self) -> Option<f64> {
        Some(self.uptime_seconds + self.at.elapsed().as_secs_f64())
    }
}

impl Reader {
    pub(super) fn read(&mut self) -> Process {
        let mut process = Process::default();
        self.files.failures += ask(&mut process);
        if self.started.is_none() {
            self.started = process.start_time_seconds.and_then(Started::at);
        }
        process
    }
}

/// Fills in what is available; returns the number of failed calls.
#[cfg(not(any(target_os = "macos", windows)))]
fn ask(_: &mut Process) -> u64 {
    0
}
