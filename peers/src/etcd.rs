//! Real etcd nodes on their own ports, which can be killed, hung and restarted.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::free_port;

/// How long the nodes may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// etcd nodes on loopback that are one cluster. They end when dropped.
pub struct EtcdCluster {
    dir: TempDir,
    nodes: Vec<Node>,
    address: String,
    /// What clients speak: `http` or `https`.
    scheme: &'static str,
    /// Further arguments of each node.
    arguments: Vec<String>,
}

struct Node {
    client: u16,
    peer: u16,
    process: Option<Child>,
}

impl EtcdCluster {
    /// Starts so many nodes, and waits until they have a leader.
    ///
    /// # Panics
    /// When they cannot be had or do not start; the text says why.
    pub fn start(nodes: usize) -> Self {
        Self::start_at(nodes, &Ipv4Addr::LOCALHOST.to_string(), &[])
    }

    /// Starts them at another address of this machine, with further arguments.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn start_at(nodes: usize, address: &str, arguments: &[&str]) -> Self {
        let mut cluster = Self::made(nodes, address, "http", arguments);
        (0..nodes).for_each(|node| cluster.launch(node));
        cluster.leader();
        cluster
    }

    /// Starts one node that speaks TLS only, with these further arguments; does not wait.
    ///
    /// # Panics
    /// When the program cannot be run.
    pub fn start_secured(arguments: &[&str]) -> Self {
        let mut cluster = Self::made(1, "127.0.0.1", "https", arguments);
        cluster.launch(0);
        cluster
    }

    fn made(nodes: usize, address: &str, scheme: &'static str, arguments: &[&str]) -> Self {
        let node = |_| Node { client: free_port(), peer: free_port(), process: None };
        Self {
            dir: tempfile::tempdir().expect("a directory"),
            nodes: (0..nodes).map(node).collect(),
            address: address.to_owned(),
            scheme,
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        }
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// All nodes, as samlare's `Engine` names them.
    pub fn engine(&self) -> String {
        let nodes: Vec<_> =
            self.nodes.iter().map(|node| format!("{}:{}", self.address, node.client)).collect();
        format!("etcd://{}", nodes.join(","))
    }

    /// The port where a node takes requests.
    pub fn port(&self, node: usize) -> u16 {
        self.nodes[node].client
    }

    /// Starts a node, on its files where it has any.
    ///
    /// # Panics
    /// When the program cannot be run.
    pub fn launch(&mut self, node: usize) {
        let url = |port: u16| format!("http://{}:{port}", self.address);
        let all: Vec<_> =
            self.nodes.iter().enumerate().map(|(n, at)| format!("n{n}={}", url(at.peer))).collect();
        let data = self.dir.path().join(format!("n{node}"));
        let state = if data.exists() { "existing" } else { "new" };
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join(format!("n{node}.log")))
            .expect("a file for its log");
        let client = format!("{}://{}:{}", self.scheme, self.address, self.nodes[node].client);
        let peer = url(self.nodes[node].peer);
        let program = Command::new("etcd")
            .args(["--name", &format!("n{node}"), "--logger", "zap", "--log-level", "error"])
            .arg("--data-dir")
            .arg(data)
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &all.join(","), "--initial-cluster-state", state])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the same file"))
            .stderr(log)
            .spawn();
        let program = program.expect("these tests need etcd: .ci/peers.sh installs it");
        self.nodes[node].process = Some(program);
    }

    /// The node that leads, as soon as there is one.
    ///
    /// # Panics
    /// When there is none for a minute.
    pub fn leader(&self) -> usize {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let leads = |&node: &usize| {
                let status = self.post(node, "/v3/maintenance/status", "{}");
                status.is_some_and(|status| {
                    let leader = text(&status, "leader");
                    leader.is_some() && leader == text(&status, "member_id")
                })
            };
            if let Some(leader) = (0..self.nodes.len()).find(leads) {
                return leader;
            }
            assert!(Instant::now() < deadline, "etcd has no leader:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills a node at once.
    pub fn kill(&mut self, node: usize) {
        if let Some(mut process) = self.nodes[node].process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Stops a node: it keeps its connections and answers nothing.
    pub fn hang(&self, node: usize) {
        self.signal(node, "STOP");
    }

    /// Resumes a stopped node.
    pub fn resume(&self, node: usize) {
        self.signal(node, "CONT");
    }

    fn signal(&self, node: usize, signal: &str) {
        if let Some(process) = &self.nodes[node].process {
            let sent =
                Command::new("kill").args(["-s", signal, &process.id().to_string()]).status();
            assert!(sent.is_ok_and(|status| status.success()), "kill -s {signal}");
        }
    }

    /// What a node answers to a call of its gateway; none where it does not, or not well.
    pub fn post(&self, node: usize, path: &str, body: &str) -> Option<String> {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\nContent-Length: {}\r\n\r\n\
             {body}",
            body.len()
        );
        self.ask(node, &request)
    }

    /// The sum of a counter over all nodes that answer, as `/metrics` shows it.
    pub fn counted(&self, counter: &str) -> f64 {
        let request = "GET /metrics HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\n\r\n";
        let pages = (0..self.nodes.len()).filter_map(|node| self.ask(node, request));
        let value = |line: &str| {
            let rest = line.strip_prefix(counter)?;
            rest.starts_with(['{', ' ']).then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
        };
        pages.map(|page| page.lines().filter_map(value).sum::<f64>()).sum()
    }

    fn ask(&self, node: usize, request: &str) -> Option<String> {
        let mut stream = TcpStream::connect((self.address.as_str(), self.port(node))).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(3))).ok()?;
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.starts_with("HTTP/1.1 200").then_some(answer)
    }

    /// What the nodes have written.
    pub fn log(&self) -> String {
        let path = |node| self.dir.path().join(format!("n{node}.log"));
        (0..self.nodes.len()).filter_map(|node| fs::read_to_string(path(node)).ok()).collect()
    }
}

/// The value of a key in a JSON document whose values are texts.
fn text<'a>(document: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = document.split_once(&format!("\"{key}\":\""))?;
    rest.split('"').next()
}

impl Drop for EtcdCluster {
    fn drop(&mut self) {
        (0..self.nodes.len()).for_each(|node| self.kill(node));
    }
}
