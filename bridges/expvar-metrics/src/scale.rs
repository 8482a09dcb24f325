//! Converts recorded values to the unit of an existing variable.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};

use expvar::__private::report_conflict;
use expvar::{Handle, Histogram, Unit};
use metrics::HistogramFn;

/// An existing histogram, possibly with a unit, or of whole numbers.
///
/// `metrics` records durations in seconds, unless the metric is described in another unit of time.
pub(crate) struct Scaled {
    var: Handle<Histogram>,
    name: Box<str>,
    /// How many of the declared unit make a second; 0 if it is not a unit of time.
    declared: u32,
    /// How many of the recorded unit make a second.
    recorded: AtomicU64,
    whole: bool,
    /// Whether the loss of fractions was reported.
    told: AtomicBool,
}

impl Scaled {
    /// Wraps a histogram for a metric with this description.
    pub(crate) fn new(var: Handle<Histogram>, name: &str, declared: Unit, described: Unit) -> Self {
        let whole = !var.snapshot().is_float();
        let scaled = Self {
            var,
            name: name.into(),
            declared: per_second(declared).unwrap_or(0),
            recorded: AtomicU64::new(1),
            whole,
            told: AtomicBool::new(false),
        };
        scaled.describe(described);
        scaled
    }

    /// Adopts the described unit.
    pub(crate) fn describe(&self, described: Unit) {
        self.recorded.store(per_second(described).unwrap_or(1).into(), Relaxed);
    }

    #[cold]
    fn tell(&self, value: f64) {
        if !self.told.swap(true, Relaxed) {
            let text = format!(
                "a `metrics` histogram records fractions like {value} into one of whole numbers: \
                 declare its unit, or make it by `Histogram::floats`"
            );
            report_conflict(&self.name, text);
        }
    }
}

impl HistogramFn for Scaled {
    fn record(&self, value: f64) {
        if self.declared > 0 {
            let recorded = self.recorded.load(Relaxed) as f64;
            let value = value * f64::from(self.declared) / recorded;
            // Rounded: a product may be just below a whole number.
            self.var.record_float(if self.whole { value.round() } else { value });
            return;
        }
        if self.whole && value.fract() != 0.0 && value.is_finite() {
            self.tell(value);
        }
        self.var.record_float(value);
    }
}

/// Whether a described unit fits a variable of the declared one; a histogram converts units of
/// time.
pub(crate) fn fits(described: Unit, declared: Unit, converts: bool) -> bool {
    let are_times = per_second(described).is_some() && per_second(declared).is_some();
    described == declared
        || described == Unit::None
        || declared == Unit::None
        || (converts && are_times)
}

/// How many of a unit of time make a second.
fn per_second(unit: Unit) -> Option<u32> {
    match unit {
        Unit::Seconds => Some(1),
        Unit::Milliseconds => Some(1_000),
        Unit::Microseconds => Some(1_000_000),
        Unit::Nanoseconds => Some(1_000_000_000),
        _ => None,
    }
}
