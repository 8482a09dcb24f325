//! Where the points go: to Carbon, or to standard output.

use std::io::Write;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use expvar_carbon::{ConfigError, Driver, Left, Lines, Sender, Stats, Tls};

use crate::config::Carbon;

/// Batches that may wait for a slow standard output; past that they are dropped and counted.
const PRINT_QUEUE: usize = 4096;

/// Takes lines from all endpoints; its destination can be exchanged while they poll.
pub struct Output {
    destination: RwLock<Destination>,
}

enum Destination {
    Carbon(Sender),
    Print(SyncSender<Vec<u8>>),
    /// One sender has ended and the next has not begun: what comes meanwhile is kept.
    Between(Mutex<Vec<Lines>>),
}

/// What between two senders is kept at most: about a second of the largest installation.
const BETWEEN_BATCHES: usize = 16_384;

impl Output {
    /// Begins to send, or to print where there is no `carbon`. Call it in a tokio runtime.
    ///
    /// # Errors
    /// A setting that cannot be used.
    pub fn open(carbon: Option<&Carbon>) -> Result<Output, ConfigError> {
        Ok(Output { destination: RwLock::new(destination(carbon)?) })
    }

    /// Takes the lines over and leaves the buffer empty. Never waits.
    pub fn send(&self, lines: &mut Lines) {
        match &*self.destination.read().unwrap_or_else(PoisonError::into_inner) {
            Destination::Carbon(sender) => sender.send(lines),
            Destination::Print(printer) => {
                // A printer that is behind or gone has no use for more.
                let _ = printer.try_send(lines.as_bytes().to_vec());
                lines.clear();
            }
            Destination::Between(kept) => {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.len() < BETWEEN_BATCHES {
                    kept.push(lines.clone());
                }
                lines.clear();
            }
        }
    }

    /// Sends what waits to the old destination, within a deadline, then begins with the new one.
    /// Returns what could not be sent; a spool keeps it.
    ///
    /// # Errors
    /// A setting that cannot be used; then lines are printed. Check it before with [`check`].
    pub async fn exchange(
        &self,
        carbon: Option<&Carbon>,
        within: Duration,
    ) -> Result<Left, ConfigError> {
        let old = self.replace(Destination::Between(Mutex::default()));
        let left = old.end(within).await;
        let fresh = destination(carbon)?;
        if let Destination::Between(kept) = self.replace(fresh) {
            for mut lines in kept.into_inner().unwrap_or_else(PoisonError::into_inner) {
                self.send(&mut lines);
            }
        }
        Ok(left)
    }

    /// Sends what waits within a deadline, and ends.
    pub async fn close(&self, within: Duration) -> Left {
        self.replace(Destination::Between(Mutex::default())).end(within).await
    }

    /// What the sender counts; `None` where lines are printed.
    pub fn stats(&self) -> Option<Stats> {
        match &*self.destination.read().unwrap_or_else(PoisonError::into_inner) {
            Destination::Carbon(sender) => Some(sender.stats()),
            _ => None,
        }
    }

    fn replace(&self, fresh: Destination) -> Destination {
        let mut destination = self.destination.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *destination, fresh)
    }
}

impl Destination {
    async fn end(self, within: Duration) -> Left {
        match self {
            Destination::Carbon(sender) => sender.shutdown(within).await,
            _ => Left::default(),
        }
    }
}

/// Whether a sender could be made of these settings; makes none.
///
/// # Errors
/// The setting that cannot be used.
pub fn check(carbon: &Carbon) -> Result<(), ConfigError> {
    build(&Carbon { spool_dir: None, ..carbon.clone() }).map(drop)
}

fn build(carbon: &Carbon) -> Result<(Sender, Driver), ConfigError> {
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
    let mut builder =
        Sender::builder().copy(carbon.copies).queue_bytes(carbon.queue_bytes).tls(tls);
    for url in &carbon.urls {
        builder = builder.to(url);
    }
    if let Some(window) = carbon.resend {
        builder = builder.resend_window(window);
    }
    if let Some(dir) = &carbon.spool_dir {
        builder = builder.spool_dir(dir);
    }
    builder.build()
}

fn destination(carbon: Option<&Carbon>) -> Result<Destination, ConfigError> {
    let Some(carbon) = carbon else { return Ok(Destination::Print(printer())) };
    let (sender, driver) = build(carbon)?;
    tokio::spawn(driver.run(std::future::pending()));
    Ok(Destination::Carbon(sender))
}

/// A thread that writes to standard output, so that a reader who stops reading stops nobody else.
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
