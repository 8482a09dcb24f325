//! Which variables are sent, and how.

use std::collections::HashMap;
use std::sync::Arc;

use crate::view::View;

/// Whether sums and histograms are sent as totals or as increases:
/// `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`.
///
/// Sums that are not monotonic are always totals.
///
/// ```
/// use expvar_otlp::{Otlp, Temporality};
///
/// let otlp = Otlp::new("http://collector:4318").temporality(Temporality::Delta);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Temporality {
    /// Totals since the start. A lost point loses no information.
    #[default]
    Cumulative,
    /// Increases since the previous point. Unchanged series are not sent. See
    /// [`Otlp`](crate::Otlp#deltas) for requests that were not answered.
    Delta,
    /// Deltas of counters and histograms, totals of functions' values.
    LowMemory,
}

/// How histograms are sent: `OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION`.
///
/// ```
/// use expvar_otlp::{Histograms, Otlp};
///
/// let otlp = Otlp::new("http://collector:4318").histograms(Histograms::Explicit);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Histograms {
    /// As exponential histograms, exactly.
    ///
    /// A histogram has 2^`precision` buckets of equal width for each factor of two; an exponential
    /// histogram of scale `s` has 2^`s` with bounds that are powers of 2^(1/2^`s`). They share only
    /// the powers of two as bounds, so the scale is 0: one bucket for each factor of two, each the
    /// sum of whole buckets. If all values are whole numbers below 2^(`precision` + 1) (32 by
    /// default), each has its own bucket, and the scale is the finest, up to 20, that needs at most
    /// 160 buckets.
    ///
    /// Zeros are in `zero_count`; for fractions also values up to 2⁻³⁰, given as `zero_threshold`.
    /// `min` and `max` are sent if they are known exactly. A whole number from 2^(`precision` + 1)
    /// on that is a power of two counts in the bucket above it: the data model says to disregard
    /// which bound is inclusive when formats are translated.
    ///
    /// A histogram declared with bounds, which count exactly, is sent with these bounds.
    #[default]
    Exponential,
    /// With explicit bounds at powers of two (less one for whole numbers, because the bound is
    /// inclusive) over the unit's range of values: the same bounds in every process. Counts are
    /// exact.
    Explicit,
    /// With explicit bounds at this library's own non-empty buckets: exact, and as fine as
    /// recorded. Bounds vary with the values, so the receiver must accept any, and must not
    /// aggregate services.
    Own,
}

/// Which variables are sent, and how.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    pub(crate) views: HashMap<String, Arc<View>>,
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
