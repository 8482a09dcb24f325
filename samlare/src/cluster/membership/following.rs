//! The task of a member: publishes its state and follows the others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Confidence, Joined, Shared, lock};
use crate::cluster::engine::{Change, Changes, Lease};
use crate::cluster::seat::Seat;
use crate::cluster::settings::Settings;
use crate::cluster::status::{Member, written};
use crate::cluster::troubles::{Looked, Troubles};
use crate::cluster::view::View;
use crate::log::Level;

/// The interval of checks of the lease and the clock.
const TICK: Duration = Duration::from_millis(200);
/// The pause after a failed join.
const RETRY: Duration = Duration::from_millis(500);
/// How long a start waits for the engine.
const START: Duration = Duration::from_secs(3);
/// The interval at which a member publishes its load and clock.
const SAYS_EVERY: Duration = Duration::from_secs(15);
/// The first of these, after its first polls.
const SAYS_FIRST: Duration = Duration::from_secs(5);
/// The most pending views; beyond that the oldest are dropped.
const MAX_VIEWS: usize = 1000;

/// The task of a member.
pub(super) struct Following {
    shared: Arc<Shared>,
    settings: Settings,
    began: Instant,
    lease: Option<Lease>,
    /// When the value was published last, and when it is due.
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
    /// Since when it is unreachable, once that was logged.
    away: Option<Instant>,
    looked: Instant,
    looked_ms: u64,
}

impl Following {
    pub(super) fn new(shared: Arc<Shared>) -> Following {
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

    pub(super) async fn run(mut self) {
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
                    // After being stopped for long, pending news is outdated.
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
        // One clock stops while the machine sleeps, the other can be set.
        let slept =
            Duration::from_millis(self.shared.clock.now_ms().saturating_sub(self.looked_ms));
        self.looked.elapsed().max(slept) > (self.settings.ttl / 2).max(TICK * 5)
    }

    /// Discards pending news and reads all members again.
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

    /// Whether there is something to publish.
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
                // Members are read after joining, so that this one is included.
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

    /// Handles a member's published value.
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

    /// Handles a member's removal.
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

    /// Makes a view of the seats, and publishes it if it differs.
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

    /// Checks lease, engine and problems, and logs changes.
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

    /// Logs when the engine becomes unreachable and reachable, and starts alone if it never was.
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
            let message = "the engine is unreachable, the last members stay in force";
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

/// A join in progress; aborted with its member.
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
