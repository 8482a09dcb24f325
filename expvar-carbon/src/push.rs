//! The task behind [`Carbon`](crate::Carbon): collects a registry for a sender.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use expvar::{Registry, Text};
use expvar_push::{Export, Moment, Reply, Task, Unsent, publish_beside};

use crate::handle::PushHandle;
use crate::render::reading::Reader;
use crate::send::driver::Driver;
use crate::send::sender::{Sender, cut};

/// What is handed over at once; more is spread over a quarter of the interval.
const PART_BYTES: usize = 64 << 10;

pub(crate) struct Settings {
    pub(crate) interval: Duration,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) registry: Registry,
}

/// The task that pushes. [`run`](Push::run) it in a tokio runtime.
///
/// ```
/// # let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # tokio.block_on(async {
/// let (handle, push) = expvar_carbon::Carbon::new("127.0.0.1:2003").build()?;
/// // It pushes until the future ends; this one never does.
/// let pushing = tokio::spawn(push.run(std::future::pending()));
/// # pushing.abort();
/// # drop(handle);
/// # Ok::<(), expvar_carbon::ConfigError>(())
/// # }).unwrap();
/// ```
#[must_use = "nothing is sent until it runs"]
pub struct Push {
    task: Task<Exporter>,
    driver: Driver,
    registry: Registry,
    sender: Sender,
    last_conflict: Arc<Text>,
}

impl fmt::Debug for Push {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push").field("sender", &self.sender).finish_non_exhaustive()
    }
}

/// Renders the registry to lines, and hands them to the sender.
struct Exporter {
    registry: Registry,
    interval_secs: u64,
    reader: Reader,
    sender: Sender,
    /// How much of the lines was handed over.
    handed: usize,
    last_conflict: Arc<Text>,
}

impl Push {
    pub(crate) fn new(
        settings: Settings,
        reader: Reader,
        sender: Sender,
        driver: Driver,
    ) -> (PushHandle, Self) {
        let Settings { interval, shutdown_timeout, registry } = settings;
        let last_conflict = Arc::new(Text::new());
        let exporter = Exporter {
            registry: registry.clone(),
            interval_secs: interval.as_secs(),
            reader,
            sender: sender.clone(),
            handed: 0,
            last_conflict: last_conflict.clone(),
        };
        let (handle, task) = Task::new(exporter, sender.clone(), interval, shutdown_timeout);
        (handle, Self { task, driver, registry, sender, last_conflict })
    }

    /// Pushes until `shutdown` resolves or the handle closes it; then collects once more, sends
    /// what is queued within the deadline and returns what is unsent.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Unsent {
        let map = self.sender.variables();
        self.task.show(&map);
        map.set("last_conflict", self.last_conflict);
        let name = publish_beside(&self.registry, "expvar.carbon", map);
        // The driver ends when the task has shut the sender down.
        let driven = self.driver.run(std::future::pending());
        let (left, _) = tokio::join!(self.task.run(shutdown), driven);
        if let Some(name) = name {
            self.registry.remove(&name);
        }
        left
    }
}

impl Export for Exporter {
    fn read(&mut self, moment: Moment) {
        self.reader.read(&self.registry, moment, self.interval_secs);
        self.sender.absorb(self.reader.lines());
        if let Some(name) = self.reader.take_conflict() {
            self.last_conflict.set(name);
        }
    }

    fn hand_over(&mut self, all: bool) -> usize {
        let lines = self.reader.lines();
        let Some(rest) = lines.as_bytes().get(self.handed..).filter(|rest| !rest.is_empty()) else {
            lines.clear();
            self.handed = 0;
            return 0;
        };
        if self.handed == 0 {
            self.sender.push_began();
        }
        let (part, rest) = rest.split_at(cut(rest, if all { usize::MAX } else { PART_BYTES }));
        self.sender.send_part(part, memchr::memchr_iter(b'\n', part).count() as u64);
        if rest.is_empty() {
            lines.clear();
            self.handed = 0;
            return 0;
        }
        self.handed += part.len();
        rest.len().div_ceil(PART_BYTES)
    }

    fn flush(&mut self, within: Duration, reply: Reply) {
        self.sender.flush_then(within, reply);
    }

    async fn shutdown(&mut self, within: Duration) -> Unsent {
        self.sender.shutdown(within).await
    }
}

#[cfg(test)]
mod tests;
