//! Pushes a registry to Graphite at exact intervals.

use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use expvar::Registry;

use crate::handle::Handle;
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

/// Pushes a registry to Graphite at exact intervals, and loses nothing on the way.
///
/// At each whole multiple of the interval every variable is read, and its points carry that
/// boundary as their timestamp, so that each slot of a retention gets exactly one. They are handed
/// to a [`Sender`] a moment later (up to a tenth of the interval, different for each process) and,
/// where there are many, over a quarter of the interval.
///
/// What is sent:
///
/// | variable | points |
/// |---|---|
/// | `Counter`, and what is declared as counting | its total, or what was added ([`Counters`]) |
/// | `Gauge`, `FloatGauge` | its value; NaN and infinities never |
/// | `Histogram` | `.count .sum .min .max .mean .p50 .p90 .p95 .p99 .p999` of what was recorded since the reading before; nothing where nothing was |
/// | `Map` | each of its values, under its key |
/// | `Func` | each number in its JSON, under its keys; booleans as 0 and 1; arrays only when asked |
/// | `Text` | nothing |
///
/// What it does itself it shows as `expvar.carbon` in the same registry (`expvar.carbon.2` where
/// there is one already).
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
/// A push that is [spawned](Self::spawn) goes on when its handle is dropped. What the program does
/// last is pushed when `main` returns or panics where it keeps the
/// [`drop_guard`](Handle::drop_guard). That last reading has the timestamp of the interval it falls
/// in, or of the next one where that has its point already: up to one interval ahead.
///
/// Two runs within one interval are one point, the later one's. A tool that runs for a moment sends
/// its variables [once](Self::send_once), stamped with the second in which it ends, and
/// [without the library's own](Self::without_library); the finest retention of such names is a
/// second (`1s:`), or the prefix has a segment of its own for each run, such as `{pid}`.
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
    /// A push of the global registry to `address`, as [`Address`](crate::Address) writes it,
    /// every 60 s.
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

    /// Adds a server: the next one to try, or with [`copy`](Self::copy) another one to feed.
    pub fn to(mut self, address: impl Into<String>) -> Self {
        self.sender = self.sender.to(address);
        self
    }

    /// Sends everything to each server rather than to the first one that answers.
    pub fn copy(mut self, copy: bool) -> Self {
        self.sender = self.sender.copy(copy);
        self
    }

    /// Which of the servers get a point: see [`SenderBuilder::route`].
    pub fn route(mut self, route: Route) -> Self {
        self.sender = self.sender.route(route);
        self
    }

    /// How many servers get each point, where a hash chooses. Default: 1.
    pub fn replication(mut self, copies: usize) -> Self {
        self.sender = self.sender.replication(copies);
        self
    }

    /// Whose hashes are meant. carbon-c-relay's by default.
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.sender = self.sender.dialect(dialect);
        self
    }

    /// Whether the copies of a point go to different hosts.
    pub fn diverse(mut self, diverse: bool) -> Self {
        self.sender = self.sender.diverse(diverse);
        self
    }

    /// Sends the names that this pattern matches to these servers instead: see
    /// [`SenderBuilder::matching`].
    pub fn matching(mut self, pattern: impl Into<String>, cluster: Cluster) -> Self {
        self.sender = self.sender.matching(pattern, cluster);
        self
    }

    /// What stands before every name. `{host}`, `{pid}` and `{exe}` stand for one segment each:
    /// the host's name, this process's number, the name of its program.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How often values are read: whole seconds, 60 unless told. Graphite's finest retention for
    /// these names should be the same.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// The registry to read; the global one unless told.
    pub fn registry(mut self, registry: &Registry) -> Self {
        self.registry = registry.clone();
        self
    }

    /// How long each step of connecting and each write may take. 5 s unless told.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.sender = self.sender.timeout(timeout);
        self
    }

    /// How much is kept for servers that are away: see [`SenderBuilder::queue_bytes`].
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.sender = self.sender.queue_bytes(bytes);
        self
    }

    /// How far back to send again when a connection was lost: see
    /// [`SenderBuilder::resend_window`]. 10 s and one interval unless told.
    pub fn resend_window(mut self, window: Duration) -> Self {
        self.resend_window = Some(window);
        self
    }

    /// How long the end may take. 5 s unless told.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Keeps what is not sent on disk also: see [`SenderBuilder::spool_dir`].
    pub fn spool_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.sender = self.sender.spool_dir(dir);
        self
    }

    /// Whom to trust on `tls://` addresses, and who we are.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.sender = self.sender.tls(tls);
        self
    }

    /// Calls `observer` when something goes wrong that an operator wants to hear of, and when it is
    /// over: see [`SenderBuilder::on_event`].
    pub fn on_event(mut self, observer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.sender = self.sender.on_event(observer);
        self
    }

    /// Adds a tag that every point carries.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((key.into(), value.into()));
        self
    }

    /// Sends only what one of these patterns matches: full paths without the prefix, as they are
    /// sent. `*` is anything within a segment, `**` anything, `?` one character, `[a-z]` one of
    /// several, `{a,b}` either.
    pub fn include(mut self, pattern: impl Into<String>) -> Self {
        self.choices.include.push(pattern.into());
        self
    }

    /// Sends nothing that one of these patterns matches, whatever is included.
    pub fn exclude(mut self, pattern: impl Into<String>) -> Self {
        self.choices.exclude.push(pattern.into());
        self
    }

    /// Leaves out the library's own variables: `memstats`, `process`, `cmdline` and what begins with
    /// `expvar.`. What a tool counts itself is left.
    pub fn without_library(self) -> Self {
        self.exclude("{cmdline,memstats,process}").exclude("{cmdline,memstats,process,expvar}.**")
    }

    /// Sends the variable, or all that lies below it, under another path. Both are full paths
    /// without the prefix; patterns match the old one.
    pub fn rename(mut self, from: impl Into<String>, to: impl Into<String>) -> Self {
        self.choices.renames.push((from.into(), to.into()));
        self
    }

    /// What is sent of counters; their totals unless told.
    pub fn counters(mut self, counters: Counters) -> Self {
        self.choices.counters = counters;
        self
    }

    /// What is sent of the counters that this pattern matches; the first pattern counts.
    pub fn counters_matching(mut self, pattern: impl Into<String>, counters: Counters) -> Self {
        self.choices.counters_matching.push((pattern.into(), counters));
        self
    }

    /// Sends the elements of arrays too, under their index from 0.
    pub fn arrays(mut self, arrays: bool) -> Self {
        self.choices.arrays = arrays;
        self
    }

    /// Keeps only the letters and digits of ASCII in names, for relays that take no others: see
    /// [`Path::ascii`](crate::Path::ascii). Letters of every script pass unless told.
    pub fn ascii_names(mut self, ascii: bool) -> Self {
        self.choices.ascii = ascii;
        self
    }

    /// Pushes until `shutdown` resolves; then takes a last reading, sends what waits within the
    /// [`shutdown_timeout`](Self::shutdown_timeout) and returns what is left.
    ///
    /// One task of the tokio runtime that it is awaited in.
    ///
    /// # Errors
    /// When a setting cannot be used; the error names it and the remedy.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<Unsent, ConfigError> {
        let (_handle, push) = self.build()?;
        Ok(push.run(shutdown).await)
    }

    /// Pushes from a thread of its own for as long as the process runs, or until the handle closes
    /// it. Dropping the handle does not: see [`Handle`] for what to keep in `main`.
    ///
    /// # Errors
    /// When a setting cannot be used, or no thread can be had; the error names the remedy.
    pub fn spawn(self) -> Result<Handle, ConfigError> {
        let (handle, push) = self.build()?;
        handle.spawn(push)
    }

    /// Reads every variable once, stamped with the present second, sends it, and returns what is
    /// left when the [`shutdown_timeout`](Self::shutdown_timeout) is over: for programs that end.
    /// Blocks the thread; needs no runtime.
    ///
    /// # Errors
    /// When a setting cannot be used, or no thread can be had; the error names the remedy.
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

    /// Makes the handle, and the push to run as a task of a tokio runtime.
    ///
    /// # Errors
    /// When a setting cannot be used; the error names it and the remedy.
    pub fn build(self) -> Result<(Handle, Push), ConfigError> {
        let reader = self.reader()?;
        let (sender, driver) = self.configured_sender().build()?;
        let settings = Settings {
            interval: self.interval,
            shutdown_timeout: self.shutdown_timeout,
            registry: self.registry,
        };
        Ok(Push::new(settings, reader, sender, driver))
    }

    /// Renders as this push would, without sending.
    ///
    /// # Errors
    /// When a setting cannot be used; the error names it and the remedy.
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
