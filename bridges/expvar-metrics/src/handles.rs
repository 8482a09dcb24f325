//! The variables as `metrics` records into them.

use std::sync::Arc;

use expvar::{Counter, FloatGauge, Handle, Histogram, Var};
use metrics::{CounterFn, GaugeFn, HistogramFn};
use parking_lot::Mutex;

/// What a metric records into.
#[derive(Clone)]
pub(crate) enum Recorded {
    Counter(metrics::Counter),
    Gauge(metrics::Gauge),
    Histogram(metrics::Histogram),
    Nothing,
}

impl From<&Var> for Recorded {
    fn from(var: &Var) -> Self {
        match var {
            Var::Counter(counter) => {
                Self::Counter(metrics::Counter::from_arc(Arc::new(Shown(counter.clone()))))
            }
            Var::FloatGauge(gauge) => {
                Self::Gauge(metrics::Gauge::from_arc(Arc::new(Shown(gauge.clone()))))
            }
            Var::Histogram(histogram) => {
                Self::Histogram(metrics::Histogram::from_arc(Arc::new(Shown(histogram.clone()))))
            }
            _ => Self::Nothing,
        }
    }
}

/// A variable that a registry shows, as `metrics` wants it.
struct Shown<T: 'static>(Handle<T>);

impl CounterFn for Shown<Counter> {
    #[inline]
    fn increment(&self, n: u64) {
        self.0.add(n);
    }

    fn absolute(&self, value: u64) {
        /// Held so that two of these do not both add the same difference.
        static RAISING: Mutex<()> = Mutex::new(());
        let _raising = RAISING.lock();
        self.0.add(value.saturating_sub(self.0.get()));
    }
}

impl GaugeFn for Shown<FloatGauge> {
    #[inline]
    fn increment(&self, n: f64) {
        self.0.add(n);
    }

    #[inline]
    fn decrement(&self, n: f64) {
        self.0.add(-n);
    }

    #[inline]
    fn set(&self, value: f64) {
        self.0.set(value);
    }
}

impl HistogramFn for Shown<Histogram> {
    #[inline]
    fn record(&self, value: f64) {
        self.0.record_float(value);
    }
}
