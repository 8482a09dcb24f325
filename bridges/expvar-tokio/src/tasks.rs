//! Instrumented tasks: how often and how long they are polled, and how long they wait.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use expvar::{Counter, Gauge, Histogram, Info, PublishError, Registry, Unit};
use parking_lot::Mutex;
use pin_project_lite::pin_project;

/// Slower polls are counted as slow. Changed by [`Tasks::slow_after`].
const SLOW: Duration = Duration::from_micros(50);

/// Records the tasks of one kind.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let registry = expvar::Registry::new();
/// let mails = expvar_tokio::Tasks::publish(&registry, "tasks.mail")?;
/// tokio::spawn(mails.instrument(async { /* … */ })).await?;
/// assert_eq!(registry.get("tasks.mail.started").unwrap().to_string(), "1");
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
///
/// | variable | what |
/// |---|---|
/// | `started` | instrumented tasks |
/// | `alive` | tasks that have not ended |
/// | `cancelled` | tasks dropped before completion |
/// | `first_poll_delay` | nanoseconds from `instrument` to the first poll |
/// | `scheduled` | nanoseconds from a wake-up to the poll: waiting for a worker |
/// | `idle` | nanoseconds from the end of a poll to the next wake-up: waiting for what the task awaits |
/// | `poll` | nanoseconds of a poll: long ones keep a worker from other tasks |
/// | `slow_polls` | polls of more than 50 µs |
///
/// Tasks with the same prefix share their variables, which stay when the tasks have ended. A
/// wake-up costs one clock reading, a poll two.
#[derive(Clone)]
pub struct Tasks {
    vars: Arc<Vars>,
}

struct Vars {
    started: Arc<Counter>,
    alive: Arc<Gauge>,
    cancelled: Arc<Counter>,
    first_poll_delay: Arc<Histogram>,
    scheduled: Arc<Histogram>,
    idle: Arc<Histogram>,
    poll: Arc<Histogram>,
    slow_polls: Arc<Counter>,
    slow_after: Duration,
}

impl Tasks {
    /// Publishes the variables under `prefix`; existing ones are shared.
    ///
    /// # Errors
    /// A name is taken by a variable of another kind.
    pub fn publish(registry: &Registry, prefix: &str) -> Result<Self, PublishError> {
        let name = |name| format!("{prefix}.{name}");
        let counter = |named, help| {
            registry.get_or_publish_with(&name(named), Counter::new(), Info::with_help(help))
        };
        let time = |named, help| {
            let info = Info::with_help(help).unit(Unit::Nanoseconds);
            registry.get_or_publish_with(&name(named), Histogram::new(), info)
        };
        let alive = Info::with_help("Tasks that have not ended.");
        Ok(Self {
            vars: Arc::new(Vars {
                started: counter("started", "Tasks that were instrumented.")?,
                alive: registry.get_or_publish_with(&name("alive"), Gauge::new(), alive)?,
                cancelled: counter("cancelled", "Tasks dropped before they were ready.")?,
                first_poll_delay: time("first_poll_delay", "Time to the first poll.")?,
                scheduled: time("scheduled", "Time from being woken to being polled.")?,
                idle: time("idle", "Time from the end of a poll to being woken.")?,
                poll: time("poll", "Time that a poll takes.")?,
                slow_polls: counter("slow_polls", "Polls that took too long.")?,
                slow_after: SLOW,
            }),
        })
    }

    /// Sets the duration from which a poll is slow. Default: 50 µs.
    #[must_use]
    pub fn slow_after(self, slow_after: Duration) -> Self {
        let Vars {
            started,
            alive,
            cancelled,
            first_poll_delay,
            scheduled,
            idle,
            poll,
            slow_polls,
            ..
        } = &*self.vars;
        Self {
            vars: Arc::new(Vars {
                started: Arc::clone(started),
                alive: Arc::clone(alive),
                cancelled: Arc::clone(cancelled),
                first_poll_delay: Arc::clone(first_poll_delay),
                scheduled: Arc::clone(scheduled),
                idle: Arc::clone(idle),
                poll: Arc::clone(poll),
                slow_polls: Arc::clone(slow_polls),
                slow_after,
            }),
        }
    }

