//! The recent busy ratio of workers.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The age of the window, if it was read then.
const SPAN: Duration = Duration::from_secs(10);
/// Reads closer together than this share a note.
const STEP: Duration = Duration::from_secs(1);

/// Notes of the workers' busy time. Reads only add notes, so that any number of readers see the
/// same.
pub(crate) struct Window {
    notes: Mutex<VecDeque<(Instant, Duration)>>,
}

impl Window {
    pub(crate) fn new(now: Instant) -> Self {
        Self { notes: Mutex::new(VecDeque::from([(now, Duration::ZERO)])) }
    }

    /// The fraction of time that workers were busy, from 0 to 1.
    pub(crate) fn ratio(&self, now: Instant, busy: Duration, workers: usize) -> f64 {
        let mut notes = self.notes.lock();
        while notes.get(1).is_some_and(|next| now.saturating_duration_since(next.0) >= SPAN) {
            notes.pop_front();
        }
        let (start, before) = notes.front().copied().unwrap_or((now, busy));
        if notes.back().is_none_or(|last| now.saturating_duration_since(last.0) >= STEP) {
            notes.push_back((now, busy));
        }
        let time = now.saturating_duration_since(start).as_secs_f64() * workers as f64;
        if time == 0.0 {
            return 0.0;
        }
        (busy.saturating_sub(before).as_secs_f64() / time).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_that_of_the_last_ten_seconds() {
        let start = Instant::now();
        let window = Window::new(start);
        let secs = Duration::from_secs;
        assert_eq!(window.ratio(start, secs(0), 2), 0.0);
        // Both of two workers are busy for 5 s, then none.
        assert_eq!(window.ratio(start + secs(5), secs(10), 2), 1.0);
        assert_eq!(window.ratio(start + secs(10), secs(10), 2), 0.5);
        assert_eq!(
            window.ratio(start + secs(10), secs(10), 2),
            0.5,
            "another reader sees the same"
        );
        assert_eq!(window.ratio(start + secs(15), secs(10), 2), 0.0);
        assert_eq!(window.ratio(start + secs(1000), secs(10), 2), 0.0);
        assert!(window.notes.lock().len() <= 3);
    }
}
