//! The settings of a [`Sender`].

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::send::address::{Address, Scheme};
use crate::send::cluster::Cluster;
use crate::send::destination::Policy;
use crate::send::driver::Driver;
use crate::send::network::Network;
use crate::send::route::{Dialect, Route};
use crate::send::routing::{Destinations, Routing};
use crate::send::sender::Sender;
use crate::send::setup::{DestinationPlan, Plan, spool_dir, unread};
use crate::send::stats::Counts;
use expvar_push::ConfigError;
use expvar_push::{Event, Observer};
#[cfg(feature = "tls")]
use expvar_push::{Identity, Tls};

/// The minimum size of a queue: a batch.
const QUEUE_MIN_BYTES: usize = 64 << 10;

/// The settings of a [`Sender`]. All but the address have a default.
///
/// ```
/// use expvar_carbon::{Lines, Sender};
///
/// let sender = Sender::builder().to("127.0.0.1:2003").queue_bytes(1 << 20).spawn()?;
/// let mut lines = Lines::new();
/// lines.point("jobs.done", 7_u64, 1_700_000_000);
/// sender.send(&mut lines);
/// # Ok::<(), expvar_carbon::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is spawned or its driver runs"]
pub struct SenderBuilder {
    cluster: Cluster,
    /// Clusters for names that match a pattern.
    rules: Vec<(String, Cluster)>,
    timeout: Duration,
    queue_bytes: usize,
    share_names: bool,
    resend_window: Duration,
    shutdown_timeout: Duration,
    spool_dir: Option<PathBuf>,
    observer: Observer,
    #[cfg(feature = "tls")]
    tls: Tls,
}

impl SenderBuilder {
    pub(crate) fn new() -> Self {
        Self {
            cluster: Cluster::default(),
            rules: Vec::new(),
            timeout: Duration::from_secs(5),
            queue_bytes: 32 << 20,
            share_names: false,
            resend_window: Duration::from_secs(10),
            shutdown_timeout: Duration::from_secs(5),
            spool_dir: None,
            observer: Observer::default(),
            #[cfg(feature = "tls")]
            tls: Tls::new(),
        }
    }

    /// Adds a server ([`Address`]). Of several, the first that answers is used, and preferred ones
    /// are retried every minute.
    pub fn to(mut self, address: impl Into<String>) -> Self {
        self.cluster = self.cluster.and(address);
        self
    }

    /// Sends everything to each server instead of the first one that answers: [`Route::Copy`].
    pub fn copy(mut self, copy: bool) -> Self {
        self.cluster.route = if copy { Route::Copy } else { Route::Failover };
        self
    }

    /// Sets which of the servers get a point. Default: the first one that answers. Each server, or
    /// each order of servers, has its own queue, spool and resend window, and an equal share of
    /// [`queue_bytes`](Self::queue_bytes).
    pub fn route(mut self, route: Route) -> Self {
        self.cluster.route = route;
        self
    }

    /// Sets how many servers get each point with a hash route. Default: 1.
    pub fn replication(mut self, copies: usize) -> Self {
        self.cluster.replication = Some(copies);
        self
    }

