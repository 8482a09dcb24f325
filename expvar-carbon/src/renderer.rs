//! A registry's lines without a server: to print, to test, to send otherwise.

use expvar::Registry;

use crate::lines::Lines;
use crate::reading::Reader;
use crate::schedule::Moment;

/// Renders a registry as [`Carbon`](crate::Carbon) would send it, without sending.
///
/// ```
/// use expvar::{Gauge, Registry};
/// use expvar_carbon::Carbon;
///
/// let registry = Registry::new();
/// registry.publish("depth", Gauge::new())?.set(3);
/// let mut renderer = Carbon::new("graphite:2003").registry(&registry).prefix("apps.a").renderer()?;
/// assert_eq!(renderer.render(1_700_000_040).as_bytes(), b"apps.a.depth 3 1700000040\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Renderer {
    reader: Reader,
    registry: Registry,
    interval_secs: u64,
    last: Option<u64>,
}

impl Renderer {
    pub(crate) fn new(reader: Reader, registry: Registry, interval_secs: u64) -> Self {
        Self { reader, registry, interval_secs, last: None }
    }

    /// Reads every variable and renders its points with this timestamp, in seconds since 1970.
    ///
    /// Deltas, rates and histograms are those since the reading before.
    pub fn render(&mut self, timestamp: u64) -> &Lines {
        let moment = Moment {
            timestamp,
            late: std::time::Duration::ZERO,
            skipped: 0,
            since_last_secs: self.last.map(|last| timestamp.saturating_sub(last)),
        };
        self.last = Some(timestamp);
        self.reader.lines().clear();
        self.reader.read(&self.registry, moment, self.interval_secs);
        self.reader.lines()
    }
}
