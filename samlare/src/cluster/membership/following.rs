//! The task of a member: publishes its state and follows the others.

mod standing;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Joined, Shared};
use crate::cluster::engine::{Change, Changes, Lease};
use crate::cluster::seat::Seat;
use crate::cluster::settings::Settings;
use crate::cluster::troubles::Troubles;
use crate::cluster::view::View;
use crate::log::Level;

/// The interval of checks of the lease and the clock.
const TICK: Duration = Duration::from_millis(200);
/// The pause after a failed join.
const RETRY: Duration = Duration::from_millis(500);
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
        let settings = shared.settings.lock().clone();
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
            self.settings = self.shared.settings.lock().clone();
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
        let mut views = self.shared.views.lock();
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
