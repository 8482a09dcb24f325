//! Renders documents off the threads that serve connections, once for all who wait.
//!
//! A variable's function may block for as long as it likes, so documents are rendered on threads
//! of their own. Requests for the same document that wait together share the next render of it:
//! every answer was rendered after its request came, and many clients cost as much as one.
//!
//! While something is being rendered one more thread watches. It starts another render of a
//! document whose running render is slow, and answers requests that waited too long. Threads end
//! a second after the last request.
//!
//! A render that is slow gives its place among [`MAX_RENDERS`] to others. Nothing can end it, so
//! documents that hold the variable that it waits for may wait in at most [`MAX_SAME_RENDERS`]
//! renders; then they stay in the queue, and documents without that variable pass them.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use expvar::Registry;
use tokio::sync::oneshot;

use crate::Prometheus;
use crate::document::{BadFilter, Document, Rendered, Source};
use crate::held::Ledger;
use crate::limits::{MAX_ALL_RENDERS, MAX_RENDERS, MAX_SAME_RENDERS, MAX_WAITING};

/// A render that takes longer than this no longer holds up later requests for its document.
const SLOW: Duration = Duration::from_millis(100);
/// How long a thread without work stays.
const LINGER: Duration = Duration::from_secs(1);
/// A thread's buffer is given back when a document has made it larger than this.
const MAX_KEPT_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Why there is no document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RenderError {
    BadFilter(BadFilter),
    /// Too many requests wait already.
    Busy,
    /// The system gives no thread to render on.
    NoThread,
    /// Some variable's function has not returned in time.
    TimedOut,
    /// The render panicked.
    Failed,
}

pub(crate) type Outcome = Result<Rendered, RenderError>;
/// A render's number, its document, and where it says how far it has come.
type Work = (u64, Document, Arc<AtomicUsize>);
type Request = oneshot::Sender<Outcome>;

/// A pool of rendering threads for one registry.
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
    /// Threads that have rendered and not yet looked for more.
    returning_threads: usize,
    renders: u64,
}

/// Requests that are answered by one render.
struct Batch {
    document: Document,
    since: Instant,
    requests: Vec<Request>,
    /// Which variables that renders wait for it was found to hold, or not to hold.
    holds: Vec<(Arc<str>, bool)>,
}

struct Running {
    render: u64,
    started: Instant,
    /// How many variables it has come to.
    reached: Arc<AtomicUsize>,
    /// The last of them, when it was looked up.
    at: (usize, Option<Arc<str>>),
    batch: Batch,
}

impl Renderer {
    /// A renderer of `registry` that gives up on a document after `timeout`.
    pub(crate) fn new(registry: Registry, prometheus: Prometheus, timeout: Duration) -> Self {
        let (ledger, state, wake) = (Ledger::new(), Mutex::default(), Condvar::new());
        Self { pool: Arc::new(Pool { registry, prometheus, ledger, timeout, state, wake }) }
    }

    /// Asks for a document; the receiver gets it from a render that starts after this call.
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
        // A thread that is about to look for work need not be helped by one that sleeps.
        let is_seen = state.returning_threads > 0 || state.idle_threads == 0;
        if !is_seen && state.next_batch(Instant::now(), &self.pool.registry).is_some() {
            self.pool.wake.notify_one();
        }
        // One for the render that this request may start, and one that watches.
        self.pool.staff(&mut state, 2);
        // Threads that render may do so for ever: then nobody would look at what waits.
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
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that so many threads more than render are there, if the system gives them.
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
                // Several requests may have come before any of their renders began.
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
            let waited = self.wake.wait_timeout(state, SLOW.min(self.timeout / 4));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
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

    /// The variables for which as many renders wait as may.
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

    /// Takes the requests that have waited for `timeout`. A render that is already running goes
    /// on, for nothing can stop it, and keeps its place among the bounded number of renders.
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
    /// Whether it no longer holds up later requests.
    fn is_slow(&self, now: Instant) -> bool {
        now.duration_since(self.started) >= SLOW
    }

    /// The variable that is being read.
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
        // A client that has gone does not want it.
        let _ = request.send(outcome.clone());
    }
}
