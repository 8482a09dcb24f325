//! samlare as a service: signals, reloads, and its own page.

mod own_page;

use std::path::{Path, PathBuf};

use tokio::time::Interval;

use crate::client::reread_trust;
use crate::collector::Collector;
use crate::config::{Config, Problem};
use crate::file_limit::FileLimit;
use crate::log::{Level, Log};
use crate::notify::Notify;
use crate::page::Page;
use crate::schedule::Clock;
use crate::shard::Shard;
use own_page::OwnPage;

/// The command line.
#[derive(Clone, Debug)]
pub struct Daemon {
    /// The configuration file.
    pub path: PathBuf,
    /// Overrides the file's `Shard`.
    pub shard: Option<Shard>,
}

/// A command to the running service.
enum Command {
    Reload,
    Stop(&'static str),
    Gather,
    Live,
}

impl Daemon {
    /// Loads the configuration, with warnings.
    ///
    /// # Errors
    /// Every error as a line of text with the file's name.
    pub fn load(&self) -> Result<(Config, Vec<Problem>), Vec<String>> {
        let (mut config, warnings) = load(&self.path)?;
        config.shard = self.shard.or(config.shard);
        Ok((config, warnings))
    }

    /// Polls until a signal ends it. SIGHUP reloads; SIGTERM and SIGINT send queued points and
    /// stop.
    ///
    /// # Errors
    /// Why it cannot start, as lines of text.
    pub async fn run(&self) -> Result<(), Vec<String>> {
        // First: a SIGHUP during start-up must not end the process.
        let mut signals = Signals::new().map_err(|error| vec![error.to_string()])?;
        let (config, warnings) = self.load()?;
        let log = Log::stderr(config.log_format);
        self.warn(&log, &warnings);
        let mut files = FileLimit::default();
        files.raise_for(config.endpoints.len(), &log);
        let notify = Notify::from_env();
        let page = Page::default();
        let mut own = OwnPage::new(page.clone());
        if let Some(address) = config.listen {
            own.begin(address).map_err(|error| {
                let problem = config.places.at("Listen", &error);
                vec![format!("{}: {problem}", self.path.display())]
            })?;
        }
        let endpoints = config.endpoints.len();
        let started =
            Collector::start(config.clone(), expvar::global(), Clock::System, log.clone());
        let mut collector = started.map_err(|error| {
            vec![format!("{}: {}", self.path.display(), config.places.problem(&error))]
        })?;
        page.show(collector.states());
        if let Err(error) = self.await_cluster(&mut collector).await {
            return Err(vec![format!("{}: cluster.Required: {error}", self.path.display())]);
        }
        // Sources may have answered already.
        files.raise_for(collector.states().polled().len(), &log);
        log.event(Level::Info, "starting", &[("endpoints", &endpoints)]);
        notify.tell(&format!("READY=1\nSTATUS=polling {endpoints} endpoints"));

        let mut pulse = Notify::watchdog().map(tokio::time::interval);
        let signal = loop {
            let command = tokio::select! {
                command = signals.next() => command,
                () = collector.changed() => Command::Gather,
                () = beat(&mut pulse) => Command::Live,
            };
            match command {
                Command::Live => notify.tell("WATCHDOG=1"),
                Command::Gather => {
                    collector.gather();
                    files.raise_for(collector.states().polled().len(), &log);
                }
                Command::Reload => {
                    notify.tell("RELOADING=1");
                    let ended = {
                        // A file system that hangs must not stop the watchdog's pulses.
                        let reload = self.reload(&mut collector, &mut own, &log);
                        tokio::pin!(reload);
                        loop {
                            tokio::select! {
                                () = &mut reload => break None,
                                () = beat(&mut pulse) => notify.tell("WATCHDOG=1"),
                                signal = signals.stop() => break Some(signal),
                            }
                        }
                    };
                    if let Some(signal) = ended {
                        break signal;
                    }
                    let endpoints = collector.states().polled().len();
                    files.raise_for(endpoints, &log);
                    notify.tell(&format!("READY=1\nSTATUS=polling {endpoints} endpoints"));
                }
                Command::Stop(signal) => break signal,
            }
        };
        notify.tell("STOPPING=1");
        log.event(Level::Info, "exiting", &[("signal", &signal)]);
        let within = collector.config().flush_timeout;
        let hands_over = collector.hands_over_within();
        if !hands_over.is_zero() {
            // A slot may last longer than the service manager's own timeout.
            let most = (hands_over + within).as_micros();
            notify.tell(&format!("EXTEND_TIMEOUT_USEC={most}"));
            let secs = hands_over.as_secs();
            log.event(Level::Info, "handing over to the other members", &[("within_secs", &secs)]);
        }
        let stopped = collector.stop(within);
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                _ = &mut stopped => return Ok(()),
                () = beat(&mut pulse) => notify.tell("WATCHDOG=1"),
                command = signals.next() => if let Command::Stop(signal) = command {
                    log.event(Level::Warn, "exiting at once", &[("signal", &signal)]);
                    return Ok(());
                }
            }
        }
    }

    /// Waits until the members are known, or the engine is found unreachable.
    async fn await_cluster(&self, collector: &mut Collector) -> Result<(), String> {
        let required = collector.config().cluster.as_ref().is_some_and(|set| set.required);
        let joined = collector.joined();
        tokio::pin!(joined);
        loop {
            let joined = tokio::select! {
                joined = &mut joined => joined,
                () = collector.changed() => {
                    collector.gather();
                    continue;
                }
            };
            collector.gather();
            return if required { joined } else { Ok(()) };
        }
    }

    async fn reload(&self, collector: &mut Collector, own: &mut OwnPage, log: &Log) {
        // Changed files apply whatever the configuration says.
        let unreadable = tokio::task::spawn_blocking(reread_trust).await.unwrap_or_default();
        for (path, error) in unreadable {
            log.event(
                Level::Error,
                "the old certificates stay",
                &[("file", &path.display()), ("error", &error)],
            );
        }
        let this = self.clone();
        let loaded = tokio::task::spawn_blocking(move || this.load()).await;
        let loaded = loaded.unwrap_or_else(|error| Err(vec![error.to_string()]));
        let (config, warnings) = match loaded {
            Ok(loaded) => loaded,
            Err(errors) => {
                for error in errors {
                    log.event(Level::Error, "the old configuration stays", &[("error", &error)]);
                }
                return;
            }
        };
        if config.is_empty() {
            let error = format!("{}: it is empty", self.path.display());
            log.event(Level::Error, "the old configuration stays", &[("error", &error)]);
            return;
        }
        self.warn(log, &warnings);
        own.change(config.listen, log).await;
        collector.apply(config);
        let endpoints = collector.states().reports().len();
        log.event(Level::Info, "reloaded", &[("endpoints", &endpoints)]);
    }

    fn warn(&self, log: &Log, warnings: &[Problem]) {
        for warning in warnings {
            log.event(
                Level::Warn,
                "configuration",
                &[
                    ("file", &self.path.display()),
                    ("line", &warning.line),
                    ("key", &warning.key),
                    ("error", &warning.message),
                ],
            );
        }
    }
}

/// Loads a configuration file; also returns warnings.
///
/// # Errors
/// Every error as a line of text with the file's name.
pub fn load(path: &Path) -> Result<(Config, Vec<Problem>), Vec<String>> {
    Config::load(path)
}

/// Waits for the watchdog's next pulse; forever without a watchdog.
async fn beat(pulse: &mut Option<Interval>) {
    match pulse {
        Some(pulse) => drop(pulse.tick().await),
        None => std::future::pending().await,
    }
}

#[cfg(unix)]
struct Signals {
    hangup: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Command {
        tokio::select! {
            _ = self.hangup.recv() => Command::Reload,
            _ = self.terminate.recv() => Command::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Command::Stop("SIGINT"),
        }
    }

    /// Waits for a signal to stop; others wait for [`next`](Self::next).
    async fn stop(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals)
    }

    async fn next(&mut self) -> Command {
        let _ = tokio::signal::ctrl_c().await;
        Command::Stop("interrupt")
    }

    async fn stop(&mut self) -> &'static str {
        let _ = tokio::signal::ctrl_c().await;
        "interrupt"
    }
}
