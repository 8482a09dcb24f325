//! The settings of a [`Sender`].

use std::path::PathBuf;
use std::time::Duration;

use crate::send::address::{Address, Scheme};
use crate::send::driver::Driver;
use crate::send::lane::Policy;
use crate::send::network::Network;
use crate::send::sender::Sender;
use crate::send::setup::{LanePlan, Plan, spool_dir};
use crate::send::stats::Counts;
use expvar_push::ConfigError;
use expvar_push::{Event, Observer};
#[cfg(feature = "tls")]
use expvar_push::{Identity, Tls};

/// The settings of a [`Sender`], each with a default but the address.
#[derive(Debug, Clone)]
pub struct SenderBuilder {
    addresses: Vec<String>,
    copy: bool,
    timeout: Duration,
    queue_bytes: usize,
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
            addresses: Vec::new(),
            copy: false,
            timeout: Duration::from_secs(5),
            queue_bytes: 32 << 20,
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
        self.addresses.push(address.into());
        self
    }

    /// Sends everything to each server rather than to the first one that answers.
    pub fn copy(mut self, copy: bool) -> Self {
        self.copy = copy;
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
    /// nothing that it had taken over. One process to a directory; it is made where it does not
    /// exist, and takes at most the [`queue_bytes`](Self::queue_bytes) and two segments of an
    /// eighth of them. A disk that takes nothing is counted, and the queue stays in memory.
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
        let setup = prepared.begin(|index, opened| opened.lane(index, &counts));
        Ok(Sender::assemble(setup, counts))
    }

    /// Checks the settings and reads the files of [`tls`](Self::tls); opens nothing.
    pub(crate) fn plan(&self) -> Result<Plan, ConfigError> {
        let addresses: Vec<Address> =
            self.addresses.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        if addresses.is_empty() {
            return Err(ConfigError::new("to", "there is no server", "name one: graphite:2003"));
        }
        for (at, address) in addresses.iter().enumerate() {
            if addresses[..at].contains(address) {
                return Err(ConfigError::new(
                    "to",
                    format!("{address} is given twice"),
                    "name each server once",
                ));
            }
        }
        if self.timeout.is_zero() {
            return Err(ConfigError::new("timeout", "it is zero", "allow some seconds"));
        }
        if self.queue_bytes < 64 << 10 {
            return Err(ConfigError::new(
                "queue_bytes",
                format!("{} is too little to hold a batch", self.queue_bytes),
                "allow 65536 at least",
            ));
        }
        let network = self.network(&addresses)?;
        let lanes = if self.copy {
            addresses.into_iter().map(|address| vec![address]).collect()
        } else {
            vec![addresses]
        };
        let lanes = lanes.into_iter().map(|addresses: Vec<Address>| LanePlan {
            spool_dir: self.spool_dir.as_ref().map(|dir| spool_dir(dir, self.copy, &addresses)),
            addresses,
            queue_bytes: self.queue_bytes,
        });
        Ok(Plan {
            lanes: lanes.collect(),
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

    fn network(&self, addresses: &[Address]) -> Result<Network, ConfigError> {
        #[cfg(not(unix))]
        if addresses.iter().any(|a| a.scheme() == Scheme::Unix) {
            return Err(ConfigError::new("to", "this system has no unix://", "use tcp://"));
        }
        let wants_tls = addresses.iter().any(|a| a.scheme() == Scheme::Tls);
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
