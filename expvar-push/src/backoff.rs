//! Exponential backoff with jitter.

use std::time::Duration;

/// The upper bound of the first wait.
const FIRST: Duration = Duration::from_secs(1);
/// The upper bound of all waits.
const LONGEST: Duration = Duration::from_secs(60);

/// Waits drawn uniformly from zero to a bound that doubles from 1 s to 60 s ("full jitter"), so
/// that many clients of one server do not retry at the same moment.
///
/// ```
/// let mut backoff = expvar_push::Backoff::new();
/// assert!(backoff.next(1.0) <= expvar_push::Backoff::FIRST);
/// assert_eq!(backoff.next(1.0), 2 * expvar_push::Backoff::FIRST);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    ceiling: Duration,
}

impl Backoff {
    /// The upper bound of the first wait.
    pub const FIRST: Duration = FIRST;

    /// Creates a backoff that starts at 1 s.
    pub fn new() -> Self {
        Self { ceiling: FIRST }
    }

    /// Returns the next wait. `random` must be uniform over 0..1.
    pub fn next(&mut self, random: f64) -> Duration {
        let wait = self.ceiling.mul_f64(random.clamp(0.0, 1.0));
        self.ceiling = (self.ceiling * 2).min(LONGEST);
        wait
    }

    /// Starts over at 1 s, after a success.
    pub fn reset(&mut self) {
        self.ceiling = FIRST;
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_double_to_a_minute_and_start_over() {
        let mut backoff = Backoff::new();
        let ceilings: Vec<_> = (0..8).map(|_| backoff.next(1.0).as_secs()).collect();
        assert_eq!(ceilings, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(backoff.next(0.0), Duration::ZERO);
        assert_eq!(backoff.next(0.5).as_secs(), 30);
        backoff.reset();
        assert_eq!(backoff.next(1.0).as_secs(), 1);
    }
}
