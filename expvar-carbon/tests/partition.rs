//! What a server has got after the network to it was cut and healed: every line, oldest first, and
//! twice only what it had not acknowledged.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::parent_id;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use expvar_carbon::{Lines, Sender, Unsent};

const NOW: u64 = 1_700_000_000;
const SOON: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(10);
/// Lines a step.
const LOAD: u64 = 5;
const TIMEOUT: Duration = Duration::from_millis(1_200);
/// Names the host that a process of these tests is.
const HOST: &str = "EXPVAR_PARTITION_HOST";

/// Runs `test`, which is the body of the test `name`, on one of two hosts that only it can see.
///
/// The program starts itself again as the server's host, whose only part is to make the listener,
/// and that one as the client's host, to which it passes the listener as its standard input: a
/// socket stays in the network in which it was made.
fn on_two_hosts(name: &str, test: fn(Wire, Server)) {
    let host = std::env::var(HOST);
    let (next, apart, stdin) = match host.as_deref() {
        Err(_) => ("server", &["--map-root-user", "--net"][..], Stdio::null()),
        Ok("server") => {
            let listener = TcpListener::bind("0.0.0.0:0").unwrap();
            ("client", &["--net"][..], OwnedFd::from(listener).into())
        }
        Ok(_) => return test(Wire::new(), Server::start()),
    };
    // Debian has tc where only root looks for it.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new("unshare")
        .args(apart)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored", "--nocapture"])
        .env(HOST, next)
        .env("PATH", path)
        .stdin(stdin)
        .output()
        .expect("unshare: install util-linux");
    let said = String::from_utf8_lossy(&output.stdout);
    print!("{said}");
    let why = if said.contains("running 1 test") {
        "it failed"
    } else {
        "unshare failed: it wants root, or a system that lets its users have namespaces"
    };
    assert!(
        output.status.success() && said.contains("1 passed"),
        "on the {next}'s host {why}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What connects the client's host, this one, to the server's.
struct Wire {
    near: End,
    far: End,
}

impl Wire {
    fn new() -> Self {
        let server = parent_id();
        run(&format!("ip link add near type veth peer name far netns {server}"));
        let enter = format!("nsenter --target {server} --net ");
        Self {
            near: End::new(String::new(), "near", "192.0.2.1/30"),
            far: End::new(enter, "far", "192.0.2.2/30"),
        }
    }
}

/// One host's end of the wire.
struct End {
    enter: String,
    device: &'static str,
}

impl End {
    fn new(enter: String, device: &'static str, address: &str) -> Self {
        run(&format!("{enter}ip address add {address} dev {device}"));
        run(&format!("{enter}ip link set {device} up"));
        Self { enter, device }
    }

    /// Lets vanish what this host sends, as far as it knows successfully.
    fn cut(&self) {
        run(&format!("{}tc qdisc add dev {} root blackhole", self.enter, self.device));
    }

    fn heal(&self) {
        run(&format!("{}tc qdisc del dev {} root", self.enter, self.device));
    }
}

fn run(command: &str) {
    let mut words = command.split_ascii_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output();
    let output =
        output.unwrap_or_else(|e| panic!("{command}: {e}: .ci/peers.sh installs iproute2"));
    assert!(
        output.status.success(),
        "{command}: {}(wants root, iproute2 of .ci/peers.sh, and a kernel with CONFIG_VETH and \
         CONFIG_NET_SCHED)",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The numbers of the lines that each connection has brought so far.
struct Server {
    address: String,
    connections: Arc<Mutex<Vec<Vec<u64>>>>,
}

impl Server {
    fn start() -> Self {
        let listener = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
        let listener = TcpListener::from(listener);
        let address = format!("192.0.2.2:{}", listener.local_addr().unwrap().port());
        let connections = Arc::new(Mutex::new(Vec::new()));
        let all = connections.clone();
        std::thread::spawn(move || {
            for (at, stream) in listener.incoming().enumerate() {
                let all = all.clone();
                all.lock().unwrap().push(Vec::new());
                std::thread::spawn(move || {
                    read(stream.unwrap(), |n| all.lock().unwrap()[at].push(n));
                });
            }
        });
        Self { address, connections }
    }

    /// How many lines the first connection has brought.
    fn first(&self) -> usize {
        self.connections.lock().unwrap().first().map_or(0, Vec::len)
    }

    /// What each connection that brought any lines has brought.
    fn got(&self) -> Vec<Vec<u64>> {
        let all = self.connections.lock().unwrap();
        all.iter().filter(|lines| !lines.is_empty()).cloned().collect()
    }
}

fn read(stream: TcpStream, mut each: impl FnMut(u64)) {
    let (mut stream, mut line) = (BufReader::new(stream), String::new());
    while stream.read_line(&mut line).is_ok() && line.ends_with('\n') {
        let n = line.split(' ').nth(1).unwrap().parse().unwrap();
        assert_eq!(line, format!("a.b {n} {}\n", NOW + n));
        each(n);
        line.clear();
    }
}

/// A sender without a window, and how many lines it was given.
struct Client {
    sender: Sender,
    sent: u64,
}

impl Client {
    fn new(server: &Server) -> Self {
        let sender = Sender::builder()
            .to(&server.address)
            .timeout(TIMEOUT)
            .resend_window(Duration::ZERO)
            .shutdown_timeout(Duration::from_millis(100))
            .spawn()
            .unwrap();
        Self { sender, sent: 0 }
    }

    fn send(&mut self, count: u64) {
        let mut lines = Lines::new();
        for n in self.sent..self.sent + count {
            assert!(lines.point("a.b", n, NOW + n));
        }
        self.sender.send(&mut lines);
        self.sent += count;
    }

    /// Sends `load` lines a step until `done`.
    fn until(&mut self, load: u64, within: Duration, done: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(start.elapsed() < within, "not within {within:?}: {:?}", self.sender.stats());
            self.send(load);
            std::thread::sleep(STEP);
        }
    }

    /// Sends the first lines and waits until the server has read them and the sender knows that they
    /// were acknowledged: then it keeps nothing. Returns how many they were.
    fn begin(&mut self, server: &Server) -> u64 {
        self.send(100);
        self.until(0, SOON, |client| client.sender.stats().queue_bytes == 0);
        self.arrives(server);
        self.sent
    }

    /// Waits until the first connection has brought everything that was sent.
    fn arrives(&mut self, server: &Server) {
        self.until(0, SOON, |client| server.first() as u64 == client.sent);
    }

    /// Waits until the sender has given the connection up, and returns why.
    fn notice(&mut self, load: u64) -> String {
        self.until(load, SOON, |client| client.sender.stats().failures > 0);
        self.sender.stats().last_error
    }

    /// Waits until the sender has tried in vain to connect again.
    fn fail_again(&mut self, load: u64) {
        self.until(load, SOON, |client| client.sender.stats().failures > 1);
    }

    /// Waits until the server has got everything, and returns how the first connection's lines
    /// ended and the second's began.
    fn finish(&mut self, load: u64, server: &Server) -> (u64, u64) {
        self.until(load, SOON, |_| server.got().len() > 1);
        assert_eq!(self.sender.close(SOON), Unsent::default());
        let got = server.got();
        for lines in &got {
            assert!(lines.windows(2).all(|pair| pair[0] + 1 == pair[1]), "out of order: {lines:?}");
        }
        let ends: Vec<_> = got.iter().map(|lines| (lines[0], lines[lines.len() - 1] + 1)).collect();
        println!("{ends:?} of {}, {:?}", self.sent, self.sender.stats());
        let [(0, first_end), (second_start, second_end)] = ends[..] else {
            panic!("not two connections: {ends:?}");
        };
        assert_eq!(second_end, self.sent);
        assert!(second_start <= first_end, "lost: {first_end}..{second_start}");
        let stats = self.sender.stats();
        assert_eq!((stats.points_sent, stats.points_dropped), (self.sent, 0));
        (first_end, second_start)
    }
}

#[test]
#[ignore = "needs iproute2 (.ci/peers.sh), and root or user namespaces"]
fn nothing_is_lost_under_load() {
    on_two_hosts("nothing_is_lost_under_load", |wire, server| {
        let mut client = Client::new(&server);
        client.begin(&server);
        client.until(LOAD, SOON, |_| server.first() > 500);
        // A second is longer than any kernel takes to acknowledge.
        let (acknowledged, sent) = (server.first() as u64, client.sent);
        client.until(LOAD, SOON, |client| client.sent >= sent + 100 * LOAD);
        wire.near.cut();
        wire.far.cut();
        client.notice(LOAD);
        client.fail_again(LOAD);
        wire.near.heal();
        wire.far.heal();
        let (_, again) = client.finish(LOAD, &server);
        assert!(again >= acknowledged, "{again} again, but {acknowledged} had been acknowledged");
    });
}

#[test]
#[ignore = "needs iproute2 (.ci/peers.sh), and root or user namespaces"]
fn an_idle_connection_loses_nothing_and_repeats_nothing() {
    on_two_hosts("an_idle_connection_loses_nothing_and_repeats_nothing", |wire, server| {
        let mut client = Client::new(&server);
        let acknowledged = client.begin(&server);
        wire.near.cut();
        wire.far.cut();
        client.send(10);
        let why = client.notice(0);
        // The sender, which begins to ask after a second, would take that much longer.
        assert!(why.contains("timed out (os error"), "not by TCP_USER_TIMEOUT: {why}");
        client.fail_again(0);
        assert_eq!(client.sender.flush_blocking(STEP).points, 10, "in time, and honest");
        wire.near.heal();
        wire.far.heal();
        assert_eq!(client.finish(0, &server), (acknowledged, acknowledged));
        assert_eq!(client.sender.stats().points_resent, 10);
    });
}

#[test]
#[ignore = "needs iproute2 (.ci/peers.sh), and root or user namespaces"]
fn what_arrived_unacknowledged_is_repeated() {
    on_two_hosts("what_arrived_unacknowledged_is_repeated", |wire, server| {
        let mut client = Client::new(&server);
        let acknowledged = client.begin(&server);
        wire.far.cut();
        client.send(10);
        client.arrives(&server);
        client.notice(0);
        client.fail_again(0);
        wire.far.heal();
        assert_eq!(client.finish(0, &server), (acknowledged + 10, acknowledged));
        assert_eq!(client.sender.stats().points_resent, 10);
    });
}
