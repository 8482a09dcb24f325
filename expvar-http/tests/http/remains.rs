//! What is left of an attack when it is over: no memory, no descriptors, no threads.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use crate::alone::Alone;
use crate::client::{Connection, PATIENCE, eventually};

const MIB: u64 = 1 << 20;
const EVENTS: &str = "GET /debug/vars/events HTTP/1.1\r\nHost: localhost\r\n\r\n";
const VARS: &str = "GET /debug/vars HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// What a process holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    /// Memory that is no file's.
    resident_bytes: u64,
    threads: u64,
    descriptors: u64,
}

fn held(server: &Alone) -> Held {
    let proc = format!("/proc/{}", server.pid());
    let status = fs::read_to_string(format!("{proc}/status")).unwrap();
    let number = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_matches([':', '\t', ' ']).trim_end_matches(" kB").parse().unwrap()
    };
    let descriptors = fs::read_dir(format!("{proc}/fd")).unwrap().count() as u64;
    Held { resident_bytes: number("RssAnon") * 1024, threads: number("Threads"), descriptors }
}

/// Bytes in the blocks that a server has allocated and not freed.
fn live_bytes(server: &Alone) -> u64 {
    let reply = server.ask("/debug/vars?r=^live");
    let shown = reply.text().trim_start_matches("{\n\"live_bytes\": ");
    shown.trim_end_matches("\n}\n").parse().unwrap()
}

/// Starts a server, attacks it twice, and sees that all comes back; a scrape is answered meanwhile.
/// Returns what it held before and during the attack.
fn attack<T>(limits: &str, attack: impl Fn(&Alone) -> T) -> (Held, Held) {
    let server = Alone::start(limits);
    let scrape = || assert_eq!(server.ask("/debug/vars?r=^a").text(), "{\n\"a\": 0\n}\n");
    let at_start = held(&server);
    // What each kind of request needs once.
    server.tell("long=0");
    server.ask("/debug/vars");
    server.ask("/metrics");
    drop(page(&server));
    eventually("rest", || {
        let now = held(&server);
        // It goes on to hold a thread for the past of its variables, and its standard input.
        now.threads <= at_start.threads + 1 && now.descriptors <= at_start.descriptors + 1
    });
    let before = held(&server);
    let live_before = live_bytes(&server);
    let once = || {
        let attackers = attack(&server);
        scrape();
        let during = held(&server);
        drop(attackers);
        server.tell("stuck=0");
        server.tell("long=0");
        eventually(&format!("{before:?} again, after {during:?}"), || {
            let now = held(&server);
            now.threads <= before.threads && now.descriptors <= before.descriptors
        });
        eventually("its memory", || live_bytes(&server) <= live_before + MIB);
        during
    };
    let first = once();
    let second = once();
    // 64 MiB of documents on their way, those that are rendered, and what the allocator keeps of
    // what was freed.
    assert!(second.resident_bytes <= before.resident_bytes + 256 * MIB, "{before:?} {second:?}");
    scrape();
    server.end();
    (before, first)
}

/// A live page that has got its first bytes.
fn page(server: &Alone) -> TcpStream {
    let mut page = TcpStream::connect(server.addr).unwrap();
    page.set_read_timeout(Some(PATIENCE)).unwrap();
    page.write_all(EVENTS.as_bytes()).unwrap();
    assert_ne!(page.read(&mut [0; 64]).unwrap(), 0, "a page is answered");
    page
}

#[test]
#[ignore = "slow: an attack of several seconds"]
fn of_pages_that_stay_open() {
    let (before, during) = attack("", |server| (0..300).map(|_| page(server)).collect::<Vec<_>>());
    let pages = during.descriptors - before.descriptors;
    assert!((100..=160).contains(&pages), "half of 256 connections: {during:?}");
    assert!(during.resident_bytes < before.resident_bytes + 64 * MIB, "{before:?} {during:?}");
}

#[test]
#[ignore = "slow: an attack of several seconds"]
fn of_a_function_that_hangs() {
    let (before, during) = attack("", |server| {
        server.tell("stuck=1");
        let targets = ["/debug/vars", "/metrics", "/debug/vars?r=s", "/debug/vars?pretty"];
        let ask = |at: usize| {
            let mut connection = Connection::to(server.addr);
            let target = targets[at % targets.len()];
            connection.send(&format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
            connection
        };
        let asked: Vec<Connection> = (0..100).map(ask).collect();
        eventually("renders that hang", || held(server).threads > 3);
        asked
    });
    assert!(during.threads > before.threads);
    assert!(during.threads <= before.threads + 34, "{before:?} {during:?}");
    assert!(during.resident_bytes < before.resident_bytes + 64 * MIB, "{before:?} {during:?}");
}

#[test]
#[ignore = "slow: an attack of several seconds"]
fn of_clients_that_read_slowly_and_leave() {
    attack("", |server| {
        server.tell("long=13000000");
        let mut slow: Vec<TcpStream> =
            (0..8).map(|_| TcpStream::connect(server.addr).unwrap()).collect();
        slow.iter_mut().for_each(|stream| stream.write_all(VARS.as_bytes()).unwrap());
        let mut some = vec![0; 8 * 1024];
        for _ in 0..50 {
            slow.iter_mut().for_each(|stream| stream.read_exact(&mut some).unwrap());
        }
        slow
    });
}

#[test]
#[ignore = "slow: an attack of several seconds"]
fn of_documents_that_nobody_reads() {
    let (before, during) = attack("", |server| {
        server.tell("long=8000000");
        let ask = |_| {
            let mut connection = Connection::to(server.addr);
            connection.send(VARS);
            let mut some = [0; 12];
            // One that was given up for newer ones may have ended.
            let _ = connection.stream.peek(&mut some);
            connection
        };
        (0..60).map(ask).collect::<Vec<_>>()
    });
    // 480 MB were asked for. 64 MiB of documents are held, those aside that are being rendered and
    // what the kernel took.
    let more = (during.resident_bytes.saturating_sub(before.resident_bytes)) / MIB;
    assert!((16..180).contains(&more), "{more} MiB: {before:?} {during:?}");
}

#[test]
#[ignore = "slow: an attack of several seconds"]
fn of_connections_without_a_request_where_descriptors_are_short() {
    let (_, during) = attack("ulimit -n 64;", |server| {
        let connect = |at: usize| {
            let mut connection = Connection::to(server.addr);
            if at.is_multiple_of(2) {
                // May be closed already.
                let _ = connection.stream.write_all(b"GET /debug/vars HTTP/1.1\r\n");
            }
            connection
        };
        (0..100).map(connect).collect::<Vec<_>>()
    });
    assert!(during.descriptors <= 64, "{during:?}");
}
