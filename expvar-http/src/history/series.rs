//! A number's history: 60 seconds, 60 minutes, 24 hours and 30 days in 174 points.

mod point;
mod seconds;

pub(crate) use point::Summary;

use point::{Climb, Level};
use seconds::Seconds;

/// A time span of a [`Series`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    Second,
    Minute,
    Hour,
    Day,
}

impl Span {
    pub(crate) const ALL: [Span; 4] = [Span::Second, Span::Minute, Span::Hour, Span::Day];

    /// The unit of its points, used as its name in queries and responses.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Span::Second => "second",
            Span::Minute => "minute",
            Span::Hour => "hour",
            Span::Day => "day",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|span| span.name() == name)
    }
}

/// The points of one number; unknown ones are gaps.
///
/// Points are in a ring by wall clock: the value at Unix second `t` is at index `t % 60`. A minute
/// summarizes its seconds, an hour its minutes, a day its hours (UTC), without gaps: minimum, mean
/// and maximum, and for a counter its increase. 1,176 bytes in all.
#[derive(Debug)]
pub(crate) struct Series {
    seconds: Seconds,
    minutes: [u64; 60],
    hours: [u64; 24],
    days: [u64; 30],
    /// A counter's increase in this minute; NaN for a gauge.
    climbed: f64,
}

impl Series {
    /// For a gauge, or for a counter's rate.
    pub(crate) fn new(rate: bool) -> Self {
        let unknown = if rate { Climb::UNKNOWN.to_bits() } else { Level::UNKNOWN.to_bits() };
        Self {
            seconds: Seconds::new(),
            minutes: [unknown; 60],
            hours: [unknown; 24],
            days: [unknown; 30],
            climbed: if rate { 0.0 } else { f64::NAN },
        }
    }

    /// Adds the value at Unix second `tick`, which must follow the last one. A counter's value is
    /// its rate, and `climb` its increase.
    pub(crate) fn put(&mut self, tick: u64, value: f64, climb: f64) {
        self.seconds.set(place(tick, 60), value);
        if self.is_rate() {
            if tick.is_multiple_of(60) {
                self.climbed = 0.0;
            }
            if climb.is_finite() {
                self.climbed += climb;
            }
        }
        if tick % 60 != 59 {
            return;
        }
        let minute = tick / 60;
        self.minutes[place(minute, 60)] = self.pack(self.this(Span::Minute, tick), 1.0);
        if minute % 60 != 59 {
            return;
        }
        let hour = minute / 60;
        self.hours[place(hour, 24)] = self.pack(self.this(Span::Hour, tick), 60.0);
        if hour % 24 == 23 {
            self.days[place(hour / 24, 30)] = self.pack(self.this(Span::Day, tick), 3600.0);
        }
    }

    fn is_rate(&self) -> bool {
        !self.climbed.is_nan()
    }

    fn pack(&self, (summary, known): (Summary, u32), secs: f64) -> u64 {
        if self.is_rate() {
            Climb::new(summary, known, secs).to_bits()
        } else {
            Level::new(summary).to_bits()
        }
    }

    fn unpack(&self, point: u64, secs: f64) -> Summary {
        if self.is_rate() {
            Climb::from_bits(point).summary(secs)
        } else {
            Level::from_bits(point).summary()
        }
    }

    /// The unfinished minute, hour or day of `tick`, and the number of its parts.
    fn this(&self, span: Span, tick: u64) -> (Summary, u32) {
        let (minute, hour) = (tick / 60, tick / 3600);
        let before = |ring: &[u64], secs| -> Vec<Summary> {
            ring.iter().map(|&point| self.unpack(point, secs)).collect()
        };
        match span {
            Span::Second => (Summary::one(self.seconds.get(place(tick, 60))), 1),
            Span::Minute => {
                let seconds = self.seconds.first(place(tick, 60) + 1).map(Summary::one);
                let (summary, known) = Summary::of(seconds);
                let total = if known > 0 { self.climbed } else { f64::NAN };
                (Summary { total, ..summary }, known)
            }
            Span::Hour => {
                let minutes = before(&self.minutes[..place(minute, 60)], 1.0);
                Summary::of(minutes.into_iter().chain([self.this(Span::Minute, tick).0]))
            }
            Span::Day => {
                let hours = before(&self.hours[..place(hour, 24)], 60.0);
                Summary::of(hours.into_iter().chain([self.this(Span::Hour, tick).0]))
            }
        }
    }

