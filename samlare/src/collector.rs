//! All endpoints together: who is polled, and what a reload or a discovery changes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use expvar::{Func, Info, Registry};
use expvar_carbon::Left;
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use crate::client::Target;
use crate::config::{Carbon, Config, Discover, Endpoint};
use crate::counts::Counts;
use crate::discover::{self, Discovery};
use crate::log::{Level, Log};
use crate::output::{Output, Settings};
use crate::poller::{Common, Poller};
use crate::schedule::Clock;
use crate::shard::Shard;
use crate::state::{Report, State};

/// Polls all endpoints of a configuration, and of the next one after a [`Collector::apply`].
pub struct Collector {
    common: Arc<Common>,
    config: Config,
    log: Log,
    sources: Vec<Source>,
    running: HashMap<Key, Running>,
    states: States,
    statuses: Statuses,
    changed: Arc<Notify>,
    /// What the output is to send to next.
    wishes: watch::Sender<Wish>,
    _exchanges: Aborting,
}

/// Settings for the output.
#[derive(Clone)]
struct Wish {
    carbon: Option<Carbon>,
    within: Duration,
    log: Log,
}

/// The endpoints that are polled, for whoever shows them.
#[derive(Clone, Default)]
pub struct States(Arc<Mutex<Vec<Polled>>>);

/// An endpoint and its state.
#[derive(Clone)]
pub struct Polled {
    /// Where and how it is polled.
    pub endpoint: Endpoint,
    /// How that goes.
    pub state: Arc<State>,
}

type Statuses = Arc<Mutex<Vec<Arc<discover::Status>>>>;

/// What tells one endpoint from another: its URL and its prefix.
type Key = (String, String);

struct Running {
    endpoint: Endpoint,
    state: Arc<State>,
    _task: Aborting,
}

struct Source {
    config: Discover,
    discovery: Discovery,
    _watch: Aborting,
}

/// A task that ends with its owner.
struct Aborting(AbortHandle);

impl Drop for Aborting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl States {
    /// Each endpoint's report, in the order of their URLs.
    pub fn reports(&self) -> Vec<Report> {
        self.polled().iter().map(|polled| polled.state.report()).collect()
    }

