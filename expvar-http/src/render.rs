//! Renders documents off the threads that serve connections, once for all who wait.
//!
//! A variable's function may block for as long as it likes, so documents are rendered on threads
//! of their own. Requests for the same document that wait together share the next render of it:
//! every answer was rendered after its request came, and many clients cost as much as one.
//!
//! While something is being rendered one more thread watches. It starts another render of a
//! document whose running render is slow, and answers requests that waited too long. Threads end
//! a second after the last request.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use expvar::Registry;
use tokio::sync::oneshot;

use crate::Prometheus;
use crate::document::{BadFilter, Document, Rendered};
use crate::limits::{MAX_RENDERS, MAX_SAME_RENDERS, MAX_WAITING};

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
    /// Too many requests wait already, or the system gives no more threads.
    Busy,
    /// Some variable's function has not returned in time.
    TimedOut,
    /// The render panicked.
    Failed,
}

pub(crate) type Outcome = Result<Rendered, RenderError>;
type Request = oneshot::Sender<Outcome>;

/// A pool of rendering threads for one registry.
#[derive(Clone)]
pub(crate) struct Renderer {
    pool: Arc<Pool>,
}

struct Pool {
    registry: Registry,
    prometheus: Prometheus,
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
}

struct Running {
    render: u64,
    started: Instant,
    batch: Batch,
}

impl Renderer {
    /// A renderer of `registry` that gives up on a document after `timeout`.
    pub(crate) fn new(registry: Registry, prometheus: Prometheus, timeout: Duration) -> Self {
        let (state, wake) = (Mutex::default(), Condvar::new());
        Self { pool: Arc::new(Pool { registry, prometheus, timeout, state, wake }) }
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
                state.waiting.push_back(Batch { document, since, requests: vec![sender] });
            }
        }
        // A thread that is about to look for work need not be helped by one that sleeps.
        let is_seen = state.returning_threads > 0 || state.idle_threads == 0;
        if !is_seen && state.next_batch(Instant::now()).is_some() {
            self.pool.wake.notify_one();
        }
        // One for the render that this request may start, and one that watches.
        let wanted = (state.running.len() + 2).min(MAX_RENDERS + 1);
        while state.threads < wanted {
            let pool = Arc::clone(&self.pool);
            let thread = thread::Builder::new().name("expvar-render".to_owned());
            if thread.spawn(move || pool.work()).is_err() {
                break;
            }
            state.threads += 1;
        }
        if state.threads == 0 {
            let refused = state.waiting.drain(..).flat_map(|batch| batch.requests).collect();
            drop(state);
            answer(refused, &Err(RenderError::Busy));
        }
        receiver
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut buffer = Vec::new();
        let mut was_rendering = false;
        while let Some((render, document)) = self.next(was_rendering) {
            was_rendering = true;
            let rendered = catch_unwind(AssertUnwindSafe(|| {
                document.render(&self.registry, &self.prometheus, &mut buffer)
            }));
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
    fn next(&self, was_rendering: bool) -> Option<(u64, Document)> {
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
            if let Some(started) = state.start(now) {
                if state.idle_threads > 0 && state.next_batch(now).is_some() {
                    self.wake.notify_one();
                }
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
    fn next_batch(&self, now: Instant) -> Option<usize> {
        if self.running.len() >= MAX_RENDERS {
            return None;
        }
        self.waiting.iter().position(|batch| {
            let same = self.running.iter().filter(|r| r.batch.document == batch.document);
            let all_slow = same.clone().all(|r| now.duration_since(r.started) >= SLOW);
            all_slow && same.count() < MAX_SAME_RENDERS
        })
    }

    fn start(&mut self, started: Instant) -> Option<(u64, Document)> {
        let at = self.next_batch(started)?;
        let batch = self.waiting.remove(at)?;
        let (render, document) = (self.renders, batch.document.clone());
        self.renders += 1;
        self.running.push(Running { render, started, batch });
        Some((render, document))
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

fn answer(requests: Vec<Request>, outcome: &Outcome) {
    for request in requests {
        // A client that has gone does not want it.
        let _ = request.send(outcome.clone());
    }
}
