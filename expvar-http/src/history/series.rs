//! One number's past: 60 seconds, 60 minutes, 24 hours and 30 days in 174 points.

/// How far back a part of a [`Series`] reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    Second,
    Minute,
    Hour,
    Day,
}

impl Span {
    pub(crate) const ALL: [Span; 4] = [Span::Second, Span::Minute, Span::Hour, Span::Day];

    /// What one of its points covers, which is also its name in queries and answers.
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

/// The points of one number; NaN where nothing is known.
///
/// Places are those of a clock: the value at Unix second `t` stands at `t % 60`. A minute is the
/// mean of its seconds, an hour of its minutes, a day of its hours (UTC), gaps left out. Means
/// are kept in single precision, the seconds exactly.
#[derive(Debug)]
pub(crate) struct Series {
    seconds: [f64; 60],
    minutes: [f32; 60],
    hours: [f32; 24],
    days: [f32; 30],
}

impl Series {
    pub(crate) fn new() -> Self {
        Self {
            seconds: [f64::NAN; 60],
            minutes: [f32::NAN; 60],
            hours: [f32::NAN; 24],
            days: [f32::NAN; 30],
        }
    }

    /// Puts in the value at Unix second `tick`, which follows the last one's.
    pub(crate) fn put(&mut self, tick: u64, value: f64) {
        self.seconds[place(tick, 60)] = value;
        if tick % 60 != 59 {
            return;
        }
        let minute = tick / 60;
        self.minutes[place(minute, 60)] = mean(&self.seconds) as f32;
        if minute % 60 != 59 {
            return;
        }
        let hour = minute / 60;
        self.hours[place(hour, 24)] = mean(&self.minutes.map(f64::from)) as f32;
        if hour % 24 == 23 {
            self.days[place(hour / 24, 30)] = mean(&self.hours.map(f64::from)) as f32;
        }
    }

    /// The points of a span, oldest first; the last one is of the second, minute, hour or day in
    /// which `tick` lies, as far as it has passed.
    pub(crate) fn points(&self, span: Span, tick: u64) -> Vec<f64> {
        let (minute, hour) = (tick / 60, tick / 3600);
        let this_minute = || mean(&self.seconds[..=place(tick, 60)]);
        let this_hour = || {
            let before = self.minutes[..place(minute, 60)].iter().map(|&point| f64::from(point));
            mean(&before.chain([this_minute()]).collect::<Vec<_>>())
        };
        let this_day = || {
            let before = self.hours[..place(hour, 24)].iter().map(|&point| f64::from(point));
            mean(&before.chain([this_hour()]).collect::<Vec<_>>())
        };
        match span {
            Span::Second => unroll(&self.seconds, place(tick, 60), self.seconds[place(tick, 60)]),
            Span::Minute => unroll(&self.minutes, place(minute, 60), this_minute()),
            Span::Hour => unroll(&self.hours, place(hour, 24), this_hour()),
            Span::Day => unroll(&self.days, place(hour / 24, 30), this_day()),
        }
    }
}

fn place(at: u64, places: u64) -> usize {
    (at % places) as usize
}

/// The mean of the points that are known, NaN when none is.
fn mean(points: &[f64]) -> f64 {
    let (mut sum, mut known) = (0.0, 0.0);
    for point in points.iter().filter(|point| !point.is_nan()) {
        sum += point;
        known += 1.0;
    }
    sum / known
}

/// A ring from the place after `last` on, with `newest` at the end.
fn unroll<T: Copy + Into<f64>>(ring: &[T], last: usize, newest: f64) -> Vec<f64> {
    let older = ring[last + 1..].iter().chain(&ring[..last]).map(|&point| point.into());
    older.chain([newest]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Unix time at which a day begins.
    const MIDNIGHT: u64 = 20_000 * 86_400;

    fn assert_same(points: &[f64], expected: &[f64]) {
        assert_eq!(points.len(), expected.len());
        for (at, (a, b)) in points.iter().zip(expected).enumerate() {
            assert!(a == b || (a.is_nan() && b.is_nan()), "point {at}: {a} is not {b}");
        }
    }

    #[test]
    fn a_series_is_of_174_points_and_takes_about_a_kilobyte() {
        let series = Series::new();
        let points = Span::ALL.map(|span| series.points(span, MIDNIGHT).len());
        assert_eq!(points, [60, 60, 24, 30]);
        assert!(size_of::<Series>() <= 1400, "{}", size_of::<Series>());
    }

    #[test]
    fn seconds_come_back_oldest_first_and_exactly() {
        let mut series = Series::new();
        for second in 0..100 {
            series.put(MIDNIGHT + second, 1e15 + second as f64);
        }
        let expected: Vec<f64> = (40..100).map(|second| 1e15 + f64::from(second)).collect();
        assert_same(&series.points(Span::Second, MIDNIGHT + 99), &expected);
    }

    #[test]
    fn what_is_not_known_is_left_out_of_means() {
        let mut series = Series::new();
        for second in 0..60 {
            series.put(MIDNIGHT + second, if second % 2 == 0 { 4.0 } else { f64::NAN });
        }
        series.put(MIDNIGHT + 60, f64::NAN);
        let mut expected = vec![f64::NAN; 60];
        expected[58] = 4.0;
        assert_same(&series.points(Span::Minute, MIDNIGHT + 60), &expected);
    }

    #[test]
    fn the_last_point_is_of_what_has_passed_of_its_span() {
        let mut series = Series::new();
        for second in 0..90 {
            series.put(MIDNIGHT + second, if second < 60 { 10.0 } else { 20.0 });
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
        let mut series = Series::new();
        let seconds = 40 * 86_400;
        for second in 0..seconds {
            series.put(MIDNIGHT + second, value(second));
        }
        let tick = MIDNIGHT + seconds - 1;
        let days: Vec<f64> = (10..40).map(|day| 11.5 + 100.0 * f64::from(day)).collect();
        assert_same(&series.points(Span::Day, tick), &days);
        let hours: Vec<f64> = (0..24).map(|hour| f64::from(hour) + 3900.0).collect();
        assert_same(&series.points(Span::Hour, tick), &hours);
        assert_same(&series.points(Span::Minute, tick), &[3923.0; 60]);
    }

    #[test]
    fn a_span_is_parsed_by_its_name() {
        for span in Span::ALL {
            assert_eq!(Span::parse(span.name()), Some(span));
        }
        assert_eq!(Span::parse("week"), None);
    }
}
