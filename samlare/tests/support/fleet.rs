//! Members of a cluster as whole programs, with real etcd nodes, a real Carbon, and endpoints that
//! note each poll.
#![allow(dead_code, unreachable_pub)]

#[path = "program.rs"]
mod program;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use expvar_peers::{CarbonCache, EtcdCluster};
use program::{Program, document, free_port, shown, wait_for};
use samlare::schedule::Schedule;
use tempfile::TempDir;

const ENDPOINTS: usize = 60;

/// A poll: by which member, of which endpoint, when in milliseconds of Unix time.
type Poll = (String, usize, u64);

/// Members, and all they talk to.
pub struct Fleet {
    pub etcd: EtcdCluster,
    pub carbon: CarbonCache,
    members: BTreeMap<String, Member>,
    dirs: BTreeMap<String, TempDir>,
    ended: BTreeMap<String, String>,
    host: String,
    port: u16,
    polls: Arc<Mutex<Vec<Poll>>>,
    interval: Duration,
    settings: String,
    more: String,
    notes: Vec<String>,
}

struct Member {
    program: Program,
    listen: u16,
}

/// What became of slots.
#[derive(Debug)]
pub struct Slots {
    /// Those that whisper does not have.
    pub missing: Vec<String>,
    pub all: usize,
    /// How many polls they had.
    pub polled: usize,
    /// The most polls that one of them had.
    pub most: usize,
}

impl Fleet {
    pub fn new(interval: Duration, ttl_ms: u64, timeout_ms: u64, more: &str) -> Fleet {
        Fleet::new_at("127.0.0.1", interval, ttl_ms, timeout_ms, more)
    }

    /// The same, with all that members talk to at this address.
    pub fn new_at(
        host: &str,
        interval: Duration,
        ttl_ms: u64,
        timeout_ms: u64,
        more: &str,
    ) -> Fleet {
        let step = interval.as_secs();
        let carbon = CarbonCache::keeping(&format!("{step}s:4h"));
        let polls = Arc::<Mutex<Vec<Poll>>>::default();
        let settings = format!(
            "CarbonHost = \"{host}\"\nCarbonPort = {}\nCheckInterval = {}\nTimeout = \
             {timeout_ms}\n",
            forwarded(host, carbon.line_port),
            interval.as_millis()
        );
        Fleet {
            etcd: EtcdCluster::start_at(3, host, &[]),
            host: host.to_owned(),
            carbon,
            members: BTreeMap::new(),
            dirs: BTreeMap::new(),
            ended: BTreeMap::new(),
            port: endpoints(host, polls.clone()),
            polls,
            interval,
            settings,
            more: format!("Ttl = {ttl_ms}\n{more}\n"),
            notes: Vec::new(),
        }
    }

    fn url(&self, endpoint: usize) -> String {
        format!("http://{}:{}/{endpoint}", self.host, self.port)
    }

    fn schedule(&self, endpoint: usize) -> Schedule {
        Schedule::new(self.interval, &self.url(endpoint))
    }

    /// Starts a member, on its disk where it has one.
    pub fn start(&mut self, name: &str) {
        self.start_by(name, &[]);
    }

    /// The same, by a program that runs what follows its arguments.
    pub fn start_by(&mut self, name: &str, launcher: &[&str]) {
        if let Some(mut old) = self.members.remove(name) {
            // It may still be stopping.
            wait_for("its end", || old.program.has_ended().then_some(()));
        }
        let dir = self.dirs.entry(name.to_owned()).or_insert_with(|| tempfile::tempdir().unwrap());
        let listen = free_port();
        let mut config = format!(
            "Listen = \"127.0.0.1:{listen}\"\nSpoolDir = {:?}\n{}",
            dir.path(),
            self.settings
        );
        for endpoint in 0..ENDPOINTS {
            config.push_str(&format!(
                "[[endpoint]]\nURL = \"{}\"\nPrefix = \"e.{endpoint}\"\nFailureMetric = \
                 \"f.{endpoint}\"\nHeaders = {{ \"X-Member\" = \"{name}\" }}\n",
                self.url(endpoint)
            ));
        }
        config.push_str(&format!(
            "[cluster]\nEngine = \"{}\"\nName = \"{name}\"\n{}",
            self.etcd.engine(),
            self.more
        ));
        let member = Member { program: Program::start_by(&config, launcher), listen };
        self.members.insert(name.to_owned(), member);
    }

