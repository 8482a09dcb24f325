//! A host with two addresses, of which the first never answers.

use std::ffi::OsStr;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// How long a program with hosts of its own may run, in seconds.
const LIMIT_SECS: &str = "240";

/// One port at two addresses. At 127.0.0.2 the queue of connections is full, so nothing answers;
/// 127.0.0.3 works. Both hold the port as long as this lives.
#[derive(Debug)]
pub struct TwoAddresses {
    _dead: Socket,
    _filling: Vec<Socket>,
    alive: TcpListener,
}

impl TwoAddresses {
    /// Takes a port that is free at both.
    pub fn open() -> Self {
        let socket = || Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let dead = socket();
        dead.bind(&"127.0.0.2:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        dead.listen(0).unwrap();
        let address = dead.local_addr().unwrap();
        let fill = |_| {
            let waiting = socket();
            waiting.set_nonblocking(true).unwrap();
            let _ = waiting.connect(&address);
            waiting
        };
        let filling = (0..4).map(fill).collect();
        let port = address.as_socket().unwrap().port();
        let alive = TcpListener::bind(("127.0.0.3", port)).unwrap();
        Self { _dead: dead, _filling: filling, alive }
    }

    /// The listener at 127.0.0.3.
    pub fn alive(&self) -> &TcpListener {
        &self.alive
    }

    /// The next connection to 127.0.0.3.
    ///
    /// # Panics
    /// None came within `limit`.
    pub fn accept(&self, limit: Duration) -> TcpStream {
        let end = Instant::now() + limit;
        self.alive.set_nonblocking(true).unwrap();
        loop {
            match self.alive.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).unwrap();
                    stream.set_read_timeout(Some(limit)).unwrap();
                    return stream;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => panic!("{e}"),
            }
            assert!(
                Instant::now() < end,
                "within {limit:?} nobody tried 127.0.0.3, the second address of the host"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.alive.local_addr().unwrap().port()
    }

    /// The lines of `/etc/hosts` for a name with both addresses, the dead one first.
    pub fn hosts(name: &str) -> String {
        format!("127.0.0.2 {name}\n127.0.0.3 {name}\n")
    }
}

/// A command that runs a program with a file as its `/etc/hosts`. A program that has not ended
/// after four minutes is killed, with exit status 124. Needs util-linux and a mount namespace.
pub fn with_hosts(hosts: &Path, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--map-root-user", "--mount", "sh", "-c"])
        .arg("mount --bind \"$0\" /etc/hosts && exec timeout \"$@\"")
        .arg(hosts)
        .args(["--kill-after=10", LIMIT_SECS])
        .arg(program);
    command
}
