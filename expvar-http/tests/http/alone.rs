//! A server in a process of its own, with limits of its own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use expvar::{Counter, Func, Registry, Text};
use expvar_http::{Page, Server};

use crate::client::{Connection, PATIENCE, Reply};

/// A server in a process of its own, with limits that a shell sets. It shows a counter `a`, the
/// bytes that live in it, how often it was read, and what misbehaves when it is
/// [told](Self::tell) to: a text `long` and a function `stuck`.
pub(crate) struct Alone {
    child: Child,
    pub(crate) addr: SocketAddr,
}

impl Alone {
    pub(crate) fn start(limits: &str) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(format!("{limits} exec \"$0\" \"$@\""))
            .arg(program)
            .args(["--exact", "alone::server", "--ignored", "--nocapture", "--test-threads", "1"])
            .env("EXPVAR_TEST_ALONE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let out = child.stdout.as_mut().unwrap();
        while !said.contains(" end\n") {
            let mut byte = [0];
            assert_eq!(out.read(&mut byte).unwrap(), 1, "it ended: {said}");
            said.push(byte[0].into());
        }
        let addr = said.split_once("at ").unwrap().1.trim_end_matches(" end\n").parse().unwrap();
        Self { child, addr }
    }

    /// What `/debug/vars` answers a client that calls the server so.
    pub(crate) fn get(&self, host: &str) -> String {
        let mut stream = TcpStream::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let close = "Connection: close\r\n\r\n";
        write!(stream, "GET /debug/vars HTTP/1.1\r\nHost: {host}\r\n{close}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// A request on a connection of its own.
    pub(crate) fn ask(&self, target: &str) -> Reply {
        Connection::to(self.addr).get(target)
    }

    /// `long=BYTES`: the text `long` has that many bytes.
    /// `stuck=1`: the function `stuck` does not return until `stuck=0`.
    pub(crate) fn tell(&self, what: &str) {
        assert_eq!(self.ask(&format!("/tell?{what}")).text(), "so be it\n");
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it said on its standard error stream.
    pub(crate) fn end(mut self) -> String {
        drop(self.child.stdin.take());
        let output = self.child.wait_with_output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    }
}

/// What a test can change in the server.
#[derive(Clone, Default)]
struct Told {
    long: Arc<Text>,
    is_stuck: Arc<AtomicBool>,
}

impl Told {
    fn registry(&self) -> Registry {
        let registry = Registry::new();
        registry.publish("a", Counter::new()).unwrap();
        registry.publish("long", Arc::clone(&self.long)).unwrap();
        // No two documents are the same.
        let reads = AtomicUsize::new(0);
        registry.publish("reads", Func::new(move || reads.fetch_add(1, Relaxed))).unwrap();
        let is_stuck = Arc::clone(&self.is_stuck);
        let stuck = move || {
            while is_stuck.load(Relaxed) {
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        registry.publish("stuck", Func::new(stuck)).unwrap();
        let live_bytes = || expvar::alloc::counts().unwrap().live_bytes();
        registry.publish("live_bytes", Func::new(live_bytes)).unwrap();
        registry
    }

    fn hear(&self, uri: &http::Uri) -> Option<Page> {
        let (what, value) = uri.query().filter(|_| uri.path() == "/tell")?.split_once('=')?;
        let value = value.parse().unwrap();
        match what {
            "long" => self.long.set("x".repeat(value)),
            _ => self.is_stuck.store(value == 1, Relaxed),
        }
        Some(Page::new("text/plain", "so be it\n"))
    }
}

/// The program that [`Alone`] starts, on its main thread, so that it needs no other.
#[test]
#[ignore = "started by others"]
fn server() {
    if std::env::var_os("EXPVAR_TEST_ALONE").is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("at {} end", listener.local_addr().unwrap());
        let told = Told::default();
        let registry = told.registry();
        let pages = move |uri: http::Uri| {
            let page = told.hear(&uri);
            async { page }
        };
        // The server goes on until the standard input ends; there may be no thread to wait on it.
        let stop = async {
            let stdin = std::os::fd::AsFd::as_fd(&std::io::stdin()).try_clone_to_owned().unwrap();
            let stdin = tokio::net::unix::pipe::Receiver::from_owned_fd(stdin).unwrap();
            let _ = stdin.readable().await;
        };
        Server::builder().registry(&registry).pages(pages).serve(listener, stop).await.unwrap();
    });
}