    pub fn kill(&mut self, name: &str) {
        let log = self.members.remove(name).unwrap().program.crash();
        self.ended.insert(name.to_owned(), log);
    }

    pub fn delete_disk(&mut self, name: &str) {
        drop(self.dirs.remove(name));
    }

    pub fn signal(&self, name: &str, signal: &str) {
        self.members[name].program.signal(signal);
    }

    /// Ends a member as a service manager does.
    pub fn stop(&mut self, name: &str) {
        let log = self.members.remove(name).unwrap().program.terminate();
        self.ended.insert(name.to_owned(), log);
    }

    pub fn log(&self, name: &str) -> String {
        match self.members.get(name) {
            Some(member) => member.program.log(),
            None => self.ended[name].clone(),
        }
    }

    /// What a member shows of the cluster.
    pub fn shown(&self, name: &str, key: &str) -> serde_json::Value {
        shown(self.members[name].listen, "samlare.cluster")[key].clone()
    }

    /// Waits until each member knows so many, and has had its first slots.
    pub fn wait_for_members(&self, count: usize) {
        for name in self.members.keys() {
            wait_for("members", || {
                let members = self.shown(name, "members");
                members.as_object().is_some_and(|members| members.len() == count).then_some(())
            });
        }
    }

    pub fn wait_for(&self, what: &str, done: impl Fn(&Fleet) -> bool) {
        wait_for(what, || done(self).then_some(()));
    }

    pub fn now(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
    }

    pub fn wait_until(&self, time: Duration) {
        thread::sleep(time.saturating_sub(self.now()));
    }

    pub fn pass(&self, time: Duration) {
        thread::sleep(time);
    }

    /// Waits for two slots, after which all are at rest, and says from when on slots count.
    pub fn begin(&mut self) -> u64 {
        self.pass(self.interval * 2);
        self.mark()
    }

    /// Says from when on slots count.
    pub fn mark(&mut self) -> u64 {
        self.note("slots count from here on");
        self.now().as_millis() as u64
    }

    pub fn note(&mut self, what: &str) {
        let secs = self.now().as_secs_f64();
        self.notes.push(format!("{secs:.3} {what}"));
    }

    /// What has happened, and what the members say of it.
    pub fn notes(&self) -> String {
        let mut notes = self.notes.join("\n");
        let running = self.members.iter().map(|(name, member)| (name, member.program.log()));
        for (name, log) in running.chain(self.ended.iter().map(|(name, log)| (name, log.clone()))) {
            let lines: Vec<&str> =
                log.lines().filter(|line| !line.contains("good fetch")).collect();
            notes.push_str(&format!("\n-- {name}\n{}", lines.join("\n")));
        }
        notes
    }

    /// Slots that began since then and are over, whatever has been stored of them.
    pub fn slots(&self, from_ms: u64) -> Slots {
        self.judged(from_ms, &|_, _| true)
    }

    /// Ends all members, and reads what is stored.
    pub fn end(&mut self, from_ms: u64) -> Slots {
        let until_ms = self.now().as_millis() as u64;
        for name in self.members.keys().cloned().collect::<Vec<_>>() {
            self.members[&name].program.signal("TERM");
        }
        for (name, member) in std::mem::take(&mut self.members) {
            self.ended.insert(name, member.program.ended());
        }
        let step = self.interval.as_secs();
        let mut stored: BTreeMap<usize, BTreeSet<u64>> = BTreeMap::new();
        // Carbon writes when it has the time to.
        let mut complete = || {
            for endpoint in 0..ENDPOINTS {
                let points = self.carbon.points(&format!("e.{endpoint}.n"));
                stored.insert(endpoint, points.into_keys().collect());
            }
            let has = |endpoint: usize, slot: u64| {
                stored[&endpoint].contains(&(slot / 1000 / step * step))
            };
            self.judged_until(from_ms, until_ms, &has)
        };
        let mut slots = complete();
        for _ in 0..200 {
            if slots.missing.is_empty() {
                break;
            }
            thread::sleep(Duration::from_millis(100));
            slots = complete();
        }
        slots
    }

