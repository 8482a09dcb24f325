//! Floating-point gauges.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;

use once_cell::race::OnceRef;

use crate::prefetch::Target;
use crate::sync::AtomicU64;

/// A floating-point number that goes up and down: a temperature, a ratio. Go's `Float`.
///
/// Stored in one shared atomic, because a sum over cells would round. `set` is a store, `add` a
/// compare-and-swap loop. NaN and infinities are stored, and shown as `null` in JSON.
///
/// ```
/// let load = expvar::Registry::new().publish("load", expvar::FloatGauge::new())?;
/// load.set(0.5);
/// load.add(0.25);
/// assert_eq!(load.get(), 0.75);
/// # Ok::<(), expvar::PublishError>(())
/// ```
#[doc(alias("Float", "NewFloat", "Gauge", "ObservableGauge"))]
pub struct FloatGauge {
    bits: AtomicU64,
    /// The static of the same name that this one is merged into.
    first: OnceRef<'static, FloatGauge>,
}

impl FloatGauge {
    /// A gauge at zero.
    pub const fn new() -> Self {
        Self { bits: AtomicU64::new(0), first: OnceRef::new() }
    }

    /// Sets the value.
    #[inline]
    pub fn set(&self, value: f64) {
        self.first.get().unwrap_or(self).bits.store(value.to_bits(), Relaxed);
    }

    /// Adds `n`, which may be negative.
    #[inline]
    pub fn add(&self, n: f64) {
        let bits = &self.first.get().unwrap_or(self).bits;
        let mut old = bits.load(Relaxed);
        let sum = |old| (f64::from_bits(old) + n).to_bits();
        while let Err(now) = bits.compare_exchange_weak(old, sum(old), Relaxed, Relaxed) {
            old = now;
        }
    }

    /// The value.
    #[inline]
    pub fn get(&self) -> f64 {
        f64::from_bits(self.first.get().unwrap_or(self).bits.load(Relaxed))
    }

    /// Merges `self`, a static, into `first`.
    pub(crate) fn join(&'static self, first: &'static Self) {
        let early = self.get();
        let _ = self.first.set(first);
        if early != 0.0 {
            first.add(early);
        }
    }
}

impl Target for FloatGauge {
    fn prefetch(&self) -> u64 {
        self.bits.load(Relaxed)
    }
}

impl Default for FloatGauge {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for FloatGauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FloatGauge").field(&self.get()).finish()
    }
}
