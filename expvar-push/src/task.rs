//! The task behind a push: collects at boundaries, and hands over with jitter and pacing.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use expvar::{Counter, FloatGauge, Map, Registry};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use crate::handle::{Order, PushHandle, Reply};
use crate::random::random;
use crate::schedule::{Due, Moment, Schedule};
use crate::unsent::Unsent;

/// An exporter's collection and sending.
///
/// ```
/// use std::time::Duration;
/// use expvar_push::{Export, Moment, Reply, Unsent};
///
/// /// Prints the time of each collection.
/// struct Print;
///
/// impl Export for Print {
///     fn read(&mut self, moment: Moment) {
///         println!("{}", moment.timestamp);
///     }
///
///     fn hand_over(&mut self, _all: bool) -> usize {
///         0
///     }
///
///     fn flush(&mut self, _within: Duration, reply: Reply) {
///         reply(Unsent::default());
///     }
///
///     async fn shutdown(&mut self, _within: Duration) -> Unsent {
///         Unsent::default()
///     }
/// }
/// ```
pub trait Export: Send {
    /// Collects every variable for this moment. The previous collection was handed over.
    fn read(&mut self, moment: Moment);

    /// Hands over the next part of the collection, or with `all` the rest; returns how many parts
    /// remain. Never blocks.
    fn hand_over(&mut self, all: bool) -> usize;

    /// Sends what was handed over, and calls `reply` when it has arrived or the time is over.
    fn flush(&mut self, within: Duration, reply: Reply);

    /// Sends what was handed over, ends, and returns what is unsent when the time is over.
    fn shutdown(&mut self, within: Duration) -> impl Future<Output = Unsent> + Send;
}

/// Collects at whole intervals of the wall clock. Hands the points over after a delay of up to a
/// tenth of the interval, different for each process, and over a quarter of the interval if there
/// are many parts.
///
/// ```
/// use std::time::Duration;
/// use expvar_push::{Export, Sends, Task};
///
/// async fn push(export: impl Export + 'static, sender: impl Sends) {
///     let (minute, timeout) = (Duration::from_secs(60), Duration::from_secs(5));
///     let (handle, task) = Task::new(export, sender, minute, timeout);
///     let running = tokio::spawn(task.run(std::future::pending()));
///     handle.shutdown().await;
/// }
/// ```
#[must_use = "nothing is sent until it runs"]
pub struct Task<E> {
    export: E,
    interval: Duration,
    shutdown_timeout: Duration,
    orders: mpsc::Receiver<Order>,
    clock: Box<dyn Fn() -> Duration + Send + Sync>,
    /// This process's delay as a fraction of a tenth of the interval.
    jitter: f64,
    shown: Shown,
}

impl<E> fmt::Debug for Task<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("interval", &self.interval).finish_non_exhaustive()
    }
}

/// Statistics of collections.
#[derive(Default)]
struct Shown {
    collections: Arc<Counter>,
    collections_late: Arc<Counter>,
    collections_skipped: Arc<Counter>,
    late_seconds: Arc<FloatGauge>,
    last_collection_seconds: Arc<FloatGauge>,
}

impl<E: Export> Task<E> {
    /// Creates a task, to be [run](Self::run), and its handle. `sender` is what `export` feeds.
    pub fn new<S>(
        export: E,
        sender: S,
        interval: Duration,
        shutdown_timeout: Duration,
    ) -> (PushHandle<S>, Self) {
        let (orders, received) = mpsc::channel(16);
        let task = Self {
            export,
            interval,
            shutdown_timeout,
            orders: received,
            clock: Box::new(wall_clock),
            jitter: random(),
            shown: Shown::default(),
        };
        (PushHandle::new(sender, orders, shutdown_timeout), task)
    }

    /// For tests: replaces the wall clock, counted from 1970, and the random delay.
    #[doc(hidden)]
    pub fn in_time(
        &mut self,
        clock: impl Fn() -> Duration + Send + Sync + 'static,
        jitter: f64,
    ) -> &mut Self {
        self.clock = Box::new(clock);
        self.jitter = jitter;
        self
    }

    /// Adds the statistics of collections to `map`.
    pub fn show(&self, map: &Map) {
        let shown = &self.shown;
        map.set("collections", shown.collections.clone());
        map.set("collections_late", shown.collections_late.clone());
        map.set("collections_skipped", shown.collections_skipped.clone());
        map.set("late_seconds", shown.late_seconds.clone());
        map.set("last_collection_seconds", shown.last_collection_seconds.clone());
    }

    /// Pushes until `shutdown` resolves or the handle closes it; then collects once more, sends
    /// what is queued within the deadline and returns what is unsent.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Unsent {
        tokio::pin!(shutdown);
        let mut schedule = Schedule::new(self.interval.as_secs(), (self.clock)());
        // When to hand over the next part, and the pause after it: all parts together take a
        // quarter of the interval.
        let (mut next_part, mut pause) = (None, None);
        let mut has_handle = true;
        loop {
            if next_part.is_some_and(|at| at <= Instant::now()) {
                let left = self.export.hand_over(false);
                let quarter = self.interval / 4;
                let pause = *pause.get_or_insert_with(|| quarter.div_f64((left + 1) as f64));
                next_part = (left > 0).then(|| Instant::now() + pause);
            }
            let wait = match schedule.poll((self.clock)()) {
                Due::Wait(wait) => wait,
                Due::Read(moment) => {
                    // The rest of the previous collection goes first.
                    self.export.hand_over(true);
                    self.read(moment);
                    let jitter = self.interval.mul_f64(self.jitter / 10.0);
                    (next_part, pause) = (Some(Instant::now() + jitter), None);
                    continue;
                }
            };
            let (within, reply) = tokio::select! {
                () = sleep(wait) => continue,
                () = sleep_until(next_part.unwrap_or_else(Instant::now)), if next_part.is_some() => {
                    continue;
                }
                () = &mut shutdown => (self.shutdown_timeout, None),
                order = self.orders.recv(), if has_handle => match order {
                    Some(Order::Flush(within, reply)) => {
                        self.export.hand_over(true);
                        next_part = None;
                        self.export.flush(within, reply);
                        continue;
                    }
                    Some(Order::Close(within, reply)) => (within, Some(reply)),
                    None => {
                        // A dropped handle does not end the task.
                        has_handle = false;
                        continue;
                    }
                },
            };
            self.export.hand_over(true);
            let moment = schedule.finish((self.clock)());
            self.read(moment);
            self.export.hand_over(true);
            let left = self.export.shutdown(within).await;
            if let Some(reply) = reply {
                reply(left);
            }
            return left;
        }
    }

    fn read(&mut self, moment: Moment) {
        let (began, shown) = (Instant::now(), &self.shown);
        shown.late_seconds.set(moment.late.as_secs_f64());
        shown.collections.inc();
        shown.collections_skipped.add(moment.skipped);
        if moment.is_late(self.interval) {
            shown.collections_late.inc();
        }
        self.export.read(moment);
        shown.last_collection_seconds.set(began.elapsed().as_secs_f64());
    }
}

/// Publishes an exporter's statistics as `name` or, if that is taken, as `name.2` and so on;
/// returns the name.
pub fn publish_beside(registry: &Registry, name: &str, map: Map) -> Option<String> {
    let map = Arc::new(map);
    let others = (2..100).map(|n| format!("{name}.{n}"));
    let mut names = std::iter::once(name.to_owned()).chain(others);
    names.find(|name| registry.publish(name, map.clone()).is_ok())
}

fn wall_clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
