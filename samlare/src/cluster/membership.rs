//! This process as a member: joins, follows the others, and leaves.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::engine::{Change, Changes, Engine, Lease};
use super::seat::Seat;
use super::settings::Settings;
use super::status::{Member, Status, written};
use super::troubles::{Looked, Troubles};
use super::view::View;
use crate::log::{Level, Log};
use crate::schedule::Clock;

/// How often the lease and the clock are looked at.
const TICK: Duration = Duration::from_millis(200);
/// After a join that failed.
const RETRY: Duration = Duration::from_millis(500);
/// How long a start waits for the engine.
const START: Duration = Duration::from_secs(3);
/// How often a member says anew how much it polls and what its clock reads.
const SAYS_EVERY: Duration = Duration::from_secs(15);
/// The first time, when its first polls have ended.
const SAYS_FIRST: Duration = Duration::from_secs(5);
/// How long each of the two requests of a leave may take.
const LEAVE: Duration = Duration::from_secs(2);
/// Most views that wait to be taken; past it the oldest are skipped.
const MAX_VIEWS: usize = 1000;

/// Says how many endpoints this member polls, and how many points they bring.
pub type Counted = Arc<dyn Fn() -> (u64, u64) + Send + Sync>;

/// What a member needs to begin.
pub struct Start {
    /// What `[cluster]` says.
    pub settings: Settings,
    /// Who keeps the list of members.
    pub engine: Arc<dyn Engine>,
    /// A hash of the configuration.
    pub config: String,
    /// The shortest interval of all endpoints.
    pub slot: Duration,
    /// How much it polls.
    pub counted: Counted,
    /// Notified when there is a view to take.
    pub news: Arc<Notify>,
    /// What time it is.
    pub clock: Clock,
    /// Where events are told.
    pub log: Log,
}

/// How sure a member can be that the others count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Confidence {
    /// The engine holds its lease.
    Held {
        /// When the lease was asked for.
        granted: Instant,
        /// When its last renewal was.
        renewed: Instant,
    },
    /// The engine has not answered for a TTL.
    Unknown,
    /// The engine says that the lease is gone.
    Gone,
}

/// This process as a member. Dropping it ends the member without a word: the others notice a TTL
/// later.
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

/// Whether a view was there yet, and of whom.
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
    /// Begins to join, in a task of the current tokio runtime. The first view comes when that is
    /// done, or in three seconds with nobody else in it.
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

    /// The views since the last call, in their order: each is to be acted on.
    pub fn views(&self) -> Vec<View> {
        lock(&self.shared.views).drain(..).collect()
    }

    /// How the cluster is doing.
    pub fn status(&self) -> Arc<Status> {
        self.shared.status.clone()
    }

    /// Resolves when there was a first view.
    ///
    /// # Errors
    /// It has nobody else in it, because the engine could not be reached: why.
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

    /// How sure this member can be that the others count it.
    pub(crate) fn confidence(&self) -> impl Fn() -> Confidence + Send + Sync + use<> {
        let shared = self.shared.clone();
        move || *lock(&shared.confidence)
    }

    /// Takes other settings of the same member, and says so to the others. Reads certificates
    /// again.
    pub fn change(&self, settings: &Settings, config: String, slot: Duration) {
        *lock(&self.shared.settings) = settings.clone();
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

    /// Says that this member leaves, and gives its lease back. From now on there are no views.
    ///
    /// # Errors
    /// The engine was not reached: the others notice a TTL later.
    pub async fn leave(&self) -> Result<(), String> {
        self.task.abort();
        self.shared.leaving.store(true, Relaxed);
        let seat = self.shared.seat();
        let engine = &self.shared.engine;
        let (key, value) = (seat.key(), seat.to_json());
        // Others need not poll what this member has polled and still will.
        let said = timeout(LEAVE, engine.join(&key, &value)).await;
        let left = timeout(LEAVE, engine.leave()).await;
        said.unwrap_or(Err("no answer in time".to_owned()))?;
        left.unwrap_or(Err("no answer in time".to_owned()))
    }
}

