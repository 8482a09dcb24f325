//! Shows a tokio runtime's metrics as [`expvar`] variables.
//!
//! ```
//! # let runtime = tokio::runtime::Runtime::new().unwrap();
//! # let _entered = runtime.enter();
//! # let registry = expvar::Registry::new();
//! // In `main`, inside the runtime: let _runtime = expvar_tokio::publish("tokio")?;
//! let shown = expvar_tokio::Runtime::publish(&registry, "tokio", runtime.handle())?;
//! assert!(registry.get("tokio.alive_tasks").is_some());
//! # Ok::<(), expvar::PublishError>(())
//! ```
//!
//! | variable | what | Prometheus |
//! |---|---|---|
//! | `tokio.workers` | worker threads | `tokio_workers` |
//! | `tokio.alive_tasks` | tasks that were spawned and have not ended | `tokio_alive_tasks` |
//! | `tokio.global_queue_depth` | tasks in the shared queue of all workers | `tokio_global_queue_depth` |
//! | `tokio.busy_ratio` | fraction of the workers' time spent on tasks, over the last ten seconds or since the last read | `tokio_busy_ratio` |
//! | `tokio.busy` | seconds spent on tasks, by worker | `tokio_busy_seconds_total{worker="0"}` |
//! | `tokio.parks` | times that a worker parked for lack of work | `tokio_parks_total{worker="0"}` |
//! | `tokio.park_unparks` | times that a worker parked or unparked: odd while it is parked | `tokio_park_unparks_total{worker="0"}` |
//!
//! A program built with `RUSTFLAGS="--cfg tokio_unstable"` also has:
//!
//! | variable | what |
//! |---|---|
//! | `tokio.blocking_threads`, `tokio.idle_blocking_threads` | threads for blocking work, and those without any |
//! | `tokio.blocking_queue_depth` | blocking work that waits for a thread |
//! | `tokio.spawned_tasks`, `tokio.remote_schedules`, `tokio.budget_forced_yields` | tasks ever spawned; woken from outside the runtime; made to yield |
//! | `tokio.local_queue_depth` | tasks that wait in each worker's own queue, by worker |
//! | `tokio.polls`, `tokio.steals`, `tokio.steal_operations`, `tokio.noops`, `tokio.local_schedules`, `tokio.overflows` | counts by worker |
//! | `tokio.stalls` | times that a worker was awake for over 100 ms without a new poll, by thread: `0 ThreadId(2)` is worker 0 |
//! | `tokio.mean_poll_time` | recent mean time of a poll in nanoseconds, by worker |
//!
//! For `tokio.stalls` a thread checks the workers every 20 ms, until the returned guard is dropped.
//! To record the tasks of one kind, in any build, use [`Tasks`].
//!
//! Tokio counts polls only in such builds; in others, use `tokio.busy` and `tokio.parks`. A
//! worker's own numbers are updated when it parks, so a blocked worker shows as one that no longer
//! parks. On targets without 64-bit atomics tokio lacks `busy`, `busy_ratio`, `parks` and
//! `park_unparks`, and so they are absent.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
#![warn(missing_debug_implementations)]

use std::fmt;
#[cfg(target_has_atomic = "64")]
use std::time::Instant;

#[cfg(any(tokio_unstable, target_has_atomic = "64"))]
use expvar::Unit;
use expvar::{Func, Info, PublishError, Registry};
use serde::Serialize;
use tokio::runtime::{Handle, RuntimeMetrics};

#[cfg(target_has_atomic = "64")]
mod busy;
#[cfg(all(tokio_unstable, target_has_atomic = "64"))]
mod stalls;
mod tasks;

pub use tasks::{Instrumented, Tasks};

