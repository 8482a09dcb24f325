//! All endpoints: who is polled, and what a reload or a discovery changes.

mod cluster;
mod exchange;
mod shown;
mod sources;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use expvar::Registry;
use expvar_carbon::Unsent;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinHandle};

use crate::cluster::{Begin, Duty, Engine, Membership, View};
use crate::config::{Config, Endpoint};
use crate::counts::Counts;
use crate::discover;
use crate::log::{Level, Log};
use crate::outage;
use crate::output::{Output, Settings};
use crate::poller::{self, Common, Poller};
use crate::schedule::Clock;
use crate::shard::Shard;
use crate::state::State;
use exchange::{OutputSettings, exchange};
use shown::ClusterShown;
pub use shown::{Polled, States};
use sources::Source;
pub(crate) use sources::found;

/// Polls all endpoints of a configuration, and of later ones after [`Collector::apply`].
pub struct Collector {
    common: Arc<Common>,
    config: Config,
    log: Log,
    sources: Vec<Source>,
    running: HashMap<Key, Running>,
    states: States,
    statuses: Statuses,
    member: Option<Member>,
    cluster: ClusterShown,
    /// The engine, if it is not the configured one.
    engine: Option<Arc<dyn Engine>>,
    registry: Registry,
    changed: Arc<Notify>,
    /// Where the output sends next.
    settings_sent: watch::Sender<OutputSettings>,
    _exchanges: Aborting,
}

/// This process as a member of a cluster.
struct Member {
    membership: Membership,
    /// The owners; `None` before the first view.
    view: Option<View>,
    _failures: Aborting,
}

type Statuses = Arc<Mutex<Vec<Arc<discover::Status>>>>;

/// The identity of an endpoint: URL and prefix.
type Key = (String, String);

struct Running {
    endpoint: Endpoint,
    state: Arc<State>,
    duty: Arc<Duty>,
    is_owned: bool,
    task: Polling,
}

/// An endpoint's task, aborted with its owner.
struct Polling(JoinHandle<()>);

impl Drop for Polling {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A task that is aborted with its owner.
struct Aborting(AbortHandle);

impl Drop for Aborting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Collector {
    /// Starts polling. Publishes samlare's own variables in `registry`, under `samlare.`: counts of
    /// polls, `samlare.endpoints`, `samlare.sender`, `samlare.otlp` and `samlare.discover`.
    ///
    /// Must be called in a tokio runtime, in which the endpoints' tasks run.
    ///
    /// # Errors
    /// A setting of the sender is invalid.
    pub fn start(
        config: Config,
        registry: &Registry,
        clock: Clock,
        log: Log,
    ) -> Result<Collector, expvar_carbon::ConfigError> {
        Collector::start_by(config, None, registry, clock, log)
    }

    /// Like [`start`](Self::start), with `engine` instead of the configured one.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_by(
        config: Config,
        engine: Option<Arc<dyn Engine>>,
        registry: &Registry,
        clock: Clock,
        log: Log,
    ) -> Result<Collector, expvar_carbon::ConfigError> {
        let used = Settings::of(config.carbon.clone());
        let output = Output::open(config.carbon.as_ref(), &log)?;
        output.set_prints(config.otlp.is_none());
        let common = Arc::new(Common::new(output, Counts::publish(registry), clock));
        common.otlp.set(config.otlp.as_deref(), config.flush_timeout, &log)?;
        let output_settings = OutputSettings {
            carbon: config.carbon.clone(),
            places: config.places.clone(),
            within: config.flush_timeout,
            log: log.clone(),
        };
        let (settings_sent, settings) = watch::channel(output_settings);
        let exchanges = tokio::spawn(exchange(common.clone(), used, settings));
        let cluster = ClusterShown::default();
        let mut collector = Collector {
            common,
            log,
            sources: Vec::new(),
            running: HashMap::new(),
            states: States(Arc::default(), cluster.clone()),
            member: None,
            cluster,
            engine,
            registry: registry.clone(),
            statuses: Statuses::default(),
            changed: Arc::new(Notify::new()),
            settings_sent,
            _exchanges: Aborting(exchanges.abort_handle()),
            config,
        };
        collector.show(registry);
        collector.join_cluster(None);
        collector.watch_sources();
        collector.gather();
        Ok(collector)
    }

    /// Resolves when the members are known; at once without a cluster.
    ///
    /// # Errors
    /// The engine was unreachable; endpoints are polled as if alone.
    pub fn joined(&self) -> impl Future<Output = Result<(), String>> + use<> {
        let joined = self.member.as_ref().map(|member| member.membership.joined());
        async move {
            match joined {
                Some(joined) => joined.await,
                None => Ok(()),
            }
        }
    }

    /// The endpoints that are polled.
    pub fn states(&self) -> States {
        self.states.clone()
    }

    /// The configuration in use.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Resolves when discovered endpoints have changed; then call [`Collector::gather`].
    pub fn changed(&self) -> impl Future<Output = ()> + use<> {
        let changed = self.changed.clone();
        async move { changed.notified().await }
    }

    /// Applies another configuration. Unchanged endpoints, sources and senders keep their schedules
    /// and connections. Never blocks: a task moves queued points to the new settings, and logs
    /// invalid ones.
    pub fn apply(&mut self, config: Config) {
        let before = std::mem::replace(&mut self.config, config);
        self.log.set_format(self.config.log_format);
        self.join_cluster(before.cluster.as_ref());
        self.watch_sources();
        self.gather();
        self.set_otlp();
        // Even if equal: the files that they name may have changed.
        self.settings_sent.send_replace(OutputSettings {
            carbon: self.config.carbon.clone(),
            places: self.config.places.clone(),
            within: self.config.flush_timeout,
            log: self.log.clone(),
        });
    }

