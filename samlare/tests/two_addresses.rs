//! An endpoint whose name has two addresses, of which the first never answers.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;

use socket2::{Domain, Socket, Type};

#[test]
#[ignore = "needs a mount namespace: root, or a system that lets its users have them"]
fn an_endpoint_whose_first_address_is_dead_is_polled() {
    let dir = tempfile::tempdir().unwrap();
    let hosts = dir.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.2 two.addresses\n127.0.0.3 two.addresses\n").unwrap();

    // Somebody listens whose queue of connections is full: nothing answers any more.
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
    let _filling: Vec<_> = (0..4).map(fill).collect();
    let port = address.as_socket().unwrap().port();
    let alive = TcpListener::bind(("127.0.0.3", port)).unwrap();
    std::thread::spawn(move || {
        for stream in alive.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 8\r\n\r\n{\"a\": 1}",
            );
        }
    });

    let config = dir.path().join("config.toml");
    let text = format!(
        "Timeout = 10000\n[[endpoint]]\nURL = \"http://two.addresses:{port}/debug/vars\"\n\
         Prefix = \"two\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c"])
        .arg("mount --bind \"$0\" /etc/hosts && exec \"$@\"")
        .arg(&hosts)
        .args([env!("CARGO_BIN_EXE_samlare"), "once"])
        .arg(&config)
        .output()
        .expect("unshare: install util-linux");
    let lines = String::from_utf8_lossy(&output.stdout);
    assert!(lines.starts_with("two.a 1 "), "{output:?}");
}
