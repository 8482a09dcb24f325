//! The thread that samples the registry once a second while a page is open.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use expvar::{Counter, Gauge, Registry};
use futures_core::Stream;
use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::mpsc;

use super::messages::{self, Sender};
use super::sample::Sample;
use super::series::Span;
use super::table::Table;

/// Time from one sample to the next.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long sampling continues after the last page was closed, so that a reloaded page has its
/// history.
const LINGER: Duration = Duration::from_secs(300);
/// Unread messages of a page; one more disconnects it.
const MAX_WAITING: usize = 16;
/// The most open pages.
const MAX_WATCHERS: usize = 256;

/// Pages open now.
pub(crate) static WATCHERS: Gauge = Gauge::new();
/// Pages disconnected because they did not read.
pub(crate) static CUT: Counter = Counter::new();
/// Series kept now.
pub(crate) static SERIES: Gauge = Gauge::new();
/// Series evicted at the limit.
pub(crate) static EVICTED: Counter = Counter::new();

/// Samples a registry while pages are open and for a while after, or always if configured. Clones
/// are handles of one sampler; it stops with the last.
#[derive(Clone)]
pub(crate) struct Sampler {
    handle: Arc<Handle>,
}

struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.stop();
    }
}

struct Shared {
    registry: Registry,
    sender: Sender,
    always: bool,
    max_series: usize,
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    table: Table,
    watchers: Vec<mpsc::Sender<Bytes>>,
    running: bool,
    stopped: bool,
    /// When the table was last filled; `None` if it is empty.
    now_ms: Option<u64>,
    /// The first message for pages that open before the next sample.
    whole: Option<Bytes>,
}

impl Sampler {
    /// A sampler of `registry` with at most `max_series` series. With `always` it starts now.
    pub(crate) fn new(registry: Registry, always: bool, max_series: usize) -> Self {
        let state = State {
            table: Table::new(max_series),
            watchers: Vec::new(),
            running: false,
            stopped: false,
            now_ms: None,
            whole: None,
        };
        let shared = Arc::new(Shared {
            registry,
            sender: Sender::here(),
            always,
            max_series,
            state: Mutex::new(state),
            wake: Condvar::new(),
        });
        if always {
            shared.run(&mut shared.lock());
        }
        Self { handle: Arc::new(Handle(shared)) }
    }

    /// The messages for another page; starts sampling. `None` at the limit of pages, or if there is
    /// no thread.
    pub(crate) fn watch(&self) -> Option<Events> {
        let shared = &self.handle.0;
        let mut state = shared.lock();
        state.watchers.retain(|watcher| !watcher.is_closed());
        if state.stopped || state.watchers.len() >= MAX_WATCHERS || !shared.run(&mut state) {
            return None;
        }
        let (sender, messages) = mpsc::channel(MAX_WAITING);
        if let Some(now_ms) = state.now_ms {
            let State { whole, table, .. } = &mut *state;
            let whole =
                whole.get_or_insert_with(|| messages::whole(&shared.sender, table, now_ms).into());
            // The channel is empty, so this cannot fail.
            let _ = sender.try_send(whole.clone());
        }
        state.watchers.push(sender);
        WATCHERS.inc();
        Some(Events { messages, _open: Open })
    }

    /// The history of `names` as JSON, for one span or all; without names, the available ones.
    pub(crate) fn history(&self, names: &[&str], span: Option<Span>) -> Vec<u8> {
        let state = self.handle.0.lock();
        let now_ms = state.now_ms.unwrap_or_else(unix_ms);
        if names.is_empty() {
            messages::names(&state.table, now_ms)
        } else {
            messages::history(&state.table, names, span, now_ms)
        }
    }

    /// Ends all streams and the thread, permanently.
    pub(crate) fn stop(&self) {
        self.handle.0.stop();
    }
}

