//! Renders documents on threads of their own, once for all concurrent requests.
//!
//! A variable's function may block, so documents are rendered off the threads that serve
//! connections. Requests for the same document that wait together share its next render: each
//! response was rendered after its request arrived, and many clients cost as much as one.
//!
//! During a render another thread supervises. It starts a second render of a document whose render
//! is slow, and times out requests. Threads end a second after the last request.
//!
//! A slow render frees its place among [`MAX_RENDERS`]. Nothing can stop it. So at most
//! [`MAX_SAME_RENDERS`] renders may wait for the same variable; further documents with that
//! variable stay in the queue, and documents without it pass them.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use expvar::Registry;
use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::oneshot;

use crate::document::{BadFilter, Document, Rendered, Source};
use crate::held::Ledger;
use crate::limits::{MAX_ALL_RENDERS, MAX_RENDERS, MAX_SAME_RENDERS, MAX_WAITING};
use crate::{MediaType, Prometheus};

/// A slower render no longer delays later requests for its document.
const SLOW: Duration = Duration::from_millis(100);
/// How long an idle thread stays.
const LINGER: Duration = Duration::from_secs(1);
/// A thread's buffer is freed after a document larger than this.
const MAX_KEPT_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Why there is no document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RenderError {
    BadFilter(BadFilter),
    /// Too many requests are waiting.
    Busy,
    /// The system refused a thread.
    NoThread,
    /// A variable's function has not returned in time.
    TimedOut,
    /// The render panicked.
    Failed,
}

pub(crate) type Outcome = Result<Rendered, RenderError>;
/// A render's number, its document, and its progress.
type Work = (u64, Document, Arc<AtomicUsize>);
type Request = oneshot::Sender<Outcome>;

/// A pool of render threads for one registry.
#[derive(Clone)]
pub(crate) struct Renderer {
    pool: Arc<Pool>,
}

struct Pool {
    registry: Registry,
    prometheus: Prometheus,
    ledger: Ledger,
    timeout: Duration,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Batch>,
    running: Vec<Running>,
    threads: usize,
    idle_threads: usize,
    /// Threads that have finished a render and not yet looked for work.
    returning_threads: usize,
    renders: u64,
}

/// Requests for the same render.
struct Batch {
    document: Document,
    since: Instant,
    requests: Vec<Request>,
    /// Which variables that block renders it contains, as far as checked.
    holds: Vec<(Arc<str>, bool)>,
}

struct Running {
    render: u64,
    started: Instant,
    /// How many variables it has reached.
    reached: Arc<AtomicUsize>,
    /// The last of them when it was looked up.
    at: (usize, Option<Arc<str>>),
    batch: Batch,
}

impl Renderer {
    /// A renderer of `registry` with a timeout for documents.
    pub(crate) fn new(registry: Registry, prometheus: Prometheus, timeout: Duration) -> Self {
        let (ledger, state, wake) = (Ledger::new(), Mutex::default(), Condvar::new());
        Self { pool: Arc::new(Pool { registry, prometheus, ledger, timeout, state, wake }) }
    }

    /// The media type that a client gets who asks for this one.
    pub(crate) fn media_type(&self, asked: MediaType) -> MediaType {
        self.pool.prometheus.media_type(asked)
    }

    /// Requests a document from a render that starts after this call.
    pub(crate) fn request(&self, document: Document) -> oneshot::Receiver<Outcome> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.pool.lock();
        if state.requests() >= MAX_WAITING {
            let _ = sender.send(Err(RenderError::Busy));
            return receiver;
        }
        match state.waiting.iter_mut().find(|batch| batch.document == document) {
            Some(batch) => batch.requests.push(sender),
            None => {
                let since = Instant::now();
                let (requests, holds) = (vec![sender], Vec::new());
                state.waiting.push_back(Batch { document, since, requests, holds });
            }
        }
        // A thread that is about to look for work needs no wake-up.
        let is_seen = state.returning_threads > 0 || state.idle_threads == 0;
        if !is_seen && state.next_batch(Instant::now(), &self.pool.registry).is_some() {
            self.pool.wake.notify_one();
        }
        // One for the render that this request may start, and one that supervises.
        self.pool.staff(&mut state, 2);
        // Rendering threads may never return; then no thread would watch the queue.
        if state.threads <= state.running.len() {
            let refused = state.waiting.drain(..).flat_map(|batch| batch.requests).collect();
            drop(state);
            answer(refused, &Err(RenderError::NoThread));
        }
        receiver
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Makes sure that `spare` threads exist beyond those that render, if the system allows.
    fn staff(self: &Arc<Self>, state: &mut State, spare: usize) {
        let wanted = (state.running.len() + spare).min(MAX_ALL_RENDERS + 1);
        while state.threads < wanted {
            let pool = Arc::clone(self);
            let thread = thread::Builder::new().name("expvar-render".to_owned());
            if thread.spawn(move || pool.work()).is_err() {
                break;
            }
            state.threads += 1;
        }
    }

    fn work(self: &Arc<Self>) {
        let mut buffer = Vec::new();
        let mut was_rendering = false;
        while let Some((render, document, reached)) = self.next(was_rendering) {
            was_rendering = true;
            let source = Source {
                registry: &self.registry,
                prometheus: &self.prometheus,
                ledger: &self.ledger,
                reached: &reached,
            };
            let rendered = catch_unwind(AssertUnwindSafe(|| document.render(&source, &mut buffer)));
            let outcome = match rendered {
                Ok(rendered) => rendered.map_err(RenderError::BadFilter),
                Err(_) => Err(RenderError::Failed),
            };
            if buffer.capacity() > MAX_KEPT_BUFFER_BYTES {
                buffer = Vec::new();
            }
            let requests = self.lock().finish(render);
            answer(requests, &outcome);
        }
    }

