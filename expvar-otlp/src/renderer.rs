//! Encodes what a push would send, without sending.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use expvar::Registry;

use crate::encode::json;
use crate::encode::reader::Reader;
use crate::encode::refusal::Refused;

/// Encodes a registry as a push with the same settings would. Made by
/// [`Otlp::renderer`](crate::Otlp::renderer).
///
/// Deltas cover the time since its own previous collection.
///
/// ```
/// let registry = expvar::Registry::new();
/// registry.publish("requests", expvar::Counter::new())?.add(3);
/// let otlp = expvar_otlp::Otlp::new("http://collector:4318").without_env().registry(&registry);
/// let json = otlp.renderer()?.to_json();
/// assert!(json.contains("\"name\":\"requests\""), "{json}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Renderer {
    reader: Reader,
    registry: Registry,
}

impl fmt::Debug for Renderer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renderer").field("refused", &self.refused()).finish_non_exhaustive()
    }
}

impl Renderer {
    pub(crate) fn new(reader: Reader, registry: Registry) -> Self {
        Self { reader, registry }
    }

    /// Collects every variable now, and returns the requests: `ExportMetricsServiceRequest` as
    /// protobuf, more than one if there are many points.
    pub fn to_requests(&mut self) -> Vec<Bytes> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.to_requests_at(now.as_nanos() as u64)
    }

    /// Like [`to_requests`](Self::to_requests), with points of this time, in nanoseconds since
    /// 1970.
    pub fn to_requests_at(&mut self, time: u64) -> Vec<Bytes> {
        self.reader.read(&self.registry, time);
        std::iter::from_fn(|| self.reader.parts.take()).map(|(request, _)| request).collect()
    }

    /// Reads every variable now, encodes it into memory that is kept, and returns how many points
    /// and bytes that are.
    #[doc(hidden)]
    pub fn encode(&mut self, time: u64) -> (u64, usize) {
        self.reader.read(&self.registry, time);
        self.reader.parts.weight()
    }

    /// Collects every variable now, and returns the requests as JSON, one on each line.
    pub fn to_json(&mut self) -> String {
        let mut out = Vec::new();
        for request in self.to_requests() {
            json::write_request(&mut out, &request);
            out.push(b'\n');
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Points that the last collection rejected.
    pub fn refused(&self) -> Refused {
        self.reader.refused()
    }
}
