//! Peers that hold what others need: connections, memory, descriptors, threads.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use expvar::{Counter, Registry, Text};
use expvar_http::Server;

use crate::alone::Alone;
use crate::callbacks::stuck;
use crate::client::{
    Connection, PATIENCE, Reply, counted, eventually, get, many_descriptors, serve, spawn,
};

const GET: &str = "GET /debug/vars HTTP/1.1\r\nHost: localhost\r\n\r\n";
const EVENTS: &str = "GET /debug/vars/events HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn one() -> Registry {
    let registry = Registry::new();
    registry.publish("a", Counter::new()).unwrap();
    registry
}

/// A page that has got its first bytes.
fn page(server: &Server) -> TcpStream {
    let mut page = TcpStream::connect(server.local_addr()).unwrap();
    page.set_read_timeout(Some(PATIENCE)).unwrap();
    page.write_all(EVENTS.as_bytes()).unwrap();
    let read = page.read(&mut [0; 64]);
    assert!(read.as_ref().is_ok_and(|read| *read > 0), "a page is answered: {read:?}");
    page
}

/// Reads until the connection ends. Returns whether it does within a minute.
fn has_ended(stream: &mut TcpStream) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        match stream.read(&mut [0; 65536]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
    false
}

#[test]
fn pages_take_half_of_the_connections_and_the_oldest_goes_first() {
    let server = spawn(Server::builder().registry(&one()).max_connections(8));
    let before = counted("evicted");
    let mut pages: Vec<TcpStream> = (0..20).map(|_| page(&server)).collect();
    for (at, page) in pages[..16].iter_mut().enumerate() {
        assert!(has_ended(page), "page {at} of twenty is open: only the last four may be");
    }
    assert!(counted("evicted") >= before + 16);
    // Eight connections that have been answered stay, and so do the pages that are left.
    let is_answered = |scraper: &mut Connection| {
        let reply = scraper.try_get("/debug/vars");
        reply.is_some_and(|reply| reply.text() == "{\n\"a\": 0\n}\n")
    };
    let all_stay = || {
        let connect = |_| Connection::to(server.local_addr());
        let mut scrapers: Vec<Connection> = (0..4).map(connect).collect();
        (0..3).all(|_| scrapers.iter_mut().all(is_answered))
    };
    // The places of the pages that were closed are free a moment after their ends are seen.
    eventually("four scrapers beside four pages", all_stay);
    for page in &mut pages[16..] {
        assert_ne!(page.read(&mut [0; 65536]).unwrap(), 0, "a page that is kept goes on");
    }
    server.shutdown();
}

#[test]
fn five_hundred_pages_shut_nobody_out() {
    let _alone = many_descriptors();
    let server = serve(&one());
    let mut pages: Vec<TcpStream> = Vec::new();
    for _ in 0..500 {
        pages.push(page(&server));
        // At 256 all connections would be pages.
        if pages.len() == 256 || pages.len().is_multiple_of(50) {
            let reply = Connection::to(server.local_addr()).try_get("/debug/vars");
            let status = reply.as_ref().map(Reply::status);
            assert_eq!(status, Some("200"), "a scrape beside {} pages", pages.len());
        }
    }
    for (at, page) in pages[..500 - 128].iter_mut().enumerate() {
        assert!(has_ended(page), "page {at} of 500 is open: half of 256 connections may be pages");
    }
    server.shutdown();
}

#[test]
fn half_a_head_goes_before_a_scraper_that_is_idle() {
    let server = spawn(Server::builder().registry(&one()).max_connections(8));
    let mut scraper = Connection::to(server.local_addr());
    assert_eq!(scraper.get("/debug/vars").status(), "200");
    for _ in 0..40 {
        let mut half = Connection::to(server.local_addr());
        half.send("GET /debug/vars HTTP/1.1\r\n");
        // It is open until newer ones take its place.
        std::mem::forget(half);
    }
    let mut last = Connection::to(server.local_addr());
    assert_eq!(last.get("/debug/vars").status(), "200");
    assert_eq!(scraper.get("/debug/vars").status(), "200", "the scraper's connection was kept");
    server.shutdown();
}

#[test]
fn who_takes_no_bytes_goes_before_a_scrape_is_refused() {
    let registry = one();
    registry.publish("long", Text::new()).unwrap().set("x".repeat(16 << 20));
    let server = spawn(Server::builder().registry(&registry).max_connections(4));
    let mut stalled: Vec<Connection> =
        (0..4).map(|_| Connection::to(server.local_addr())).collect();
    stalled.iter_mut().for_each(|connection| connection.send(GET));
    eventually("a scrape", || {
        let mut scraper = TcpStream::connect(server.local_addr()).unwrap();
        let sent = scraper.write_all(GET.replace("vars", "vars?r=a").as_bytes());
        let mut answer = [0; 12];
        sent.is_ok() && scraper.read_exact(&mut answer).is_ok() && &answer == b"HTTP/1.1 200"
    });
    server.shutdown();
}

