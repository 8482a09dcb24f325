//! A host with two addresses, of which the first never answers.

use std::ffi::OsStr;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;

use socket2::{Domain, Socket, Type};

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

    /// The port.
    pub fn port(&self) -> u16 {
        self.alive.local_addr().unwrap().port()
    }

    /// The lines of `/etc/hosts` for a name with both addresses, the dead one first.
    pub fn hosts(name: &str) -> String {
        format!("127.0.0.2 {name}\n127.0.0.3 {name}\n")
    }
}

/// A command that runs a program with a file as its `/etc/hosts`. Needs util-linux and a mount
/// namespace.
pub fn with_hosts(hosts: &Path, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--map-root-user", "--mount", "sh", "-c"])
        .arg("mount --bind \"$0\" /etc/hosts && exec \"$@\"")
        .arg(hosts)
        .arg(program);
    command
}
