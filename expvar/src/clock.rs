//! A clock and process ids, also for systems without either.

use std::ops::Add;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Whether this is WebAssembly in a browser, where `std` panics on either.
const IS_BARE: bool = cfg!(all(target_family = "wasm", target_os = "unknown"));

/// A moment of the monotonic clock. Without a clock, always the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time(Option<Instant>);

impl Time {
    pub(crate) fn now() -> Self {
        #[cfg(test)]
        if let Some(now) = STOPPED.get() {
            return now;
        }
        Self((!IS_BARE).then(Instant::now))
    }

    /// The time since `earlier`; zero if that is later.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        match (self.0, earlier.0) {
            (Some(now), Some(earlier)) => now.saturating_duration_since(earlier),
            _ => Duration::ZERO,
        }
    }

    /// Advances the calling thread's clock, which is stopped from then on.
    #[cfg(test)]
    pub(crate) fn pass(more: Duration) {
        STOPPED.set(Some(Self::now() + more));
    }

    #[cfg(test)]
    pub(crate) fn ago(before: Duration) -> Self {
        Self(Instant::now().checked_sub(before))
    }

    pub(crate) fn elapsed(self) -> Duration {
        Self::now().since(self)
    }
}

#[cfg(test)]
thread_local! {
    /// The calling thread's time while its clock is stopped.
    static STOPPED: std::cell::Cell<Option<Time>> = const { std::cell::Cell::new(None) };
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.map(|now| now + later))
    }
}

/// Nanoseconds since 1970; 0 where there is no clock.
pub(crate) fn unix_nanos() -> u64 {
    if IS_BARE {
        return 0;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// When the process started, in nanoseconds since 1970; if the system does not tell, the time of
/// the first call. A forked child has its parent's, because its variables count on from there.
pub(crate) fn process_started_unix_nanos() -> u64 {
    static STARTED: AtomicU64 = AtomicU64::new(0);
    match STARTED.load(Relaxed) {
        0 => {
            let now = unix_nanos();
            let started = age().map_or(now, |age| now.saturating_sub(age));
            // The first thread's value wins: the two clocks are not read at one instant.
            STARTED
                .compare_exchange(0, started, Relaxed, Relaxed)
                .map_or_else(|set| set, |_| started)
        }
        started => started,
    }
}

/// Nanoseconds since the process started, or up to 20 ms more, so that nothing happened before.
///
/// Sources: `/proc/uptime`, and field 22 of `/proc/self/stat` in hundredths of a second. The name
/// before the fields is in parentheses and may contain parentheses.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn age() -> Option<u64> {
    const TICK_NANOS: u64 = 10_000_000;
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let up: f64 = uptime.split(' ').next()?.parse().ok()?;
    let stat = std::fs::read("/proc/self/stat").ok()?;
    let name_ends = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = str::from_utf8(&stat[name_ends + 1..]).ok()?;
    let ticks: u64 = fields.split_ascii_whitespace().nth(22 - 3)?.parse().ok()?;
    // `None` in a container with an uptime of its own.
    let age = ((up * 1e9) as u64).checked_sub(ticks.checked_mul(TICK_NANOS)?);
    // Both may be truncated to a whole tick.
    age.map(|age| age + TICK_NANOS)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn age() -> Option<u64> {
    None
}

/// The id of this process; 0 on systems without.
pub(crate) fn process_id() -> u32 {
    if IS_BARE { 0 } else { std::process::id() }
}
