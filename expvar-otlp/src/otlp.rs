//! Pushes a registry to an OpenTelemetry collector at exact intervals.

mod plan;

use std::future::Future;
use std::time::Duration;

use expvar::Registry;
#[cfg(feature = "tls")]
use expvar_push::Tls;
use expvar_push::{ConfigError, Event, Observer, Unsent};

use crate::handle::{Feed, PushHandle};
use crate::push::{Parts, Push};
use crate::renderer::Renderer;
use crate::send::client::Client;
use crate::send::driver::Driver;
use crate::send::pack::{Compression, Protocol};
use crate::send::sender::Sender;
use crate::settings::{Histograms, Temporality};
use crate::view::View;
use plan::Plan;

const DEFAULT_QUEUE_BYTES: usize = 64 << 20;

/// Pushes a registry to an OpenTelemetry collector at exact intervals: OTLP over HTTP.
///
/// At each whole multiple of the interval every variable is collected, and its points have that
/// boundary as their time. They are sent after a short delay (up to a tenth of the interval,
/// different for each process), in requests of about a mebibyte, spread over a quarter of the
/// interval if there are many.
///
/// What is sent:
///
/// | variable | metric |
/// |---|---|
/// | `Counter`, and what is declared `counter` | a monotonic sum |
/// | `Gauge`, `FloatGauge` | a gauge, or if [mapped](View::up_down) so a sum that is not monotonic |
/// | `Histogram` | an exponential histogram, or one with explicit bounds: see [`Histograms`] |
/// | `Map`, `Family` | one metric whose points have the keys as attributes, named by the labels |
/// | `Func` | each number in its JSON: members' names follow the variable's, elements have the attribute `index` |
/// | `Text` | a gauge `<name>.info` of 1 with the attribute `value`; the texts of a map or structure whose name ends in `info` are the attributes of one point |
/// | `process` | under the names of the semantic conventions (`process.cpu.time`, …); the others as `expvar.process.…` |
/// | `memstats` | `memstats.heap_inuse` and so on; no convention covers a native process's heap |
///
/// Units are UCUM's (`By`, `ns`, `{requests}`), values are as recorded. A number above 2⁶³ - 1 is sent as a
/// floating-point number.
///
/// Its own statistics are the variable `expvar.otlp` in the same registry (`expvar.otlp.2` if that
/// name is taken).
///
/// ```no_run
/// let otlp = expvar_otlp::Otlp::new("http://collector:4318").service_name("shop").spawn()?;
/// // Keep it in `main` to push the last values when `main` returns or panics.
/// let _guard = otlp.drop_guard();
/// # Ok::<(), expvar_otlp::ConfigError>(())
/// ```
///
/// # The environment
/// Settings that the program does not set are taken from the environment, as specified; settings
/// for metrics precede those for all signals. An invalid value is ignored, reported as an event and
/// shown in `expvar.otlp`.
///
/// | variable | method | default |
/// |---|---|---|
/// | `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT`, used unchanged | [`new`](Self::new) | |
/// | `OTEL_EXPORTER_OTLP_ENDPOINT`, with `/v1/metrics` below it | [`new`](Self::new) | `http://localhost:4318` |
/// | `OTEL_EXPORTER_OTLP[_METRICS]_PROTOCOL` | [`protocol`](Self::protocol) | `http/protobuf`; `http/json`; `grpc` is an error |
/// | `OTEL_EXPORTER_OTLP[_METRICS]_COMPRESSION` | [`compression`](Self::compression) | `none`; `gzip` |
/// | `OTEL_EXPORTER_OTLP[_METRICS]_HEADERS` | [`header`](Self::header) | |
/// | `OTEL_EXPORTER_OTLP[_METRICS]_TIMEOUT` | [`timeout`](Self::timeout) | 10,000 ms |
/// | `OTEL_EXPORTER_OTLP[_METRICS]_CERTIFICATE`, `_CLIENT_CERTIFICATE`, `_CLIENT_KEY` | `tls` | the system's roots |
/// | `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE` | [`temporality`](Self::temporality) | `cumulative`; `delta`; `lowmemory` |
/// | `OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION` | [`histograms`](Self::histograms) | `base2_exponential_bucket_histogram`, which is exact here; `explicit_bucket_histogram` |
/// | `OTEL_METRIC_EXPORT_INTERVAL` | [`interval`](Self::interval) | 60,000 ms; rounded up to whole seconds |
/// | `OTEL_METRIC_EXPORT_TIMEOUT` | [`timeout`](Self::timeout), if it is shorter | 30,000 ms |
/// | `OTEL_SERVICE_NAME` | [`service_name`](Self::service_name) | `unknown_service:` and the program's name |
/// | `OTEL_RESOURCE_ATTRIBUTES` | [`resource`](Self::resource) | |
/// | `OTEL_SDK_DISABLED`, `OTEL_METRICS_EXPORTER=none` | nothing is sent | |
///
/// # Retries
///
/// A request waits in a bounded queue until it is answered; if the queue is full, the oldest one is
/// dropped. It is retried, after `Retry-After` or a pause of up to 1 s that doubles to 60 s, if no
/// connection could be made, if it was not written completely, or if the status is 429, 502, 503 or
/// 504. Any other response is final: the specification forbids a retry after any other 4xx or 5xx,
/// 500 included. Rejected points are counted, and reported with the server's message and a remedy.
///
/// # Deltas
///
/// A request that was written completely but not answered may have arrived. Totals are sent again:
/// a repeated point changes nothing. Deltas are not, because a repeated delta would count twice.
/// They are counted as `points_unanswered`, and a delta is never in two requests. A request that
/// was rejected, or only partly written, has not arrived and is sent again.
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is spawned or run"]
pub struct Otlp {
    endpoint: Option<String>,
    is_alone: bool,
    registry: Registry,
    headers: Vec<(String, String)>,
    service_name: Option<String>,
    resource: Vec<(String, String)>,
    interval: Option<Duration>,
    timeout: Option<Duration>,
    shutdown_timeout: Duration,
    queue_bytes: usize,
    protocol: Option<Protocol>,
    compression: Option<Compression>,
    temporality: Option<Temporality>,
    histograms: Option<Histograms>,
    views: Vec<View>,
    without_library: bool,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
    observer: Observer,
}

