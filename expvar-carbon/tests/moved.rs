//! A `udp://` host that gets another address while points flow to it.
#![cfg(target_os = "linux")]

use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};

use expvar_carbon::{Lines, Sender};

/// Set in the process that has names of its own.
const HOSTS: &str = "EXPVAR_MOVED_HOSTS";

#[test]
#[ignore = "needs a mount namespace: root, or a system that lets its users have them"]
fn datagrams_follow_their_host_within_a_minute() {
    let Some(hosts) = std::env::var_os(HOSTS) else {
        let hosts = tempfile::NamedTempFile::new().unwrap();
        let test = std::env::current_exe().unwrap();
        let output = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c"])
            .arg("mount --bind \"$0\" /etc/hosts && exec \"$@\"")
            .arg(hosts.path())
            .arg(test)
            .args(["--exact", "datagrams_follow_their_host_within_a_minute", "--ignored"])
            .env(HOSTS, hosts.path())
            .output()
            .expect("unshare: install util-linux");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
        return;
    };
    let name = |address: &str| std::fs::write(&hosts, format!("{address} graphite.moved\n"));
    let old = UdpSocket::bind("127.0.0.2:0").unwrap();
    let port = old.local_addr().unwrap().port();
    let new = UdpSocket::bind(("127.0.0.3", port)).unwrap();
    new.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    name("127.0.0.2").unwrap();
    let sender = Sender::builder().to(format!("udp://graphite.moved:{port}")).spawn().unwrap();
    let mut lines = Lines::new();
    let mut send = |n: u64| {
        lines.point("a.b", n, 1_700_000_000 + n);
        sender.send(&mut lines);
    };
    send(0);
    old.recv(&mut [0; 100]).unwrap();
    name("127.0.0.3").unwrap();
    let start = Instant::now();
    for n in 1.. {
        send(n);
        if new.recv(&mut [0; 100]).is_ok() {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(300), "it never moved");
    }
    println!("moved after {:?}", start.elapsed());
}
