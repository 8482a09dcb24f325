//! A client that sends raw bytes and returns raw responses.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use expvar::Registry;
use expvar_http::{Builder, Server};

/// How long anything may take on a busy machine before a test fails, and the timeout of a server
/// whose timeout is not what is tested.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status_line: String,
    /// Sorted, with the date's value left out.
    pub(crate) headers: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn status(&self) -> &str {
        &self.status_line["HTTP/1.1 ".len()..][..3]
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find_map(|header| header.strip_prefix(name));
        found.and_then(|rest| rest.strip_prefix(": "))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body in UTF-8")
    }
}

/// A connection that fails a test instead of hanging.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    pub(crate) fn to(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, read: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: &str) {
        self.stream.write_all(bytes.as_bytes()).expect("the server reads");
    }

    /// The next response; `None` when the connection has ended instead.
    pub(crate) fn reply(&mut self, to_head: bool) -> Option<Reply> {
        let end = loop {
            match self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(end) => break end,
                None if self.more().unwrap_or(0) == 0 => return None,
                None => {}
            }
        };
        let head = String::from_utf8(self.read.drain(..end + 4).collect()).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status_line = lines.next().unwrap().to_owned();
        let mut headers: Vec<String> = lines.map(str::to_owned).collect();
        for header in &mut headers {
            if header.starts_with("Date: ") {
                assert!(header.ends_with(" GMT"), "{header}");
                *header = "Date: <IMF-fixdate>".to_owned();
            }
        }
        headers.sort();
        let mut reply = Reply { status_line, headers, body: Vec::new() };
        let length = reply.header("Content-Length").expect("a length").parse().unwrap();
        if !to_head {
            while self.read.len() < length {
                assert_ne!(self.more().expect("a whole body"), 0, "the body ended early");
            }
            reply.body = self.read.drain(..length).collect();
        }
        Some(reply)
    }

    pub(crate) fn get(&mut self, target: &str) -> Reply {
        self.send(&format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        self.reply(false).expect("a response")
    }

    /// The same; `None` when the connection has ended instead.
    pub(crate) fn try_get(&mut self, target: &str) -> Option<Reply> {
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.stream.write_all(request.as_bytes()).ok()?;
        self.reply(false)
    }

    /// What has come so far, and whatever still comes until the connection ends.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        loop {
            match self.more() {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    let goes_on = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut];
                    assert!(!goes_on.contains(&error.kind()), "it does not end: {error}");
                    break;
                }
            }
        }
        std::mem::take(&mut self.read)
    }

    fn more(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 4096];
        let count = self.stream.read(&mut bytes)?;
        self.read.extend_from_slice(&bytes[..count]);
        Ok(count)
    }
}

/// Sends one request on a connection of its own.
pub(crate) fn request(server: &Server, request: &str) -> Reply {
    let mut connection = Connection::to(server.local_addr());
    connection.send(request);
    connection.reply(request.starts_with("HEAD")).expect("a response")
}

pub(crate) fn get(server: &Server, target: &str) -> Reply {
    Connection::to(server.local_addr()).get(target)
}

/// A server of a registry of its own, on any port.
pub(crate) fn serve(registry: &Registry) -> Server {
    spawn(Server::builder().registry(registry))
}

pub(crate) fn spawn(builder: Builder) -> Server {
    builder.spawn("127.0.0.1:0").expect("a free port")
}

/// A number of the map `expvar.http`, which counts for all servers of this process. A server's own
/// thread publishes it, soon after `spawn`.
pub(crate) fn counted(key: &str) -> i64 {
    let mut shown = None;
    eventually(key, || {
        if let Some(expvar::Var::Map(map)) = expvar::global().get("expvar.http") {
            shown = map.get(key);
        }
        shown.is_some()
    });
    shown.unwrap().to_string().parse().unwrap()
}

/// For tests that open hundreds of connections: one at a time, as a process may have no more than
/// 1,024 descriptors.
pub(crate) fn many_descriptors() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for something that happens on another thread.
pub(crate) fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !happened() {
        assert!(Instant::now() < deadline, "{what} has not happened");
        thread::sleep(Duration::from_millis(5));
    }
}
