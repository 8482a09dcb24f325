//! Work in turns: what takes long lets others run in between.

use std::time::{Duration, Instant};

/// How long a task works before others get their turn.
const TURN: Duration = Duration::from_millis(2);

/// The present turn of a task.
pub(super) struct Pace(Instant);

impl Pace {
    pub(super) fn new() -> Pace {
        Pace(Instant::now())
    }

    /// Ends the turn when it has lasted long enough. Called between pieces of work that each take
    /// far less than a turn.
    pub(super) async fn step(&mut self) {
        if self.0.elapsed() >= TURN {
            tokio::task::yield_now().await;
            self.0 = Instant::now();
        }
    }
}
