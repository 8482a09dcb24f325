//! Pushes a registry to Graphite at exact intervals.

use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use expvar::Registry;

use crate::handle::PushHandle;
use crate::push::{Push, Settings};
use crate::render::lines::Lines;
use crate::render::prefix;
use crate::render::reading::Reader;
use crate::render::renderer::Renderer;
use crate::render::selection::{Choices, Counters};
use crate::render::tags::Tags;
use crate::send::cluster::Cluster;
use crate::send::route::{Dialect, Route};
use crate::send::sender::Sender;
use crate::send::sender::builder::SenderBuilder;
#[cfg(feature = "tls")]
use expvar_push::Tls;
use expvar_push::{ConfigError, Event, Moment, Unsent};

/// Pushes a registry to Graphite at exact intervals, without losing points.
///
/// At each whole multiple of the interval every variable is read, and its points get that boundary
/// as their timestamp, so that each slot of a retention gets exactly one point. A [`Sender`] sends
/// them after a short delay (up to a tenth of the interval, different for each process), spread
/// over a quarter of the interval if there are many.
///
/// What is sent:
///
/// | variable | points |
/// |---|---|
/// | `Counter`, and what is declared `counter` | its total, or its increase ([`Counters`]) |
/// | `Gauge`, `FloatGauge` | its value; NaN and infinities are not sent |
/// | `Histogram` | `.count .sum .min .max .mean .p50 .p90 .p95 .p99 .p999` since the previous collection; nothing if nothing was recorded |
/// | `Map` | each of its values, under its key |
/// | `Func` | each number in its JSON, under its keys; booleans as 0 and 1; arrays only if [enabled](Self::arrays) |
/// | `Text` | nothing |
///
/// Its own statistics are the variable `expvar.carbon` in the same registry (`expvar.carbon.2` if
/// that name is taken).
///
/// ```no_run
/// use std::time::{Duration, SystemTime, UNIX_EPOCH};
/// use expvar_carbon::Carbon;
///
/// let carbon = Carbon::new("graphite:2003")
///     .prefix("apps.app1.{host}")
///     .interval(Duration::from_secs(60))
///     .spawn()?;
/// // … the service runs …
/// let left = carbon.close();
/// assert_eq!(left.points, 0);
/// # Ok::<(), expvar_carbon::ConfigError>(())
/// ```
///
/// # Programs that end
///
/// A push that was [spawned](Self::spawn) continues when its handle is dropped. Keep the
/// [`drop_guard`](expvar_push::PushHandle::drop_guard) in `main` to push the last values when `main`
/// returns or panics. This last collection has the timestamp of the current interval, or of the
/// next one if the current one already has its point: up to one interval in the future.
///
/// Two runs of a program within one interval produce one point, the later run's. A short-lived tool
/// should send its variables [once](Self::send_once), stamped with the second in which it ends, and
/// [without the library's own](Self::without_library). Give such names a finest retention of one
/// second (`1s:`), or a prefix that differs for each run, such as `{pid}`.
///
/// ```no_run
/// # use expvar_carbon::Carbon;
/// let left = Carbon::new("graphite:2003").prefix("tools.backup").without_library().send_once()?;
/// assert_eq!(left.points, 0, "Carbon is away");
/// # Ok::<(), expvar_carbon::ConfigError>(())
/// ```
#[doc(alias("Graphite", "GraphiteReporter"))]
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is spawned or run"]
pub struct Carbon {
    sender: SenderBuilder,
    prefix: String,
    interval: Duration,
    resend_window: Option<Duration>,
    shutdown_timeout: Duration,
    registry: Registry,
    tags: Vec<(String, String)>,
    choices: Choices,
}

