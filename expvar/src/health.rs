//! The library's own error counts.
//!
//! Shown as the variables `expvar.…`: see `system/health.rs`.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// A count of rare events in one atomic, so that every module can use it.
pub(crate) struct Count(AtomicU64);

impl Count {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(crate) fn inc(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    #[allow(dead_code, reason = "shown by the variables alone")]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Additions to a map's key of another kind.
pub(crate) static MISMATCHES: Count = Count::new();
/// Additions that a full map recorded under `(other)`.
pub(crate) static OVERFLOWS: Count = Count::new();
/// Functions that panicked or failed.
pub(crate) static PANICS: Count = Count::new();
/// Exemplars whose labels are too long or contain invalid characters.
pub(crate) static REJECTED_EXEMPLARS: Count = Count::new();
/// System files that could not be read or parsed.
#[cfg(feature = "process")]
pub(crate) static UNREADABLE: Count = Count::new();
