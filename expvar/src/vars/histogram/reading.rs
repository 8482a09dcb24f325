//! What an exporter sees of a histogram.

use super::snapshot::Snapshot;

/// A histogram as exporters see it.
///
/// ```
/// # use expvar::{Info, Recorded, Step, Visitor};
/// struct Counts(Vec<(u64, u64)>);
///
/// impl Visitor for Counts {
///     fn enter(&mut self, _: Step<'_>, _: &Info) {}
///     fn leave(&mut self) {}
///     fn histogram(&mut self, mut histogram: Recorded<'_>) {
///         let reading = histogram.reading();
///         self.0.push((reading.total.count(), reading.recent.count()));
///     }
/// }
///
/// let registry = expvar::Registry::new();
/// registry.publish("sizes", expvar::Histogram::new())?.record(512);
/// let mut counts = Counts(Vec::new());
/// registry.visit(&mut counts);
/// assert_eq!(counts.0, [(1, 1)]);
/// # Ok::<(), expvar::PublishError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// Everything since the process started.
    pub total: Snapshot,
    /// The last 60 to 70 seconds.
    pub recent: Snapshot,
}

/// The quantiles that exporters show, with their names.
///
/// ```
/// let names: Vec<&str> = expvar::Quantiles::SHOWN.iter().map(|&(name, _)| name).collect();
/// assert_eq!(names, ["p50", "p90", "p95", "p99", "p999"]);
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Quantiles;

impl Quantiles {
    /// Names and quantiles, ascending.
    pub const SHOWN: &'static [(&'static str, f64)] =
        &[("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)];
}
