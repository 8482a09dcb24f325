//! When to collect: at whole intervals of the wall clock, even if the clock jumps.

use std::time::Duration;

/// The longest sleep, so that a jump of the clock or a wake-up of the machine is noticed.
const LOOK: Duration = Duration::from_secs(1);

/// Schedules collections.
///
/// A collection belongs to a boundary: a timestamp that is a multiple of the interval. Each
/// boundary has at most one.
///
/// - The clock jumped forward, or the machine slept: the last boundary passed is collected, earlier
///   ones are skipped and counted.
/// - The clock went back by up to an interval: waits for the next boundary.
/// - The clock went back further: the new time is accepted, and boundaries repeat.
///
/// ```
/// use std::time::Duration;
/// use expvar_push::{Due, Schedule};
///
/// let mut schedule = Schedule::new(60, Duration::from_secs(130));
/// assert!(matches!(schedule.poll(Duration::from_secs(130)), Due::Wait(_)));
/// let Due::Read(moment) = schedule.poll(Duration::from_secs(180)) else { panic!() };
/// assert_eq!(moment.timestamp, 180);
/// ```
#[derive(Debug)]
pub struct Schedule {
    interval_secs: u64,
    next: u64,
    last: Option<u64>,
}

/// What to do now.
///
/// ```
/// use std::time::Duration;
/// use expvar_push::{Due, Schedule};
///
/// let now = Duration::from_secs(180);
/// match Schedule::new(60, now).poll(now) {
///     Due::Wait(time) => println!("poll again after {time:?}"),
///     Due::Read(moment) => println!("collect for {}", moment.timestamp),
/// }
/// ```
#[derive(Debug, PartialEq, Eq)]
pub enum Due {
    /// Poll again after this time.
    Wait(Duration),
    /// Collect now.
    Read(Moment),
}

/// The time of one collection.
///
/// ```
/// use std::time::Duration;
/// use expvar_push::Schedule;
///
/// let moment = Schedule::new(60, Duration::from_secs(185)).finish(Duration::from_secs(200));
/// assert_eq!(moment.timestamp % 60, 0);
/// assert_eq!(moment.since_last_secs, None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The boundary, in seconds since 1970.
    pub timestamp: u64,
    /// How long after the boundary the collection is.
    pub late: Duration,
    /// The clock at that moment, since 1970; the last collection may be before its boundary.
    pub now: Duration,
    /// Boundaries skipped before it.
    pub skipped: u64,
    /// Seconds since the previous collection's timestamp; `None` at the first.
    pub since_last_secs: Option<u64>,
}

impl Moment {
    /// Whether it is later than a tenth of the interval, or a second.
    pub fn is_late(&self, interval: Duration) -> bool {
        self.late > (interval / 10).min(Duration::from_secs(1))
    }
}

impl Schedule {
    /// Creates a schedule that starts with the next boundary after `now`, counted from 1970.
    pub fn new(interval_secs: u64, now: Duration) -> Self {
        let interval_secs = interval_secs.max(1);
        let mut schedule = Self { interval_secs, next: 0, last: None };
        schedule.next = schedule.boundary(now) + interval_secs;
        schedule
    }

    /// The last boundary at `now`.
    fn boundary(&self, now: Duration) -> u64 {
        now.as_secs() / self.interval_secs * self.interval_secs
    }

    /// Returns what to do at `now`. Each collection is returned once.
    pub fn poll(&mut self, now: Duration) -> Due {
        let next = Duration::from_secs(self.next);
        let interval = Duration::from_secs(self.interval_secs);
        if now + 2 * interval < next {
            self.next = self.boundary(now) + self.interval_secs;
            self.last = None;
            return self.poll(now);
        }
        if now < next {
            return Due::Wait((next - now).min(LOOK));
        }
        let timestamp = self.boundary(now);
        let moment = Moment {
            timestamp,
            late: now - Duration::from_secs(timestamp),
            now,
            skipped: (timestamp - self.next) / self.interval_secs,
            since_last_secs: self.last.map(|last| timestamp - last),
        };
        self.last = Some(timestamp);
        self.next = timestamp + self.interval_secs;
        Due::Read(moment)
    }