    /// Wraps a future to record its polls.
    pub fn instrument<F: Future>(&self, future: F) -> Instrumented<F> {
        self.vars.started.inc();
        self.vars.alive.inc();
        let start = Instant::now();
        Instrumented {
            future,
            task: Task {
                vars: Arc::clone(&self.vars),
                start,
                first: true,
                polled_until: None,
                done: false,
                waking: Arc::new(Waking {
                    start,
                    woken: AtomicU64::new(NEVER),
                    waker: Mutex::new(Waker::noop().clone()),
                }),
            },
        }
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks").field("alive", &self.vars.alive.get()).finish_non_exhaustive()
    }
}

pin_project! {
    /// A recorded future. See [`Tasks::instrument`].
    ///
    /// ```
    /// use expvar_tokio::{Instrumented, Tasks};
    ///
    /// let registry = expvar::Registry::new();
    /// let tasks = Tasks::publish(&registry, "jobs")?;
    /// let job: Instrumented<_> = tasks.instrument(async { 7 });
    /// # let tokio = tokio::runtime::Runtime::new().unwrap();
    /// assert_eq!(tokio.block_on(job), 7);
    /// # Ok::<(), expvar::PublishError>(())
    /// ```
    #[must_use = "a future does nothing until it is polled"]
    pub struct Instrumented<F> {
        #[pin]
        future: F,
        task: Task,
    }
}

struct Task {
    vars: Arc<Vars>,
    start: Instant,
    /// There was no poll yet.
    first: bool,
    /// The end of the last poll.
    polled_until: Option<Instant>,
    done: bool,
    waking: Arc<Waking>,
}

/// The future's waker: notes the time and wakes the task.
struct Waking {
    start: Instant,
    /// Nanoseconds from the start to the first wake-up since the last poll.
    woken: AtomicU64,
    waker: Mutex<Waker>,
}

const NEVER: u64 = u64::MAX;

impl Wake for Waking {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let now = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(NEVER - 1);
        let _ = self.woken.compare_exchange(NEVER, now, Relaxed, Relaxed);
        // Cloned, so that no lock is held while foreign code runs.
        let waker = self.waker.lock().clone();
        waker.wake();
    }
}

impl<F: Future> Future for Instrumented<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let task = this.task;
        let begin = Instant::now();
        if task.first {
            task.first = false;
            task.vars.first_poll_delay.record_duration(begin - task.start);
        }
        let woken = task.waking.woken.swap(NEVER, Relaxed);
        if let (Some(until), true) = (task.polled_until, woken != NEVER) {
            let woken = task.start + Duration::from_nanos(woken);
            task.vars.idle.record_duration(woken.saturating_duration_since(until));
            task.vars.scheduled.record_duration(begin.saturating_duration_since(woken.max(until)));
        }
        let stale = {
            let mut waker = task.waking.waker.lock();
            (!waker.will_wake(cx.waker()))
                .then(|| std::mem::replace(&mut *waker, cx.waker().clone()))
        };
        drop(stale);
        let waker = Waker::from(Arc::clone(&task.waking));
        let polled = this.future.poll(&mut Context::from_waker(&waker));
        let end = Instant::now();
        let took = end - begin;
        task.vars.poll.record_duration(took);
        if took > task.vars.slow_after {
            task.vars.slow_polls.inc();
        }
        task.polled_until = Some(end);
        task.done = polled.is_ready();
        polled
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.vars.alive.dec();
        if !self.done {
            self.vars.cancelled.inc();
        }
    }
}

impl<F> fmt::Debug for Instrumented<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instrumented").field("done", &self.task.done).finish_non_exhaustive()
    }
}
