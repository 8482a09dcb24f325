//! The lossless sender's handle: takes rendered lines over, and asks for a flush or the end.

pub(crate) mod builder;

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

/// The most that one batch holds: [`Sender::send`] cuts what is longer at line ends.
const BATCH_BYTES: usize = 64 << 10;

/// Gets rendered lines to the servers and loses none of them on the way.
///
/// A cheap handle; clones share one queue. When the last one goes, what still waits is sent
/// within the [`shutdown_timeout`](SenderBuilder::shutdown_timeout), where the sender has its
/// own thread.
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

/// Ends the sender when the last handle goes.
struct Owner {
    shared: Arc<Shared>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Sender {
    /// Begins a sender's settings.
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

    /// Takes the lines over and leaves the buffer empty, its counts included.
    ///
    /// They are written at once; within 50 ms of the last write they are gathered first.
    /// Where the queue is full the oldest lines are dropped and counted. Never waits for the
    /// network; with a [spool](SenderBuilder::spool_dir) it writes to the disk. Costs one copy of
    /// the bytes and one allocation for each 64 KiB.
    pub fn send(&self, lines: &mut Lines) {
        self.owner.shared.counts.absorb(lines);
        self.send_part(lines.as_bytes(), lines.points());
        lines.clear();
    }

    /// Takes over a part of some lines, which ends where one of them ends.
    pub(crate) fn send_part(&self, lines: &[u8], points: u64) {
        let shared = &self.owner.shared;
        if shared.is_closed() {
            shared.counts.points_dropped.add(points);
            return;
        }
        // Held throughout: whoever changes the settings finds all of these lines or none.
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

    /// A map that shows, live, what [`stats`](Self::stats) tells: to be published under a name
    /// of the program's choice.
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

    /// What it has counted so far.
    pub fn stats(&self) -> Stats {
        self.owner.shared.stats()
    }

    /// Waits until everything that was sent before this call has been read by the servers, or
    /// the time is over, and returns what is left then.
    ///
    /// To know that a server has read, the connection is closed from our side and the server's
    /// closing awaited; the next line opens a new one. Datagrams count as read when they are sent.
    pub async fn flush(&self, within: Duration) -> Unsent {
        let (reply, answer) = oneshot::channel();
        self.owner.shared.request(within, false, move |left| {
            let _ = reply.send(left);
        });
        answer.await.unwrap_or_else(|_| self.owner.shared.left(None))
    }

    /// The same as [`flush`](Self::flush) for callers outside of async code: blocks the thread.
    pub fn flush_blocking(&self, within: Duration) -> Unsent {
        self.wait(within, false)
    }

    /// Takes other settings; what waits goes on under them, in its order, and lines are taken in
    /// all the while.
    ///
    /// Whatever can fail is done first: then the old settings stay, and nothing has happened. PEM
    /// files are read again. Connections go on, if their servers stay and those files hold what
    /// they held; others are closed, and their servers get all the time to read that
    /// [`flush`](Self::flush) gives them. A spool whose directory stays is kept open; one whose
    /// directory changes gives what it holds to the new queue and is left empty.
    ///
    /// From several servers that each got a copy to one of them it is that one's queue that goes
    /// on; new servers get what the slowest one still waited for. Where another hash gives lines
    /// to other servers, or nobody takes a server's queue over, its connections are waited for
    /// within this time; what was written to one that does not end in it is sent again as after a
    /// lost connection where its queue goes on.
    ///
    /// The counts go on.
    ///
    /// # Errors
    /// A setting that cannot be used, or the sender has ended.
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

    /// Takes in nothing more, sends what waits, and ends; returns what is left when the time is
    /// over. A spool's directory is free then.
    pub async fn shutdown(&self, within: Duration) -> Unsent {
        let (reply, answer) = oneshot::channel();
        self.owner.shared.request(within, true, move |left| {
            let _ = reply.send(left);
        });
        answer.await.unwrap_or_else(|_| self.owner.shared.left(None))
    }

    /// The same as [`shutdown`](Self::shutdown) for callers outside of async code: blocks the
    /// thread.
    pub fn close(&self, within: Duration) -> Unsent {
        self.wait(within, true)
    }

    fn wait(&self, within: Duration, closing: bool) -> Unsent {
        let (reply, answer) = mpsc::sync_channel(1);
        self.owner.shared.request(within, closing, move |left| {
            let _ = reply.send(left);
        });
        // The driver answers in time; a second more is for a machine that is busy.
        answer
            .recv_timeout(within.saturating_add(Duration::from_secs(1)))
            .unwrap_or_else(|_| self.owner.shared.left(None))
    }

    /// Reads the certificates and keys again that [`Tls`](crate::Tls) names, as after they were
    /// renewed. Connections to `tls://` addresses are closed when what waits is written, and made
    /// anew with what was read.
    ///
    /// # Errors
    /// When a file cannot be used; then all goes on with what was read before.
    #[cfg(feature = "tls")]
    pub fn reload_tls(&self) -> Result<(), ConfigError> {
        self.owner.shared.reload_tls()
    }

    /// Flushes, and calls `reply` rather than waiting.
    pub(crate) fn flush_then(&self, within: Duration, reply: Box<dyn FnOnce(Unsent) + Send>) {
        self.owner.shared.request(within, false, reply);
    }

    /// What is left now.
    pub(crate) fn left(&self) -> Unsent {
        self.owner.shared.left(None)
    }

    /// Takes over what rendering counted.
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

/// Cuts lines into batches.
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

/// Where to cut: after the last line that ends within `most` bytes, or after the first line.
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
