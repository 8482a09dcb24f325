//! Tells of points that are dropped or refused: when it begins, and when it is over.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::render::refusal::Refusal;
use crate::send::driver::Shared;
use expvar_push::Event;

/// How often what has begun is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// A refusal is over when there was none for so long: longer than most intervals.
const QUIET: Duration = Duration::from_secs(600);

/// Something that goes wrong again and again: it is told of once.
#[derive(Default, Clone)]
struct Spell {
    /// The count when it was last looked at.
    count: u64,
    began: Option<Began>,
}

#[derive(Clone)]
struct Began {
    count: u64,
    last: Instant,
}

/// What is new about a spell.
enum News {
    Begins,
    /// After so many.
    Ends(u64),
}

impl Spell {
    /// `is_over` is asked since when there was nothing new.
    fn look(&mut self, count: u64, is_over: impl FnOnce(Instant) -> bool) -> Option<News> {
        // Fewer than before: other settings have begun a new queue.
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

/// Tells the observer of what is dropped or refused, for ever.
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
