//! The task behind [`Otlp`](crate::Otlp): collects a registry for a collector.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use expvar::{Map, Registry, Text};
use expvar_push::{Event, Export, Moment, Reply, Task, Unsent, publish_beside};

use crate::encode::reader::Reader;
use crate::encode::refusal::Refused;
use crate::handle::{Feed, PushHandle};
use crate::send::driver::Driver;
use crate::send::pack::Pack;
use crate::send::sender::Sender;
use crate::send::stats::MEMBERS;
use crate::trouble::Troubles;

/// The parts of a push.
pub(crate) struct Parts {
    pub(crate) registry: Registry,
    pub(crate) interval: Duration,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) reader: Reader,
    pub(crate) pack: Pack,
    /// Invalid environment variables.
    pub(crate) problems: Vec<(String, String)>,
    pub(crate) disabled: bool,
}

/// The task that pushes. [`run`](Push::run) it in a tokio runtime.
///
/// ```
/// # async fn run() -> Result<(), expvar_otlp::ConfigError> {
/// let (handle, push) = expvar_otlp::Otlp::new("http://collector:4318").build()?;
/// let running = tokio::spawn(push.run(std::future::pending()));
/// handle.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is sent until it runs"]
pub struct Push {
    task: Task<Exporter>,
    driver: Driver,
    registry: Registry,
    sender: Sender,
    last_conflict: Arc<Text>,
    problems: Vec<(String, String)>,
    disabled: bool,
}

impl fmt::Debug for Push {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let destination = self.sender.destination();
        f.debug_struct("Push").field("destination", &destination).finish_non_exhaustive()
    }
}

/// Encodes the registry to requests, and hands them to the sender.
struct Exporter {
    registry: Registry,
    reader: Reader,
    pack: Pack,
    sender: Sender,
    last_conflict: Arc<Text>,
    troubles: Troubles,
    /// The time of the last collection.
    last: u64,
    disabled: bool,
}

impl Push {
    pub(crate) fn new(parts: Parts, feed: Feed, driver: Driver) -> (PushHandle, Self) {
        let sender = feed.sender.clone();
        let last_conflict = Arc::new(Text::new());
        let exporter = Exporter {
            registry: parts.registry.clone(),
            reader: parts.reader,
            pack: parts.pack,
            sender: sender.clone(),
            last_conflict: last_conflict.clone(),
            troubles: Troubles::default(),
            last: 0,
            disabled: parts.disabled,
        };
        let (handle, task) = Task::new(exporter, feed, parts.interval, parts.shutdown_timeout);
        let Parts { registry, problems, disabled, .. } = parts;
        (handle, Self { task, driver, registry, sender, last_conflict, problems, disabled })
    }

    /// For tests: replaces the wall clock and the random delay.
    #[doc(hidden)]
    pub fn in_time(
        &mut self,
        clock: impl Fn() -> Duration + Send + Sync + 'static,
        jitter: f64,
    ) -> &mut Self {
        self.task.in_time(clock, jitter);
        self
    }

    /// Pushes until `shutdown` resolves or the handle closes it; then collects once more, sends
    /// what is queued within the deadline and returns what is unsent.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Unsent {
        for (setting, problem) in &self.problems {
            let (setting, problem) = (setting.clone(), problem.clone());
            self.sender.tell(&Event::Ignored { setting, problem });
        }
        let map = self.variables();
        let name = publish_beside(&self.registry, "expvar.otlp", map);
        // The driver ends when the task has shut the sender down.
        let (left, ()) = tokio::join!(self.task.run(shutdown), self.driver.run());
        if let Some(name) = name {
            self.registry.remove(&name);
        }
        left
    }

    /// The statistics as a map.
    fn variables(&self) -> Map {
        let map = Map::new().members(MEMBERS);
        self.sender.counts().show(&map);
        self.task.show(&map);
        map.set("last_conflict", self.last_conflict.clone());
        map.set("destination", Text::new()).set(self.sender.destination());
        let said = |(setting, problem): &(String, String)| format!("{setting}: {problem}");
        let ignored: Vec<_> = self.problems.iter().map(said).collect();
        map.set("ignored_settings", Text::new()).set(ignored.join("; ").as_str());
        if self.disabled {
            map.set("disabled", Text::new()).set("OTEL_SDK_DISABLED or OTEL_METRICS_EXPORTER");
        }
        map
    }
}

impl Exporter {
    /// The time of a collection's points: its boundary, unless that is in the future or was already
    /// used.
    fn time(&self, moment: Moment) -> u64 {
        let boundary = Duration::from_secs(moment.timestamp).as_nanos() as u64;
        let now = moment.now.as_nanos() as u64;
        if boundary > now || boundary <= self.last.max(self.reader.started()) {
            return now;
        }
        boundary
    }
}

impl Export for Exporter {
    fn read(&mut self, moment: Moment) {
        if self.disabled {
            return;
        }
        let time = self.time(moment);
        self.reader.read(&self.registry, time);
        self.last = time;
        let refused = self.reader.refused();
        if refused != Refused::default() {
            self.sender.counts().refuse(refused);
        }
        self.troubles.update(refused, |event| self.sender.tell(event));
        if let Some(name) = self.reader.take_conflict() {
            self.last_conflict.set(name.as_str());
        }
    }

    fn hand_over(&mut self, all: bool) -> usize {
        let parts = &mut self.reader.parts;
        let most = if all { usize::MAX } else { 1 };
        for (request, points) in std::iter::from_fn(|| parts.take()).take(most) {
            self.sender.push(self.pack.pack(request), points);
        }
        parts.left()
    }

    fn flush(&mut self, within: Duration, reply: Reply) {
        self.sender.flush(within, reply);
    }

    async fn shutdown(&mut self, within: Duration) -> Unsent {
        self.sender.shutdown(within).await
    }
}