    /// Sets whose hashes to use. Default: carbon-c-relay's.
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.cluster.dialect = dialect;
        self
    }

    /// Sets whether the copies of a point go to different hosts (carbon-relay's
    /// `DIVERSE_REPLICAS`).
    pub fn diverse(mut self, diverse: bool) -> Self {
        self.cluster.diverse = diverse;
        self
    }

    /// Sends names that match this pattern to other servers; the first matching pattern wins. A
    /// pattern matches the whole name as sent, including prefix and tags: `*` within a segment,
    /// `**` anything, `?` one character, `[a-z]` one of several, `{a,b}` either.
    pub fn matching(mut self, pattern: impl Into<String>, cluster: Cluster) -> Self {
        self.rules.push((pattern.into(), cluster));
        self
    }

    /// Sets the timeout of each step of connecting and of each write. Default: 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how many bytes to keep for all servers together, queued or within the resend window;
    /// beyond that the oldest are dropped. Default: 32 MiB. Minimum: 64 KiB.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = bytes;
        self
    }

    /// Keeps the names of sent lines once for all lines of the
    /// [`resend_window`](Self::resend_window) that share them. For programs where each
    /// [`send`](Sender::send) has the points of one service. Such lines take about a fifth of the
    /// memory, for about 20 ns of CPU a line; they count in `queue_bytes` as before. Default:
    /// false.
    pub fn share_names(mut self, share: bool) -> Self {
        self.share_names = share;
        self
    }

    /// Sets how far back to resend after a lost connection. Default: 10 s.
    ///
    /// A server that dies may have acknowledged points that it never stored; resent points
    /// overwrite themselves. Aggregators would count them twice: give them a window of zero, and
    /// only points not known to be acknowledged by the server's kernel are resent. That is known
    /// exactly if the network was cut or the server closed the connection, and as of about a second
    /// before if the connection was reset.
    pub fn resend_window(mut self, window: Duration) -> Self {
        self.resend_window = window;
        self
    }

    /// Sets the default shutdown timeout, used when the last handle is dropped or the future given
    /// to [`Driver::run`] resolves. Default: 5 s.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Also keeps the queue in this directory, so that a restart or a crash of this process loses
    /// nothing: when [`Sender::send`] returns, the operating system has the lines. A power failure
    /// loses what is not on the disk itself yet, at most an eighth of the queue.
    ///
    /// Each process needs a directory of its own. It is created if missing, also later, and takes
    /// at most [`queue_bytes`](Self::queue_bytes) plus two segments of an eighth of that. Failed
    /// writes are counted and reported; the queue then stays in memory, and the write is retried
    /// every 5 s. A damaged record loses only its own points. Files of a later version, and foreign
    /// files, are left unchanged and reported.
    ///
    /// After a crash, what was sent within the [`resend_window`](Self::resend_window) and half a
    /// second is resent.
    pub fn spool_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.spool_dir = Some(dir.into());
        self
    }

    /// Sets trust and client identity for `tls://` addresses.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// Sets an observer that is called when a problem for an operator begins and when it is over: a
    /// destination accepts no points, points are dropped or rejected, the spool fails. Default: none.
    /// [`Stats`](crate::Stats) counts all of them in any case.
    ///
    /// It is called on the sender's own thread or task, which waits for it: pass the event to a log
    /// that does not block. If it panics, the sender continues.
    ///
    /// ```
    /// use expvar_carbon::Sender;
    ///
    /// let sender = Sender::builder().to("graphite:2003").on_event(|event| {
    ///     let level = if event.is_trouble() { "WARN" } else { "INFO" };
    ///     eprintln!("{level} {event}");
    /// });
    /// ```
    pub fn on_event(mut self, observer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Observer::new(observer);
        self
    }

    /// Builds the handle, and the driver to run in a tokio runtime.
    ///
    /// # Errors
    /// A setting is invalid. The error names it and a remedy.
    pub fn build(self) -> Result<(Sender, Driver), ConfigError> {
        let mut counts = Counts::default();
        counts.observer = self.observer.clone();
        let prepared = self.plan()?.open(&[])?;
        if let Some(dir) = &self.spool_dir {
            counts.tell(unread(dir, &prepared, self.queue_bytes));
        }
        let setup = prepared.begin(|index, opened| opened.destination(index, &counts));
        Ok(Sender::assemble(setup, counts))
    }

    /// Validates the settings and reads the files of [`tls`](Self::tls); opens nothing.
    pub(crate) fn plan(&self) -> Result<Plan, ConfigError> {
        let rules = self.rules.iter().map(|(p, cluster)| (Some(p.clone()), cluster.clone()));
        let settings = rules.chain([(None, self.cluster.clone())]).collect();
        let Destinations { addresses, routing } = Routing::plan(settings)?;
        if self.timeout.is_zero() {
            return Err(ConfigError::new("timeout", "it is zero", "allow some seconds"));
        }
        if self.queue_bytes < QUEUE_MIN_BYTES {
            return Err(ConfigError::new(
                "queue_bytes",
                format!("{} is too little to hold a batch", self.queue_bytes),
                "allow 65536 at least",
            ));
        }
        let network = self.network(&addresses)?;
        // Copies share the memory of queued lines; otherwise each destination has its own.
        let share = if routing.splits() { addresses.len() } else { 1 };
        let queue_bytes = (self.queue_bytes / share).max(QUEUE_MIN_BYTES);
        let is_alone = addresses.len() == 1;
        let destinations =
            addresses.into_iter().enumerate().map(|(at, addresses)| DestinationPlan {
                spool_dir: self.spool_dir.as_ref().map(|dir| {
                    spool_dir(dir, (!is_alone).then_some(&addresses[0]), routing.rule_of(at))
                }),
                addresses,
                queue_bytes,
                share_names: self.share_names,
            });
        Ok(Plan {
            destinations: destinations.collect(),
            routing: Arc::new(routing),
            network,
            policy: Policy { timeout: self.timeout, window: self.resend_window },
            shutdown_timeout: self.shutdown_timeout,
        })
    }

    /// Builds the sender and runs it on a thread of its own.
    ///
    /// # Errors
    /// As [`build`](Self::build), and if no thread can be started.
    pub fn spawn(self) -> Result<Sender, ConfigError> {
        let (sender, driver) = self.build()?;
        sender.spawn(driver)
    }

    fn network(&self, destinations: &[Vec<Address>]) -> Result<Network, ConfigError> {
        #[cfg(not(unix))]
        if destinations.iter().flatten().any(|a| a.scheme() == Scheme::Unix) {
            return Err(ConfigError::new("to", "this system has no unix://", "use tcp://"));
        }
        let wants_tls = destinations.iter().flatten().any(|a| a.scheme() == Scheme::Tls);
        #[cfg(not(feature = "tls"))]
        if wants_tls {
            return Err(ConfigError::new(
                "to",
                "tls:// is not built in",
                "enable the feature `tls` of expvar-carbon",
            ));
        }
        Ok(Network {
            #[cfg(feature = "tls")]
            tls: wants_tls.then(|| Identity::new(self.tls.clone())).transpose()?,
        })
    }
}
