//! A real Prometheus that scrapes each second.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// A real Prometheus on loopback that scrapes its targets each second.
///
/// It ends when dropped.
pub struct Prometheus {
    process: Child,
    addr: SocketAddr,
    _dir: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes these targets.
    ///
    /// # Panics
    /// When it cannot be had or does not start; the text says why.
    pub fn start(targets: &[String], flags: &[&str]) -> Self {
        Self::launch(Command::new("prometheus"), targets, flags)
    }

    /// Starts one in whose `/etc/hosts` these names are this machine.
    ///
    /// # Panics
    /// As [`start`](Self::start), and where there are no user namespaces.
    pub fn start_with_names(targets: &[String], names: &[&str]) -> Self {
        let hosts = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(hosts.path(), format!("127.0.0.1 {}\n", names.join(" "))).expect("hosts");
        let run = "mount --bind \"$0\" /etc/hosts && exec prometheus \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", run]).arg(hosts.path());
        // The file stays mounted after it lost its name.
        Self::launch(command, targets, &[])
    }

    fn launch(mut command: Command, targets: &[String], flags: &[&str]) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let targets: Vec<String> = targets.iter().map(|target| format!("'{target}'")).collect();
        let config = format!(
            "global:\n  scrape_interval: 1s\nscrape_configs:\n- job_name: service\n  \
             static_configs:\n  - targets: [{}]\n",
            targets.join(", ")
        );
        let file = dir.path().join("prometheus.yml");
        std::fs::write(&file, config).expect("a configuration");
        let mut process = command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .args(flags)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("this test needs prometheus: apt-get install prometheus");
        let log = process.stderr.take().expect("its log");
        let (sender, addresses) = mpsc::channel();
        // The log is read to its end, so that nothing waits to be written.
        std::thread::spawn(move || {
            let mut last = String::new();
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                let addr = line.split_once("msg=\"Listening on\" address=");
                if let Some(addr) = addr.and_then(|(_, addr)| addr.trim().parse().ok()) {
                    let _ = sender.send(Ok(addr));
                }
                last = line;
            }
            let _ = sender.send(Err(last));
        });
        let addr = addresses.recv_timeout(Duration::from_secs(60));
        let addr: Result<SocketAddr, String> = addr.expect("it says where it listens");
        let addr = addr.unwrap_or_else(|last| panic!("prometheus ended: {last}"));
        Self { process, addr, _dir: dir }
    }

    /// The body of an answer with status 200.
    pub fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.addr).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.lines().next()?.contains(" 200 ").then(|| body.to_owned())
    }

    /// The first series that a query gives: its labels and its value.
    pub fn query(&self, query: &str) -> Option<Value> {
        let escaped: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = self.get(&format!("/api/v1/query?query={escaped}"))?;
        let answer: Value = serde_json::from_str(&answer).ok()?;
        answer["data"]["result"].as_array()?.first().cloned()
    }

    /// Its value alone, as a number.
    pub fn number(&self, query: &str) -> Option<f64> {
        self.query(query)?["value"][1].as_str()?.parse().ok()
    }

    /// Waits until a scrape of all targets went well.
    ///
    /// # Panics
    /// After a minute.
    pub fn await_scrape(&self) {
        self.eventually("a scrape", || self.number("min(up)").filter(|up| *up == 1.0));
    }

    /// Asks until there is an answer.
    ///
    /// # Panics
    /// After a minute.
    pub fn eventually<T>(&self, what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = ready() {
                return found;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "{what} never came");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
