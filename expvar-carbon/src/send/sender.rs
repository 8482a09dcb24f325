//! The sender's handle: accepts rendered lines, flushes, shuts down.

pub(crate) mod builder;

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use expvar::{Func, Map};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::render::lines::Lines;
use crate::send::driver::{Change, Driver, Shared};
use crate::send::sender::builder::SenderBuilder;
use crate::send::setup::Setup;
use crate::send::stats::{Counts, Stats};
use expvar_push::Batch;
use expvar_push::Unsent;
use expvar_push::{ConfigError, spawn};

/// The maximum size of a batch: [`Sender::send`] splits longer input at line ends.
const BATCH_BYTES: usize = 64 << 10;

/// Sends rendered lines to servers without losing any.
///
/// Cheap to clone; clones share one queue. If the sender has its own thread, dropping the last
/// handle sends what is queued within the [`shutdown_timeout`](SenderBuilder::shutdown_timeout).
///
/// ```no_run
/// use std::time::Duration;
/// use expvar_carbon::{Lines, Sender};
///
/// let sender = Sender::builder().to("graphite:2003").spawn()?;
/// let mut lines = Lines::new();
/// lines.point("apps.app1.requests", 17u64, 1_700_000_000);
/// sender.send(&mut lines);
/// let left = sender.close(Duration::from_secs(5));
/// assert_eq!(left.points, 0);
/// # Ok::<(), expvar_carbon::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use = "when its last handle is dropped it ends"]
pub struct Sender {
    owner: Arc<Owner>,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// Ends the sender when the last handle is dropped.
struct Owner {
    shared: Arc<Shared>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Sender {
    /// Creates a builder with default settings.
    pub fn builder() -> SenderBuilder {
        SenderBuilder::new()
    }

    pub(crate) fn assemble(setup: Setup, counts: Counts) -> (Sender, Driver) {
        let shared = Arc::new(Shared::new(setup, counts));
        let owner = Arc::new(Owner { shared: shared.clone(), thread: Mutex::new(None) });
        (Sender { owner }, Driver::new(shared))
    }

    pub(crate) fn spawn(self, driver: Driver) -> Result<Sender, ConfigError> {
        let thread = spawn("expvar-carbon", async move {
            driver.run(std::future::pending()).await;
        })?;
        *self.owner.thread.lock() = Some(thread);
        Ok(self)
    }

    /// Appends the lines to the queue, and empties the buffer including its counts.
    ///
    /// Lines are written at once; within 50 ms of the last write they are gathered first. If the
    /// queue is full, the oldest lines are dropped and counted. Never waits for the network; with a
    /// [spool](SenderBuilder::spool_dir) it writes to disk. Costs one copy of the bytes and one
    /// allocation for each 64 KiB.
    pub fn send(&self, lines: &mut Lines) {
        self.owner.shared.counts.absorb(lines);
        self.send_part(lines.as_bytes(), lines.points());
        lines.clear();
    }

    /// Appends a part of some lines, which ends at a line end.
    pub(crate) fn send_part(&self, lines: &[u8], points: u64) {
        let shared = &self.owner.shared;
        if shared.is_closed() {
            shared.counts.points_dropped.add(points);
            return;
        }
        // Held throughout, so that a change of settings sees all of these lines or none.
        let setup = shared.setup();
        let waiting = |destination: usize| setup.destinations[destination].queue(|q| q.bytes());
        setup.routing.split(lines, points, waiting, |destination, rest, points| {
            let destinations =
                destination.map_or(&setup.destinations[..], |at| &setup.destinations[at..=at]);
            for batch in batches(rest, points) {
                destinations
                    .iter()
                    .for_each(|destination| destination.push(batch.clone(), &shared.counts));
            }
        });
    }

    /// A map that shows [`stats`](Self::stats) live, to be published under a name of the program's
    /// choice.
    pub fn variables(&self) -> Map {
        let map = self.owner.shared.counts.variables();
        let shared = Arc::downgrade(&self.owner.shared);
        let shown = |f: fn(&Shared) -> Option<f64>| {
            let shared = shared.clone();
            Func::new(move || shared.upgrade().and_then(|shared| f(&shared)))
        };
        let whole = |f: fn(&Shared) -> u64| {
            let shared = shared.clone();
            Func::new(move || shared.upgrade().map_or(0, |shared| f(&shared)))
        };
        map.set("queue_bytes", whole(|s| s.fullest(|q| q.bytes() as u64)));
        map.set("queue_points", whole(|s| s.fullest(|q| q.left(u64::MAX).0)));
        map.set("spool_bytes", whole(|s| s.counts.spool_bytes.load(Relaxed)));
        map.set(
            "last_success_age_seconds",
            shown(|s| s.counts.last_success_age().map(|age| age.as_secs_f64())),
        );
        map
    }

    /// The statistics so far.
    pub fn stats(&self) -> Stats {
        self.owner.shared.stats()
    }

    /// Waits until the servers have read everything that was sent before this call, or the time is
    /// over, and returns what is unsent.
    ///
    /// To confirm that a server has read everything, the connection is closed from our side and the
    /// server's close is awaited; the next line opens a new connection. Datagrams count as read
    /// when they are sent.
    pub async fn flush(&self, within: Duration) -> Unsent {
        let (reply, answer) = oneshot::channel();
        self.owner.shared.request(within, false, move |left| {
            let _ = reply.send(left);
        });
        answer.await.unwrap_or_else(|_| self.owner.shared.left(None))
    }

    /// Like [`flush`](Self::flush), outside of async code: blocks the thread.
    pub fn flush_blocking(&self, within: Duration) -> Unsent {
        self.wait(within, false)
    }

    /// Changes the settings. Queued lines are kept in order under the new settings, and lines are
    /// accepted all the while.
    ///
    /// Everything that can fail is done first; on an error the old settings stay in force. PEM
    /// files are read again. A connection continues if its server stays and the files are
    /// unchanged; other connections are closed, and their servers get the time to read that
    /// [`flush`](Self::flush) gives them. A spool whose directory stays is kept open; if the
    /// directory changes, the old spool moves to the new queue and is left empty.
    ///
    /// When servers that each got a copy become one of them, that one's queue continues; new
    /// servers get the slowest one's queue. If another hash routes lines to other servers, or a
    /// server's queue has no successor, its connections are awaited within this time; what was
    /// written to one that does not finish is resent, as after a lost connection, if its queue
    /// continues.
    ///
    /// Statistics continue.
    ///
    /// # Errors
    /// A setting is invalid, or the sender has ended.
    pub async fn reconfigure(
        &self,
        settings: SenderBuilder,
        within: Duration,
    ) -> Result<(), ConfigError> {
        let (reply, answer) = oneshot::channel();
        self.owner.shared.change(Change { settings, within, reply });
        let ended = || ConfigError::new("sender", "it has ended", "build another one");
        answer.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Accepts no more lines, sends what is queued, ends, and returns what is unsent when the time
    /// is over. The spool's directory is then free.
    pub async fn shutdown(&self, within: Duration) -> Unsent {
        let (reply, answer) = oneshot::channel();
        self.owner.shared.request(within, true, move |left| {
            let _ = reply.send(left);
        });
        answer.await.unwrap_or_else(|_| self.owner.shared.left(None))
    }

    /// Like [`shutdown`](Self::shutdown), outside of async code: blocks the thread.
    pub fn close(&self, within: Duration) -> Unsent {
        self.wait(within, true)
    }

    fn wait(&self, within: Duration, closing: bool) -> Unsent {
        let (reply, answer) = mpsc::sync_channel(1);
        self.owner.shared.request(within, closing, move |left| {
            let _ = reply.send(left);
        });
        // The driver answers in time; the extra second is for a busy machine.
        answer
            .recv_timeout(within.saturating_add(Duration::from_secs(1)))
            .unwrap_or_else(|_| self.owner.shared.left(None))
    }

    /// Reloads the certificates and keys of [`Tls`](crate::Tls), after they were renewed.
    /// Connections to `tls://` addresses are closed once their queue is written, and made again
    /// with the new ones.
    ///
    /// # Errors
    /// A file is invalid; the previous certificates stay in use.
    #[cfg(feature = "tls")]
    pub fn reload_tls(&self) -> Result<(), ConfigError> {
        self.owner.shared.reload_tls()
    }

    /// Flushes, and calls `reply` instead of waiting.
    pub(crate) fn flush_then(&self, within: Duration, reply: Box<dyn FnOnce(Unsent) + Send>) {
        self.owner.shared.request(within, false, reply);
    }

    /// What is unsent now.
    pub(crate) fn left(&self) -> Unsent {
        self.owner.shared.left(None)
    }

    /// Adds the counts of rendering.
    pub(crate) fn absorb(&self, lines: &Lines) {
        self.owner.shared.counts.absorb(lines);
    }

    /// A push is about to be handed over.
    pub(crate) fn push_began(&self) {
        self.owner.shared.counts.push_began(Instant::now());
    }

    #[cfg(test)]
    pub(crate) fn destinations(&self) -> Vec<Arc<crate::send::destination::Destination>> {
        self.owner.shared.setup().destinations.clone()
    }
}

/// Splits lines into batches.
pub(crate) fn batches(mut rest: &[u8], mut points: u64) -> impl Iterator<Item = Batch> {
    std::iter::from_fn(move || {
        let batch;
        (batch, rest) = rest.split_at(cut(rest, BATCH_BYTES));
        let count = match rest {
            [] => points,
            _ => memchr::memchr_iter(b'\n', batch).count() as u64,
        };
        points -= count;
        let bytes = Bytes::copy_from_slice(batch);
        (!batch.is_empty()).then_some(Batch { bytes, points: count })
    })
}

/// Where to split: after the last line that ends within `most` bytes, or after the first line.
pub(crate) fn cut(lines: &[u8], most: usize) -> usize {
    if lines.len() <= most {
        return lines.len();
    }
    memchr::memrchr(b'\n', &lines[..most])
        .or_else(|| memchr::memchr(b'\n', lines))
        .map_or(lines.len(), |at| at + 1)
}

impl Drop for Owner {
    fn drop(&mut self) {
        let within = self.shared.setup().shutdown_timeout;
        self.shared.request(within, true, drop);
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}