    /// Returns the last collection: for the current boundary if it is not collected yet, else for
    /// the next one.
    pub fn finish(&mut self, now: Duration) -> Moment {
        let boundary = self.boundary(now);
        let timestamp = self.last.map_or(boundary, |last| boundary.max(last + self.interval_secs));
        Moment {
            timestamp,
            late: Duration::ZERO,
            now,
            skipped: 0,
            since_last_secs: self.last.map(|last| timestamp - last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: f64) -> Duration {
        Duration::from_secs_f64(secs)
    }

    /// Runs the clock for `seconds`, sleeping as long as told.
    fn run(schedule: &mut Schedule, clock: &mut f64, seconds: f64) -> Vec<Moment> {
        let (end, mut read) = (*clock + seconds, Vec::new());
        while *clock < end {
            match schedule.poll(at(*clock)) {
                Due::Wait(wait) => *clock += wait.as_secs_f64().max(0.000_001),
                Due::Read(moment) => read.push(moment),
            }
        }
        read
    }

    fn timestamps(read: &[Moment]) -> Vec<u64> {
        read.iter().map(|m| m.timestamp).collect()
    }

    #[test]
    fn every_boundary_is_read_once_and_on_time() {
        let mut clock = 1_000_003.7;
        let mut schedule = Schedule::new(10, at(clock));
        let read = run(&mut schedule, &mut clock, 35.0);
        assert_eq!(timestamps(&read), [1_000_010, 1_000_020, 1_000_030]);
        for moment in &read {
            assert!(moment.late < Duration::from_millis(1) && moment.skipped == 0);
        }
        assert_eq!(read[0].since_last_secs, None);
        assert_eq!(read[1].since_last_secs, Some(10));
    }

    #[test]
    fn a_machine_that_slept_skips_and_counts() {
        let mut clock = 1_000_003.0;
        let mut schedule = Schedule::new(10, at(clock));
        run(&mut schedule, &mut clock, 10.0);
        clock += 3_600.0;
        let read = run(&mut schedule, &mut clock, 15.0);
        assert_eq!(timestamps(&read), [1_003_610, 1_003_620]);
        assert_eq!((read[0].skipped, read[1].skipped), (359, 0));
        assert_eq!(read[0].since_last_secs, Some(3_600));
        assert!(read[0].is_late(at(10.0)) && !read[1].is_late(at(10.0)));
    }

    #[test]
    fn a_small_step_back_gives_no_boundary_twice() {
        for back in [0.001, 3.0, 9.9] {
            let mut clock = 1_000_003.0;
            let mut schedule = Schedule::new(10, at(clock));
            let mut read = run(&mut schedule, &mut clock, 7.1);
            clock -= back;
            read.extend(run(&mut schedule, &mut clock, 30.0));
            assert_eq!(timestamps(&read)[..3], [1_000_010, 1_000_020, 1_000_030]);
        }
    }

    #[test]
    fn a_large_step_back_is_believed_at_once() {
        let mut clock = 1_000_003.0;
        let mut schedule = Schedule::new(10, at(clock));
        run(&mut schedule, &mut clock, 60.0);
        clock -= 3_600.0;
        let read = run(&mut schedule, &mut clock, 20.0);
        assert_eq!(timestamps(&read), [996_470, 996_480]);
        assert_eq!(read[0].since_last_secs, None, "no rate over a jump");
    }

    #[test]
    fn sleeps_are_short_enough_to_notice() {
        let mut schedule = Schedule::new(3_600, at(1_000_000.0));
        assert_eq!(schedule.poll(at(1_000_000.0)), Due::Wait(LOOK));
    }

    #[test]
    fn the_last_reading_takes_a_slot_of_its_own() {
        let mut clock = 1_000_003.0;
        let mut schedule = Schedule::new(10, at(clock));
        assert_eq!(schedule.finish(at(clock)).timestamp, 1_000_000);
        run(&mut schedule, &mut clock, 10.0);
        assert_eq!(schedule.finish(at(clock)).timestamp, 1_000_020);
        clock += 100.0;
        assert_eq!(schedule.finish(at(clock)).timestamp, 1_000_110);
    }
}