impl Otlp {
    /// Creates a push of the global registry to the collector at `endpoint`, every 60 s.
    ///
    /// The endpoint is the one for all signals: `/v1/metrics` is appended unless the URL ends in
    /// it.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self { endpoint: Some(endpoint.into()), ..Self::from_env() }
    }

    /// Creates a push of the global registry to the collector that the environment names.
    pub fn from_env() -> Self {
        Self {
            endpoint: None,
            is_alone: false,
            registry: expvar::global().clone(),
            headers: Vec::new(),
            service_name: None,
            resource: Vec::new(),
            interval: None,
            timeout: None,
            shutdown_timeout: Duration::from_secs(5),
            queue_bytes: DEFAULT_QUEUE_BYTES,
            protocol: None,
            compression: None,
            temporality: None,
            histograms: None,
            views: Vec::new(),
            without_library: false,
            #[cfg(feature = "tls")]
            tls: None,
            observer: Observer::default(),
        }
    }

    /// Ignores the environment.
    pub fn without_env(mut self) -> Self {
        self.is_alone = true;
        self
    }

    /// Sets the registry to read. Default: the global one.
    pub fn registry(mut self, registry: &Registry) -> Self {
        self.registry = registry.clone();
        self
    }

    /// Sets the interval of collections, in whole seconds.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = Some(interval);
        self
    }

    /// Sets the timeout of an attempt, from connecting to the response.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the shutdown timeout. Default: 5 s.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Sets how many bytes of requests to queue for an unreachable collector. Default: 64 MiB.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = bytes;
        self
    }

    /// Adds a header to each request, such as `authorization`.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the name of the service: the resource's `service.name`.
    pub fn service_name(mut self, name: impl Into<String>) -> Self {
        self.service_name = Some(name.into());
        self
    }

    /// Sets an attribute of the resource. Set by default: `service.instance.id` (a random UUID),
    /// `host.name`, `process.pid` and the SDK's. An empty value removes one.
    pub fn resource(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.resource.push((key.into(), value.into()));
        self
    }

    /// Sets the encoding of requests.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = Some(protocol);
        self
    }

    /// Sets the compression of requests.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = Some(compression);
        self
    }

    /// Sets whether to send totals or increases.
    pub fn temporality(mut self, temporality: Temporality) -> Self {
        self.temporality = Some(temporality);
        self
    }

    /// Sets how histograms are sent.
    pub fn histograms(mut self, histograms: Histograms) -> Self {
        self.histograms = Some(histograms);
        self
    }

    /// Adds a view; the last one of a variable wins.
    pub fn view(mut self, view: View) -> Self {
        self.views.push(view);
        self
    }

    /// Excludes the library's own variables: `memstats`, `process`, `cmdline` and names that begin
    /// with `expvar.`.
    pub fn without_library(mut self) -> Self {
        self.without_library = true;
        self
    }

    /// Sets trust and client identity for `https://` endpoints.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets an observer that is called when a problem for an operator begins and when it is over.
    /// An event's text is one line for a log.
    ///
    /// ```
    /// let otlp = expvar_otlp::Otlp::new("http://collector:4318").on_event(|event| eprintln!("{event}"));
    /// ```
    pub fn on_event(mut self, observer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Observer::new(observer);
        self
    }

    /// Pushes until `shutdown` resolves; then collects once more, sends what is queued within the
    /// [`shutdown_timeout`](Self::shutdown_timeout) and returns what is unsent.
    ///
    /// Runs as one task in the caller's tokio runtime.
    ///
    /// # Errors
    /// A setting is invalid. The error names it and a remedy.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<Unsent, ConfigError> {
        let (_handle, push) = self.build()?;
        Ok(push.run(shutdown).await)
    }

    /// Pushes from a thread of its own until the process ends or the handle closes it. Dropping the
    /// handle does not stop it: see [`PushHandle`] for what to keep in `main`.
    ///
    /// # Errors
    /// A setting is invalid, or no thread can be started. The error names a remedy.
    pub fn spawn(self) -> Result<PushHandle, ConfigError> {
        let (handle, push) = self.build()?;
        handle.spawn("expvar-otlp", push.run(std::future::pending()))
    }

    /// Builds the handle, and the push to run as a task in a tokio runtime.
    ///
    /// # Errors
    /// A setting is invalid. The error names it and a remedy.
    pub fn build(self) -> Result<(PushHandle, Push), ConfigError> {
        let plan = self.plan(|name| std::env::var(name).ok())?;
        let (feed, driver) = self.connect(&plan)?;
        let parts = Parts {
            registry: self.registry,
            interval: plan.interval,
            shutdown_timeout: self.shutdown_timeout,
            reader: plan.reader(),
            pack: plan.pack,
            problems: plan.problems,
            disabled: plan.disabled,
        };
        Ok(Push::new(parts, feed, driver))
    }

    /// Builds a sender for points of the program's own, and its driver, to run as a task in a tokio
    /// runtime. Registry, resource and views are not used.
    ///
    /// # Errors
    /// A setting is invalid. The error names it and a remedy.
    pub fn sender(self) -> Result<(crate::points::Sender, Driver), ConfigError> {
        let plan = self.plan(|name| std::env::var(name).ok())?;
        let (feed, driver) = self.connect(&plan)?;
        Ok((crate::points::Sender::new(feed.sender, plan.pack), driver))
    }

    fn connect(&self, plan: &Plan) -> Result<(Feed, Driver), ConfigError> {
        let destination = plan.endpoint.uri.to_string();
        let sender = Sender::new(destination, self.queue_bytes, self.observer.clone());
        #[allow(unused_mut, reason = "without TLS it needs nothing more")]
        let mut client = Client::new(plan.endpoint.clone(), plan.headers.clone(), plan.timeout);
        #[cfg(feature = "tls")]
        let identity = match plan.endpoint.is_tls {
            true => Some(expvar_push::Identity::new(plan.tls.clone())?),
            false => None,
        };
        #[cfg(feature = "tls")]
        identity.iter().for_each(|identity| client.identify(identity.clone()));
        let once = plan.settings.temporality != Temporality::Cumulative;
        let driver = Driver::new(sender.clone(), client, once);
        let feed = Feed {
            sender,
            #[cfg(feature = "tls")]
            identity,
        };
        Ok((feed, driver))
    }

    /// Builds a renderer with the settings of this push, without sending.
    ///
    /// # Errors
    /// A setting is invalid. The error names it and a remedy.
    pub fn renderer(self) -> Result<Renderer, ConfigError> {
        let plan = self.plan(|name| std::env::var(name).ok())?;
        Ok(Renderer::new(plan.reader(), self.registry))
    }
}

#[cfg(test)]
mod tests;