impl Shared {
    fn seat(&self) -> Seat {
        let settings = lock(&self.settings);
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

/// The task of a member.
struct Following {
    shared: Arc<Shared>,
    settings: Settings,
    began: Instant,
    lease: Option<Lease>,
    /// When the value was said last, and when it is next.
    said_next: Instant,
    retry: Instant,
    changes: Option<Changes>,
    seats: BTreeMap<String, Seat>,
    foreign: BTreeMap<String, String>,
    others: Vec<String>,
    view: Option<View>,
    troubles: Troubles,
    /// Why the engine does not answer.
    error: String,
    /// Since when it is away, once that was told.
    away: Option<Instant>,
    looked: Instant,
    looked_ms: u64,
}

impl Following {
    fn new(shared: Arc<Shared>) -> Following {
        let settings = lock(&shared.settings).clone();
        let (now, looked_ms) = (Instant::now(), shared.clock.now_ms());
        Following {
            shared,
            settings,
            began: now,
            lease: None,
            said_next: now,
            retry: now,
            changes: None,
            seats: BTreeMap::new(),
            foreign: BTreeMap::new(),
            others: Vec::new(),
            view: None,
            troubles: Troubles::default(),
            error: "no answer yet".to_owned(),
            away: None,
            looked: now,
            looked_ms,
        }
    }

    async fn run(mut self) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut config = self.shared.config.subscribe();
        let mut joining: Option<JoinTask> = None;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                _ = config.changed() => self.said_next = Instant::now(),
                () = changed(&mut self.lease) => {}
                joined = ended(&mut joining) => {
                    joining = None;
                    self.joined(joined);
                }
                change = next(&mut self.changes) => {
                    // A task that has just been stopped for long hears old news.
                    if !self.was_stopped() {
                        self.heard(change);
                    }
                }
            }
            self.settings = lock(&self.shared.settings).clone();
            if self.was_stopped() {
                self.read_anew();
            }
            (self.looked, self.looked_ms) = (Instant::now(), self.shared.clock.now_ms());
            if joining.is_none() && self.must_say() {
                joining = Some(self.join());
            }
            self.look();
        }
    }

    /// Whether this process did not run for so long that others may have acted without it.
    fn was_stopped(&self) -> bool {
        // The one clock stands still while the machine sleeps, the other may be set.
        let slept =
            Duration::from_millis(self.shared.clock.now_ms().saturating_sub(self.looked_ms));
        self.looked.elapsed().max(slept) > (self.settings.ttl / 2).max(TICK * 5)
    }

    /// Forgets the news that wait, and reads all members again.
    fn read_anew(&mut self) {
        if self.changes.is_some() {
            self.changes = Some(self.shared.engine.members());
        }
        let stopped_ms = self.shared.clock.now_ms().saturating_sub(self.looked_ms);
        self.tell(
            Level::Warn,
            "this member did not run, it reads all members again",
            &[("stopped_ms", &stopped_ms)],
        );
    }

    /// Whether there is something to say: that it is here, or what it polls by now.
    fn must_say(&self) -> bool {
        let now = Instant::now();
        let is_lost = self.lease.as_ref().is_none_or(|lease| lease.standing().is_lost);
        now >= self.retry && (is_lost || now >= self.said_next)
    }

    fn join(&mut self) -> JoinTask {
        if self.lease.as_ref().is_none_or(|lease| lease.standing().is_lost) {
            self.shared.since_ms.store(self.shared.clock.now_ms(), Relaxed);
        }
        let seat = self.shared.seat();
        let engine = self.shared.engine.clone();
        JoinTask(tokio::spawn(async move { engine.join(&seat.key(), &seat.to_json()).await }))
    }

    fn joined(&mut self, joined: Result<Lease, String>) {
        let now = Instant::now();
        match joined {
            Ok(lease) => {
                let says = if self.lease.is_none() { SAYS_FIRST } else { SAYS_EVERY };
                self.said_next = now + says.mul_f64(0.9 + fastrand::f64() / 5.0);
                self.lease = Some(lease);
                // Members are read only now, so that this one is among them.
                if self.changes.is_none() {
                    self.changes = Some(self.shared.engine.members());
                }
            }
            Err(error) => {
                self.error = error;
                self.retry = now + RETRY.mul_f64(0.5 + fastrand::f64());
            }
        }
    }

    fn heard(&mut self, change: Result<Change, String>) {
        match change {
            Err(error) => {
                self.error = error;
                return;
            }
            Ok(Change::All { entries, others }) => {
                let before = std::mem::take(&mut self.seats);
                self.foreign.clear();
                for entry in entries {
                    self.seated(&entry.key, &entry.value, false);
                }
                for (key, seat) in before {
                    if !self.seats.contains_key(&key) {
                        self.left(&key, seat);
                    }
                }
                if others != self.others && !others.is_empty() {
                    let names = others.join(", ");
                    self.tell(Level::Info, "other groups share this engine", &[("groups", &names)]);
                }
                self.others = others;
            }
            Ok(Change::Entered(entry)) => self.seated(&entry.key, &entry.value, true),
            Ok(Change::Left(key)) => match self.seats.remove(&key) {
                Some(seat) => self.left(&key, seat),
                None => drop(self.foreign.remove(&key)),
            },
        }
        self.see(false);
    }

    /// Takes in what a member says of itself.
    fn seated(&mut self, key: &str, value: &str, is_fresh: bool) {
        let seat = match Seat::parse(value) {
            Ok(seat) if seat.group != self.settings.group => {
                self.foreign.insert(key.to_owned(), format!("it is of the group {:?}", seat.group));
                return;
            }
            Ok(seat) if seat.key() != key => {
                self.foreign.insert(key.to_owned(), format!("it says that it is {}", seat.key()));
                return;
            }
            Ok(seat) => seat,
            Err(why) => {
                self.foreign.insert(key.to_owned(), why);
                return;
            }
        };
        self.foreign.remove(key);
        if is_fresh && seat.instance != self.shared.instance {
            let slot = self.shared.config.borrow().1;
            self.troubles.clock(&seat, self.shared.clock.now_ms(), slot);
        }
        if self.view.is_some() && !self.seats.contains_key(key) && !self.is_me(&seat) && is_fresh {
            self.tell(Level::Info, "a member has joined", &[("member", &seat.name)]);
        }
        self.seats.insert(key.to_owned(), seat);
    }

    /// A seat is gone.
    fn left(&mut self, key: &str, seat: Seat) {
        self.troubles.gone(key);
        if self.is_me(&seat) {
            return;
        }
        let (level, message) = match seat.leaving {
            true => (Level::Info, "a member has left"),
            false => (Level::Warn, "a member is gone"),
        };
        self.tell(level, message, &[("member", &seat.name)]);
        if !seat.leaving {
            self.see(true);
        }
    }

    fn is_me(&self, seat: &Seat) -> bool {
        seat.instance == self.shared.instance
    }

    /// Makes a view of the seats, and hands it on where it is another one.
    fn see(&mut self, vanished: bool) {
        let Settings { name, replicas, .. } = &self.settings;
        let mut view = View::of(name, &self.shared.instance, self.seats.values(), *replicas);
        if !vanished && self.view.as_ref().is_some_and(|before| before.owners == view.owners) {
            self.view = Some(view);
            return;
        }
        let is_first = self.view.replace(view.clone()).is_none();
        self.shared.status.lock().owners = view.owners.clone();
        self.shared.status.lock().report.changes += u64::from(!is_first);
        view.vanished = vanished;
        let mut views = lock(&self.shared.views);
        if views.len() == MAX_VIEWS {
            let skipped = views.pop_front();
            view.vanished |= skipped.is_some_and(|view| view.vanished);
        }
        views.push_back(view);
        drop(views);
        if is_first {
            let members = self.seats.len().max(1);
            self.tell(Level::Info, "joined the cluster", &[("members", &members)]);
        }
        self.shared.joined.send_replace(Joined::Yes);
        self.shared.news.notify_one();
    }

    /// Looks at the lease, the engine and what is wrong, and says so.
    fn look(&mut self) {
        let standing = self.lease.as_ref().map(Lease::standing);
        let confidence = match &standing {
            Some(standing) if standing.is_lost => Confidence::Gone,
            Some(standing) if standing.renewed.elapsed() < self.settings.ttl => {
                Confidence::Held { granted: standing.granted, renewed: standing.renewed }
            }
            _ => Confidence::Unknown,
        };
        let was = std::mem::replace(&mut *lock(&self.shared.confidence), confidence);
        if confidence == Confidence::Gone && was != Confidence::Gone {
            self.shared.status.lock().report.leases_lost += 1;
            self.tell(Level::Warn, "the lease is gone, this member joins again", &[]);
        }
        if let Some(trouble) = standing.as_ref().and_then(|standing| standing.trouble.clone()) {
            self.error = trouble;
        }
        let renewed =
            standing.filter(|standing| !standing.is_lost).map(|standing| standing.renewed);
        let answers = renewed.is_some_and(|renewed| renewed.elapsed() < self.settings.ttl * 3 / 4);
        self.reach(answers);
        let seat = self.shared.seat();
        let troubles = self.troubles.look(
            &Looked {
                me: &seat,
                seats: &self.seats,
                foreign: &self.foreign,
                ttl: self.settings.ttl,
            },
            &self.shared.log,
        );
        self.show(confidence, answers, &seat, troubles);
    }

    /// Tells of an engine that goes away and comes back, and begins alone where it never came.
    fn reach(&mut self, answers: bool) {
        if answers {
            if let Some(since) = self.away.take() {
                let secs = since.elapsed().as_secs();
                self.tell(Level::Info, "the engine is back", &[("after_secs", &secs)]);
            }
            return;
        }
        if self.away.is_some() || (self.lease.is_none() && self.began.elapsed() < START) {
            return;
        }
        self.away = Some(Instant::now());
        let error = self.error.clone();
        if self.view.is_some() {
            let message = "the engine is away, the last members stay in force";
            self.tell(Level::Warn, message, &[("error", &error)]);
            return;
        }
        let message = "the engine cannot be reached, polling as if alone until it can";
        self.tell(Level::Warn, message, &[("error", &error)]);
        let view = View::of(&self.settings.name, "", [], self.settings.replicas);
        self.shared.status.lock().owners = view.owners.clone();
        lock(&self.shared.views).push_back(view);
        self.shared.joined.send_replace(Joined::Alone(error));
        self.shared.news.notify_one();
    }

    fn show(&self, confidence: Confidence, answers: bool, me: &Seat, troubles: Vec<String>) {
        let mut members: BTreeMap<String, Member> = BTreeMap::new();
        let own = [me].into_iter().filter(|_| self.view.is_some());
        let others = self.seats.values().filter(|seat| !self.is_me(seat));
        for seat in others.chain(own) {
            let mut name = seat.name.clone();
            let mut number = 1;
            while members.contains_key(&name) {
                number += 1;
                name = format!("{} #{number}", seat.name);
            }
            members.insert(
                name,
                Member {
                    since: written(seat.since_ms),
                    since_secs: seat.since_ms / 1000,
                    endpoints: seat.endpoints,
                    points: seat.points,
                    config: seat.config.clone(),
                    other_config: u8::from(seat.config != me.config),
                    leaving: u8::from(seat.leaving),
                    version: seat.version.clone(),
                },
            );
        }
        let report = &mut self.shared.status.lock().report;
        report.engine_up = u8::from(answers);
        report.engine_error = if answers { String::new() } else { self.error.clone() };
        report.lease = match confidence {
            Confidence::Held { .. } => "held",
            Confidence::Unknown => "unknown",
            Confidence::Gone => "gone",
        };
        report.requests = self.shared.engine.requests();
        report.members = members;
        report.troubles = troubles;
        report.other_groups.clone_from(&self.others);
    }

    fn tell(&self, level: Level, message: &str, fields: &[(&str, &dyn std::fmt::Display)]) {
        let engine = self.settings.engine_name();
        let mut all: Vec<(&str, &dyn std::fmt::Display)> =
            vec![("engine", &engine), ("group", &self.settings.group)];
        all.extend_from_slice(fields);
        self.shared.log.event(level, message, &all);
    }
}

/// A join under way; it ends with its member.
struct JoinTask(tokio::task::JoinHandle<Result<Lease, String>>);

impl Drop for JoinTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn ended(joining: &mut Option<JoinTask>) -> Result<Lease, String> {
    match joining {
        Some(JoinTask(task)) => task.await.unwrap_or_else(|error| Err(error.to_string())),
        None => std::future::pending().await,
    }
}

async fn changed(lease: &mut Option<Lease>) {
    match lease {
        Some(lease) => lease.changed().await,
        None => std::future::pending().await,
    }
}

async fn next(changes: &mut Option<Changes>) -> Result<Change, String> {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
