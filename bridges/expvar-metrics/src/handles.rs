//! The variables with the interface of `metrics`.

use std::sync::Arc;

use expvar::__private::{Fixed, Live};
use expvar::{Counter, FloatGauge, Handle, Histogram, Kind, Var};
use metrics::{CounterFn, GaugeFn, HistogramFn, Key};
use parking_lot::Mutex;

use crate::Recorder;

/// What a metric records into.
#[derive(Clone)]
pub(crate) enum Recorded {
    Counter(metrics::Counter),
    Gauge(metrics::Gauge),
    Histogram(metrics::Histogram),
    Nothing,
}

impl Recorded {
    pub(crate) fn new(var: Option<&Var>, idle: Option<Idle>) -> Self {
        match var {
            Some(Var::Counter(counter)) => {
                let held = match counter.as_arc() {
                    Some(counter) if idle.is_none() => Held::new(counter),
                    _ => None,
                };
                Self::Counter(match held {
                    Some(held) => metrics::Counter::from_arc(Arc::new(held)),
                    None => {
                        let shown = Shown { var: counter.clone(), idle };
                        metrics::Counter::from_arc(Arc::new(shown))
                    }
                })
            }
            Some(Var::FloatGauge(gauge)) => {
                let shown = Shown { var: gauge.clone(), idle };
                Self::Gauge(metrics::Gauge::from_arc(Arc::new(shown)))
            }
            Some(Var::Histogram(histogram)) => {
                let shown = Shown { var: histogram.clone(), idle };
                Self::Histogram(metrics::Histogram::from_arc(Arc::new(shown)))
            }
            _ => Self::Nothing,
        }
    }
}

/// A variable with the interface of `metrics`.
struct Shown<T: 'static> {
    var: Handle<T>,
    /// `None` unless metrics expire.
    idle: Option<Idle>,
}

/// How to find a metric again that expired while a handle existed.
pub(crate) struct Idle {
    pub(crate) live: Live,
    pub(crate) recorder: Recorder,
    pub(crate) key: Key,
}

impl<T> Shown<T> {
    /// The current variable, if it is another one.
    #[inline]
    fn again(&self, kind: Kind) -> Option<Recorded> {
        let idle = self.idle.as_ref()?;
        (!idle.live.is_live()).then(|| idle.recorder.register(kind, &idle.key))
    }
}

/// A counter that does not expire, with its cell.
struct Held {
    cell: Fixed,
    counter: Arc<Counter>,
}

impl Held {
    fn new(counter: &Arc<Counter>) -> Option<Self> {
        counter.__cell().map(|cell| Self { cell, counter: Arc::clone(counter) })
    }

    /// Has the arguments of `increment`, which need not be moved for the call.
    #[cold]
    #[inline(never)]
    fn increment_cold(&self, n: u64) {
        self.cell.add_cold(n);
    }
}

impl CounterFn for Held {
    #[inline]
    fn increment(&self, n: u64) {
        if !self.cell.try_add(n) {
            self.increment_cold(n);
        }
    }

    fn absolute(&self, value: u64) {
        raise(&self.counter, value);
    }
}

/// Raises a counter to a value, if it is lower.
fn raise(counter: &Counter, value: u64) {
    /// Held so that two threads do not both add the same difference.
    static RAISING: Mutex<()> = Mutex::new(());
    let _raising = RAISING.lock();
    counter.add(value.saturating_sub(counter.get()));
}

impl CounterFn for Shown<Counter> {
    #[inline]
    fn increment(&self, n: u64) {
        match self.again(Kind::Counter) {
            None => self.var.add(n),
            Some(Recorded::Counter(counter)) => counter.increment(n),
            Some(_) => {}
        }
    }

    fn absolute(&self, value: u64) {
        match self.again(Kind::Counter) {
            None => raise(&self.var, value),
            Some(Recorded::Counter(counter)) => counter.absolute(value),
            Some(_) => {}
        }
    }
}

impl GaugeFn for Shown<FloatGauge> {
    #[inline]
    fn increment(&self, n: f64) {
        match self.again(Kind::FloatGauge) {
            None => self.var.add(n),
            Some(Recorded::Gauge(gauge)) => gauge.increment(n),
            Some(_) => {}
        }
    }

    #[inline]
    fn decrement(&self, n: f64) {
        self.increment(-n);
    }

    #[inline]
    fn set(&self, value: f64) {
        match self.again(Kind::FloatGauge) {
            None => self.var.set(value),
            Some(Recorded::Gauge(gauge)) => gauge.set(value),
            Some(_) => {}
        }
    }
}

impl HistogramFn for Shown<Histogram> {
    #[inline]
    fn record(&self, value: f64) {
        match self.again(Kind::Histogram) {
            None => self.var.record_float(value),
            Some(Recorded::Histogram(histogram)) => histogram.record(value),
            Some(_) => {}
        }
    }
}
