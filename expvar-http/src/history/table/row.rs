//! A row of the live page: a leaf's last value and its history.

use std::sync::Arc;

use expvar::Number;

use super::super::sample::{Distribution, Found, Kind, PARTS, Sample, is_same, moved};
use super::super::series::Series;
use super::rank::Rank;

/// A row's last value.
pub(in crate::history) enum Held {
    Number(Number),
    Distribution(Box<Distribution>),
    Text(Box<str>),
}

/// The history of a row's numbers.
pub(super) enum Past {
    None,
    One(Box<Series>),
    Four(Box<[Series; 4]>),
}

impl Past {
    pub(super) fn series(&self) -> &[Series] {
        match self {
            Past::None => &[],
            Past::One(series) => std::slice::from_ref(series),
            Past::Four(series) => &series[..],
        }
    }

    pub(super) fn put(&mut self, tick: u32, points: Points) {
        let Points { values, climb } = points;
        match self {
            Past::None => {}
            Past::One(series) => series.put(tick.into(), values[0], climb),
            Past::Four(series) => {
                let all = series.iter_mut().zip(values);
                all.for_each(|(one, value)| one.put(tick.into(), value, climb));
            }
        }
    }
}

/// One point of each of a row's series; a plain number uses the first.
#[derive(Clone, Copy)]
pub(super) struct Points {
    values: [f64; 4],
    /// The increase of the first, if it is a count.
    climb: f64,
}

impl Points {
    pub(super) const UNKNOWN: Self = Self { values: [f64::NAN; 4], climb: f64::NAN };
}

/// One leaf, shown or remembered.
pub(in crate::history) struct Row {
    pub(in crate::history) name: Arc<str>,
    pub(in crate::history) help: Option<Arc<str>>,
    pub(in crate::history) unit: &'static str,
    pub(in crate::history) held: Held,
    pub(super) past: Past,
    /// The length of the variable's own name in UTF-16 units, 0 for the whole.
    pub(in crate::history) top: u32,
    pub(super) seen: u32,
    pub(super) changed: u32,
    /// The next row in the last walk, a prediction for this one.
    pub(super) next: u32,
    pub(in crate::history) kind: Kind,
    pub(super) rank: Rank,
    /// Whether the value was ever not zero.
    pub(in crate::history) was_moved: bool,
}

impl Row {
    /// The number of its series.
    pub(super) fn width(&self) -> usize {
        match self.kind {
            Kind::Counter | Kind::Gauge => 1,
            Kind::Histogram => PARTS.len(),
            Kind::Text | Kind::Json => 0,
        }
    }

    pub(super) fn has_past(&self) -> bool {
        !matches!(self.past, Past::None)
    }

    /// Stores a value, and returns whether it has changed.
    pub(super) fn hold(&mut self, found: &Found, sample: &Sample) -> bool {
        match (&mut self.held, found) {
            (Held::Number(held), Found::Number(new)) => {
                let same = is_same(*held, *new);
                *held = *new;
                !same
            }
            (Held::Distribution(held), Found::Distribution(new)) => {
                // Compares bits, because a quantile may be NaN.
                let same = held.count == new.count
                    && held.quantiles.map(f64::to_bits) == new.quantiles.map(f64::to_bits);
                **held = *new;
                !same
            }
            (Held::Text(held), Found::Text(range)) if **held == *sample.text(range) => false,
            (held, found) => {
                *held = Held::new(found, sample);
                true
            }
        }
    }

    /// The number shown as a rate: a counter's value or a histogram's count.
    pub(super) fn count(&self) -> Option<Number> {
        match &self.held {
            Held::Number(number) if self.kind == Kind::Counter => Some(*number),
            Held::Distribution(of) => Some(Number::Unsigned(of.count)),
            _ => None,
        }
    }

    /// The points of the value, given the previous count and the seconds since.
    pub(super) fn points(&self, before: Option<Number>, secs: f64) -> Points {
        let climb = match (self.count(), before) {
            (Some(now), Some(before)) if secs > 0.0 => moved(now, before),
            _ => f64::NAN,
        };
        let rate = climb / secs;
        let values = match &self.held {
            Held::Number(_) if self.kind == Kind::Counter => [rate, f64::NAN, f64::NAN, f64::NAN],
            Held::Number(number) => [number.to_f64(), f64::NAN, f64::NAN, f64::NAN],
            // Without recordings there is no quantile; zero would be drawn as a fast one.
            Held::Distribution(of) if of.count == 0 => [rate, f64::NAN, f64::NAN, f64::NAN],
            Held::Distribution(of) => {
                let [p50, p90, p99] = of.quantiles;
                [rate, p50, p90, p99]
            }
            Held::Text(_) => return Points::UNKNOWN,
        };
        Points { values, climb }
    }

    /// Whether its number is an integer, and so is its increase.
    pub(super) fn is_whole(&self) -> bool {
        !matches!(self.held, Held::Number(Number::Float(_)))
    }

    pub(in crate::history) fn is_zero(&self) -> bool {
        match &self.held {
            Held::Number(number) => number.to_f64() == 0.0,
            Held::Distribution(of) => of.count == 0,
            Held::Text(_) => false,
        }
    }
}

impl Held {
    pub(super) fn new(found: &Found, sample: &Sample) -> Self {
        match found {
            Found::Number(number) => Held::Number(*number),
            Found::Distribution(parts) => Held::Distribution(Box::new(*parts)),
            Found::Text(range) => Held::Text(sample.text(range).into()),
        }
    }
}
