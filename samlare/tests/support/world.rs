//! Endpoints, a Carbon and an engine in memory, on a clock that the test moves.
#![allow(dead_code, unreachable_pub)]

#[path = "played.rs"]
mod played;
#[path = "served.rs"]
mod served;

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
use served::{GOOD, path, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Between two of the times at which endpoints are polled, which are multiples of 50 ms: what a test
/// does then does not happen at the very moment of a poll.
pub const START_MS: u64 = 1_700_000_000_025;
pub const INTERVAL: Duration = Duration::from_secs(8);
pub const ENDPOINTS: usize = 24;

/// A poll: by whom, of which endpoint, when.
pub type Polls = Arc<Mutex<Vec<(String, usize, u64)>>>;

/// Endpoints, their polls, and the engine.
pub struct World {
    pub clock: Clock,
    pub port: u16,
    pub polls: Polls,
    pub played: Played,
    pub carbon: Arc<Mutex<Vec<String>>>,
    pub carbon_port: u16,
    pub down: Arc<Mutex<BTreeSet<usize>>>,
}

impl World {
    pub async fn new() -> World {
        let clock = Clock::counted(START_MS);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (polls, down) = (Polls::default(), Arc::<Mutex<BTreeSet<usize>>>::default());
        let (noted, fails) = (polls.clone(), down.clone());
        tokio::spawn(serve(listener, move |head, mut stream| {
            let endpoint = path(&head)[1..].parse().unwrap();
            let by = head.to_lowercase().split("x-member: ").nth(1).unwrap()[..1].to_owned();
            noted.lock().unwrap().push((by, endpoint, clock.now_ms()));
            let answer: &[u8] = match fails.lock().unwrap().contains(&endpoint) {
                true => b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
                false => GOOD,
            };
            async move { stream.write_all(answer).await.map(|()| stream) }
        }));
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

    pub fn url(&self, endpoint: usize) -> String {
        format!("http://127.0.0.1:{}/{endpoint}", self.port)
    }

    pub fn config(&self, name: &str, more: &str) -> Config {
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
    pub async fn member(&self, name: &str) -> Member {
        self.member_with(name, "").await
    }

    pub async fn member_with(&self, name: &str, more: &str) -> Member {
        let log = Log::to(Default::default(), std::io::sink());
        let (config, engine) = (self.config(name, more), self.played.driver());
        let registry = Registry::new();
        let collector =
            Collector::start_by(config, Some(engine), &registry, self.clock, log).unwrap();
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
        Member { collector, registry, task }
    }

    pub fn schedule(&self, endpoint: usize) -> Schedule {
        Schedule::new(INTERVAL, &self.url(endpoint))
    }

    /// How often each endpoint was polled in each of its slots that began in this time.
    pub fn counts(&self, from_ms: u64, to_ms: u64) -> BTreeMap<(usize, u64), usize> {
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
    pub fn missed_and_most(&self, from_ms: u64, to_ms: u64) -> (usize, usize) {
        let counts = self.counts(from_ms, to_ms);
        let missed = counts.values().filter(|count| **count == 0).count();
        (missed, counts.values().copied().max().unwrap_or(0))
    }

    /// No slot that began since then was missed, and none had more polls than that.
    pub fn assert_covered(&self, from_ms: u64, at_most: usize) {
        let (missed, most) = self.missed_and_most(from_ms, self.now() - 100);
        assert!(missed == 0 && most <= at_most, "{missed} missed, {most} polls of one slot");
    }

    /// For so many intervals from now on each slot has one poll.
    pub async fn assert_rest(&self, intervals: u32) {
        let from = self.now();
        pass(INTERVAL * intervals).await;
        assert_eq!(self.missed_and_most(from, self.now() - 100), (0, 1));
    }

    pub fn now(&self) -> u64 {
        self.clock.now_ms()
    }

    /// The endpoints of a member among these.
    pub fn owned<'a>(
        &self,
        name: &str,
        names: impl IntoIterator<Item = &'a str>,
    ) -> BTreeSet<usize> {
        let owners = Owners::new(names, 1);
        (0..ENDPOINTS).filter(|endpoint| owners.owns(name, &self.url(*endpoint))).collect()
    }

    /// What a member has polled since then.
    pub fn polled_by(&self, name: &str, since_ms: u64) -> BTreeSet<usize> {
        let polls = self.polls.lock().unwrap();
        let own = polls.iter().filter(|(by, _, time)| by == name && *time >= since_ms);
        own.map(|(_, endpoint, _)| *endpoint).collect()
    }

    /// Since then a member has polled those of the endpoints whose next slot is still to come.
    pub fn assert_made_up(&self, name: &str, endpoints: &BTreeSet<usize>, since_ms: u64) {
        let (now, polled) = (self.now(), self.polled_by(name, since_ms));
        let waits = |endpoint: &&usize| self.schedule(**endpoint).after(since_ms) > now;
        let waiting: BTreeSet<usize> = endpoints.iter().filter(waits).copied().collect();
        assert!(!waiting.is_empty());
        assert!(polled.is_superset(&waiting), "{polled:?} of {waiting:?}");
    }

    pub fn failures(&self) -> Vec<String> {
        let lines = self.carbon.lock().unwrap();
        lines
            .iter()
            .filter(|line| line.starts_with("f.") && line.contains(" 1 "))
            .cloned()
            .collect()
    }
}

pub struct Member {
    pub collector: Arc<Mutex<Option<Collector>>>,
    pub registry: Registry,
    pub task: tokio::task::JoinHandle<()>,
}

impl Member {
    pub fn take(&self) -> Collector {
        self.collector.lock().unwrap().take().unwrap()
    }

    /// Ends as a process that is killed does.
    pub fn die(self) {
        self.task.abort();
        drop(self.take());
    }

    pub fn report(&self) -> Report {
        let collector = self.collector.lock().unwrap();
        collector.as_ref().unwrap().states().cluster().unwrap().report()
    }

    pub fn endpoints(&self) -> usize {
        self.collector.lock().unwrap().as_ref().unwrap().states().polled().len()
    }
}

/// Lets paused time pass in small steps, so that sockets have their turns between them.
pub async fn pass(duration: Duration) {
    let step = Duration::from_millis(5);
    for _ in 0..duration.as_millis() / step.as_millis() {
        tokio::time::advance(step).await;
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        std::thread::sleep(Duration::from_micros(100));
    }
}
