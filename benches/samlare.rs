//! The cost of samlare: `cargo bench --bench samlare`.
//!
//! The bench has its own producer (a static HTTP server), sink (a Carbon that counts), and
//! collector (samlare's daemon), each in a separate process, so that CPU time and memory of the
//! collector are measured alone. The floor is a loop that only fetches the same documents over as
//! many connections.
//!
//! `cargo bench --bench samlare -- points polls memory dead reloads` selects parts; `--dead-secs
//! 600` keeps Carbon down for ten minutes instead of one. `--original PATH` names a build of
//! `thraxil/samlare`, the original in Go, and measures its CPU beside samlare's.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use expvar_benches::memstats;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const VARIABLES: usize = 200;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["produce"] => produce(),
        ["sink", port] => sink(port.parse().expect("a port")),
        ["collect", path] => collect(path.into()),
        ["floor", port, connections, polls] => {
            floor(port.parse().unwrap(), connections.parse().unwrap(), polls.parse().unwrap())
        }
        chosen => bench(chosen),
    }
}

fn bench(arguments: &[&str]) {
    let dead = arguments.iter().position(|argument| *argument == "--dead-secs");
    let dead_secs = dead.map_or(60, |at| arguments[at + 1].parse().expect("seconds"));
    let original = arguments.iter().position(|argument| *argument == "--original");
    let original = original.map(|at| *arguments.get(at + 1).expect("the program's path"));
    let names = ["points", "polls", "memory", "dead", "reloads"];
    let chosen: Vec<&str> =
        arguments.iter().copied().filter(|argument| names.contains(argument)).collect();
    let wanted = |name| chosen.is_empty() || chosen.contains(&name);
    println!("a document has {} bytes, {} points", document().len(), points_of_document());
    if wanted("points") {
        points(original);
    }
    if wanted("polls") {
        polls();
    }
    if wanted("memory") {
        memory();
    }
    if wanted("dead") {
        dead_carbon(dead_secs);
    }
    if wanted("reloads") {
        reloads();
    }
}

/// CPU for a million points: 200 endpoints every second.
fn points(original: Option<&str>) {
    let (producer, port) = start_producer();
    let (mut sink, carbon) = start_sink(0);
    let collector = Collector::start(&config(port, carbon, 200, 1000));
    // Until the queue holds what it keeps for a lost connection and no longer grows.
    sleep(Duration::from_secs(15));
    let (before, points_before) = (collector.cpu_secs(), collector.count("samlare.points"));
    sleep(Duration::from_secs(20));
    let cpu = collector.cpu_secs() - before;
    let points = collector.count("samlare.points") - points_before;
    let million = cpu / points * 1e6;
    let resident = collector.memory_mib("VmRSS");
    drop(collector);

    let polls = 20_000;
    let floor = role(&["floor", &port.to_string(), "200", &polls.to_string()]).output().unwrap();
    let floor: f64 = String::from_utf8_lossy(&floor.stdout).trim().parse().unwrap();
    let floor = floor / (f64::from(polls) * points_of_document() as f64) * 1e6;
    println!(
        "points: {million:.2} s of CPU a million ({points:.0} points, 200 endpoints, every second); \
         fetching alone: {floor:.2} s; ratio {:.1}; {resident:.1} MiB resident (at most 24)",
        million / floor
    );
    if let Some(program) = original {
        let theirs = original_million(program, &config(port, carbon, 200, 1000), &mut sink);
        println!(
            "points: the original {theirs:.2} s of CPU a million; ours is {:.3} of it (at most 0.15)",
            million / theirs
        );
    }
    drop(producer);
}

/// The same of the original, by the points that Carbon gets.
fn original_million(program: &str, config: &str, sink: &mut Role) -> f64 {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    fs::write(&path, config).unwrap();
    let mut command = Command::new(program);
    command.arg("-config").arg(&path).stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = command.spawn().unwrap();
    sleep(Duration::from_secs(15));
    let (cpu, [points, ..]) = (cpu_secs(process.id()), sink.seen(1));
    sleep(Duration::from_secs(20));
    let (cpu, points) = (cpu_secs(process.id()) - cpu, sink.seen(1)[0] - points);
    let _ = process.kill();
    let _ = process.wait();
    cpu / points as f64 * 1e6
}