#[test]
fn a_function_that_hangs_leaves_the_filter_that_the_503_recommends() {
    let (registry, release, calls) = stuck();
    registry.publish("b", Counter::new()).unwrap();
    let server = spawn(Server::builder().registry(&registry).render_timeout(10 * PATIENCE));
    // Four renders of each of eight documents would take all 32 places.
    let filters = ["s", "l", "o", "w", "sl", "lo", "ow", "slo", "low"];
    let filtered = filters.map(|filter| format!("/debug/vars?r={filter}"));
    let whole = ["/debug/vars", "/debug/vars?pretty", "/metrics"].map(str::to_owned);
    let mut hung = Vec::new();
    for round in 0..6 {
        for target in whole.iter().chain(&filtered) {
            let mut connection = Connection::to(server.local_addr());
            connection.send(&format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
            hung.push(connection);
        }
        eventually("a render that hangs", || calls.load(Relaxed) > round.min(3));
        // After 100 ms a render is slow, and the next of its document may begin.
        std::thread::sleep(Duration::from_millis(150));
        for (target, document) in [("?r=^a", "{\n\"a\": 0\n}\n"), ("?r=^b", "{\n\"b\": 0\n}\n")] {
            let reply = get(&server, &format!("/debug/vars{target}"));
            let places = calls.load(Relaxed);
            assert_eq!(reply.text(), document, "{target} beside {places} renders that hang");
        }
    }
    // Before four are known to be slow, eight may begin together.
    let calls_then = calls.load(Relaxed);
    assert!(calls_then <= 3 + 8, "{calls_then} renders wait for one function");
    release.store(true, Relaxed);
    for connection in &mut hung {
        assert_eq!(connection.reply(false).unwrap().status(), "200");
    }
    server.shutdown();
}

#[test]
fn who_reads_slowly_and_steadily_gets_the_whole_document() {
    let registry = one();
    // More than the largest send buffer.
    let length = 12 << 20;
    registry.publish("long", Text::new()).unwrap().set("x".repeat(length));
    let timeout = Duration::from_secs(3);
    let server = spawn(Server::builder().registry(&registry).write_timeout(timeout));
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(32 * 1024).unwrap();
    socket.connect(&server.local_addr().into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    // For some seconds at a rate at which the megabytes that a send buffer may hold would last for
    // longer than the timeout; the pauses are much shorter.
    let (mut read, mut chunk) = (0, vec![0; 16 * 1024]);
    let started = Instant::now();
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) => panic!("cut after {read} bytes of {length}: {error}"),
        }
        if started.elapsed() < 2 * timeout {
            let due = Duration::from_secs(read as u64) / (400 * 1024);
            std::thread::sleep(due.saturating_sub(started.elapsed()));
        }
    }
    assert!(read > length, "cut after {read} bytes of {length}");
    server.shutdown();
}

#[test]
fn clients_that_never_read_do_not_hold_a_document_each() {
    let registry = one();
    let long = registry.publish("long", Text::new()).unwrap();
    let length = 8 << 20;
    // None is cut for its slowness, however long the thirty documents take.
    let timeout = 10 * PATIENCE;
    let server = spawn(Server::builder().registry(&registry).any_host().write_timeout(timeout));
    let before = counted("given_up");
    let mut stalled = Vec::new();
    for n in 0..30 {
        // Another document each time.
        long.set(format!("{n}{}", "x".repeat(length)));
        let mut connection = Connection::to(server.local_addr());
        connection.send(GET);
        assert_ne!(connection.stream.peek(&mut [0; 12]).unwrap(), 0, "an answer begins");
        stalled.push(connection);
    }
    // 64 MiB are seven documents of a little more than 8 MiB.
    assert!(counted("given_up") - before >= 30 - 7);
    assert_eq!(get(&server, "/debug/vars?r=a").text(), "{\n\"a\": 0\n}\n");
    let mut whole = 0;
    for mut connection in stalled {
        // One that was given up may have ended already.
        let _ = connection.stream.shutdown(std::net::Shutdown::Write);
        whole += usize::from(connection.rest().len() > length);
    }
    assert_eq!(whole, 7, "documents that were kept");
    server.shutdown();
}

#[test]
fn a_refused_name_and_a_missing_thread_are_told() {
    let child = Alone::start("");
    for _ in 0..3 {
        let reply = child.get("vars.example:8123");
        assert!(reply.starts_with("HTTP/1.1 421 "), "{reply}");
    }
    let own = gethostname::gethostname().into_string().unwrap();
    for host in [own.as_str(), own.split('.').next().unwrap(), "localhost"] {
        let reply = child.get(&format!("{host}:1"));
        assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
    }
    let said = child.end();
    assert_eq!(said.matches("\"vars.example\"").count(), 2, "{said}");
    assert!(said.contains(".hosts([\"vars.example\"])"), "{said}");

    let child = Alone::start("export RUST_MIN_STACK=70368744177664;");
    let reply = child.get("localhost");
    assert!(reply.starts_with("HTTP/1.1 503 "), "{reply}");
    assert!(reply.contains("no more threads"), "{reply}");
    child.end();
}

#[test]
#[cfg(target_os = "linux")]
fn where_descriptors_are_short_the_oldest_idle_connection_goes() {
    let child = Alone::start("ulimit -n 32;");
    let idle: Vec<TcpStream> =
        (0..60).map(|_| TcpStream::connect(child.addr).expect("a backlog")).collect();
    for _ in 0..3 {
        let reply = child.get("localhost");
        assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
    }
    drop(idle);
    child.end();
}