    fn set_otlp(&self) {
        let (url, within) = (self.config.otlp.as_deref(), self.config.flush_timeout);
        self.common.output.set_prints(url.is_none());
        if let Err(error) = self.common.otlp.set(url, within, &self.log) {
            let problem = self.config.places.problem_of("Otlp", &error);
            exchange::log_problem(&self.log, "the old Otlp stays", &problem);
        }
    }

    /// How long [`stop`](Self::stop) takes at most before it sends queued points.
    pub fn hands_over_within(&self) -> Duration {
        let has_others = |member: &Member| member.view.as_ref().is_some_and(View::has_others);
        if !self.member.as_ref().is_some_and(has_others) {
            return Duration::ZERO;
        }
        let longest = |running: &Running| {
            let polling = &running.endpoint.polling;
            polling.interval * self.lingers() + polling.timeout
        };
        let longest = self.running.values().map(longest).max().unwrap_or_default();
        cluster::LEAVES_WITHIN + longest + Duration::from_secs(1)
    }

    /// Ends all polls and sends queued points; returns what is unsent at the deadline. Members of a
    /// cluster first leave it, and continue for one slot.
    pub async fn stop(mut self, within: Duration) -> Unsent {
        let hands_over = self.hands_over_within();
        self.leave_cluster(hands_over).await;
        self.sources.clear();
        self.running.clear();
        let is_kept = self.common.output.has_spool();
        let (left, of_otlp) =
            tokio::join!(self.common.output.close(within), self.common.otlp.close(within));
        outage::unsent(&self.log, &left, is_kept);
        outage::unsent(&self.log, &of_otlp, false);
        left
    }

    /// Starts new endpoints and ends removed ones.
    pub fn gather(&mut self) {
        let Some(member) = &mut self.member else { return self.settle(&|_| Begin::Next) };
        let views = member.membership.views();
        if views.is_empty() {
            return self.settle(&|_| Begin::Next);
        }
        // One by one: an endpoint owned for a moment is polled until others surely do.
        for view in views {
            self.see(view);
        }
    }

    /// Starts new endpoints as `begin` says, and ends removed ones.
    fn settle(&mut self, begin: &dyn Fn(&Endpoint) -> Begin) {
        let wanted = self.wanted();
        self.running.retain(|key, running| {
            let stays = wanted.get(key).is_some_and(|(wanted, _)| *wanted == running.endpoint);
            stays && !running.task.0.is_finished()
        });
        let lingers = self.lingers();
        let mut lingering = None;
        for (key, (endpoint, is_owned)) in wanted {
            if let Some(running) = self.running.get_mut(&key) {
                running.is_owned = is_owned;
                if is_owned {
                    running.duty.keep();
                } else {
                    let schedule = poller::schedule(&endpoint);
                    running.duty.end(&schedule, self.common.clock.now_ms(), u64::from(lingers));
                    lingering = lingering.max(Some(endpoint.polling.interval));
                }
                continue;
            }
            if !is_owned {
                continue;
            }
            let state = Arc::new(State::new(
                endpoint.target.to_string(),
                endpoint.prefix.clone(),
                u64::try_from(endpoint.polling.interval.as_millis()).unwrap_or(u64::MAX),
            ));
            match Poller::new(endpoint.clone(), state.clone()) {
                Ok(poller) => {
                    let duty = Arc::new(Duty::new(begin(&endpoint)));
                    let run = poller.run(self.common.clone(), self.log.clone(), duty.clone());
                    let task = Polling(tokio::spawn(run));
                    let running = Running { endpoint, state, duty, is_owned, task };
                    self.running.insert(key, running);
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
            is_owned: running.is_owned,
        };
        if let Some(longest) = lingering {
            // An endpoint whose last poll is over is no longer shown.
            let (changed, over) = (self.changed.clone(), longest * 2);
            tokio::spawn(async move {
                tokio::time::sleep(over).await;
                changed.notify_one();
            });
        }
        let mut states: Vec<_> = self.running.values().map(polled).collect();
        states.sort_by(|a, b| a.state.name().cmp(b.state.name()));
        *self.states.0.lock() = states;
    }

    /// The configuration's endpoints that this process polls, and those that it is still polling;
    /// each with whether it owns it. Others cost a hash and no memory.
    fn wanted(&self) -> HashMap<Key, (Endpoint, bool)> {
        let mut wanted = HashMap::new();
        let shard: Option<Shard> = self.config.shard;
        let owns = |url: &str| match &self.member {
            Some(member) => member.view.as_ref().is_some_and(|view| view.owns(url)),
            None => shard.is_none_or(|shard| shard.owns(url)),
        };
        let polled: HashSet<&str> =
            self.running.values().map(|running| running.endpoint.target.url()).collect();
        let keeps = |url: &str| owns(url) || polled.contains(url);
        let listed = self.config.endpoints.iter();
        let listed = listed.filter(|endpoint| keeps(endpoint.target.url())).cloned();
        let sources = self.sources.iter().flat_map(|source| {
            let targets = source.discovery.targets.borrow().clone();
            found(&source.config, &targets, &self.log, keeps)
        });
        for endpoint in listed.chain(sources) {
            let is_owned = owns(endpoint.target.url());
            let key = (endpoint.target.url().to_owned(), endpoint.prefix.clone());
            if is_owned || self.running.contains_key(&key) {
                // If an endpoint is listed twice, the first one is polled.
                wanted.entry(key).or_insert((endpoint, is_owned));
            }
        }
        wanted
    }
}
