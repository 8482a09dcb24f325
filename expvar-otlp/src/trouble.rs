//! Reports points rejected before sending: once when it begins and once when it is over.

use std::time::Duration;

use expvar_push::Event;
use tokio::time::Instant;

use crate::encode::refusal::{Refusal, Refused};

/// Rejection is over after this long without one.
const QUIET: Duration = Duration::from_secs(600);

/// The current rejections, by reason.
#[derive(Default)]
pub(crate) struct Troubles([Option<Trouble>; 3]);

struct Trouble {
    last: Instant,
    points: u64,
}

impl Troubles {
    /// Updates with the counts of a collection.
    pub(crate) fn update(&mut self, refused: Refused, tell: impl Fn(&Event)) {
        let reasons = [
            (Refusal::Conflict, refused.conflict),
            (Refusal::LongName, refused.long_name),
            (Refusal::BadCounter, refused.bad_counter),
        ];
        let now = Instant::now();
        for (trouble, (reason, points)) in self.0.iter_mut().zip(reasons) {
            match trouble {
                None if points > 0 => {
                    *trouble = Some(Trouble { last: now, points });
                    let (reason, remedy) = (reason.name(), reason.remedy());
                    tell(&Event::Refusing { reason, remedy });
                }
                Some(known) if points > 0 => {
                    known.last = now;
                    known.points += points;
                }
                Some(known) if now - known.last >= QUIET => {
                    tell(&Event::Refused { reason: reason.name(), points: known.points });
                    *trouble = None;
                }
                _ => {}
            }
        }
    }
}
