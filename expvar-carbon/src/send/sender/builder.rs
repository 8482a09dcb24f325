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
use crate::send::setup::{DestinationPlan, Plan, spool_dir};
use crate::send::stats::Counts;
use expvar_push::ConfigError;
use expvar_push::{Event, Observer};
#[cfg(feature = "tls")]
use expvar_push::{Identity, Tls};

/// What a queue holds at least: a batch.
const QUEUE_MIN_BYTES: usize = 64 << 10;

/// The settings of a [`Sender`], each with a default but the address.
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
    /// Clusters that get the names which a pattern matches instead.
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

    /// Adds a server, as [`Address`] writes it. Of several, the first one that answers is used,
    /// and the preferred ones are tried again every minute.
    pub fn to(mut self, address: impl Into<String>) -> Self {
        self.cluster = self.cluster.and(address);
        self
    }

    /// Sends everything to each server rather than to the first one that answers:
    /// [`Route::Copy`].
    pub fn copy(mut self, copy: bool) -> Self {
        self.cluster.route = if copy { Route::Copy } else { Route::Failover };
        self
    }

    /// Which of the servers get a point; the first that answers by default. Each server, or each
    /// preference of servers, has its own queue, spool and resend window, and its equal share of
    /// [`queue_bytes`](Self::queue_bytes).
    pub fn route(mut self, route: Route) -> Self {
        self.cluster.route = route;
        self
    }

    /// How many servers get each point, where a hash chooses. Default: 1.
    pub fn replication(mut self, copies: usize) -> Self {
        self.cluster.replication = Some(copies);
        self
    }

    /// Whose hashes are meant. carbon-c-relay's by default.
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.cluster.dialect = dialect;
        self
    }

    /// Whether the copies of a point go to different hosts (carbon-relay's `DIVERSE_REPLICAS`).
    pub fn diverse(mut self, diverse: bool) -> Self {
        self.cluster.diverse = diverse;
        self
    }

    /// Sends the names that this pattern matches to these servers instead; the first pattern
    /// counts. A pattern is of the whole name as it is sent, prefix and tags included: `*` is
    /// anything within a segment, `**` anything, `?` one character, `[a-z]` one of several,
    /// `{a,b}` either.
    pub fn matching(mut self, pattern: impl Into<String>, cluster: Cluster) -> Self {
        self.rules.push((pattern.into(), cluster));
        self
    }

    /// How long each step of connecting and each write may take. 5 s unless told.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How much is kept for all servers together, waiting or perhaps to be sent again; past it
    /// the oldest is dropped. 32 MiB unless told, 64 KiB at least.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = bytes;
        self
    }

    /// Keeps the names of what was sent only once for all lines of the
    /// [`resend_window`](Self::resend_window) that have them, where each [`send`](Sender::send)
    /// brings the readings of one service. Those lines take about a fifth of the memory then, for
    /// some 20 ns of CPU a line; they count in `queue_bytes` as before. Default: false.
    pub fn share_names(mut self, share: bool) -> Self {
        self.share_names = share;
        self
    }

    /// How far back to send again when a connection was lost. 10 s unless told.
    ///
    /// A server that dies has acknowledged points that it never stored; sent again they overwrite
    /// themselves. Aggregators would count them twice: give them a window of zero, and only what
    /// the server's kernel is not known to have acknowledged is sent again. That is known exactly
    /// where the network was cut or the server closed the connection, and as of a second or so
    /// before where it was reset.
    pub fn resend_window(mut self, window: Duration) -> Self {
        self.resend_window = window;
        self
    }

    /// How long the end may take when it is not told how long: when the last handle goes, or the
    /// future given to [`Driver::run`] resolves. 5 s unless told.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Keeps the queue in this directory also, so that a restart or a crash of this process loses
    /// nothing that it had taken over: when [`Sender::send`] returns, the system has it. A machine
    /// without power loses what is not on the disk itself yet, an eighth of the queue at most.
    ///
    /// One process to a directory; it is made where it does not exist, or exists no more, and takes
    /// at most the [`queue_bytes`](Self::queue_bytes) and two segments of an eighth of them. A disk
    /// that takes nothing is counted and told, and the queue stays in memory; it is tried again
    /// each 5 s. A damaged record costs its own points. Files of a later release, and files that
    /// are none of ours, are left as they are and named.
    ///
    /// After a crash, what was sent within the [`resend_window`](Self::resend_window) and half a
    /// second is sent again.
    pub fn spool_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.spool_dir = Some(dir.into());
        self
    }

    /// Whom to trust on `tls://` addresses, and who we are.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// Calls `observer` when something goes wrong that an operator wants to hear of, and when it is
    /// over: a destination goes away, points are dropped or refused, the spool fails. Nobody is
    /// told unless this is set; [`Stats`](crate::Stats) counts all of it either way.
    ///
    /// It is called on the sender's own thread or task, which waits for it: hand the event on to a
    /// log that does not block. Where it panics the sender goes on.
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

    /// Makes the handle, and the driver to run in a tokio runtime.
    ///
    /// # Errors
    /// When a setting cannot be used; the error names it and the remedy.
    pub fn build(self) -> Result<(Sender, Driver), ConfigError> {
        let mut counts = Counts::default();
        counts.observer = self.observer.clone();
        let prepared = self.plan()?.open(&[])?;
        let setup = prepared.begin(|index, opened| opened.destination(index, &counts));
        Ok(Sender::assemble(setup, counts))
    }

    /// Checks the settings and reads the files of [`tls`](Self::tls); opens nothing.
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
        // Copies share the memory of what waits; otherwise each destination holds its own.
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

    /// Makes the sender and runs it on a thread of its own.
    ///
    /// # Errors
    /// As [`build`](Self::build), and when no thread can be had.
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
