//! What is sent of a registry, and how.

use std::collections::HashMap;
use std::sync::Arc;

use crate::mapping::Mapping;

/// Whether sums and histograms are sent as totals or as what was added:
/// `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`.
///
/// Sums that go up and down are totals in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Temporality {
    /// Totals since the start. A point that is lost takes nothing with it.
    #[default]
    Cumulative,
    /// What was added since the point before. What did not change is not sent. See
    /// [`Otlp`](crate::Otlp#deltas) for what becomes of a request that was not answered.
    Delta,
    /// Deltas of counters and histograms, totals of what functions return.
    LowMemory,
}

/// How histograms are sent: `OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Histograms {
    /// As exponential histograms, without an estimate.
    ///
    /// A histogram here has 2^`precision` buckets of equal width between two powers of two; an
    /// exponential one of scale `s` has 2^`s` whose bounds are powers of 2^(1/2^`s`). Only the
    /// powers of two are bounds of both, so what is sent has scale 0: one bucket for each factor
    /// of two, each the sum of whole buckets. As long as all values are whole numbers below
    /// 2^(`precision` + 1) (32 by default) each of them has a bucket of its own here, and the
    /// scale is the finest, up to 20, that takes at most 160 buckets.
    ///
    /// Zeros are `zero_count`; of fractions those up to 2⁻³⁰ are, which `zero_threshold` says. `min` and
    /// `max` are sent where they are known exactly. A whole number from 2^(`precision` + 1) on that
    /// is a power of two counts in the bucket above it rather than below: the data model says to
    /// disregard which bound is inclusive where formats are translated.
    ///
    /// A histogram that was declared with bounds of its own, which count exactly, has those.
    #[default]
    Exponential,
    /// With explicit bounds at powers of two (below them by one for whole numbers, where the bound
    /// is inclusive) over the range that values of the unit have: the same bounds in every process.
    /// Counts are exact.
    Explicit,
    /// With explicit bounds at the bounds of this library's own buckets, where values lie: exact,
    /// and as fine as they were recorded. Bounds come with values, so this is for receivers that
    /// take any, one service's at a time.
    Own,
}

/// What is sent of a registry.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    pub(crate) mappings: HashMap<String, Arc<Mapping>>,
    pub(crate) temporality: Temporality,
    pub(crate) histograms: Histograms,
    pub(crate) without_library: bool,
}

impl Settings {
    /// Whether a variable is sent.
    pub(crate) fn is_wanted(&self, variable: &str) -> bool {
        let is_library = || {
            matches!(variable, "cmdline" | "memstats" | "process")
                || variable.starts_with("expvar.")
        };
        !(self.without_library && is_library())
    }
}
