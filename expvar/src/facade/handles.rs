//! The variables as `metrics` records into them.

use std::sync::Arc;

use metrics::{CounterFn, GaugeFn, HistogramFn};

use crate::sync::Mutex;
use crate::var::{Handle, Var};
use crate::{Counter, FloatGauge, Histogram};

/// What a metric records into.
#[derive(Clone)]
pub(super) enum Recorded {
    Counter(metrics::Counter),
    Gauge(metrics::Gauge),
    Histogram(metrics::Histogram),
    Nothing,
}

impl From<&Var> for Recorded {
    fn from(var: &Var) -> Self {
        match var {
            Var::Counter(Handle::Shared(counter)) => {
                Self::Counter(metrics::Counter::from_arc(Arc::clone(counter)))
            }
            Var::Counter(Handle::Static(counter)) => {
                Self::Counter(metrics::Counter::from_arc(Arc::new(Static(*counter))))
            }
            Var::FloatGauge(Handle::Shared(gauge)) => {
                Self::Gauge(metrics::Gauge::from_arc(Arc::clone(gauge)))
            }
            Var::FloatGauge(Handle::Static(gauge)) => {
                Self::Gauge(metrics::Gauge::from_arc(Arc::new(Static(*gauge))))
            }
            Var::Histogram(Handle::Shared(histogram)) => {
                Self::Histogram(metrics::Histogram::from_arc(Arc::clone(histogram)))
            }
            Var::Histogram(Handle::Static(histogram)) => {
                Self::Histogram(metrics::Histogram::from_arc(Arc::new(Static(*histogram))))
            }
            _ => Self::Nothing,
        }
    }
}

/// A static that `metrics` wants counted by reference.
struct Static<T: 'static>(&'static T);

impl CounterFn for Counter {
    #[inline]
    fn increment(&self, n: u64) {
        self.add(n);
    }

    fn absolute(&self, value: u64) {
        /// Held so that two of these do not both add the same difference.
        static RAISING: Mutex<()> = Mutex::new(());
        let _raising = RAISING.lock();
        self.add(value.saturating_sub(self.get()));
    }
}

impl CounterFn for Static<Counter> {
    #[inline]
    fn increment(&self, n: u64) {
        self.0.add(n);
    }

    fn absolute(&self, value: u64) {
        self.0.absolute(value);
    }
}

impl GaugeFn for FloatGauge {
    #[inline]
    fn increment(&self, n: f64) {
        self.add(n);
    }

    #[inline]
    fn decrement(&self, n: f64) {
        self.add(-n);
    }

    #[inline]
    fn set(&self, value: f64) {
        FloatGauge::set(self, value);
    }
}

impl GaugeFn for Static<FloatGauge> {
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

impl HistogramFn for Histogram {
    #[inline]
    fn record(&self, value: f64) {
        self.record_float(value);
    }
}

impl HistogramFn for Static<Histogram> {
    #[inline]
    fn record(&self, value: f64) {
        self.0.record_float(value);
    }
}
