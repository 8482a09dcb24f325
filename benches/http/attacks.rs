//! The latency of a new scrape during attacks on connections, renders, memory and descriptors.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use expvar::{Counter, Func};

/// Milliseconds that a scrape may take.
const MUST: f64 = 300.0;
const SCRAPES: usize = 50;

const EVENTS: &str = "GET /debug/vars/events HTTP/1.1\r\nHost: localhost\r\n\r\n";
const LONG: &str = "GET /debug/vars?r=long HTTP/1.1\r\nHost: localhost\r\n\r\n";
const STUCK: &str = "GET /debug/vars?r=stuck HTTP/1.1\r\nHost: localhost\r\n\r\n";
const HALF: &str = "GET /debug/vars HTTP/1.1\r\n";
const SCRAPE: &str =
    "GET /debug/vars?r=^a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// What the child does: serves a counter, a function that returns 13 MB, another each time, and one
/// that never returns.
pub(crate) fn serve() {
    expvar::publish("a", Counter::new()).expect("a free name");
    let renders = AtomicUsize::new(0);
    let long = move || format!("{}{}", renders.fetch_add(1, Relaxed), "x".repeat(13_000_000));
    expvar::publish("long", Func::new(long)).expect("a free name");
    let stuck = || {
        loop {
            std::thread::park();
        }
    };
    expvar::publish("stuck", Func::new(move || -> () { stuck() })).expect("a free name");
    let server = expvar_http::spawn("127.0.0.1:0").expect("a free port");
    println!("{}", server.local_addr());
    loop {
        std::thread::park();
    }
}

/// A server under attack, killed with this value.
struct Attacked {
    process: Child,
    addr: String,
}

impl Attacked {
    fn start(descriptors: u32) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut process = Command::new("sh")
            .arg("-c")
            .arg(format!("ulimit -n {descriptors}; exec \"$0\" attacked"))
            .arg(program)
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh starts it");
        let output = process.stdout.take().expect("its output");
        let mut addr = String::new();
        BufReader::new(output).read_line(&mut addr).expect("its address");
        Self { process, addr: addr.trim().to_owned() }
    }

    fn send(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.addr).expect("the server listens");
        // Some are closed as soon as they are there.
        let _ = stream.write_all(request.as_bytes());
        stream
    }

    /// Milliseconds of the slowest of some scrapes, each on a connection of its own.
    fn slowest_scrape(&self) -> f64 {
        let scrape = |_| {
            let start = Instant::now();
            let mut answer = String::new();
            let mut stream = self.send(SCRAPE);
            let read = stream.read_to_string(&mut answer);
            let is_answered = read.is_ok() && answer.ends_with("{\n\"a\": 0\n}\n");
            std::thread::sleep(Duration::from_millis(10));
            // One that is shut out takes for ever.
            if is_answered { start.elapsed().as_secs_f64() * 1000.0 - 10.0 } else { f64::INFINITY }
        };
        (0..SCRAPES).map(scrape).fold(0.0, f64::max)
    }
}

impl Drop for Attacked {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn measure() {
    println!("| a fresh scrape beside | at most, ms | slowest of {SCRAPES}, ms |\n|---|---:|---:|");
    let row = |beside: &str, slowest: f64| {
        let missed = if slowest <= MUST { "" } else { " (missed)" };
        println!("| {beside} | {MUST:.0} | {slowest:.1}{missed} |");
    };
    let server = Attacked::start(4096);
    row("nothing", server.slowest_scrape());

    let pages: Vec<TcpStream> = (0..500).map(|_| server.send(EVENTS)).collect();
    row("500 live pages", server.slowest_scrape());
    drop((pages, server));

    let server = Attacked::start(4096);
    let stuck: Vec<TcpStream> = (0..100).map(|_| server.send(STUCK)).collect();
    row("100 requests for a function that hangs", server.slowest_scrape());
    drop((stuck, server));

    let server = Attacked::start(4096);
    let mut slow: Vec<TcpStream> = (0..8).map(|_| server.send(LONG)).collect();
    let done = std::sync::atomic::AtomicBool::new(false);
    let slowest = std::thread::scope(|scope| {
        scope.spawn(|| {
            // 100 KB/s each.
            while !done.load(Relaxed) {
                let mut some = [0; 5000];
                slow.iter_mut().for_each(|stream| drop(stream.read(&mut some)));
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let slowest = server.slowest_scrape();
        done.store(true, Relaxed);
        slowest
    });
    row("8 clients that read 13 MB at 100 KB/s", slowest);
    drop((slow, server));

    let server = Attacked::start(4096);
    let unread: Vec<TcpStream> = (0..200).map(|_| server.send(LONG)).collect();
    row("200 clients that never read 13 MB", server.slowest_scrape());
    drop((unread, server));

    let server = Attacked::start(64);
    let idle: Vec<TcpStream> =
        (0..200).map(|at| server.send(if at % 2 == 0 { HALF } else { "" })).collect();
    row("200 idle connections and half heads, 64 descriptors", server.slowest_scrape());
    drop(idle);
    println!();
}
