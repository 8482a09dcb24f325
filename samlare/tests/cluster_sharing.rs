//! Members that share endpoints, on a clock that the test moves and with an engine in memory.

#[path = "support/played.rs"]
mod played;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use expvar::Registry;
use played::Played;
use samlare::cluster::{Owners, Report};
use samlare::collector::Collector;
use samlare::config::Config;
use samlare::log::Log;
use samlare::schedule::{Clock, Schedule};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const START_MS: u64 = 1_700_000_000_000;
const INTERVAL: Duration = Duration::from_secs(8);
const ENDPOINTS: usize = 24;

/// A poll: by whom, of which endpoint, when.
type Polls = Arc<Mutex<Vec<(String, usize, u64)>>>;

/// Endpoints, their polls, and the engine.
struct World {
    clock: Clock,
    port: u16,
    polls: Polls,
    played: Played,
    carbon: Arc<Mutex<Vec<String>>>,
    carbon_port: u16,
    down: Arc<Mutex<BTreeSet<usize>>>,
}

impl World {
    async fn new() -> World {
        let clock = Clock::counted(START_MS);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (polls, down) = (Polls::default(), Arc::<Mutex<BTreeSet<usize>>>::default());
        let (noted, fails) = (polls.clone(), down.clone());
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (noted, fails) = (noted.clone(), fails.clone());
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    while stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
                        if !request.ends_with(b"\r\n\r\n") {
                            continue;
                        }
                        let text = String::from_utf8(std::mem::take(&mut request)).unwrap();
                        let path = text.split(' ').nth(1).unwrap()[1..].parse().unwrap();
                        let by =
                            text.to_lowercase().split("x-member: ").nth(1).unwrap()[..1].to_owned();
                        noted.lock().unwrap().push((by, path, clock.now_ms()));
                        let answer: &[u8] = match fails.lock().unwrap().contains(&path) {
                            true => b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
                            false => b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{\"a\": 1}",
                        };
                        let _ = stream.write_all(answer).await;
                    }
                });
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let carbon_port = listener.local_addr().unwrap().port();
        let carbon = Arc::<Mutex<Vec<String>>>::default();
        let kept = carbon.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let kept = kept.clone();
                tokio::spawn(async move {
                    let (mut text, mut bytes) = (String::new(), vec![0; 1 << 16]);
                    while let Ok(read) = stream.read(&mut bytes).await {
                        if read == 0 {
                            return;
                        }
                        text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
                        while let Some((line, rest)) = text.split_once('\n') {
                            kept.lock().unwrap().push(line.to_owned());
                            text = rest.to_owned();
                        }
                    }
                });
            }
        });
        World { clock, port, polls, played: Played::default(), carbon, carbon_port, down }
    }

    fn url(&self, endpoint: usize) -> String {
        format!("http://127.0.0.1:{}/{endpoint}", self.port)
    }

    fn config(&self, name: &str, more: &str) -> Config {
        let mut text = format!(
            "CarbonHost = \"127.0.0.1\"\nCarbonPort = {}\nCheckInterval = {}\nTimeout = 2000\n",
            self.carbon_port,
            INTERVAL.as_millis()
        );
        for number in 0..ENDPOINTS {
            text.push_str(&format!(
                "[[endpoint]]\nURL = \"{}\"\nPrefix = \"e{number}\"\nFailureMetric = \
                 \"f.{number}\"\nHeaders = {{ \"X-Member\" = \"{name}\" }}\n",
                self.url(number)
            ));
        }
        text.push_str(&format!(
            "[cluster]\nEngine = \"etcd://192.0.2.1\"\nName = \"{name}\"\n{more}\n"
        ));
        Config::parse(&text).unwrap().0
    }

    /// A member that polls, and gathers when something has changed.
    async fn member(&self, name: &str) -> Member {
        self.member_with(name, "").await
    }

    async fn member_with(&self, name: &str, more: &str) -> Member {
        let log = Log::to(Default::default(), std::io::sink());
        let (config, engine) = (self.config(name, more), self.played.driver());
        let collector =
            Collector::start_by(config, Some(engine), &Registry::new(), self.clock, log).unwrap();
        let collector = Arc::new(Mutex::new(Some(collector)));
        let gathering = collector.clone();
        let task = tokio::spawn(async move {
            loop {
                let Some(changed) = gathering.lock().unwrap().as_ref().map(Collector::changed)
                else {
                    return;
                };
                changed.await;
                if let Some(collector) = gathering.lock().unwrap().as_mut() {
                    collector.gather();
                }
            }
        });
        Member { collector, task }
    }

    fn schedule(&self, endpoint: usize) -> Schedule {
        Schedule::new(INTERVAL, &self.url(endpoint))
    }

    /// How often each endpoint was polled in each of its slots that began in this time.
    fn counts(&self, from_ms: u64, to_ms: u64) -> BTreeMap<(usize, u64), usize> {
        let mut counts = BTreeMap::new();
        for endpoint in 0..ENDPOINTS {
            let schedule = self.schedule(endpoint);
            let mut slot = schedule.after(from_ms - 1);
            while slot < to_ms {
                counts.insert((endpoint, slot), 0);
                slot += schedule.interval_ms();
            }
        }
        for (_, endpoint, time) in self.polls.lock().unwrap().iter() {
            // A step of the clock, and no more, may lie between a slot and its poll.
            let slot = self.schedule(*endpoint).latest(time + 5);
            if let Some(count) = counts.get_mut(&(*endpoint, slot)) {
                *count += 1;
            }
        }
        counts
    }

    /// Slots polled not at all, and the most polls of one.
    fn missed_and_most(&self, from_ms: u64, to_ms: u64) -> (usize, usize) {
        let counts = self.counts(from_ms, to_ms);
        let missed = counts.values().filter(|count| **count == 0).count();
        (missed, counts.values().copied().max().unwrap_or(0))
    }

    /// No slot that began since then was missed, and none had more polls than that.
    fn assert_covered(&self, from_ms: u64, at_most: usize) {
        let (missed, most) = self.missed_and_most(from_ms, self.now() - 100);
        assert!(missed == 0 && most <= at_most, "{missed} missed, {most} polls of one slot");
    }

    fn now(&self) -> u64 {
        self.clock.now_ms()
    }

    /// The endpoints of a member among these.
    fn owned<'a>(&self, name: &str, names: impl IntoIterator<Item = &'a str>) -> BTreeSet<usize> {
        let owners = Owners::new(names, 1);
        (0..ENDPOINTS).filter(|endpoint| owners.owns(name, &self.url(*endpoint))).collect()
    }

    /// What a member has polled since then.
    fn polled_by(&self, name: &str, since_ms: u64) -> BTreeSet<usize> {
        let polls = self.polls.lock().unwrap();
        let own = polls.iter().filter(|(by, _, time)| by == name && *time >= since_ms);
        own.map(|(_, endpoint, _)| *endpoint).collect()
    }

    /// Since then a member has polled those of the endpoints whose next slot is still to come.
    fn assert_made_up(&self, name: &str, endpoints: &BTreeSet<usize>, since_ms: u64) {
        let (now, polled) = (self.now(), self.polled_by(name, since_ms));
        let waits = |endpoint: &&usize| self.schedule(**endpoint).after(since_ms) > now;
        let waiting: BTreeSet<usize> = endpoints.iter().filter(waits).copied().collect();
        assert!(!waiting.is_empty());
        assert!(polled.is_superset(&waiting), "{polled:?} of {waiting:?}");
    }

    fn failures(&self) -> Vec<String> {
        let lines = self.carbon.lock().unwrap();
        lines
            .iter()
            .filter(|line| line.starts_with("f.") && line.contains(" 1 "))
            .cloned()
            .collect()
    }
}