/// Polls a second on what the machine has, producer and sink beside it.
fn polls() {
    let (_producer, port) = start_producer();
    let (_sink, carbon) = start_sink(0);
    let collector = Collector::start(&config(port, carbon, 400, 33));
    sleep(Duration::from_secs(3));
    let (cpu, before, began) =
        (collector.cpu_secs(), collector.count("samlare.polls"), Instant::now());
    let (skipped, failures) =
        (collector.count("samlare.skipped"), collector.count("samlare.failures"));
    sleep(Duration::from_secs(10));
    let rate = (collector.count("samlare.polls") - before) / began.elapsed().as_secs_f64();
    let cores = (collector.cpu_secs() - cpu) / began.elapsed().as_secs_f64();
    println!(
        "polls: {rate:.0} a second of {:.0} asked for, skipped {:.0}, failed {:.0}, collector used {cores:.2} cores of {}",
        400.0 / 0.033,
        collector.count("samlare.skipped") - skipped,
        collector.count("samlare.failures") - failures,
        thread::available_parallelism().map_or(0, usize::from),
    );
}

/// Resident memory at 5,000 endpoints.
fn memory() {
    let (_producer, port) = start_producer();
    let (_sink, carbon) = start_sink(0);
    let collector = Collector::start(&config(port, carbon, 5_000, 10_000));
    sleep(Duration::from_secs(45));
    println!(
        "memory: {:.1} MiB resident, {:.1} MiB at the peak, 5,000 endpoints every 10 s after 45 s; {:.0} polls, {:.0} failed",
        collector.memory_mib("VmRSS"),
        collector.memory_mib("VmHWM"),
        collector.count("samlare.polls"),
        collector.count("samlare.failures"),
    );
}

/// A dead Carbon: nothing lost, nothing late.
fn dead_carbon(secs: u64) {
    let (_producer, port) = start_producer();
    let (mut sink, carbon) = start_sink(0);
    let endpoints = 1_000;
    let interval_ms = 10_000;
    let mut text = config(port, carbon, endpoints, interval_ms);
    text.insert_str(0, "QueueBytes = 2147483648\nIgnoreMetrics = [\"memstats\"]\n");
    let collector = Collector::start(&text);
    sleep(Duration::from_secs(15));
    sink.end();
    sleep(Duration::from_secs(secs));
    let queue = collector.get("samlare.sender")["queue_points"].clone();
    let (mut sink, _) = start_sink(carbon);
    let limit = Instant::now() + Duration::from_secs(180);
    while collector.get("samlare.sender")["queue_points"] != 0 && Instant::now() < limit {
        sleep(Duration::from_millis(200));
    }
    let polls = collector.count("samlare.polls");
    let skipped = collector.count("samlare.skipped");
    let late = collector.get("samlare.durations")["max"].clone();
    let memory = collector.memory_mib("VmHWM");
    let stats = collector.get("samlare.sender");
    drop(collector);
    sleep(Duration::from_secs(1));
    let [points, missing, ..] = sink.seen(interval_ms / 1000);
    println!(
        "dead: Carbon away {secs} s, {endpoints} endpoints every 10 s: {polls:.0} polls, {skipped:.0} skipped, \
         slowest poll {late} ns, queue {queue} points, {memory:.0} MiB at the peak, dropped {}; \
         after it {points} points, {missing} slots missing",
        stats["points_dropped"],
    );
}