impl Carbon {
    /// Creates a push of the global registry to `address` ([`Address`](crate::Address)) every 60 s.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            sender: Sender::builder().to(address),
            prefix: String::new(),
            interval: Duration::from_secs(60),
            resend_window: None,
            shutdown_timeout: Duration::from_secs(5),
            registry: expvar::global().clone(),
            tags: Vec::new(),
            choices: Choices::default(),
        }
    }

    /// Adds a server: a fallback, or with [`copy`](Self::copy) another receiver.
    pub fn to(mut self, address: impl Into<String>) -> Self {
        self.sender = self.sender.to(address);
        self
    }

    /// Sends everything to each server instead of the first one that answers.
    pub fn copy(mut self, copy: bool) -> Self {
        self.sender = self.sender.copy(copy);
        self
    }

    /// Sets which of the servers get a point. See [`SenderBuilder::route`].
    pub fn route(mut self, route: Route) -> Self {
        self.sender = self.sender.route(route);
        self
    }

    /// Sets how many servers get each point with a hash route. Default: 1.
    pub fn replication(mut self, copies: usize) -> Self {
        self.sender = self.sender.replication(copies);
        self
    }

    /// Sets whose hashes to use. Default: carbon-c-relay's.
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.sender = self.sender.dialect(dialect);
        self
    }

    /// Sets whether the copies of a point go to different hosts.
    pub fn diverse(mut self, diverse: bool) -> Self {
        self.sender = self.sender.diverse(diverse);
        self
    }

    /// Sends names that match this pattern to other servers. See [`SenderBuilder::matching`].
    pub fn matching(mut self, pattern: impl Into<String>, cluster: Cluster) -> Self {
        self.sender = self.sender.matching(pattern, cluster);
        self
    }

    /// Sets the prefix of all names. `{host}`, `{pid}` and `{exe}` are replaced by the host's name,
    /// the process id and the program's name, one segment each.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets the interval of collections in whole seconds. Default: 60 s. Graphite's finest
    /// retention for these names should be equal.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Sets the registry to read. Default: the global one.
    pub fn registry(mut self, registry: &Registry) -> Self {
        self.registry = registry.clone();
        self
    }

    /// Sets the timeout of each step of connecting and of each write. Default: 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.sender = self.sender.timeout(timeout);
        self
    }

    /// Sets how much to queue for unreachable servers. See [`SenderBuilder::queue_bytes`].
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.sender = self.sender.queue_bytes(bytes);
        self
    }

    /// Sets how far back to resend after a lost connection. See [`SenderBuilder::resend_window`].
    /// Default: 10 s and one interval.
    pub fn resend_window(mut self, window: Duration) -> Self {
        self.resend_window = Some(window);
        self
    }

    /// Sets the shutdown timeout. Default: 5 s.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Also keeps unsent points on disk. See [`SenderBuilder::spool_dir`].
    pub fn spool_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.sender = self.sender.spool_dir(dir);
        self
    }

    /// Sets trust and client identity for `tls://` addresses.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.sender = self.sender.tls(tls);
        self
    }

    /// Sets an observer that is called when a problem for an operator begins and when it is over.
    /// See [`SenderBuilder::on_event`].
    pub fn on_event(mut self, observer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.sender = self.sender.on_event(observer);
        self
    }

    /// Adds a tag to every point.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((key.into(), value.into()));
        self
    }

    /// Sends only paths that match one of these patterns: full paths as sent, without the prefix.
    /// `*` matches within a segment, `**` anything, `?` one character, `[a-z]` one of several,
    /// `{a,b}` either.
    pub fn include(mut self, pattern: impl Into<String>) -> Self {
        self.choices.include.push(pattern.into());
        self
    }

    /// Excludes paths that match one of these patterns, even if included.
    pub fn exclude(mut self, pattern: impl Into<String>) -> Self {
        self.choices.exclude.push(pattern.into());
        self
    }

    /// Excludes the library's own variables: `memstats`, `process`, `cmdline` and names that begin
    /// with `expvar.`. The program's own variables remain.
    pub fn without_library(self) -> Self {
        self.exclude("{cmdline,memstats,process}").exclude("{cmdline,memstats,process,expvar}.**")
    }

    /// Sends a variable, or a subtree, under another path. Both are full paths without the prefix;
    /// patterns match the old one.
    pub fn rename(mut self, from: impl Into<String>, to: impl Into<String>) -> Self {
        self.choices.renames.push((from.into(), to.into()));
        self
    }

    /// Sets what is sent of counters. Default: totals.
    pub fn counters(mut self, counters: Counters) -> Self {
        self.choices.counters = counters;
        self
    }

    /// Sets what is sent of counters that match this pattern; the first matching pattern wins.
    pub fn counters_matching(mut self, pattern: impl Into<String>, counters: Counters) -> Self {
        self.choices.counters_matching.push((pattern.into(), counters));
        self
    }

    /// Also sends the elements of arrays, under their index from 0. Default: false.
    pub fn arrays(mut self, arrays: bool) -> Self {
        self.choices.arrays = arrays;
        self
    }

    /// Keeps only ASCII letters and digits in names, for relays that accept no others. See
    /// [`Path::ascii`](crate::Path::ascii). Default: false; letters of every script are sent.
    pub fn ascii_names(mut self, ascii: bool) -> Self {
        self.choices.ascii = ascii;
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
        handle.spawn("expvar-carbon", push.run(std::future::pending()))
    }

    /// Collects once, stamped with the current second, sends the points, and returns what is unsent
    /// at the [`shutdown_timeout`](Self::shutdown_timeout). For short-lived programs. Blocks the
    /// thread; needs no runtime.
    ///
    /// # Errors
    /// A setting is invalid, or no thread can be started. The error names a remedy.
    #[doc(alias = "push_gateway")]
    pub fn send_once(self) -> Result<Unsent, ConfigError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (registry, within) = (self.registry.clone(), self.shutdown_timeout);
        let (interval_secs, mut reader) = (self.interval.as_secs(), self.reader()?);
        let sender = self.configured_sender().spawn()?;
        let moment = Moment {
            timestamp: now.as_secs(),
            late: Duration::ZERO,
            now,
            skipped: 0,
            since_last_secs: None,
        };
        reader.read(&registry, moment, interval_secs);
        sender.send(reader.lines());
        Ok(sender.close(within))
    }

    /// Builds the handle, and the push to run as a task in a tokio runtime.
    ///
    /// # Errors
    /// A setting is invalid. The error names it and a remedy.
    pub fn build(self) -> Result<(PushHandle, Push), ConfigError> {
        let reader = self.reader()?;
        let (sender, driver) = self.configured_sender().build()?;
        let settings = Settings {
            interval: self.interval,
            shutdown_timeout: self.shutdown_timeout,
            registry: self.registry,
        };
        Ok(Push::new(settings, reader, sender, driver))
    }

    /// Builds a renderer with the settings of this push, without sending.
    ///
    /// # Errors
    /// A setting is invalid. The error names it and a remedy.
    pub fn renderer(self) -> Result<Renderer, ConfigError> {
        let reader = self.reader()?;
        Ok(Renderer::new(reader, self.registry, self.interval.as_secs()))
    }

    fn configured_sender(&self) -> SenderBuilder {
        let window = self.resend_window.unwrap_or(Duration::from_secs(10) + self.interval);
        let sender = self.sender.clone().resend_window(window);
        sender.shutdown_timeout(self.shutdown_timeout)
    }

    fn reader(&self) -> Result<Reader, ConfigError> {
        let whole = self.interval.subsec_nanos() == 0 && self.interval.as_secs() > 0;
        if !whole || self.interval.as_secs() > 1 << 30 {
            return Err(ConfigError::new(
                "interval",
                format!("{:?} is no number of seconds that Graphite can keep", self.interval),
                "use whole seconds, at least one: Duration::from_secs(60)",
            ));
        }
        let prefix = prefix::expand(&self.prefix)?;
        let tags = self.tags.iter().try_fold(Tags::new(), |tags, (k, v)| tags.with(k, v))?;
        Ok(Reader::new(&prefix, self.choices.check()?, Lines::tagged(tags)))
    }
}