impl Sender {
    /// This process.
    fn here() -> Self {
        let began_ms = unix_ms();
        let program = std::env::current_exe().ok();
        let name = program.as_deref().and_then(|path| path.file_name());
        Self {
            title: name.map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            start: format!("{:x}-{began_ms:x}", std::process::id()),
            began_ms,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        state.watchers.clear();
        self.wake.notify_all();
    }

    /// Makes sure that the thread runs; false if the system refuses it.
    fn run(self: &Arc<Self>, state: &mut State) -> bool {
        if !state.running {
            let shared = Arc::clone(self);
            let thread = thread::Builder::new().name("expvar-sampler".to_owned());
            state.running = thread.spawn(move || shared.sample()).is_ok();
        }
        state.running
    }

    /// Samples until no page was open for a while.
    fn sample(&self) {
        let (base, base_ms) = (Instant::now(), unix_ms());
        let mut sample = Sample::default();
        let mut last = base;
        let mut wanted = base;
        loop {
            let now = Instant::now();
            let passed = now - base;
            sample.clear();
            // Functions may be slow; nothing is locked meanwhile.
            self.registry.visit(&mut sample);

            let mut state = self.lock();
            let now_ms = base_ms + passed.as_millis() as u64;
            // The monotonic clock counts the seconds, so that a jump of the wall clock leaves no
            // gap.
            let tick = (base_ms / 1000 + passed.as_secs()) as u32;
            let secs = (now - last).as_secs_f64();
            state.take(&self.sender, &sample, tick, secs, now_ms);
            last = now;
            if !state.watchers.is_empty() || self.always {
                wanted = now;
            }
            if state.stopped || now - wanted >= LINGER {
                state.running = false;
                state.now_ms = None;
                state.table = Table::new(self.max_series);
                SERIES.set(0);
                return;
            }
            let next = base + INTERVAL * (base.elapsed().as_secs() as u32 + 1);
            while !state.stopped {
                let now = Instant::now();
                let Some(left) = next.checked_duration_since(now).filter(|left| !left.is_zero())
                else {
                    break;
                };
                self.wake.wait_for(&mut state, left);
            }
        }
    }
}

impl State {
    /// Merges a sample and informs the pages; each message is rendered once.
    fn take(&mut self, sender: &Sender, sample: &Sample, tick: u32, secs: f64, now_ms: u64) {
        let evicted = self.table.evicted;
        self.table.take(sample, tick, secs);
        EVICTED.add(self.table.evicted - evicted);
        SERIES.set(self.table.series() as i64);
        self.whole = None;
        let first = self.now_ms.replace(now_ms).is_none();
        if self.watchers.is_empty() {
            return;
        }
        let message: Bytes = if first {
            messages::whole(sender, &self.table, now_ms).into()
        } else {
            messages::changes(&self.table, now_ms).into()
        };
        self.watchers.retain(|watcher| match watcher.try_send(message.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(_)) => {
                CUT.inc();
                false
            }
        });
    }
}

/// For benches: single rounds of a sampler.
#[doc(hidden)]
pub struct Rounds {
    registry: Registry,
    sample: Sample,
    table: Table,
    tick: u32,
}

impl Rounds {
    /// Creates rounds over a registry.
    pub fn new(registry: &Registry) -> Self {
        let (sample, table) = (Sample::default(), Table::new(usize::MAX));
        Self { registry: registry.clone(), sample, table, tick: 0 }
    }

    /// Takes one sample, as the thread does once a second.
    pub fn round(&mut self) {
        self.sample.clear();
        self.registry.visit(&mut self.sample);
        self.tick += 1;
        self.table.take(&self.sample, self.tick, 1.0);
    }
}

impl std::fmt::Debug for Rounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rounds").finish_non_exhaustive()
    }
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// A page's messages as server-sent events. Ends when the page does not read them, or the sampler
/// stops.
pub(crate) struct Events {
    messages: mpsc::Receiver<Bytes>,
    _open: Open,
}

impl Stream for Events {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.messages.poll_recv(cx)
    }
}

/// Counts an open page.
struct Open;

impl Drop for Open {
    fn drop(&mut self) {
        WATCHERS.dec();
    }
}

#[cfg(test)]
mod tests;
