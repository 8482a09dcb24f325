//! What a system may not have: a clock and process ids.

use std::ops::Add;
use std::time::{Duration, Instant};

/// Whether this is WebAssembly in a browser, where `std` panics when it is asked for either.
const IS_BARE: bool = cfg!(all(target_family = "wasm", target_os = "unknown"));

/// A moment of the monotonic clock. Where there is none, no time passes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Time(Option<Instant>);

impl Time {
    pub(crate) fn now() -> Self {
        Self((!IS_BARE).then(Instant::now))
    }

    /// Time since `earlier`; zero where that is later.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        match (self.0, earlier.0) {
            (Some(now), Some(earlier)) => now.saturating_duration_since(earlier),
            _ => Duration::ZERO,
        }
    }

    #[cfg(test)]
    pub(crate) fn ago(before: Duration) -> Self {
        Self(Instant::now().checked_sub(before))
    }

    pub(crate) fn elapsed(self) -> Duration {
        Self::now().since(self)
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.map(|now| now + later))
    }
}

/// This process; 0 where there is no such thing.
pub(crate) fn process_id() -> u32 {
    if IS_BARE { 0 } else { std::process::id() }
}
