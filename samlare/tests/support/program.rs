//! The program itself, and what it talks to, for tests.
#![allow(dead_code, unreachable_pub)]

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
#[cfg(unix)]
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long anything may take on a busy machine before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `done` gives something.
pub fn wait_for<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let limit = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(Instant::now() < limit, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A command line of samlare.
pub fn samlare(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_samlare"));
    command.args(arguments);
    command
}

/// Runs `samlare once` on a configuration.
pub fn once(config: &str) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    fs::write(&path, config).unwrap();
    samlare(&["once", path.to_str().unwrap()]).output().unwrap()
}

/// A running samlare.
pub struct Program {
    child: Child,
    dir: TempDir,
}

impl Program {
    pub fn start(config: &str) -> Program {
        Program::start_with(config, |_| {})
    }

    /// Starts it by a program that runs what follows its arguments.
    pub fn start_by(config: &str, launcher: &[&str]) -> Program {
        Program::launch(config, launcher, |_| {})
    }

    pub fn start_with(config: &str, adjust: impl FnOnce(&mut Command)) -> Program {
        Program::launch(config, &[], adjust)
    }

    fn launch(config: &str, launcher: &[&str], adjust: impl FnOnce(&mut Command)) -> Program {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        fs::write(&path, config).unwrap();
        let errors = fs::File::create(dir.path().join("stderr")).unwrap();
        let argument = format!("-config={}", path.display());
        let mut command = samlare(&[&argument]);
        if let Some((first, rest)) = launcher.split_first() {
            command = Command::new(first);
            command.args(rest).args([env!("CARGO_BIN_EXE_samlare"), &argument]);
        }
        command.stdout(Stdio::null()).stderr(errors);
        adjust(&mut command);
        Program { child: command.spawn().unwrap(), dir }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("stderr")).unwrap()
    }

    pub fn wait_for_log(&self, text: &str) {
        let limit = Instant::now() + PATIENCE;
        while !self.log().contains(text) {
            assert!(Instant::now() < limit, "waited in vain for {text} in:\n{}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn reload(&self, config: &str) {
        fs::write(self.dir.path().join("config.toml"), config).unwrap();
        self.signal("HUP");
    }

    /// Puts another file in the place of the configuration.
    pub fn replace(&self, file: &std::path::Path) {
        fs::rename(file, self.dir.path().join("config.toml")).unwrap();
    }

    pub fn signal(&self, name: &str) {
        let process = self.child.id().to_string();
        let killed = Command::new("kill").args([&format!("-{name}"), &process]).status();
        assert!(killed.unwrap().success());
    }

    /// The most memory that it has held.
    pub fn peak_mib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }

    /// Ends it as a service manager does, and returns its log.
    pub fn terminate(mut self) -> String {
        self.signal("TERM");
        let status = wait_for("the end", || self.child.try_wait().unwrap());
        assert!(status.success(), "{}", self.log());
        self.log()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until it has ended well, and returns its log.
    pub fn ended(mut self) -> String {
        let status = wait_for("the end", || self.child.try_wait().unwrap());
        assert!(status.success(), "{}", self.log());
        self.log()
    }

    /// Ends it as a crash does.
    pub fn crash(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.log()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An HTTP server that answers each request with what a function makes of its path.
pub struct Service {
    pub address: SocketAddr,
    /// How many connections there were.
    pub connections: Arc<AtomicUsize>,
    /// How many requests were answered.
    pub answers: Arc<AtomicUsize>,
}

impl Service {
    pub fn start(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let answers = Arc::new(AtomicUsize::new(0));
        let (counted, answered, answer) = (connections.clone(), answers.clone(), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                counted.fetch_add(1, Ordering::Relaxed);
                let (mut stream, answer) = (stream.unwrap(), answer.clone());
                let answered = answered.clone();
                thread::spawn(move || {
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    let mut line = String::new();
                    let mut path = String::new();
                    while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
                        if let Some(rest) = line.strip_prefix("GET ") {
                            path = rest.split(' ').next().unwrap().to_owned();
                        }
                        if line == "\r\n" {
                            answer(&path, &mut stream);
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                        line.clear();
                    }
                });
            }
        });
        Service { address, connections, answers }
    }

    /// A service whose document counts its polls, path by path: `{"n": 3}`.
    pub fn counting() -> Service {
        let counts: Mutex<HashMap<String, u64>> = Mutex::default();
        Service::start(move |path, stream| {
            let mut counts = counts.lock().unwrap();
            let count = counts.entry(path.to_owned()).or_default();
            *count += 1;
            let _ = stream.write_all(&document(&format!("{{\"n\": {count}}}")));
        })
    }

    /// Waits until so many requests were answered.
    pub fn wait_for_answers(&self, count: usize) {
        wait_for("answers", || (self.answers.load(Ordering::Relaxed) >= count).then_some(()));
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// A good answer that holds a document.
pub fn document(body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A Carbon that only keeps lines.
pub struct Sink {
    pub port: u16,
    lines: Arc<Mutex<Vec<String>>>,
    open: Arc<AtomicBool>,
}

impl Sink {
    pub fn start() -> Sink {
        Sink::at(0)
    }

    pub fn at(port: u16) -> Sink {
        let listener = wait_for("the port", || TcpListener::bind(("127.0.0.1", port)).ok());
        let port = listener.local_addr().unwrap().port();
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let open = Arc::new(AtomicBool::new(true));
        let (kept, still) = (lines.clone(), open.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, kept) = (stream.unwrap(), kept.clone());
                if !still.load(Ordering::Relaxed) {
                    return;
                }
                thread::spawn(move || {
                    for line in BufReader::new(stream).lines() {
                        let Ok(line) = line else { return };
                        kept.lock().unwrap().push(line);
                    }
                });
            }
        });
        Sink { port, lines, open }
    }

    /// Everything that came, as name, value and timestamp.
    pub fn points(&self) -> Vec<(String, f64, u64)> {
        self.lines.lock().unwrap().iter().map(|line| point(line)).collect()
    }

    /// The points of one name.
    pub fn named(&self, name: &str) -> Vec<(f64, u64)> {
        let points = self.points().into_iter();
        points.filter(|point| point.0 == name).map(|(_, value, time)| (value, time)).collect()
    }

    pub fn wait_for(&self, name: &str, count: usize) -> Vec<(f64, u64)> {
        wait_for(name, || Some(self.named(name)).filter(|points| points.len() >= count))
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.open.store(false, Ordering::Relaxed);
        // Wakes the thread that accepts, which then lets the port go.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// A line taken apart from its end: its name may hold anything.
pub fn point(line: &str) -> (String, f64, u64) {
    let mut words = line.rsplitn(3, ' ');
    let time = words.next().unwrap().parse().unwrap();
    let value = words.next().unwrap().parse().unwrap();
    (words.next().unwrap().to_owned(), value, time)
}

/// A port at which nobody listens, and which is this process's.
pub fn free_port() -> u16 {
    expvar_peers::free_port()
}

/// A service manager's socket. It is read all the time: a full one takes nothing more.
#[cfg(unix)]
pub struct Manager {
    pub path: PathBuf,
    messages: mpsc::Receiver<String>,
    _dir: TempDir,
}

#[cfg(unix)]
impl Manager {
    pub fn start() -> Manager {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let (told, messages) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = [0; 200];
            while let Ok(length) = socket.recv(&mut bytes) {
                if told.send(String::from_utf8(bytes[..length].to_vec()).unwrap()).is_err() {
                    return;
                }
            }
        });
        Manager { path, messages, _dir: dir }
    }

    /// Starts a program that it watches, at ten messages a second.
    pub fn program(&self, config: &str) -> Program {
        Program::start_with(config, |command| {
            command.env("NOTIFY_SOCKET", &self.path).env("WATCHDOG_USEC", "200000");
        })
    }

    /// The next message.
    pub fn next(&self) -> String {
        self.messages.recv_timeout(PATIENCE).unwrap()
    }
}

/// Asks samlare's own page for one variable.
pub fn shown(port: u16, name: &str) -> serde_json::Value {
    let mut stream = wait_for("the page", || TcpStream::connect(("127.0.0.1", port)).ok());
    let request = format!(
        "GET /debug/vars?r=^{name}$ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    serde_json::from_str::<serde_json::Value>(body).unwrap()[name].clone()
}

/// Test data.
pub fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}
