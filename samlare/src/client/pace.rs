//! Cooperative scheduling for long computations.

use std::time::{Duration, Instant};

/// How long a task computes before it yields.
const TURN: Duration = Duration::from_millis(2);

/// The current turn of a task.
pub(super) struct Pace(Instant);

impl Pace {
    pub(super) fn new() -> Pace {
        Pace(Instant::now())
    }

    /// Yields if the turn has lasted long enough. Call between short pieces of work.
    pub(super) async fn step(&mut self) {
        if self.0.elapsed() >= TURN {
            tokio::task::yield_now().await;
            self.0 = Instant::now();
        }
    }
}