    /// The next document to render, or `None` when this thread is no longer needed.
    fn next(self: &Arc<Self>, was_rendering: bool) -> Option<Work> {
        let idle_since = Instant::now();
        let mut state = self.lock();
        state.returning_threads = state.returning_threads.saturating_sub(was_rendering.into());
        loop {
            let now = Instant::now();
            let late = state.take_late(now, self.timeout);
            if !late.is_empty() {
                drop(state);
                answer(late, &Err(RenderError::TimedOut));
                state = self.lock();
                continue;
            }
            if let Some(started) = state.start(now, &self.registry) {
                if state.idle_threads > 0 && state.next_batch(now, &self.registry).is_some() {
                    self.wake.notify_one();
                }
                // Several requests may have arrived before any of their renders began.
                self.staff(&mut state, 1);
                return Some(started);
            }
            let watched = state.idle_threads > 0;
            let quiet = state.running.is_empty() && state.waiting.is_empty();
            if (watched || quiet) && now.duration_since(idle_since) >= LINGER {
                state.threads -= 1;
                return None;
            }
            state.idle_threads += 1;
            self.wake.wait_for(&mut state, SLOW.min(self.timeout / 4));
            state.idle_threads -= 1;
        }
    }
}

impl State {
    fn requests(&self) -> usize {
        let waiting = self.waiting.iter();
        let batches = waiting.chain(self.running.iter().map(|running| &running.batch));
        batches.map(|batch| batch.requests.len()).sum()
    }

    /// The first waiting batch that may be rendered now.
    fn next_batch(&mut self, now: Instant, registry: &Registry) -> Option<usize> {
        if self.waiting.is_empty() || self.running.len() >= MAX_ALL_RENDERS {
            return None;
        }
        if self.running.iter().filter(|running| !running.is_slow(now)).count() >= MAX_RENDERS {
            return None;
        }
        let crowded = self.crowded(now, registry);
        let running = &self.running;
        self.waiting.iter_mut().position(|batch| {
            let same = running.iter().filter(|r| r.batch.document == batch.document);
            let all_slow = same.clone().all(|running| running.is_slow(now));
            all_slow
                && same.count() < MAX_SAME_RENDERS
                && !crowded.iter().any(|name| batch.holds(name))
        })
    }

    /// The variables for which the maximum of renders is waiting.
    fn crowded(&mut self, now: Instant, registry: &Registry) -> Vec<Arc<str>> {
        let slow = self.running.iter_mut().filter(|running| running.is_slow(now));
        let mut names: Vec<Arc<str>> =
            slow.filter_map(|running| running.waits_for(registry)).collect();
        names.sort_unstable();
        let same = names.chunk_by(|a, b| a == b);
        same.filter(|same| same.len() >= MAX_SAME_RENDERS).map(|same| same[0].clone()).collect()
    }

    fn start(&mut self, started: Instant, registry: &Registry) -> Option<Work> {
        let at = self.next_batch(started, registry)?;
        let batch = self.waiting.remove(at)?;
        let (render, document) = (self.renders, batch.document.clone());
        let reached = Arc::<AtomicUsize>::default();
        self.renders += 1;
        let at = (0, None);
        self.running.push(Running { render, started, reached: Arc::clone(&reached), at, batch });
        Some((render, document, reached))
    }

    fn finish(&mut self, render: u64) -> Vec<Request> {
        self.returning_threads += 1;
        let at = self.running.iter().position(|running| running.render == render);
        at.map(|at| self.running.swap_remove(at).batch.requests).unwrap_or_default()
    }

    /// Takes the requests that have waited for `timeout`. Their render, if running, cannot be
    /// stopped and keeps its place among the bounded number of renders.
    fn take_late(&mut self, now: Instant, timeout: Duration) -> Vec<Request> {
        let is_late = |batch: &Batch| now.duration_since(batch.since) >= timeout;
        let mut late = Vec::new();
        for running in self.running.iter_mut().filter(|running| is_late(&running.batch)) {
            late.append(&mut running.batch.requests);
        }
        while self.waiting.front().is_some_and(is_late) {
            late.extend(self.waiting.pop_front().into_iter().flat_map(|batch| batch.requests));
        }
        late
    }
}

impl Batch {
    fn holds(&mut self, name: &Arc<str>) -> bool {
        if let Some((_, holds)) = self.holds.iter().find(|(known, _)| known == name) {
            return *holds;
        }
        let holds = self.document.holds(name);
        self.holds.push((Arc::clone(name), holds));
        holds
    }
}

impl Running {
    /// Whether it no longer delays later requests.
    fn is_slow(&self, now: Instant) -> bool {
        now.duration_since(self.started) >= SLOW
    }

    /// The variable being read.
    fn waits_for(&mut self, registry: &Registry) -> Option<Arc<str>> {
        let reached = self.reached.load(Relaxed);
        if self.at.0 != reached {
            let (mut at, mut name) = (0, None);
            registry.for_each(|variable, _| {
                at += 1;
                if at == reached {
                    name = Some(variable.into());
                }
            });
            self.at = (reached, name);
        }
        self.at.1.clone()
    }
}

fn answer(requests: Vec<Request>, outcome: &Outcome) {
    for request in requests {
        // The client may have disconnected.
        let _ = request.send(outcome.clone());
    }
}