/// 1,000 changes of a Carbon key, Carbon up, down and slow by turns.
fn reloads() {
    let (_producer, port) = start_producer();
    let (mut sink, carbon) = start_sink(0);
    let (endpoints, interval_ms) = (10, 1_000);
    let text = format!("FlushTimeout = 2000\n{}", config(port, carbon, endpoints, interval_ms));
    let mut collector = Collector::start(&text);
    let mut moods = ["down", "slow", "up"].into_iter().cycle();
    for reload in 0..1_000 {
        if reload % 100 == 99 && reload < 999 {
            sink.tell(moods.next().unwrap());
        }
        collector.reload(&format!("QueueBytes = {}\n{text}", (64 << 20) + reload));
        sleep(Duration::from_millis(100));
    }
    sink.tell("up");
    let limit = Instant::now() + Duration::from_secs(60);
    while collector.get("samlare.sender")["queue_points"] != 0 && Instant::now() < limit {
        sleep(Duration::from_millis(200));
    }
    let (skipped, failures) =
        (collector.count("samlare.skipped"), collector.count("samlare.failures"));
    let stats = collector.get("samlare.sender");
    collector.signal("-TERM");
    let _ = collector.role.wait();
    sleep(Duration::from_secs(1));
    let [points, missing, doubled, late] = sink.seen(interval_ms / 1000);
    println!(
        "reloads: 1,000 changes of QueueBytes, Carbon up, down and slow by turns, {endpoints} endpoints every second: \
         {points} points, {missing} slots missing ({skipped:.0} polls skipped, {failures:.0} failed), \
         {doubled} came twice, {late} of them outside the window; {} connections, dropped {}",
        stats["connects"], stats["points_dropped"],
    );
}

fn config(port: u16, carbon: u16, endpoints: usize, interval_ms: u64) -> String {
    let mut text = format!(
        "CarbonHost = \"127.0.0.1\"\nCarbonPort = {carbon}\nCheckInterval = {interval_ms}\nTimeout = 5000\n\
         Listen = \"127.0.0.1:0\"\n"
    );
    for number in 0..endpoints {
        text.push_str(&format!(
            "[[endpoint]]\nURL = \"http://127.0.0.1:{port}/{number}/debug/vars\"\nPrefix = \"apps.app{number:04}\"\n"
        ));
    }
    text
}

/// 200 variables of a service in Go, and its memstats.
fn document() -> String {
    let mut text = String::from("{\n\"cmdline\": [\"/usr/bin/app\",\"-v\"]");
    text.push_str(&format!(",\n\"memstats\": {}", memstats(0)));
    for number in 0..VARIABLES {
        match number % 4 {
            0 => text.push_str(&format!(",\n\"requests.route_{number}\": {}", number * 7919)),
            1 => text.push_str(&format!(",\n\"latency.p99.route_{number}\": {}.25", number * 31)),
            2 => text.push_str(&format!(",\n\"errors.kind_{number}\": {number}")),
            _ => text.push_str(&format!(",\n\"sizes_{number}_bytes\": {}e+06", number)),
        }
    }
    // To the 12 KB that the memory is measured at.
    text.push_str(",\n\"build\": \"");
    let missing = 12_000usize.saturating_sub(text.len());
    text.push_str(&"x".repeat(missing));
    text.push_str("\"\n}\n");
    text
}

