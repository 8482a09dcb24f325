//! The unit in which durations are recorded.

use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::info::Unit;

/// No time unit is declared. Also used for nanoseconds in a histogram of whole numbers, so that its
/// hot path compares with zero.
const UNDECLARED: u8 = 0;
const NANOSECONDS: u8 = 1;
const MICROSECONDS: u8 = 2;
const MILLISECONDS: u8 = 3;
const SECONDS: u8 = 4;

/// The unit in which a histogram, or those in a map, record durations.
#[derive(Debug)]
pub(crate) struct Timed(AtomicU8);

impl Timed {
    pub(crate) const fn undeclared() -> Self {
        Self(AtomicU8::new(UNDECLARED))
    }

    /// The default, before a unit is declared.
    pub(super) const fn of(floats: bool) -> Self {
        Self(AtomicU8::new(if floats { SECONDS } else { UNDECLARED }))
    }

    /// A declared unit; `None` if it is not a unit of time.
    pub(super) const fn of_unit(unit: Unit, floats: bool) -> Option<Self> {
        match code(unit) {
            UNDECLARED => None,
            NANOSECONDS if !floats => Some(Self::undeclared()),
            code => Some(Self(AtomicU8::new(code))),
        }
    }

    /// The unit of the histograms in a map.
    pub(crate) const fn of_map(unit: Unit) -> Self {
        Self(AtomicU8::new(code(unit)))
    }

    /// Takes over another's unit.
    pub(crate) fn set(&self, other: &Self) {
        self.0.store(other.0.load(Relaxed), Relaxed);
    }

    /// The declared unit, if any.
    pub(crate) fn unit(&self) -> Option<Unit> {
        match self.0.load(Relaxed) {
            NANOSECONDS => Some(Unit::Nanoseconds),
            MICROSECONDS => Some(Unit::Microseconds),
            MILLISECONDS => Some(Unit::Milliseconds),
            SECONDS => Some(Unit::Seconds),
            _ => None,
        }
    }

    /// Whether whole nanoseconds are recorded. Never for fractions.
    #[inline]
    pub(super) fn is_nanoseconds(&self) -> bool {
        self.0.load(Relaxed) == UNDECLARED
    }

    /// A duration in this unit, rounded down.
    pub(super) fn whole(&self, duration: Duration) -> u128 {
        match self.0.load(Relaxed) {
            SECONDS => u128::from(duration.as_secs()),
            MILLISECONDS => duration.as_millis(),
            MICROSECONDS => duration.as_micros(),
            _ => duration.as_nanos(),
        }
    }

    /// A duration in this unit.
    pub(super) fn float(&self, duration: Duration) -> f64 {
        match self.per_second() {
            1 => duration.as_secs_f64(),
            // Nanoseconds are exact up to 104 days, so 22 ms are 22.0.
            per_second => duration.as_nanos() as f64 / (1_000_000_000 / per_second) as f64,
        }
    }

    /// How many of the unit make a second.
    pub(super) fn per_second(&self) -> u64 {
        match self.0.load(Relaxed) {
            SECONDS => 1,
            MILLISECONDS => 1_000,
            MICROSECONDS => 1_000_000,
            _ => 1_000_000_000,
        }
    }
}

const fn code(unit: Unit) -> u8 {
    match unit {
        Unit::Nanoseconds => NANOSECONDS,
        Unit::Microseconds => MICROSECONDS,
        Unit::Milliseconds => MILLISECONDS,
        Unit::Seconds => SECONDS,
        _ => UNDECLARED,
    }
}
