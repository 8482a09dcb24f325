//! Reports when points begin to be dropped or rejected, and when that is over.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::render::refusal::Refusal;
use crate::send::driver::Shared;
use expvar_push::Event;

/// The interval of checks while something is wrong.
const LOOK: Duration = Duration::from_secs(1);
/// Rejection is over after this long without one: longer than most intervals.
const QUIET: Duration = Duration::from_secs(600);

/// A repeating problem, reported once.
#[derive(Default, Clone)]
struct Spell {
    /// The count at the last check.
    count: u64,
    began: Option<Began>,
}

#[derive(Clone)]
struct Began {
    count: u64,
    last: Instant,
}

/// A change of the problem's state.
enum News {
    Begins,
    /// Over, after this many.
    Ends(u64),
}

impl Spell {
    /// `is_over` gets the time since when nothing was new.
    fn look(&mut self, count: u64, is_over: impl FnOnce(Instant) -> bool) -> Option<News> {
        // The count fell: new settings began a new queue.
        let before = std::mem::replace(&mut self.count, count);
        match &mut self.began {
            None if count > before => {
                self.began = Some(Began { count: before, last: Instant::now() });
                Some(News::Begins)
            }
            Some(began) if count > before => {
                began.last = Instant::now();
                None
            }
            Some(began) if is_over(began.last) => {
                let points = count.saturating_sub(began.count);
                self.began = None;
                Some(News::Ends(points))
            }
            _ => None,
        }
    }
}

/// Reports dropped and rejected points to the observer, forever.
pub(super) async fn report(shared: &Shared) {
    let mut drops = Vec::new();
    let mut refusals = vec![Spell::default(); Refusal::EVERY.len()];
    loop {
        let counts = &shared.counts;
        counts.deliver();
        let destinations = shared.setup().destinations.clone();
        drops.resize(destinations.len(), Spell::default());
        for (destination, spell) in destinations.iter().zip(&mut drops) {
            let news =
                spell.look(destination.dropped(), |_| destination.queue(|q| !q.is_waiting()));
            let destination = || destination.label();
            match news {
                Some(News::Begins) => {
                    counts.observer.tell(&Event::Dropping { destination: destination() });
                }
                Some(News::Ends(points)) => {
                    counts.observer.tell(&Event::Dropped { destination: destination(), points });
                }
                None => {}
            }
        }
        for (reason, spell) in Refusal::EVERY.into_iter().zip(&mut refusals) {
            match spell.look(counts.refusals(reason), |last| last.elapsed() >= QUIET) {
                Some(News::Begins) => counts
                    .observer
                    .tell(&Event::Refusing { reason: reason.name(), remedy: reason.remedy() }),
                Some(News::Ends(points)) => {
                    let reason = reason.name();
                    counts.observer.tell(&Event::Refused { reason, points });
                }
                None => {}
            }
        }
        let is_calm = drops.iter().chain(&refusals).all(|spell| spell.began.is_none());
        if is_calm {
            counts.trouble.notified().await;
        } else {
            sleep(LOOK).await;
        }
    }
}