    /// The points of a span, oldest first. The last is the unfinished one of `tick`.
    pub(crate) fn points(&self, span: Span, tick: u64) -> Vec<Summary> {
        let (newest, _) = self.this(span, tick);
        let unroll = |ring: &[u64], last: usize, secs| {
            let older = ring[last + 1..].iter().chain(&ring[..last]);
            older.map(|&point| self.unpack(point, secs)).chain([newest]).collect()
        };
        match span {
            Span::Second => {
                let last = place(tick, 60);
                let older = (last + 1..Seconds::LEN).chain(0..last);
                older.map(|at| Summary::one(self.seconds.get(at))).chain([newest]).collect()
            }
            Span::Minute => unroll(&self.minutes, place(tick / 60, 60), 1.0),
            Span::Hour => unroll(&self.hours, place(tick / 3600, 24), 60.0),
            Span::Day => unroll(&self.days, place(tick / 86_400, 30), 3600.0),
        }
    }
}

fn place(at: u64, places: u64) -> usize {
    (at % places) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Unix time at which a day begins.
    const MIDNIGHT: u64 = 20_000 * 86_400;

    fn assert_same(points: &[Summary], expected: &[f64]) {
        assert_eq!(points.len(), expected.len());
        for (at, (a, b)) in points.iter().map(|point| point.mean).zip(expected).enumerate() {
            assert!(a == *b || (a.is_nan() && b.is_nan()), "point {at}: {a} is not {b}");
        }
    }

    #[test]
    fn a_series_is_of_174_points_and_takes_about_a_kilobyte() {
        let series = Series::new(false);
        let points = Span::ALL.map(|span| series.points(span, MIDNIGHT).len());
        assert_eq!(points, [60, 60, 24, 30]);
        assert!(size_of::<Series>() <= 1200, "{}", size_of::<Series>());
    }

    #[test]
    fn seconds_come_back_oldest_first_and_exactly() {
        let mut series = Series::new(false);
        for second in 0..100 {
            series.put(MIDNIGHT + second, 1e15 + second as f64, f64::NAN);
        }
        let expected: Vec<f64> = (40..100).map(|second| 1e15 + f64::from(second)).collect();
        assert_same(&series.points(Span::Second, MIDNIGHT + 99), &expected);
    }

    #[test]
    fn what_is_not_known_is_left_out_of_means() {
        let mut series = Series::new(false);
        for second in 0..60 {
            series.put(MIDNIGHT + second, if second % 2 == 0 { 4.0 } else { f64::NAN }, f64::NAN);
        }
        series.put(MIDNIGHT + 60, f64::NAN, f64::NAN);
        let mut expected = vec![f64::NAN; 60];
        expected[58] = 4.0;
        assert_same(&series.points(Span::Minute, MIDNIGHT + 60), &expected);
    }

    #[test]
    fn the_last_point_is_of_what_has_passed_of_its_span() {
        let mut series = Series::new(false);
        for second in 0..90 {
            series.put(MIDNIGHT + second, if second < 60 { 10.0 } else { 20.0 }, f64::NAN);
        }
        let tick = MIDNIGHT + 89;
        assert_same(&series.points(Span::Minute, tick)[58..], &[10.0, 20.0]);
        assert_same(&series.points(Span::Hour, tick)[22..], &[f64::NAN, 15.0]);
        assert_same(&series.points(Span::Day, tick)[28..], &[f64::NAN, 15.0]);
    }

    /// Forty days, second by second, against means taken over the whole past.
    #[test]
    fn forty_days_are_what_a_reader_of_all_of_them_would_say() {
        let value = |second: u64| ((second / 3600) % 24) as f64 + 100.0 * (second / 86_400) as f64;
        let mut series = Series::new(false);
        let seconds = 40 * 86_400;
        for second in 0..seconds {
            series.put(MIDNIGHT + second, value(second), f64::NAN);
        }
        let tick = MIDNIGHT + seconds - 1;
        let days: Vec<f64> = (10..40).map(|day| 11.5 + 100.0 * f64::from(day)).collect();
        assert_same(&series.points(Span::Day, tick), &days);
        let hours: Vec<f64> = (0..24).map(|hour| f64::from(hour) + 3900.0).collect();
        assert_same(&series.points(Span::Hour, tick), &hours);
        assert_same(&series.points(Span::Minute, tick), &[3923.0; 60]);
    }

    /// One second in thirty at 100,000, else 10.
    #[test]
    fn a_spike_is_the_maximum_of_every_span() {
        let mut series = Series::new(false);
        let seconds = 3 * 86_400;
        for second in 0..seconds {
            let value = if second % 30 == 7 { 100_000.0 } else { 10.0 };
            series.put(MIDNIGHT + second, value, f64::NAN);
        }
        for span in [Span::Minute, Span::Hour, Span::Day] {
            let points = series.points(span, MIDNIGHT + seconds - 1);
            for point in &points[points.len() - 3..] {
                assert_eq!((point.low, point.high), (10.0, 100_000.0), "{span:?}");
                assert!((point.mean - 3343.0).abs() < 20.0, "{span:?}: {point:?}");
            }
        }
    }

    #[test]
    fn what_single_precision_does_not_hold_is_kept() {
        for value in [1e300, -1e300, 3.5e38, 1e-46, -1e-300] {
            let mut series = Series::new(false);
            for second in 0..86_400 {
                series.put(MIDNIGHT + second, value * (1 + second % 2) as f64, f64::NAN);
            }
            for span in Span::ALL {
                let point = *series.points(span, MIDNIGHT + 86_399).last().unwrap();
                assert!((0.999..2.001).contains(&(point.mean / value)), "{span:?}: {point:?}");
            }
            let day = series.points(Span::Day, MIDNIGHT + 86_399)[29];
            let twice = if value > 0.0 { day.high } else { day.low };
            assert!((twice / value - 2.0).abs() < 1e-4, "{day:?}");
        }
    }

    /// Three requests a second from a quarter past on, ten in one second of each hour.
    #[test]
    fn the_total_of_a_counter_is_exact_over_every_span() {
        let mut series = Series::new(true);
        let (from, seconds) = (915, 30 * 3600 + 1234);
        let climb = |second: u64| match second {
            0..915 => f64::NAN,
            second if second % 3600 == 42 => 10.0,
            _ => 3.0,
        };
        for second in 0..seconds {
            series.put(MIDNIGHT + second, climb(second) / 1.0003, climb(second));
        }
        let tick = MIDNIGHT + seconds - 1;
        let sum = |from: u64| (from..seconds).map(climb).sum::<f64>();
        let total = |span| {
            series.points(span, tick).iter().map(|p| p.total).filter(|t| !t.is_nan()).sum::<f64>()
        };
        assert_eq!(total(Span::Day), sum(from));
        assert_eq!(total(Span::Hour), sum(7 * 3600));
        assert_eq!(total(Span::Minute), sum((seconds / 60 - 59) * 60));
        let hour = series.points(Span::Hour, tick)[0];
        assert!((hour.high - 10.0).abs() < 0.02 && (hour.low - 3.0).abs() < 0.01, "{hour:?}");
        let first = series.points(Span::Day, tick)[28];
        assert!((first.mean - 3.0).abs() < 0.2, "{first:?}");
    }

    #[test]
    fn a_span_is_parsed_by_its_name() {
        for span in Span::ALL {
            assert_eq!(Span::parse(span.name()), Some(span));
        }
        assert_eq!(Span::parse("week"), None);
    }
}
