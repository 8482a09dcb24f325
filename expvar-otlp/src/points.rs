//! Points of the program's own, such as those that it collects from other processes.

use std::fmt;
use std::time::Duration;

use expvar::Number;
use expvar::protobuf::Message;
use expvar_push::Unsent;

use crate::encode::attributes::{Attributes, Value};
use crate::encode::metric::{Kind, Metric, write_number};
use crate::encode::name;
use crate::encode::request::Envelope;
use crate::send::pack::Pack;
use crate::send::stats::Stats;

/// A buffer of points by resource, for requests. See [`Otlp::sender`](crate::Otlp::sender).
///
/// ```
/// use expvar_otlp::Points;
///
/// let mut points = Points::new();
/// points.begin([("service.name", "shop"), ("server.address", "10.0.0.7")]);
/// assert!(points.gauge("http.requests", 3_u64, 1_700_000_000_000_000_000));
/// points.end();
/// assert_eq!(points.count(), 1);
/// ```
#[derive(Debug, Default)]
pub struct Points {
    request: Message,
    envelope: Option<Envelope>,
    metrics: Message,
    name: String,
    /// Points in the request, and of the resource under construction.
    count: u64,
    open: u64,
}

impl Points {
    /// Creates an empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins the points of a resource with these attributes.
    pub fn begin<'a>(&mut self, resource: impl IntoIterator<Item = (&'a str, &'a str)>) {
        self.forget();
        let mut attributes = Attributes::default();
        for (key, value) in resource {
            attributes.push(key, Value::Text(value));
        }
        self.envelope = Some(Envelope::new(&attributes));
    }

    /// Adds a gauge at a time in nanoseconds since 1970. Characters that a metric's name must not
    /// have become `_`. Returns false for a name of more than 255 bytes.
    pub fn gauge(&mut self, name: &str, number: impl Into<Number>, time: u64) -> bool {
        self.name.clear();
        name::push(&mut self.name, name);
        if self.name.len() > name::MAX_BYTES {
            return false;
        }
        let (kind, none) = (Kind::Gauge, Attributes::default());
        let metric = Metric { name: &self.name, help: "", unit: "", kind };
        let number = number.into();
        metric.write(&mut self.metrics, |points| {
            write_number(points, kind, &none, (0, time), number);
        });
        self.open += 1;
        true
    }

    /// Removes the points of the resource under construction.
    pub fn forget(&mut self) {
        self.metrics.clear();
        self.open = 0;
    }

    /// Ends the resource's points.
    pub fn end(&mut self) {
        if let Some(envelope) = self.envelope.take()
            && self.open > 0
        {
            envelope.append(&mut self.request, self.metrics.as_bytes());
            self.count += self.open;
        }
        self.forget();
    }

    /// Appends the finished points of another buffer.
    pub fn append(&mut self, other: &mut Points) {
        self.request.append(other.request.as_bytes());
        self.count += other.count;
        other.clear();
    }

    /// The number of points of finished resources.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The size in bytes.
    pub fn bytes(&self) -> usize {
        self.request.len()
    }

    /// Removes all points and keeps the memory.
    pub fn clear(&mut self) {
        self.request.clear();
        self.count = 0;
        self.forget();
    }
}

/// Sends points of the program's own; made by [`Otlp::sender`](crate::Otlp::sender). Clones share
/// the queue.
///
/// ```
/// use expvar_otlp::{Otlp, Points};
///
/// # async fn run() -> Result<(), expvar_otlp::ConfigError> {
/// let (sender, driver) = Otlp::new("http://collector:4318").sender()?;
/// tokio::spawn(driver.run());
/// let mut points = Points::new();
/// points.begin([("service.name", "shop")]);
/// points.gauge("queue.length", 3_u64, 1_700_000_000_000_000_000);
/// points.end();
/// sender.send(&mut points);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing is sent without it"]
pub struct Sender {
    sender: crate::send::sender::Sender,
    pack: Pack,
}

impl Sender {
    pub(crate) fn new(sender: crate::send::sender::Sender, pack: Pack) -> Self {
        Self { sender, pack }
    }

    /// Queues the points as one request, and empties the buffer. Never blocks.
    pub fn send(&self, points: &mut Points) {
        let (count, request) = (points.count, points.request.as_bytes());
        if count > 0 {
            self.sender.push(self.pack.pack(request.to_vec().into()), count);
        }
        points.clear();
    }

    /// The statistics so far.
    pub fn stats(&self) -> Stats {
        self.sender.counts().stats()
    }

    /// The statistics as a map to publish, like `expvar.otlp` of a push.
    pub fn variables(&self) -> expvar::Map {
        let map = expvar::Map::new();
        self.sender.counts().show(&map);
        map
    }

    /// Ends another sender's driver, and queues what that has not sent, in order. The request that
    /// it was sending may arrive twice. Returns what is lost: all of it if the protocols or the
    /// compressions differ.
    ///
    /// Waits for the other driver, which must be running or dropped.
    pub async fn take_over(&self, before: &Sender) -> Unsent {
        if self.pack != before.pack {
            return before.shutdown(Duration::ZERO).await;
        }
        self.sender.take_over(&before.sender).await;
        Unsent::default()
    }

    /// Sends what is queued, ends the driver, and returns what is unsent when the time is over.
    pub async fn shutdown(&self, within: Duration) -> Unsent {
        self.sender.shutdown(within).await
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
