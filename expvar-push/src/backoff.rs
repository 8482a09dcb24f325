//! How long to wait before trying again.

use std::time::Duration;

/// The first wait is at most this.
const FIRST: Duration = Duration::from_secs(1);
/// No wait is longer.
const LONGEST: Duration = Duration::from_secs(60);

/// Waits drawn evenly from zero to a ceiling that doubles from 1 s to 60 s ("full jitter"), so
/// that a thousand clients of one server do not come back at one moment.
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
    /// The first wait is at most this.
    pub const FIRST: Duration = FIRST;

    /// Begins at 1 s.
    pub fn new() -> Self {
        Self { ceiling: FIRST }
    }

    /// The next wait; `random` is even over 0..1.
    pub fn next(&mut self, random: f64) -> Duration {
        let wait = self.ceiling.mul_f64(random.clamp(0.0, 1.0));
        self.ceiling = (self.ceiling * 2).min(LONGEST);
        wait
    }

    /// It worked: begin at 1 s again.
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
