//! A host that gets another address while points flow to it, and one whose first address is dead.
#![cfg(target_os = "linux")]

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use expvar_carbon::{Lines, Sender};
use expvar_peers::{TwoAddresses, with_hosts};

/// Set in the process that has names of its own.
const HOSTS: &str = "EXPVAR_MOVED_HOSTS";

/// How long anything may take on a busy machine before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a test again as a process with a `/etc/hosts` of its own. Returns that file's path in the
/// process, None in the test that has run it.
fn own_hosts(name: &str) -> Option<OsString> {
    if let Some(hosts) = std::env::var_os(HOSTS) {
        return Some(hosts);
    }
    let hosts = tempfile::NamedTempFile::new().unwrap();
    let test = std::env::current_exe().unwrap();
    let output = with_hosts(hosts.path(), test)
        .args(["--exact", name, "--ignored"])
        .env(HOSTS, hosts.path())
        .output()
        .expect("unshare: install util-linux");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let ended = output.status;
    assert!(ended.success() && said.contains("1 passed"), "{ended}\n{said}{errors}");
    None
}

#[test]
#[ignore = "needs a mount namespace: root, or a system that lets its users have them"]
fn a_server_whose_first_address_is_dead_gets_everything() {
    let name = "a_server_whose_first_address_is_dead_gets_everything";
    let Some(hosts) = own_hosts(name) else { return };
    std::fs::write(&hosts, TwoAddresses::hosts("graphite.two")).unwrap();
    let server = TwoAddresses::open();
    let port = server.port();
    // A sender that waits for the first address until it times out is too late.
    let to = format!("graphite.two:{port}");
    let sender = Sender::builder().to(to).timeout(5 * PATIENCE).spawn().unwrap();
    let mut lines = Lines::new();
    lines.point("a.b", 7_u64, 1_700_000_000);
    sender.send(&mut lines);
    let mut line = String::new();
    BufReader::new(server.accept(PATIENCE)).read_line(&mut line).unwrap();
    assert_eq!(line, "a.b 7 1700000000\n");
    assert_eq!(sender.stats().failures, 0, "the first one never failed");
}

#[test]
#[ignore = "needs a mount namespace: root, or a system that lets its users have them"]
fn datagrams_follow_their_host_within_a_minute() {
    let Some(hosts) = own_hosts("datagrams_follow_their_host_within_a_minute") else { return };
    let name = |address: &str| std::fs::write(&hosts, format!("{address} graphite.moved\n"));
    let old = UdpSocket::bind("127.0.0.2:0").unwrap();
    let port = old.local_addr().unwrap().port();
    let new = UdpSocket::bind(("127.0.0.3", port)).unwrap();
    old.set_read_timeout(Some(PATIENCE)).unwrap();
    new.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    name("127.0.0.2").unwrap();
    let sender = Sender::builder().to(format!("udp://graphite.moved:{port}")).spawn().unwrap();
    let mut lines = Lines::new();
    let mut send = |n: u64| {
        lines.point("a.b", n, 1_700_000_000 + n);
        sender.send(&mut lines);
    };
    send(0);
    old.recv(&mut [0; 100]).expect("the first datagram");
    name("127.0.0.3").unwrap();
    let start = Instant::now();
    for n in 1.. {
        send(n);
        if new.recv(&mut [0; 100]).is_ok() {
            break;
        }
        let waited = start.elapsed();
        assert!(waited < 2 * PATIENCE, "the host moved {waited:?} ago: {n} datagrams missed it");
    }
    println!("moved after {:?}", start.elapsed());
}
