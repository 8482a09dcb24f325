//! This process as a member: joins, follows the others, leaves.

mod following;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use super::engine::Engine;
use super::seat::Seat;
use super::settings::Settings;
use super::status::Status;
use super::view::View;
use crate::log::{Level, Log};
use crate::schedule::Clock;
use following::Following;

/// The timeout of each of the two requests of a leave.
const LEAVE: Duration = Duration::from_secs(2);

/// Returns how many endpoints and points this member polls.
pub type Counted = Arc<dyn Fn() -> (u64, u64) + Send + Sync>;

/// The parameters of a member.
pub struct Start {
    /// The settings in `[cluster]`.
    pub settings: Settings,
    /// The store of the member list.
    pub engine: Arc<dyn Engine>,
    /// A hash of the configuration.
    pub config: String,
    /// The shortest interval of all endpoints.
    pub slot: Duration,
    /// How much it polls.
    pub counted: Counted,
    /// Notified when there is a new view.
    pub news: Arc<Notify>,
    /// The clock.
    pub clock: Clock,
    /// The log.
    pub log: Log,
}

/// How certain a member is that the others count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Confidence {
    /// The engine holds its lease.
    Held {
        /// When the lease was requested.
        granted: Instant,
        /// When its last renewal was requested.
        renewed: Instant,
    },
    /// The engine has not answered for a TTL.
    Unknown,
    /// The engine reports that the lease is gone.
    Gone,
}

/// This process as a member. On drop it disappears without leaving: the others notice a TTL later.
pub struct Membership {
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    settings: Mutex<Settings>,
    engine: Arc<dyn Engine>,
    instance: String,
    /// A hash of the configuration, and the shortest interval.
    config: watch::Sender<(String, Duration)>,
    counted: Counted,
    news: Arc<Notify>,
    clock: Clock,
    log: Log,
    views: Mutex<VecDeque<View>>,
    status: Arc<Status>,
    confidence: Mutex<Confidence>,
    joined: watch::Sender<Joined>,
    leaving: AtomicBool,
    /// When this member joined, in milliseconds of Unix time.
    since_ms: AtomicU64,
}

/// Whether there was a view yet.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Joined {
    Waiting,
    Alone(String),
    Yes,
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Membership {
    /// Starts joining, in a task of the current tokio runtime. The first view arrives when that is
    /// done, or after three seconds with no other member in it.
    pub fn start(start: Start) -> Membership {
        let Start { settings, engine, config, slot, counted, news, clock, log } = start;
        let status = Arc::new(Status::default());
        {
            let report = &mut status.lock().report;
            report.engine = settings.engine_name();
            report.name.clone_from(&settings.name);
            report.group.clone_from(&settings.group);
            report.replicas = settings.replicas;
            report.lease = "unknown";
        }
        let shared = Arc::new(Shared {
            settings: Mutex::new(settings),
            engine,
            instance: format!("{:016x}", fastrand::u64(..)),
            config: watch::channel((config, slot)).0,
            counted,
            news,
            clock,
            log,
            views: Mutex::default(),
            status,
            confidence: Mutex::new(Confidence::Unknown),
            joined: watch::channel(Joined::Waiting).0,
            leaving: AtomicBool::new(false),
            since_ms: AtomicU64::new(0),
        });
        let task = tokio::spawn(Following::new(shared.clone()).run()).abort_handle();
        Membership { shared, task }
    }

    /// The views since the last call, in order; act on each.
    pub fn views(&self) -> Vec<View> {
        self.shared.views.lock().drain(..).collect()
    }

    /// The status of the cluster.
    pub fn status(&self) -> Arc<Status> {
        self.shared.status.clone()
    }

    /// Resolves at the first view.
    ///
    /// # Errors
    /// The engine was unreachable, so the view has no other member.
    pub fn joined(&self) -> impl Future<Output = Result<(), String>> + use<> {
        let mut joined = self.shared.joined.subscribe();
        async move {
            let joined = joined.wait_for(|joined| *joined != Joined::Waiting).await;
            match joined.as_deref() {
                Ok(Joined::Alone(why)) => Err(why.clone()),
                _ => Ok(()),
            }
        }
    }

    /// How certain this member is that the others count it.
    pub(crate) fn confidence(&self) -> impl Fn() -> Confidence + Send + Sync + use<> {
        let shared = self.shared.clone();
        move || *shared.confidence.lock()
    }

    /// Changes the settings of the same member and publishes them. Reloads certificates.
    pub fn change(&self, settings: &Settings, config: String, slot: Duration) {
        *self.shared.settings.lock() = settings.clone();
        self.shared.status.lock().report.replicas = settings.replicas;
        self.shared.config.send_if_modified(|current| {
            let new = (config, slot);
            let changed = *current != new;
            *current = new;
            changed
        });
        let (engine, log) = (self.shared.engine.clone(), self.shared.log.clone());
        tokio::task::spawn_blocking(move || {
            if let Err(error) = engine.reread() {
                let message = "the old certificates of the cluster's engine stay";
                log.event(Level::Error, message, &[("error", &error)]);
            }
        });
    }

    /// Announces the leave and revokes the lease. There are no views afterwards.
    ///
    /// # Errors
    /// The engine was unreachable: the others notice a TTL later.
    pub async fn leave(&self) -> Result<(), String> {
        self.task.abort();
        self.shared.leaving.store(true, Relaxed);
        let seat = self.shared.seat();
        let engine = &self.shared.engine;
        let (key, value) = (seat.key(), seat.to_json());
        // Others need not poll what this member has polled or still will.
        let said = timeout(LEAVE, engine.join(&key, &value)).await;
        let left = timeout(LEAVE, engine.leave()).await;
        said.unwrap_or(Err("no answer in time".to_owned()))?;
        left.unwrap_or(Err("no answer in time".to_owned()))
    }
}

impl Shared {
    fn seat(&self) -> Seat {
        let settings = self.settings.lock();
        let (endpoints, points) = (self.counted)();
        Seat {
            name: settings.name.clone(),
            group: settings.group.clone(),
            instance: self.instance.clone(),
            since_ms: self.since_ms.load(Relaxed),
            now_ms: self.clock.now_ms(),
            config: self.config.borrow().0.clone(),
            endpoints,
            points,
            leaving: self.leaving.load(Relaxed),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}
