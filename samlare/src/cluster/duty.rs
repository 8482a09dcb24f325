//! When an endpoint is polled, and which slots are made up for.

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::schedule::Schedule;

/// How many slots in a row are polled late: the current one, and the next if it begins meanwhile.
const LATE: u8 = 2;

/// The instructions for a poller, shared with the collector.
#[derive(Debug, Default)]
pub struct Duty {
    wanted: Mutex<Wanted>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Wanted {
    /// Make up for unpolled slots: from which time, and how many.
    late: Option<(u64, u8)>,
    /// The last slot to poll.
    until: Option<u64>,
}

/// How a poller begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// With the next slot.
    Next,
    /// With the current one, at this Unix time in milliseconds.
    Late(u64),
}

/// A poller's next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    /// The slot that it polls, in milliseconds of Unix time.
    pub(crate) slot: u64,
    /// Slots skipped before it.
    pub(crate) missed: u64,
    /// The wait before it.
    pub(crate) wait_ms: u64,
}

impl Duty {
    /// Polls from there on indefinitely.
    pub fn new(begin: Begin) -> Duty {
        let duty = Duty::default();
        if let Begin::Late(from_ms) = begin {
            duty.wanted.lock().late = Some((from_ms, LATE));
        }
        duty
    }

    /// Makes up for the current slot unless it was polled, at this time.
    pub fn catch_up(&self, from_ms: u64) {
        self.wanted.lock().late = Some((from_ms, LATE));
        self.news.notify_one();
    }

    /// Ends after the current slot, or `more` slots later; the first call counts.
    pub fn end(&self, schedule: &Schedule, now_ms: u64, more: u64) {
        let mut wanted = self.wanted.lock();
        if wanted.until.is_none() {
            wanted.until = Some(schedule.latest(now_ms) + more * schedule.interval_ms());
            drop(wanted);
            self.news.notify_one();
        }
    }

    /// Cancels the end.
    pub fn keep(&self) {
        self.wanted.lock().until = None;
    }

    /// The next step after the slot polled last; `None` at the end.
    pub(crate) fn next(&self, schedule: &Schedule, last: Option<u64>, now_ms: u64) -> Option<Turn> {
        let mut wanted = self.wanted.lock();
        let until = wanted.until;
        let is_wanted = |turn: &Turn| until.is_none_or(|until| turn.slot <= until);
        if let Some((from_ms, left)) = wanted.late.take() {
            let slot = schedule.latest(now_ms.max(from_ms));
            // After the clock was set back there is nothing to make up for.
            if left > 0 && last.is_none_or(|last| last < slot) {
                wanted.late = Some((from_ms, left));
                let turn = Turn { slot, missed: 0, wait_ms: from_ms.saturating_sub(now_ms) };
                return Some(turn).filter(is_wanted);
            }
        }
        let (slot, missed) = schedule.next(last, now_ms);
        Some(Turn { slot, missed, wait_ms: slot.saturating_sub(now_ms) }).filter(is_wanted)
    }

    /// A poll begins.
    pub(crate) fn begun(&self) {
        if let Some((_, left)) = &mut self.wanted.lock().late {
            *left = left.saturating_sub(1);
        }
    }

    /// Resolves when the next step may have changed.
    pub(crate) async fn changed(&self) {
        self.news.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Slots lie at 3 s, 13 s, 23 s and so on.
    fn ten() -> Schedule {
        let of = |n| Schedule::new(Duration::from_secs(10), &format!("http://h/{n}"));
        (0..1_000_000).map(of).find(|schedule| schedule.after(0) == 13_000).unwrap()
    }

    fn slot(turn: Option<Turn>) -> Option<(u64, u64)> {
        turn.map(|turn| (turn.slot, turn.wait_ms))
    }

    #[test]
    fn who_gains_an_endpoint_polls_the_current_slot_and_then_those_in_time() {
        let ten = ten();
        let duty = Duty::new(Begin::Late(27_050));
        assert_eq!(slot(duty.next(&ten, None, 27_000)), Some((23_000, 50)));
        assert_eq!(slot(duty.next(&ten, None, 27_050)), Some((23_000, 0)));
        duty.begun();
        // A poll that lasts beyond the next slot makes up for that one too: no gap.
        assert_eq!(slot(duty.next(&ten, Some(23_000), 33_500)), Some((33_000, 0)));
        duty.begun();
        assert_eq!(slot(duty.next(&ten, Some(33_000), 33_700)), Some((43_000, 9_300)));
        // An endpoint that is always slow skips slots, as without a cluster.
        let duty = Duty::new(Begin::Late(0));
        duty.begun();
        duty.begun();
        let turn = duty.next(&ten, Some(33_000), 44_000).unwrap();
        assert_eq!((turn.slot, turn.missed), (53_000, 1));
    }

    #[test]
    fn what_was_polled_is_not_made_up_for() {
        let ten = ten();
        let duty = Duty::new(Begin::Next);
        assert_eq!(slot(duty.next(&ten, None, 27_000)), Some((33_000, 6_000)));
        duty.catch_up(34_000);
        assert_eq!(slot(duty.next(&ten, Some(33_000), 34_000)), Some((43_000, 9_000)));
        duty.catch_up(44_000);
        assert_eq!(slot(duty.next(&ten, Some(33_000), 44_000)), Some((43_000, 0)));
    }

    #[test]
    fn who_loses_an_endpoint_goes_on_for_this_slot_and_the_next() {
        let ten = ten();
        let duty = Duty::new(Begin::Next);
        duty.end(&ten, 27_000, 1);
        duty.end(&ten, 34_000, 1);
        assert_eq!(slot(duty.next(&ten, Some(23_000), 27_000)), Some((33_000, 6_000)));
        assert_eq!(duty.next(&ten, Some(33_000), 34_000), None);
        // Gained again meanwhile.
        duty.keep();
        assert_eq!(slot(duty.next(&ten, Some(33_000), 34_000)), Some((43_000, 9_000)));
        duty.end(&ten, 34_000, 0);
        assert_eq!(duty.next(&ten, Some(33_000), 34_000), None);
        // An unpolled current slot is still polled.
        let duty = Duty::new(Begin::Late(0));
        duty.end(&ten, 34_000, 0);
        assert_eq!(slot(duty.next(&ten, None, 34_000)), Some((33_000, 0)));
    }
}