    /// The endpoints themselves, in the same order.
    pub fn polled(&self) -> Vec<Polled> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Collector {
    /// Begins to poll. What samlare knows of itself is shown in `registry`, under `samlare.`:
    /// the counts of all polls, `samlare.endpoints`, `samlare.sender` and `samlare.discover`.
    ///
    /// Call it in a tokio runtime; the endpoints are tasks of it.
    ///
    /// # Errors
    /// A setting of the sender that cannot be used.
    pub fn start(
        config: Config,
        registry: &Registry,
        clock: Clock,
        log: Log,
    ) -> Result<Collector, expvar_carbon::ConfigError> {
        let used = Settings::of(config.carbon.clone());
        let output = Output::open(config.carbon.as_ref(), &log)?;
        let common = Arc::new(Common::new(output, Counts::publish(registry), clock));
        let wish =
            Wish { carbon: config.carbon.clone(), within: config.flush_timeout, log: log.clone() };
        let (wishes, wished) = watch::channel(wish);
        let exchanges = tokio::spawn(exchange(common.clone(), used, wished));
        let mut collector = Collector {
            common,
            log,
            sources: Vec::new(),
            running: HashMap::new(),
            states: States::default(),
            statuses: Statuses::default(),
            changed: Arc::new(Notify::new()),
            wishes,
            _exchanges: Aborting(exchanges.abort_handle()),
            config,
        };
        collector.show(registry);
        collector.watch_sources();
        collector.gather();
        Ok(collector)
    }

    /// The endpoints that are polled.
    pub fn states(&self) -> States {
        self.states.clone()
    }

    /// The configuration in use.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Resolves when discovered endpoints have come or gone; then call [`Collector::gather`].
    pub fn changed(&self) -> impl Future<Output = ()> + use<> {
        let changed = self.changed.clone();
        async move { changed.notified().await }
    }

    /// Takes another configuration: endpoints that are the same keep their schedule and their
    /// connection, and so do the sources of others and the sender. Never waits: what waits for
    /// Carbon goes on under other settings in a task of its own, which logs what cannot be used.
    pub fn apply(&mut self, config: Config) {
        self.config = config;
        self.log = self.log.formatted(self.config.log_format);
        self.watch_sources();
        self.gather();
        // Also where they are the same: the files that they name may not be.
        self.wishes.send_replace(Wish {
            carbon: self.config.carbon.clone(),
            within: self.config.flush_timeout,
            log: self.log.clone(),
        });
    }

    /// Ends all polls and sends what waits; returns what could not be sent within the deadline.
    pub async fn stop(mut self, within: Duration) -> Left {
        self.sources.clear();
        self.running.clear();
        let left = self.common.output.close(within).await;
        tell_left(&self.log, &left);
        left
    }

    /// Follows the sources of the configuration; those that were there before go on undisturbed,
    /// and one that is only asked otherwise begins with what it has found so far.
    fn watch_sources(&mut self) {
        let mut before = std::mem::take(&mut self.sources);
        let mut take = |is_it: &dyn Fn(&Discover) -> bool| {
            let at = before.iter().position(|source| is_it(&source.config))?;
            Some(before.swap_remove(at))
        };
        let configs = &self.config.discover;
        let same: Vec<_> = configs.iter().map(|config| take(&|old| old == config)).collect();
        for (config, same) in configs.iter().zip(same) {
            if let Some(source) = same {
                self.sources.push(source);
                continue;
            }
            let source = &config.source.source;
            let known = take(&|old| old.source.source.is_at_the_place_of(source))
                .map(|old| old.discovery.targets.borrow().clone())
                .unwrap_or_default();
            let discovery = config.source.clone().spawn_knowing(&known);
            let (mut targets, changed) = (discovery.targets.clone(), self.changed.clone());
            let tell = discover::tell(discovery.status.clone(), self.log.clone());
            let watch = tokio::spawn(async move {
                let follow = async {
                    while targets.changed().await.is_ok() {
                        changed.notify_one();
                    }
                };
                tokio::join!(follow, tell)
            });
            let watch = Aborting(watch.abort_handle());
            self.sources.push(Source { config: config.clone(), discovery, _watch: watch });
        }
        *self.statuses.lock().unwrap_or_else(PoisonError::into_inner) =
            self.sources.iter().map(|source| source.discovery.status.clone()).collect();
    }

    /// Starts the endpoints that are new and ends those that are gone.
    pub fn gather(&mut self) {
        let wanted = self.wanted();
        self.running.retain(|key, running| wanted.get(key) == Some(&running.endpoint));
        for (key, endpoint) in wanted {
            if self.running.contains_key(&key) {
                continue;
            }
            let state = Arc::new(State::new(
                endpoint.target.to_string(),
                endpoint.prefix.clone(),
                u64::try_from(endpoint.polling.interval.as_millis()).unwrap_or(u64::MAX),
            ));
            match Poller::new(endpoint.clone(), state.clone()) {
                Ok(poller) => {
                    let task = tokio::spawn(poller.run(self.common.clone(), self.log.clone()));
                    let task = Aborting(task.abort_handle());
                    self.running.insert(key, Running { endpoint, state, _task: task });
                }
                Err(error) => self.log.event(
                    Level::Error,
                    "endpoint cannot be polled",
                    &[("endpoint", &endpoint.target), ("error", &error)],
                ),
            }
        }
        let polled = |running: &Running| Polled {
            endpoint: running.endpoint.clone(),
            state: running.state.clone(),
        };
        let mut states: Vec<_> = self.running.values().map(polled).collect();
        states.sort_by(|a, b| a.state.name().cmp(b.state.name()));
        *self.states.0.lock().unwrap_or_else(PoisonError::into_inner) = states;
    }

    fn wanted(&self) -> HashMap<Key, Endpoint> {
        let mut wanted = HashMap::new();
        let listed = self.config.endpoints.iter().cloned();
        let sources = self.sources.iter().flat_map(|source| {
            let targets = source.discovery.targets.borrow().clone();
            found(&source.config, &targets, &self.log)
        });
        for endpoint in listed.chain(sources) {
            let shard: Option<Shard> = self.config.shard;
            if shard.is_none_or(|shard| shard.owns(endpoint.target.url())) {
                let key = (endpoint.target.url().to_owned(), endpoint.prefix.clone());
                // Of an endpoint that is named twice the first is polled.
                wanted.entry(key).or_insert(endpoint);
            }
        }
        wanted
    }

    /// Shows what samlare knows of itself.
    fn show(&self, registry: &Registry) {
        let states = self.states();
        let endpoints = Func::new(move || named(states.reports()));
        let common = self.common.clone();
        let sender = Func::new(move || sender(&common.output));
        let statuses = self.statuses.clone();
        let discover = Func::new(move || {
            let statuses = statuses.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let reports = statuses.iter().map(|status| status.report());
            reports.map(|report| (report.source.clone(), report)).collect::<BTreeMap<_, _>>()
        });
        let info = |help| Info::new().help(help);
        // A name that is taken belongs to somebody else: it stays theirs.
        let _ = registry.publish_with(
            "samlare.endpoints",
            endpoints,
            info("Each endpoint's state.").label("endpoint"),
        );
        let _ = registry.publish_with(
            "samlare.discover",
            discover,
            info("How the sources of endpoints are doing.").label("source"),
        );
        let _ = registry.publish_with("samlare.sender", sender, info("What the sender counts."));
    }
}

/// Exchanges the output's settings as often as others are wished for.
async fn exchange(common: Arc<Common>, mut used: Settings, mut wishes: watch::Receiver<Wish>) {
    while wishes.changed().await.is_ok() {
        let Wish { carbon, within, log } = wishes.borrow_and_update().clone();
        let read = tokio::task::spawn_blocking(move || Settings::of(carbon)).await;
        let Ok(wanted) = read else { continue };
        if wanted == used {
            continue;
        }
        match common.output.exchange(wanted.carbon.as_ref(), within).await {
            Ok(left) => {
                used = wanted;
                log.event(Level::Info, "the Carbon settings have changed", &[]);
                tell_left(&log, &left);
            }
            Err(error) => {
                log.event(Level::Error, "the old Carbon settings stay", &[("error", &error)]);
            }
        }
    }
}

fn tell_left(log: &Log, left: &Left) {
    if left.points > 0 {
        log.event(
            Level::Warn,
            "not all was sent in time",
            &[("points", &left.points), ("bytes", &left.bytes)],
        );
    }
}

/// The endpoints that a source has found.
pub(crate) fn found(config: &Discover, targets: &[discover::Target], log: &Log) -> Vec<Endpoint> {
    let mut endpoints = Vec::with_capacity(targets.len());
    for target in targets {
        match Target::parse(&target.url) {
            Ok(url) => endpoints.push(Endpoint {
                target: url,
                prefix: target.prefix.clone(),
                failure_metric: target.failure_metric.clone(),
                polling: config.polling.clone(),
            }),
            Err(error) => log.event(
                Level::Warn,
                "a target that was found is left out",
                &[("source", &config.source.source.name()), ("error", &error)],
            ),
        }
    }
    endpoints
}

/// Reports by URL; of equal ones the later get a number.
fn named(reports: Vec<Report>) -> Map<String, Value> {
    let mut named = Map::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for report in reports {
        let number = seen.entry(report.url.clone()).or_default();
        *number += 1;
        let name = match *number {
            1 => report.url.clone(),
            number => format!("{} #{number}", report.url),
        };
        named.insert(name, serde_json::to_value(report).unwrap_or(Value::Null));
    }
    named
}

fn sender(output: &Output) -> Value {
    let Some(stats) = output.stats() else { return json!({}) };
    let refused: Map<String, Value> =
        stats.refused.iter().map(|(reason, count)| (reason.name().into(), count.into())).collect();
    json!({
        "points_sent": stats.points_sent,
        "points_resent": stats.points_resent,
        "points_dropped": stats.points_dropped,
        "points_unprotected": stats.points_unprotected,
        "points_rounded": stats.points_rounded,
        "refused": refused,
        "queue_bytes": stats.queue_bytes,
        "queue_points": stats.queue_points,
        "connects": stats.connects,
        "failures": stats.failures,
        "last_error": stats.last_error,
        "last_success_age_secs": stats.last_success_age.map(|age| age.as_secs_f64()),
        "spool_bytes": stats.spool_bytes,
        "spool_failures": stats.spool_failures,
        "spool_records_damaged": stats.spool_records_damaged,
    })
}
