//! The output of points: Carbon, or standard output.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use expvar_carbon::{ConfigError, Lines, Sender, SenderBuilder, Stats, Tls, Unsent};
use parking_lot::RwLock;
use xxhash_rust::xxh64::xxh64;

use crate::config::{Carbon, Rule};
use crate::log::{Level, Log};
use crate::outage;

/// Batches queued for a slow standard output; further ones are dropped and counted.
const PRINT_QUEUE: usize = 4096;

/// Receives lines of all endpoints; its destination can be replaced while they are polled.
pub struct Output {
    destination: RwLock<Destination>,
    /// Whether to print lines if there is no Carbon.
    prints: AtomicBool,
    log: Log,
}

enum Destination {
    Carbon(Sender),
    Print(SyncSender<Vec<u8>>),
    /// Closed.
    Closed,
}

impl Output {
    /// Opens the output: Carbon, or standard output without `carbon`. Must be called in a tokio
    /// runtime.
    ///
    /// # Errors
    /// A setting is invalid.
    pub fn open(carbon: Option<&Carbon>, log: &Log) -> Result<Output, ConfigError> {
        let destination = match carbon {
            None => Destination::Print(printer()),
            Some(carbon) => {
                let (sender, driver) = telling(carbon, log).build()?;
                let recovered = sender.stats().points_recovered;
                if recovered > 0 {
                    let message = "points of an earlier process are sent from SpoolDir";
                    log.event(Level::Info, message, &[("points", &recovered)]);
                }
                tokio::spawn(driver.run(std::future::pending()));
                Destination::Carbon(sender)
            }
        };
        let prints = AtomicBool::new(true);
        Ok(Output { destination: RwLock::new(destination), prints, log: log.clone() })
    }

    /// Sets whether to print lines without Carbon: not if points go elsewhere.
    pub fn set_prints(&self, prints: bool) {
        self.prints.store(prints, Relaxed);
    }

    /// Sends the lines and empties the buffer. Never blocks.
    pub fn send(&self, lines: &mut Lines) {
        match &*self.destination.read() {
            Destination::Carbon(sender) => sender.send(lines),
            Destination::Print(_) if !self.prints.load(Relaxed) => lines.clear(),
            Destination::Print(printer) => {
                // If the printer is behind or gone, the lines are dropped.
                let _ = printer.try_send(lines.as_bytes().to_vec());
                lines.clear();
            }
            Destination::Closed => lines.clear(),
        }
    }

    /// Changes the settings. Points queued for Carbon are kept in order; connections, and the whole
    /// queue if lines are printed from now on, get this time. Returns what was unsent and is
    /// discarded.
    ///
    /// # Errors
    /// A setting is invalid; nothing changes then.
    pub async fn exchange(
        &self,
        carbon: Option<&Carbon>,
        within: Duration,
    ) -> Result<Unsent, ConfigError> {
        match (self.sender(), carbon) {
            (Some(sender), Some(carbon)) => {
                sender.reconfigure(telling(carbon, &self.log), within).await?;
                Ok(Unsent::default())
            }
            (Some(sender), None) => {
                self.replace(Destination::Print(printer()));
                Ok(sender.shutdown(within).await)
            }
            (None, carbon) => {
                self.replace(Output::open(carbon, &self.log)?.destination.into_inner());
                Ok(Unsent::default())
            }
        }
    }

    /// Sends queued points within a deadline, and ends.
    pub async fn close(&self, within: Duration) -> Unsent {
        match self.replace(Destination::Closed) {
            Destination::Carbon(sender) => sender.shutdown(within).await,
            _ => Unsent::default(),
        }
    }

    /// The sender's statistics; `None` if lines are printed.
    pub fn stats(&self) -> Option<Stats> {
        self.sender().map(|sender| sender.stats())
    }

    /// Whether queued points are also on disk.
    pub fn has_spool(&self) -> bool {
        self.stats().is_some_and(|stats| stats.spool_bytes > 0)
    }

    fn sender(&self) -> Option<Sender> {
        match &*self.destination.read() {
            Destination::Carbon(sender) => Some(sender.clone()),
            _ => None,
        }
    }

    fn replace(&self, fresh: Destination) -> Destination {
        let mut destination = self.destination.write();
        std::mem::replace(&mut *destination, fresh)
    }
}

/// Carbon's settings with the content of their files.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The destinations; `None` prints lines.
    pub carbon: Option<Carbon>,
    /// A hash of each certificate and key; `None` for one that cannot be read.
    files: Vec<Option<u64>>,
}

impl Settings {
    /// Reads the files.
    pub fn of(carbon: Option<Carbon>) -> Settings {
        let mut files = Vec::new();
        if let Some(carbon) = &carbon {
            let (certificate, key) = carbon.client_certificate.clone().unzip();
            for path in [carbon.ca_file.clone(), certificate, key].into_iter().flatten() {
                files.push(std::fs::read(path).ok().map(|bytes| xxh64(&bytes, 0)));
            }
        }
        Settings { carbon, files }
    }
}

/// Validates the settings without creating a sender.
///
/// # Errors
/// A setting is invalid.
pub fn check(carbon: &Carbon) -> Result<(), ConfigError> {
    builder(&Carbon { spool_dir: None, ..carbon.clone() }).build().map(drop)
}

/// Validates a rule without creating a sender.
///
/// # Errors
/// A setting is invalid.
pub fn check_rule(rule: &Rule) -> Result<(), ConfigError> {
    let builder = Sender::builder().to("localhost:2003");
    builder.matching(&rule.pattern, rule.routing.cluster()).build().map(drop)
}

/// A sender builder that logs events.
fn telling(carbon: &Carbon, log: &Log) -> SenderBuilder {
    let log = log.clone();
    builder(carbon).on_event(move |event| outage::tell(&log, event))
}

fn builder(carbon: &Carbon) -> SenderBuilder {
    let mut tls = Tls::new();
    if let Some(path) = &carbon.ca_file {
        tls = tls.ca_file(path);
    }
    if let Some((certificate, key)) = &carbon.client_certificate {
        tls = tls.client_certificate(certificate, key);
    }
    if let Some(name) = &carbon.server_name {
        tls = tls.server_name(name);
    }
    let routing = &carbon.routing;
    let mut builder = Sender::builder()
        .route(routing.route)
        .dialect(routing.dialect)
        .diverse(routing.diverse)
        .queue_bytes(carbon.queue_bytes)
        .share_names(true)
        .tls(tls);
    for url in &routing.urls {
        builder = builder.to(url);
    }
    if let Some(copies) = routing.replication {
        builder = builder.replication(copies);
    }
    for rule in &carbon.rules {
        builder = builder.matching(&rule.pattern, rule.routing.cluster());
    }
    if let Some(window) = carbon.resend {
        builder = builder.resend_window(window);
    }
    if let Some(dir) = &carbon.spool_dir {
        builder = builder.spool_dir(dir);
    }
    builder
}

/// A thread that writes to standard output, so that a blocked reader blocks nothing else.
fn printer() -> SyncSender<Vec<u8>> {
    let (sender, batches) = sync_channel::<Vec<u8>>(PRINT_QUEUE);
    std::thread::spawn(move || {
        let mut out = std::io::stdout().lock();
        for batch in batches {
            if out.write_all(&batch).and_then(|()| out.flush()).is_err() {
                return;
            }
        }
    });
    sender
}