/// Publishes the variables of the current runtime under `prefix` in the
/// [`global`](expvar::global()) registry, until the returned guard is dropped.
///
/// # Errors
/// A name is taken: another runtime has the prefix. Nothing stays published then.
///
/// # Panics
/// Outside a tokio runtime.
pub fn publish(prefix: &str) -> Result<Runtime, PublishError> {
    Runtime::publish(expvar::global(), prefix, &Handle::current())
}

/// Keeps a runtime's variables published until it is dropped.
///
/// ```
/// let registry = expvar::Registry::new();
/// # let tokio = tokio::runtime::Runtime::new().unwrap();
/// let shown = expvar_tokio::Runtime::publish(&registry, "tokio", tokio.handle())?;
/// assert!(registry.get("tokio.workers").is_some());
/// drop(shown);
/// assert!(registry.get("tokio.workers").is_none());
/// # Ok::<(), expvar::PublishError>(())
/// ```
#[must_use = "the variables are shown until this is dropped: keep it as long as the runtime"]
pub struct Runtime {
    registry: Registry,
    names: Vec<String>,
    #[cfg(all(tokio_unstable, target_has_atomic = "64"))]
    stalls: Option<stalls::Watch>,
}

impl Runtime {
    /// Publishes a runtime's variables under `prefix`, until the returned guard is dropped.
    ///
    /// # Errors
    /// A name is taken: another runtime has the prefix. Nothing stays published then.
    pub fn publish(
        registry: &Registry,
        prefix: &str,
        handle: &Handle,
    ) -> Result<Self, PublishError> {
        let mut shown = Shown {
            runtime: Self {
                registry: registry.clone(),
                names: Vec::new(),
                #[cfg(all(tokio_unstable, target_has_atomic = "64"))]
                stalls: None,
            },
            prefix,
            metrics: handle.metrics(),
        };
        shown.stable()?;
        #[cfg(tokio_unstable)]
        shown.unstable()?;
        Ok(shown.runtime)
    }

    /// Keeps the variables published for the rest of the process.
    pub fn keep(mut self) {
        self.names.clear();
        #[cfg(all(tokio_unstable, target_has_atomic = "64"))]
        if let Some(watch) = self.stalls.take() {
            watch.keep();
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        for name in &self.names {
            self.registry.remove(name);
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("names", &self.names).finish_non_exhaustive()
    }
}

struct Shown<'a> {
    runtime: Runtime,
    prefix: &'a str,
    metrics: RuntimeMetrics,
}

impl Shown<'_> {
    fn stable(&mut self) -> Result<(), PublishError> {
        self.one("workers", "Worker threads.", |m| m.num_workers())?;
        self.one("alive_tasks", "Tasks that have not ended.", |m| m.num_alive_tasks())?;
        let help = "Tasks that wait in the queue of all workers.";
        self.one("global_queue_depth", help, |m| m.global_queue_depth())?;
        #[cfg(target_has_atomic = "64")]
        {
            let window = busy::Window::new(Instant::now());
            let ratio = Info::new().help("Share of time spent on tasks.").unit(Unit::Ratio);
            self.func("busy_ratio", ratio, move |m| {
                let workers = 0..m.num_workers();
                let busy = workers.clone().map(|worker| m.worker_total_busy_duration(worker)).sum();
                window.ratio(Instant::now(), busy, workers.len())
            })?;
            let help = "Time spent on tasks.";
            self.by_worker(
                "busy",
                Info::new().help(help).unit(Unit::Seconds).counter(),
                |m, w| m.worker_total_busy_duration(w).as_secs_f64(),
            )?;
            let info = Info::new().help("Times that a worker parked for lack of work.").counter();
            self.by_worker("parks", info, |m, w| m.worker_park_count(w))?;
            let info = Info::new().help("Times that a worker fell asleep or woke.").counter();
            self.by_worker("park_unparks", info, |m, w| m.worker_park_unpark_count(w))?;
        }
        Ok(())
    }