struct Member {
    collector: Arc<Mutex<Option<Collector>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Member {
    fn take(&self) -> Collector {
        self.collector.lock().unwrap().take().unwrap()
    }

    /// Ends as a process that is killed does.
    fn die(self) {
        self.task.abort();
        drop(self.take());
    }

    fn report(&self) -> Report {
        let collector = self.collector.lock().unwrap();
        collector.as_ref().unwrap().states().cluster().unwrap().report()
    }

    fn endpoints(&self) -> usize {
        self.collector.lock().unwrap().as_ref().unwrap().states().polled().len()
    }
}

/// Lets paused time pass in small steps, so that sockets have their turns between them.
async fn pass(duration: Duration) {
    let step = Duration::from_millis(5);
    for _ in 0..duration.as_millis() / step.as_millis() {
        tokio::time::advance(step).await;
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        std::thread::sleep(Duration::from_micros(100));
    }
}

#[tokio::test(start_paused = true)]
async fn at_rest_each_slot_has_one_poll_by_its_owner() {
    let world = World::new().await;
    let (_a, _b) = (world.member("a").await, world.member("b").await);
    pass(INTERVAL * 3).await;
    let from = world.now();
    pass(INTERVAL * 2).await;
    assert_eq!(world.missed_and_most(from, world.now() - 100), (0, 1));
    for name in ["a", "b"] {
        assert_eq!(world.polled_by(name, from), world.owned(name, ["a", "b"]), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_dies_leaves_no_slot_unpolled() {
    let world = World::new().await;
    let (_a, b) = (world.member("a").await, world.member("b").await);
    pass(INTERVAL * 3).await;
    let from = world.now();
    pass(Duration::from_secs(1)).await;
    b.die();
    pass(Duration::from_millis(3500)).await;
    world.played.expire("b");
    let expired = world.now();
    pass(Duration::from_secs(3)).await;
    // What was b's at once, and not when the next slot is due.
    world.assert_made_up("a", &world.owned("b", ["a", "b"]), expired);
    pass(INTERVAL * 2).await;
    world.assert_covered(from, 2);
    let from = world.now();
    pass(INTERVAL).await;
    assert_eq!(world.missed_and_most(from, world.now() - 100), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn who_joins_is_overlapped_for_two_slots_with_one_extra_poll_each() {
    let world = World::new().await;
    let a = world.member("a").await;
    pass(INTERVAL * 2).await;
    let from = world.now();
    pass(Duration::from_secs(2)).await;
    let _b = world.member("b").await;
    let joined = world.now();
    pass(INTERVAL * 3).await;
    world.assert_covered(from, 2);
    let (gained, rest) = (world.owned("b", ["a", "b"]), world.now());
    // In the first slot that b polls a does, too.
    for (endpoint, slot) in world.counts(joined, joined + 7_999).keys() {
        let by: BTreeSet<String> = world
            .polls
            .lock()
            .unwrap()
            .iter()
            .filter(|(_, e, t)| e == endpoint && world.schedule(*e).latest(t + 5) == *slot)
            .map(|(by, ..)| by.clone())
            .collect();
        let both = gained.contains(endpoint);
        assert_eq!(by.len(), if both { 2 } else { 1 }, "{endpoint} {by:?}");
    }
    pass(INTERVAL).await;
    assert_eq!(world.missed_and_most(rest, world.now() - 100), (0, 1));
    assert_eq!(a.endpoints(), world.owned("a", ["a", "b"]).len(), "what is over is not shown");
}

#[tokio::test(start_paused = true)]
async fn a_rolling_restart_misses_nothing_and_polls_at_most_twice() {
    let world = World::new().await;
    let mut members = Vec::new();
    for name in ["a", "b", "c"] {
        members.push((name, world.member(name).await));
    }
    pass(INTERVAL * 3).await;
    let from = world.now();
    for (name, member) in std::mem::take(&mut members) {
        let stopped = tokio::spawn(member.take().stop(Duration::from_secs(5)));
        pass(Duration::from_millis(100)).await;
        assert!(!world.played.names().contains(&name.to_owned()), "the lease goes first");
        while !stopped.is_finished() {
            pass(Duration::from_millis(100)).await;
        }
        members.push((name, world.member(name).await));
        pass(INTERVAL / 3).await;
    }
    pass(INTERVAL * 3).await;
    world.assert_covered(from, 2);
    let from = world.now();
    pass(INTERVAL * 2).await;
    assert_eq!(world.missed_and_most(from, world.now() - 100), (0, 1), "at rest");
}

#[tokio::test(start_paused = true)]
async fn who_joins_as_another_dies_still_misses_nothing() {
    let world = World::new().await;
    let (_a, b) = (world.member("a").await, world.member("b").await);
    pass(INTERVAL * 3).await;
    let from = world.now();
    pass(Duration::from_secs(1)).await;
    b.die();
    // What c gains of b's was not polled by b, and b looks alive.
    pass(Duration::from_secs(1)).await;
    let _c = world.member("c").await;
    pass(Duration::from_millis(2500)).await;
    world.played.expire("b");
    pass(INTERVAL * 2).await;
    let (missed, most) = world.missed_and_most(from, world.now() - 100);
    assert_eq!(missed, 0);
    assert!(most <= 3, "{most}: two changes in one slot");
}

#[tokio::test(start_paused = true)]
async fn who_starts_again_before_its_old_lease_ends_polls_at_once() {
    let world = World::new().await;
    let (_a, b) = (world.member("a").await, world.member("b").await);
    pass(INTERVAL * 3).await;
    let from = world.now();
    pass(Duration::from_secs(1)).await;
    b.die();
    pass(Duration::from_secs(2)).await;
    let again = world.now();
    let b = world.member("b").await;
    pass(Duration::from_secs(3)).await;
    world.assert_made_up("b", &world.owned("b", ["a", "b"]), again);
    pass(INTERVAL * 2).await;
    world.assert_covered(from, 2);
    assert_eq!(world.polled_by("a", from), world.owned("a", ["a", "b"]), "nothing has moved");
    drop(b);
}

#[tokio::test(start_paused = true)]
async fn without_overlap_nothing_is_polled_twice() {
    let world = World::new().await;
    let _a = world.member_with("a", "Overlap = false").await;
    pass(INTERVAL * 2).await;
    let from = world.now();
    let b = world.member_with("b", "Overlap = false").await;
    pass(INTERVAL * 2).await;
    assert_eq!(world.missed_and_most(from, world.now() - 100).1, 1);
    let began = world.now();
    b.take().stop(Duration::from_secs(1)).await;
    assert!(world.now() - began < 4_000, "nobody waits for another slot");
    pass(INTERVAL * 2).await;
    assert_eq!(world.missed_and_most(from, world.now() - 100).1, 1);
}

#[tokio::test(start_paused = true)]
async fn without_the_engine_the_last_members_stay_in_force() {
    let world = World::new().await;
    let (a, _b) = (world.member("a").await, world.member("b").await);
    pass(INTERVAL * 3).await;
    assert_eq!((a.report().engine_up, a.report().lease), (1, "held"));
    let from = world.now();
    world.played.set_down(true);
    world.down.lock().unwrap().insert(*world.owned("a", ["a", "b"]).first().unwrap());
    pass(INTERVAL * 4).await;
    assert_eq!(world.missed_and_most(from, world.now() - 100), (0, 1));
    let report = a.report();
    assert_eq!((report.engine_up, report.lease), (0, "unknown"));
    assert_eq!(report.engine_error, "nobody answers");
    assert_eq!(report.members.len(), 2);
    // Other endpoints answer: this one has really failed, and is reported.
    assert!(world.failures().len() >= 2, "{:?}", world.failures());
    world.played.set_down(false);
    pass(Duration::from_secs(2)).await;
    assert_eq!((a.report().engine_up, a.report().lease), (1, "held"));
}

#[tokio::test(start_paused = true)]
async fn a_member_whose_lease_is_gone_polls_on_and_accuses_nobody() {
    let world = World::new().await;
    let (a, _b) = (world.member("a").await, world.member("b").await);
    pass(INTERVAL * 3).await;
    let from = world.now();
    // Neither endpoints nor the engine are reachable.
    world.played.set_down(true);
    world.down.lock().unwrap().extend(0..ENDPOINTS);
    pass(INTERVAL * 2).await;
    assert_eq!(world.missed_and_most(from, world.now() - 100), (0, 1));
    world.played.expire("a");
    world.down.lock().unwrap().clear();
    world.played.set_down(false);
    pass(INTERVAL * 2).await;
    // Those of the other member, whose lease has lasted, are true for all it knows.
    let own = world.owned("a", ["a", "b"]);
    let accused =
        |line: &String| own.contains(&line[2..].split(' ').next().unwrap().parse().unwrap());
    assert!(!world.failures().iter().any(accused), "{:?}", world.failures());
    let report = a.report();
    assert_eq!((report.lease, report.leases_lost), ("held", 1));
    assert!(report.failures_withheld >= ENDPOINTS as u64 / 4, "{report:?}");
    assert_eq!(world.missed_and_most(from, world.now() - 100).0, 0);
    assert_eq!(world.played.names(), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_once_the_lease_was_renewed() {
    let world = World::new().await;
    let _a = world.member("a").await;
    pass(INTERVAL * 2).await;
    world.down.lock().unwrap().insert(7);
    pass(INTERVAL * 2).await;
    let failures = world.failures();
    assert!(!failures.is_empty() && failures.iter().all(|line| line.starts_with("f.7 1 ")));
    let slot: u64 = failures[0].rsplit(' ').next().unwrap().parse().unwrap();
    assert_eq!(world.schedule(7).latest(slot * 1000 + 999) / 1000, slot, "of the slot that failed");
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_away_at_the_start_is_joined_when_it_can_be() {
    let world = World::new().await;
    world.played.set_down(true);
    let a = world.member("a").await;
    let b = world.member("b").await;
    pass(INTERVAL).await;
    let alone = world.now();
    pass(INTERVAL).await;
    for name in ["a", "b"] {
        assert_eq!(world.polled_by(name, alone).len(), ENDPOINTS, "{name} as if alone");
    }
    assert_eq!(a.report().engine_up, 0);
    world.played.set_down(false);
    pass(INTERVAL * 3).await;
    let from = world.now();
    pass(INTERVAL * 2).await;
    assert_eq!(world.missed_and_most(from, world.now() - 100), (0, 1));
    assert_eq!(b.report().members.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_did_not_run_reads_all_members_anew() {
    let world = World::new().await;
    let (_a, b) = (world.member("a").await, world.member("b").await);
    pass(INTERVAL * 2).await;
    let before = world.played.readings();
    // Time goes on at once, as for a process that was stopped.
    tokio::time::advance(Duration::from_secs(17)).await;
    pass(Duration::from_secs(1)).await;
    assert!(world.played.readings() > before);
    assert_eq!(b.report().members.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn with_two_replicas_each_slot_has_two_polls() {
    let world = World::new().await;
    let mut members = Vec::new();
    for name in ["a", "b", "c"] {
        members.push(world.member_with(name, "Replicas = 2").await);
    }
    pass(INTERVAL * 3).await;
    let from = world.now();
    pass(INTERVAL * 2).await;
    let counts = world.counts(from, world.now() - 100);
    assert!(counts.values().all(|count| *count == 2), "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_in_a_cluster_is_named() {
    let world = World::new().await;
    let a = world.member("a").await;
    let twin = world.member("a").await;
    let b = world.member_with("b", "Replicas = 2").await;
    world.played.put("c/1", "{\"name\": \"c\", \"instance\": \"1\", \"group\": \"tests\"}");
    world.played.put("d/1", "hello");
    let late = |n: u64| {
        let now = world.now() - 60_000 + n;
        let config = a.report().members["a"].config.clone();
        world.played.put(
            "e/1",
            &format!(
                "{{\"name\": \"e\", \"instance\": \"1\", \"group\": \"default\", \"config\": \
             \"{config}\", \"since_ms\": {START_MS}, \"now_ms\": {now}}}"
            ),
        );
    };
    pass(Duration::from_secs(12)).await;
    late(0);
    pass(Duration::from_millis(200)).await;
    late(1);
    pass(Duration::from_secs(1)).await;
    let troubles = a.report().troubles;
    for wrong in [
        "2 members are called a, and all poll the same endpoints: give each a Name of its own",
        "b has another configuration",
        "the clock of e is -60.",
        "the key c/1 of this group is no member of it (it is of the group \"tests\")",
        "the key d/1 of this group is no member of it",
    ] {
        assert!(troubles.iter().any(|text| text.contains(wrong)), "{wrong}: {troubles:#?}");
    }
    assert_eq!(troubles.len(), 5, "{troubles:#?}");
    let report = a.report();
    assert_eq!(report.members.keys().collect::<Vec<_>>(), ["a", "a #2", "b", "e"]);
    assert_eq!(report.members["b"].other_config, 1);
    twin.die();
    drop(b);
}
