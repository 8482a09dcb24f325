//! When an endpoint is polled: exact intervals, at a phase of its own.
//!
//! Slots lie at `phase + n * interval` of Unix time. The phase is a hash of the URL spread over
//! the interval, so that a thousand endpoints are asked evenly, the same one always at the same
//! moments, after a restart too. Intervals never drift: each of Carbon's retention slots gets
//! exactly one point.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use xxhash_rust::xxh64::xxh64;

/// The moments at which one endpoint is polled, in milliseconds of Unix time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    interval_ms: u64,
    phase_ms: u64,
}

impl Schedule {
    /// The schedule of the endpoint at `url`, polled every `interval` (1 ms at least).
    pub fn new(interval: Duration, url: &str) -> Schedule {
        let interval_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX).max(1);
        Schedule { interval_ms, phase_ms: xxh64(url.as_bytes(), 0) % interval_ms }
    }

    /// Between two slots.
    pub fn interval_ms(&self) -> u64 {
        self.interval_ms
    }

    /// The first slot after `now_ms`.
    pub fn after(&self, now_ms: u64) -> u64 {
        self.latest(now_ms) + self.interval_ms
    }

    /// The last slot that is not after `now_ms`; the first one of all before that.
    pub fn latest(&self, now_ms: u64) -> u64 {
        let since = now_ms.saturating_sub(self.phase_ms);
        self.phase_ms + since / self.interval_ms * self.interval_ms
    }

    /// The slot to poll after `last`, and how many were missed between the two.
    ///
    /// A clock that was set back by more than an interval starts the count anew.
    pub fn next(&self, last: Option<u64>, now_ms: u64) -> (u64, u64) {
        let next = self.after(now_ms);
        let Some(last) = last else { return (next, 0) };
        let following = last + self.interval_ms;
        if next <= last && following - next > 2 * self.interval_ms {
            return (next, 0);
        }
        let next = next.max(following);
        (next, (next - following) / self.interval_ms)
    }

    /// Which slot it is when somebody who waited for `slot` wakes at `now_ms`, and how many were
    /// slept through; `None` when the clock was set back meanwhile and it is too early.
    pub fn woken(&self, slot: u64, now_ms: u64) -> Option<(u64, u64)> {
        // Timers and clocks differ by some milliseconds without anybody having set a clock.
        if now_ms + self.interval_ms.min(1000) / 2 < slot {
            return None;
        }
        let latest = self.latest(now_ms).max(slot);
        Some((latest, (latest - slot) / self.interval_ms))
    }
}

/// What time it is.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// As the system says.
    System,
    /// Counted from a moment on by tokio's clock, which tests can pause.
    Counted {
        /// Unix time at `since`.
        from_ms: u64,
        /// The moment.
        since: Instant,
    },
}

impl Clock {
    /// A clock that shows `from_ms` now.
    pub fn counted(from_ms: u64) -> Clock {
        Clock::Counted { from_ms, since: Instant::now() }
    }

    /// Milliseconds of Unix time.
    pub fn now_ms(&self) -> u64 {
        let elapsed = match self {
            Clock::System => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            Clock::Counted { from_ms, since } => Duration::from_millis(*from_ms) + since.elapsed(),
        };
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Schedule = Schedule { interval_ms: 10_000, phase_ms: 3_000 };

    #[test]
    fn slots_are_exact_and_never_repeat() {
        assert_eq!(TEN.after(0), 13_000);
        assert_eq!(TEN.after(12_999), 13_000);
        assert_eq!(TEN.after(13_000), 23_000);
        assert_eq!(TEN.next(None, 13_500), (23_000, 0));
        // Woken a little early, it would be the same slot again.
        assert_eq!(TEN.next(Some(23_000), 22_990), (33_000, 0));
        assert_eq!(TEN.next(Some(23_000), 23_400), (33_000, 0));
    }

    #[test]
    fn a_slow_poll_skips_and_counts() {
        assert_eq!(TEN.next(Some(13_000), 23_000), (33_000, 1));
        assert_eq!(TEN.next(Some(13_000), 54_000), (63_000, 4));
    }

    #[test]
    fn a_clock_that_is_set_is_followed() {
        assert_eq!(TEN.woken(23_000, 23_001), Some((23_000, 0)));
        assert_eq!(TEN.woken(23_000, 22_999), Some((23_000, 0)));
        // Forward, or suspended: the present slot, not the one slept through.
        assert_eq!(TEN.woken(23_000, 54_000), Some((53_000, 3)));
        // Back by an hour: asleep again, then on from the new time.
        assert_eq!(TEN.woken(3_623_000, 23_000), None);
        assert_eq!(TEN.next(Some(3_613_000), 24_000), (33_000, 0));
    }

    #[test]
    fn phases_spread_over_the_interval() {
        let mut tenths = [0; 10];
        for number in 0..5_000 {
            let url = format!("http://10.0.0.{}:{}/debug/vars", number % 250, 8000 + number / 250);
            let schedule = Schedule::new(Duration::from_secs(10), &url);
            tenths[(schedule.phase_ms / 1_000) as usize] += 1;
        }
        assert!(tenths.iter().all(|count| (400..600).contains(count)), "{tenths:?}");
    }
}
