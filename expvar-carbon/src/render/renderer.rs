//! Renders a registry's lines without a server: to print, to test, to send by other means.

use std::fmt;
use std::io::{self, Write};

use expvar::Registry;

use crate::render::lines::Lines;
use crate::render::reading::{Parts, Reader};
use expvar_push::Moment;

/// The size of writes.
const PART_BYTES: usize = 768 << 10;

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

impl fmt::Debug for Renderer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = &self.interval_secs;
        f.debug_struct("Renderer").field("interval_secs", secs).finish_non_exhaustive()
    }
}

impl Renderer {
    pub(crate) fn new(reader: Reader, registry: Registry, interval_secs: u64) -> Self {
        Self { reader, registry, interval_secs, last: None }
    }

    /// Collects every variable and renders its points with this timestamp, in seconds since 1970.
    ///
    /// Deltas, rates and histograms cover the time since the previous collection.
    pub fn render(&mut self, timestamp: u64) -> &Lines {
        let moment = self.next(timestamp);
        self.reader.read(&self.registry, moment, self.interval_secs);
        self.reader.lines()
    }

    /// Like [`render`](Self::render), but writes to `out` in pieces of about 768 KiB, while their
    /// lines are in the processor's cache. Returns the number of points.
    ///
    /// # Errors
    /// Errors of `out`. The collection is then complete; its remaining lines are lost.
    pub fn render_to(&mut self, timestamp: u64, out: &mut impl Write) -> io::Result<u64> {
        let moment = self.next(timestamp);
        let mut written = Ok(());
        let mut write = |lines: &mut Lines| {
            if written.is_ok() {
                written = out.write_all(lines.as_bytes());
            }
            lines.taken();
        };
        let mut parts = Parts { bytes: PART_BYTES, take: &mut write };
        self.reader.read_in_parts(&self.registry, moment, self.interval_secs, &mut parts);
        write(self.reader.lines());
        written.map(|()| self.reader.lines().points())
    }

    /// Begins a collection.
    fn next(&mut self, timestamp: u64) -> Moment {
        self.reader.lines().clear();
        Moment {
            timestamp,
            late: std::time::Duration::ZERO,
            now: std::time::Duration::from_secs(timestamp),
            skipped: 0,
            since_last_secs: self
                .last
                .replace(timestamp)
                .map(|last| timestamp.saturating_sub(last)),
        }
    }
}