    fn judged(&self, from_ms: u64, has: &dyn Fn(usize, u64) -> bool) -> Slots {
        self.judged_until(from_ms, self.now().as_millis() as u64, has)
    }

    fn judged_until(&self, from_ms: u64, until_ms: u64, has: &dyn Fn(usize, u64) -> bool) -> Slots {
        let mut counts: BTreeMap<(usize, u64), usize> = BTreeMap::new();
        let schedules: Vec<_> = (0..ENDPOINTS).map(|endpoint| self.schedule(endpoint)).collect();
        for (endpoint, schedule) in schedules.iter().enumerate() {
            let mut slot = schedule.after(from_ms - 1);
            while slot + schedule.interval_ms() < until_ms {
                counts.insert((endpoint, slot), 0);
                slot += schedule.interval_ms();
            }
        }
        for (_, endpoint, time) in self.polls.lock().unwrap().iter() {
            if let Some(count) = counts.get_mut(&(*endpoint, schedules[*endpoint].latest(*time))) {
                *count += 1;
            }
        }
        let missing = counts.iter().filter(|((endpoint, slot), _)| !has(*endpoint, *slot));
        let missing = missing.map(|((endpoint, slot), polls)| {
            format!(
                "endpoint {endpoint}, slot at {}.{:03}, {polls} polls",
                slot / 1000,
                slot % 1000
            )
        });
        Slots {
            missing: missing.collect(),
            all: counts.len(),
            polled: counts.values().sum(),
            most: counts.values().copied().max().unwrap_or(0),
        }
    }

    /// Failures that are stored of any endpoint.
    pub fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for endpoint in 0..ENDPOINTS {
            let points = self.carbon.points(&format!("f.{endpoint}"));
            let bad = points.into_iter().filter(|(_, value)| *value != 0.0);
            failures.extend(bad.map(|(time, value)| format!("f.{endpoint} {value} {time}")));
        }
        failures
    }

    /// Who has polled what in the last interval.
    pub fn polled_by(&self) -> BTreeSet<(String, usize)> {
        let now = self.now().as_millis() as u64;
        self.polled_by_since(now - self.interval.as_millis() as u64)
    }

    /// Who has polled what since then.
    pub fn polled_by_since(&self, since_ms: u64) -> BTreeSet<(String, usize)> {
        let polls = self.polls.lock().unwrap();
        let polls = polls.iter().filter(|(.., time)| *time >= since_ms);
        polls.map(|(by, endpoint, _)| (by.clone(), *endpoint)).collect()
    }
}

/// A port of the host whose connections lead to one of loopback.
fn forwarded(host: &str, port: u16) -> u16 {
    if host == "127.0.0.1" {
        return port;
    }
    let listener = TcpListener::bind((host, 0)).unwrap();
    let own = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let Ok(mut to) = TcpStream::connect(("127.0.0.1", port)) else { continue };
            thread::spawn(move || std::io::copy(&mut stream, &mut to));
        }
    });
    own
}

/// A server of all endpoints, on a port of its own; notes who has polled what and when.
fn endpoints(host: &str, polls: Arc<Mutex<Vec<Poll>>>) -> u16 {
    let listener = TcpListener::bind((host, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, polls) = (stream.unwrap(), polls.clone());
            thread::spawn(move || serve(stream, &polls));
        }
    });
    port
}

fn serve(stream: TcpStream, polls: &Mutex<Vec<Poll>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut stream, mut line) = (stream, String::new());
    let (mut endpoint, mut by) = (0, String::new());
    while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
        if let Some(rest) = line.strip_prefix("GET /") {
            endpoint = rest.split(' ').next().unwrap().parse().unwrap();
        }
        let header = line.to_ascii_lowercase();
        if let Some(name) = header.strip_prefix("x-member: ") {
            by = name.trim().to_owned();
        }
        if line == "\r\n" {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
            polls.lock().unwrap().push((by.clone(), endpoint, now));
            let _ = stream.write_all(&document("{\"n\": 1}"));
        }
        line.clear();
    }
}
