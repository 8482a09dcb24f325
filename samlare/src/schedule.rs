//! When an endpoint is polled: at exact intervals with its own phase.
//!
//! Slots are at `phase + n * interval` of Unix time. The phase is a hash of the URL, so that
//! endpoints are polled evenly, and each always at the same times, even after a restart. Intervals
//! never drift: each of Carbon's retention slots gets exactly one point.
//!
//! Phases are multiples of 50 ms, or of a twentieth of the interval if that is less. The few
//! endpoints that share one are polled together, and the process sleeps in between: that takes a
//! third less CPU than a wake-up for each.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use xxhash_rust::xxh64::xxh64;

/// The slots of one endpoint, in milliseconds of Unix time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    interval_ms: u64,
    phase_ms: u64,
}

/// Phases are multiples of this.
const STEP_MS: u64 = 50;

impl Schedule {
    /// Creates the schedule of the endpoint at `url`, polled every `interval` (at least 1 ms).
    pub fn new(interval: Duration, url: &str) -> Schedule {
        let interval_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX).max(1);
        let phase_ms = xxh64(url.as_bytes(), 0) % interval_ms;
        let step_ms = STEP_MS.min(interval_ms / 20).max(1);
        Schedule { interval_ms, phase_ms: phase_ms - phase_ms % step_ms }
    }

    /// The interval.
    pub fn interval_ms(&self) -> u64 {
        self.interval_ms
    }

    /// The first slot after `now_ms`.
    pub fn after(&self, now_ms: u64) -> u64 {
        self.latest(now_ms) + self.interval_ms
    }

    /// The last slot at or before `now_ms`; the first one of all before that.
    pub fn latest(&self, now_ms: u64) -> u64 {
        let since = now_ms.saturating_sub(self.phase_ms);
        self.phase_ms + since / self.interval_ms * self.interval_ms
    }

    /// The slot after `last`, and how many were missed in between.
    ///
    /// If the clock was set back by more than an interval, counting starts over.
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

    /// The current slot for a task that waited for `slot` and wakes at `now_ms`, and how many it
    /// slept through; `None` if the clock was set back and it is too early.
    pub fn woken(&self, slot: u64, now_ms: u64) -> Option<(u64, u64)> {
        // Timers and clocks differ by some milliseconds anyway.
        if now_ms + self.interval_ms.min(1000) / 2 < slot {
            return None;
        }
        let latest = self.latest(now_ms).max(slot);
        Some((latest, (latest - slot) / self.interval_ms))
    }
}

/// The clock.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The system's clock.
    System,
    /// Advances with tokio's clock, which tests can pause.
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
    use std::collections::HashSet;

    use super::*;

    const TEN: Schedule = Schedule { interval_ms: 10_000, phase_ms: 3_000 };

    #[test]
    fn slots_are_exact_and_never_repeat() {
        assert_eq!(TEN.after(0), 13_000);
        assert_eq!(TEN.after(12_999), 13_000);
        assert_eq!(TEN.after(13_000), 23_000);
        assert_eq!(TEN.next(None, 13_500), (23_000, 0));
        // Woken early, it would get the same slot again.
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
        // After a jump forward or a suspend: the current slot.
        assert_eq!(TEN.woken(23_000, 54_000), Some((53_000, 3)));
        // Back by an hour: sleeps again, then continues with the new time.
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

    #[test]
    fn phases_are_multiples_of_a_twentieth_and_at_most_50_ms() {
        for (interval_ms, step_ms, phases) in
            [(60_000, 50, 1_200), (1_000, 50, 20), (100, 5, 20), (33, 1, 33), (1, 1, 1)]
        {
            let phase = |number| {
                let interval = Duration::from_millis(interval_ms);
                Schedule::new(interval, &format!("http://h:{number}/debug/vars")).phase_ms
            };
            let found: HashSet<u64> = (0..20 * phases).map(phase).collect();
            assert!(found.iter().all(|phase| phase % step_ms == 0 && *phase < interval_ms));
            assert_eq!(found.len(), phases as usize, "of {interval_ms} ms");
        }
    }
}