    #[cfg(tokio_unstable)]
    fn unstable(&mut self) -> Result<(), PublishError> {
        self.one("blocking_threads", "Threads for blocking work.", |m| m.num_blocking_threads())?;
        let help = "Idle threads for blocking work.";
        self.one("idle_blocking_threads", help, |m| m.num_idle_blocking_threads())?;
        let help = "Blocking tasks that wait for a thread.";
        self.one("blocking_queue_depth", help, |m| m.blocking_queue_depth())?;
        let help = "Tasks that wait in a worker's own queue.";
        self.by_worker("local_queue_depth", Info::new().help(help), |m, w| {
            m.worker_local_queue_depth(w)
        })?;
        let help = "Recent mean time of a poll.";
        let info = Info::new().help(help).unit(Unit::Nanoseconds);
        self.by_worker("mean_poll_time", info, |m, w| {
            u64::try_from(m.worker_mean_poll_time(w).as_nanos()).unwrap_or(u64::MAX)
        })?;
        #[cfg(target_has_atomic = "64")]
        self.unstable_counts()?;
        Ok(())
    }

    #[cfg(all(tokio_unstable, target_has_atomic = "64"))]
    fn unstable_counts(&mut self) -> Result<(), PublishError> {
        let count = |help: &'static str| Info::new().help(help).counter();
        self.func("spawned_tasks", count("Tasks ever spawned."), |m| m.spawned_tasks_count())?;
        let help = "Tasks woken from outside the runtime.";
        self.func("remote_schedules", count(help), |m| m.remote_schedule_count())?;
        let help = "Tasks forced to yield because their budget was exhausted.";
        self.func("budget_forced_yields", count(help), |m| m.budget_forced_yield_count())?;
        self.by_worker("polls", count("Polls of tasks."), |m, w| m.worker_poll_count(w))?;
        let help = "Tasks stolen from other workers.";
        self.by_worker("steals", count(help), |m, w| m.worker_steal_count(w))?;
        let help = "Times that tasks were stolen from other workers.";
        self.by_worker("steal_operations", count(help), |m, w| m.worker_steal_operations(w))?;
        let help = "Times that a worker woke and found no work.";
        self.by_worker("noops", count(help), |m, w| m.worker_noop_count(w))?;
        let help = "Tasks put into a worker's own queue by itself.";
        self.by_worker("local_schedules", count(help), |m, w| m.worker_local_schedule_count(w))?;
        let help = "Times that a worker's own queue was full.";
        self.by_worker("overflows", count(help), |m, w| m.worker_overflow_count(w))?;
        let name = format!("{}.stalls", self.prefix);
        let watch = stalls::watch(&self.runtime.registry, &name, self.metrics.clone())?;
        self.runtime.names.push(name);
        self.runtime.stalls = Some(watch);
        Ok(())
    }

    fn one(
        &mut self,
        name: &str,
        help: &'static str,
        read: impl Fn(&RuntimeMetrics) -> usize + Send + Sync + 'static,
    ) -> Result<(), PublishError> {
        self.func(name, Info::new().help(help), read)
    }

    #[cfg(any(tokio_unstable, target_has_atomic = "64"))]
    fn by_worker<T: Serialize>(
        &mut self,
        name: &str,
        info: Info,
        read: impl Fn(&RuntimeMetrics, usize) -> T + Send + Sync + 'static,
    ) -> Result<(), PublishError> {
        self.func(name, info.label("worker"), move |metrics| {
            (0..metrics.num_workers()).map(|worker| read(metrics, worker)).collect::<Vec<T>>()
        })
    }

    fn func<T: Serialize>(
        &mut self,
        name: &str,
        info: Info,
        read: impl Fn(&RuntimeMetrics) -> T + Send + Sync + 'static,
    ) -> Result<(), PublishError> {
        let name = format!("{}.{name}", self.prefix);
        let metrics = self.metrics.clone();
        self.runtime.registry.publish_with(&name, Func::new(move || read(&metrics)), info)?;
        self.runtime.names.push(name);
        Ok(())
    }
}
