//! Sends points to an OpenTelemetry collector, each endpoint as a resource.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use expvar_otlp::{ConfigError, Driver, Number as Sent, Otlp, Points, Sender, Unsent};
use parking_lot::{Mutex, RwLock};
use serde_json::{Value, json};
use tokio::task::{AbortHandle, JoinHandle};

use crate::config::Endpoint;
use crate::document::{self, Number};
use crate::log::Log;
use crate::outage;

/// How long to gather points of several endpoints.
const GATHER: Duration = Duration::from_secs(1);
/// The size from which a request is sent at once.
const REQUEST_BYTES: usize = 1 << 20;

/// The OTLP output, if any; can be replaced while endpoints are polled.
#[derive(Default)]
pub struct Collector {
    open: RwLock<Option<Open>>,
    /// The task that ends the previous output.
    ending: Mutex<Option<JoinHandle<()>>>,
}

/// An open output.
struct Open {
    url: String,
    sender: Sender,
    gathered: Arc<Mutex<Points>>,
    gathering: AbortHandle,
}

/// Builds the sender and its driver.
///
/// # Errors
/// The URL is invalid. The error has a remedy.
fn sender(url: &str, log: Option<Log>) -> Result<(Sender, Driver), ConfigError> {
    let mut otlp = Otlp::new(url).without_env();
    if let Some(log) = log {
        otlp = otlp.on_event(move |event| outage::tell(&log, event));
    }
    otlp.sender()
}

/// Validates the URL; sends nothing.
///
/// # Errors
/// The problem.
pub fn check(url: &str) -> Result<(), ConfigError> {
    sender(url, None).map(drop)
}

impl Collector {
    /// Changes the collector, or stops sending. Points queued for the previous one go to the new
    /// one; without one, a task sends them within this time. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// The URL is invalid; nothing changes then.
    pub fn set(&self, url: Option<&str>, within: Duration, log: &Log) -> Result<(), ConfigError> {
        if self.read(|open| open.map(|open| open.url == url.unwrap_or_default())) == Some(true) {
            return Ok(());
        }
        let open = url.map(|url| Open::begin(url, log)).transpose()?;
        let next = open.as_ref().map(|open| open.sender.clone());
        if let Some(old) = self.replace(open) {
            let log = log.clone();
            let mut ending = self.ending.lock();
            let earlier = ending.take();
            *ending = Some(tokio::spawn(async move {
                // What that leaves to this one comes first.
                if let Some(earlier) = earlier {
                    let _ = earlier.await;
                }
                let unsent = match next {
                    Some(next) => old.leave_to(&next).await,
                    None => old.end(within).await,
                };
                outage::unsent(&log, &unsent, false);
            }));
        }
        Ok(())
    }

    /// Sends queued points within a deadline, and ends.
    pub async fn close(&self, within: Duration) -> Unsent {
        let earlier = self.ending.lock().take();
        if let Some(earlier) = earlier {
            let _ = tokio::time::timeout(within, earlier).await;
        }
        match self.replace(None) {
            Some(open) => open.end(within).await,
            None => Unsent::default(),
        }
    }

    /// Adds the numbers of an endpoint's document, if any, and the failure metric, if configured
    /// and `accuses` allows a failure.
    pub fn take(&self, endpoint: &Endpoint, document: Option<&[u8]>, secs: u64, accuses: bool) {
        self.read(|open| {
            let Some(open) = open else { return };
            SCRATCH.with_borrow_mut(|points| {
                render(endpoint, document, secs, accuses, points);
                open.gather(points);
            });
        });
    }

    /// The sender's statistics; null without one.
    pub fn shown(&self) -> Value {
        let Some(stats) = self.read(|open| open.map(|open| open.sender.stats())) else {
            return json!({});
        };
        json!({
            "requests": stats.requests,
            "requests_retried": stats.retries,
            "sent_bytes": stats.bytes,
            "points_accepted": stats.accepted,
            "points_rejected": stats.rejected,
            "points_dropped": stats.dropped,
        })
    }

    fn read<R>(&self, f: impl FnOnce(Option<&Open>) -> R) -> R {
        f(self.open.read().as_ref())
    }

    fn replace(&self, open: Option<Open>) -> Option<Open> {
        std::mem::replace(&mut *self.open.write(), open)
    }
}

impl Open {
    fn begin(url: &str, log: &Log) -> Result<Self, ConfigError> {
        let (sender, driver) = sender(url, Some(log.clone()))?;
        tokio::spawn(driver.run());
        let gathered = Arc::new(Mutex::new(Points::new()));
        let (sending, waiting) = (sender.clone(), gathered.clone());
        let gathering = tokio::spawn(async move {
            loop {
                tokio::time::sleep(GATHER).await;
                sending.send(&mut waiting.lock());
            }
        });
        Ok(Self { url: url.to_owned(), sender, gathered, gathering: gathering.abort_handle() })
    }

    fn gather(&self, points: &mut Points) {
        let mut gathered = self.gathered.lock();
        gathered.append(points);
        if gathered.bytes() >= REQUEST_BYTES {
            self.sender.send(&mut gathered);
        }
    }

    /// Leaves what is unsent to another collector.
    async fn leave_to(self, next: &Sender) -> Unsent {
        self.stop_gathering();
        next.take_over(&self.sender).await
    }

    fn stop_gathering(&self) {
        self.gathering.abort();
        self.sender.send(&mut self.gathered.lock());
    }

    async fn end(self, within: Duration) -> Unsent {
        self.stop_gathering();
        self.sender.shutdown(within).await
    }
}

thread_local! {
    /// Reading never blocks, so all endpoints of a thread share one buffer.
    static SCRATCH: RefCell<Points> = RefCell::default();
}

/// Converts an endpoint's document to points.
fn render(
    endpoint: &Endpoint,
    document: Option<&[u8]>,
    secs: u64,
    accuses: bool,
    points: &mut Points,
) {
    let url = endpoint.target.to_string();
    let name = if endpoint.prefix.is_empty() { &url } else { &endpoint.prefix };
    points.begin([
        ("service.name", name.as_str()),
        ("service.instance.id", &url),
        ("url.full", &url),
    ]);
    let time = secs.saturating_mul(1_000_000_000);
    let rules = &endpoint.polling.rules;
    let has_failed = document.is_none_or(|document| {
        let mut rendered = Rendered { points, time };
        document::read(document, "", rules, &mut rendered).is_err()
    });
    if has_failed {
        points.forget();
    }
    if let Some(metric) = endpoint.failure_metric.as_ref().filter(|_| accuses || !has_failed) {
        points.gauge(metric, Sent::from(has_failed), time);
    }
    points.end();
}

/// Numbers on their way into points.
struct Rendered<'p> {
    points: &'p mut Points,
    time: u64,
}

impl document::Points for Rendered<'_> {
    fn number(&mut self, path: &str, number: Number<'_>) {
        let number = match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Sent::Unsigned(number),
            (None, Some(number)) => Sent::Signed(number),
            (None, None) => Sent::Float(number.as_f64()),
        };
        self.points.gauge(path, number, self.time);
    }

    fn restart(&mut self) {
        self.points.forget();
    }
}