fn points_of_document() -> usize {
    struct Count;
    impl samlare::document::Points for Count {
        fn number(&mut self, _: &str, _: samlare::document::Number<'_>) {}
        fn restart(&mut self) {}
    }
    samlare::document::read(document().as_bytes(), "", &Default::default(), &mut Count).unwrap()
}

/// A process of this program in another role; it ends with its owner.
struct Role {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

fn role(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

impl Role {
    fn start(arguments: &[&str]) -> Role {
        let mut child = role(arguments).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Role { child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn tell(&mut self, word: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{word}").unwrap();
    }

    /// What a sink has seen: points, slots that are missing, that came twice, and that came twice
    /// outside the window.
    fn seen(&mut self, step: u64) -> [u64; 4] {
        self.tell(&step.to_string());
        let line = self.line();
        let mut counts = line.split(' ').map(|count| count.parse().unwrap());
        std::array::from_fn(|_| counts.next().unwrap())
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        self.end();
    }
}

fn start_producer() -> (Role, u16) {
    let mut role = Role::start(&["produce"]);
    let port = role.line().parse().unwrap();
    (role, port)
}

fn start_sink(port: u16) -> (Role, u16) {
    let mut role = Role::start(&["sink", &port.to_string()]);
    let port = role.line().parse().unwrap();
    (role, port)
}

/// Answers every request with the document, over as many connections as come.
fn produce() {
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let body = document();
    let answer: &'static [u8] = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .leak()
    .as_bytes();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap().port());
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = vec![0; 2048];
                let mut length = 0;
                loop {
                    match stream.read(&mut request[length..]).await {
                        Ok(0) | Err(_) => return,
                        Ok(read) => length += read,
                    }
                    if request[..length].ends_with(b"\r\n\r\n") {
                        length = 0;
                        if stream.write_all(answer).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
}

/// What a Carbon does with those who connect.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Up,
    /// Nobody listens, and all connections are gone.
    Down,
    /// Reads 200 KB a second.
    Slow,
}

/// A Carbon that keeps, for the first variable of each endpoint, which slots came and when.
#[derive(Default)]
struct Seen {
    points: u64,
    /// By name and timestamp, the first arrival.
    slots: HashMap<String, HashMap<u64, Instant>>,
    doubled: u64,
    /// Of those, the ones that had not come first in the window before connections were lost.
    late: u64,
    /// When all connections were last lost.
    lost: Option<Instant>,
}

/// How long before a lost connection a point may have come that comes again: the window, and some
/// time to arrive.
const WINDOW: Duration = Duration::from_secs(11);

impl Seen {
    fn take(&mut self, lines: &[u8]) {
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            self.points += 1;
            if !line.windows(16).any(|part| part == b"requests.route_0") {
                continue;
            }
            let line = String::from_utf8_lossy(line);
            let mut words = line.split(' ');
            let name = words.next().unwrap().to_owned();
            let time = words.nth(1).unwrap().parse().unwrap();
            let now = Instant::now();
            let first = *self.slots.entry(name).or_default().entry(time).or_insert(now);
            let is_again = first != now;
            self.doubled += u64::from(is_again);
            let excused = self.lost.is_some_and(|lost| lost > first && lost - first <= WINDOW);
            self.late += u64::from(is_again && !excused);
        }
    }

    fn missing(&self, step: u64) -> u64 {
        let gaps = |times: &HashMap<u64, Instant>| {
            let mut times: Vec<u64> = times.keys().copied().collect();
            times.sort_unstable();
            times.windows(2).map(|pair| ((pair[1] - pair[0]) / step).saturating_sub(1)).sum::<u64>()
        };
        self.slots.values().map(gaps).sum()
    }
}

/// Answers a step with what was seen, and takes moods, line by line on standard input.
fn sink(port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let port = listener.local_addr().unwrap().port();
    println!("{port}");
    let seen = Arc::new(Mutex::new(Seen::default()));
    let mood = Arc::new(Mutex::new(Mood::Up));
    let (taken, felt) = (seen.clone(), mood.clone());
    thread::spawn(move || {
        let mut listener = Some(listener);
        loop {
            if *felt.lock().unwrap() == Mood::Down {
                listener = None;
                sleep(Duration::from_millis(10));
                continue;
            }
            let listening =
                listener.get_or_insert_with(|| TcpListener::bind(("127.0.0.1", port)).unwrap());
            listening.set_nonblocking(true).unwrap();
            let Ok((stream, _)) = listening.accept() else {
                sleep(Duration::from_millis(10));
                continue;
            };
            let (taken, felt) = (taken.clone(), felt.clone());
            thread::spawn(move || drain(stream, &taken, &felt));
        }
    });
    let mut line = String::new();
    while std::io::stdin().read_line(&mut line).is_ok_and(|read| read > 0) {
        match line.trim() {
            "up" => *mood.lock().unwrap() = Mood::Up,
            "down" => *mood.lock().unwrap() = Mood::Down,
            "slow" => *mood.lock().unwrap() = Mood::Slow,
            step => {
                let seen = seen.lock().unwrap();
                let missing = seen.missing(step.parse().unwrap());
                println!("{} {missing} {} {}", seen.points, seen.doubled, seen.late);
            }
        }
        line.clear();
    }
}

/// Reads a connection to its end, or until the mood is down.
fn drain(mut stream: TcpStream, seen: &Mutex<Seen>, mood: &Mutex<Mood>) {
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let (mut buffer, mut length) = (vec![0u8; 1 << 20], 0);
    loop {
        let most = match *mood.lock().unwrap() {
            Mood::Up => buffer.len(),
            Mood::Slow => (length + 10_000).min(buffer.len()),
            Mood::Down => {
                seen.lock().unwrap().lost = Some(Instant::now());
                return;
            }
        };
        let read = match stream.read(&mut buffer[length..most]) {
            Ok(0) => return,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => return,
        };
        let end = length + read;
        let whole = buffer[..end].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        seen.lock().unwrap().take(&buffer[..whole]);
        buffer.copy_within(whole..end, 0);
        length = end - whole;
        if most < buffer.len() {
            sleep(Duration::from_millis(50));
        }
    }
}

/// samlare as it is.
fn collect(path: PathBuf) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let daemon = samlare::daemon::Daemon { path, shard: None };
    runtime.block_on(daemon.run()).unwrap();
}

struct Collector {
    role: Child,
    url: String,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Collector {
    fn start(config: &str) -> Collector {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        fs::write(&path, config.replace("127.0.0.1:0\"", &format!("{address}\""))).unwrap();
        let role =
            role(&["collect", path.to_str().unwrap()]).stderr(Stdio::null()).spawn().unwrap();
        let limit = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(&address).is_err() {
            assert!(Instant::now() < limit, "the collector does not start");
            sleep(Duration::from_millis(20));
        }
        Collector { role, url: address, path, _dir: dir }
    }

    fn reload(&self, config: &str) {
        fs::write(&self.path, config.replace("127.0.0.1:0\"", &format!("{}\"", self.url))).unwrap();
        self.signal("-HUP");
    }

    fn signal(&self, signal: &str) {
        let process = self.role.id().to_string();
        assert!(Command::new("kill").args([signal, &process]).status().unwrap().success());
    }

    fn get(&self, name: &str) -> serde_json::Value {
        let mut stream = TcpStream::connect(&self.url).unwrap();
        let request = format!(
            "GET /debug/vars?r=^{name}$ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        serde_json::from_str::<serde_json::Value>(body).unwrap()[name].clone()
    }

    fn count(&self, name: &str) -> f64 {
        self.get(name).as_f64().unwrap()
    }

    /// User and system time, from the kernel's hundredths.
    fn cpu_secs(&self) -> f64 {
        cpu_secs(self.role.id())
    }

    fn memory_mib(&self, field: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.role.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.role.kill();
        let _ = self.role.wait();
    }
}

fn cpu_secs(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// Fetches and throws away; prints its own CPU seconds.
fn floor(port: u16, connections: usize, polls: usize) {
    let mut streams: Vec<TcpStream> =
        (0..connections).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    let mut buffer = vec![0; 64 << 10];
    let mut whole = 0;
    for poll in 0..polls {
        let stream = &mut streams[poll % connections];
        stream.write_all(b"GET /debug/vars HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut length = 0;
        while length == 0 || length < whole {
            length += stream.read(&mut buffer).unwrap();
            if whole == 0 {
                let head = String::from_utf8_lossy(&buffer[..length]);
                let head = head.split_once("\r\n\r\n").unwrap().0.len() + 4;
                whole = head + document().len();
            }
        }
    }
    println!("{}", cpu_secs(std::process::id()));
}
