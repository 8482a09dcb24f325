//! Peers that are slow, many, wrong or gone.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use expvar::{Counter, Func, Registry, Text};
use expvar_http::Server;

use crate::callbacks::stuck;
use crate::client::{
    Connection, PATIENCE, counted, eventually, get, many_descriptors, serve, spawn,
};

const GET: &str = "GET /debug/vars HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn one() -> Registry {
    let registry = Registry::new();
    registry.publish("a", Counter::new()).unwrap();
    registry
}

#[test]
fn a_connection_serves_many_requests() {
    let server = serve(&one());
    let mut connection = Connection::to(server.local_addr());
    for _ in 0..100 {
        assert_eq!(connection.get("/debug/vars").text(), "{\n\"a\": 0\n}\n");
    }
    server.shutdown();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = serve(&one());
    let mut connection = Connection::to(server.local_addr());
    let other = "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n";
    connection.send(&[GET, other].concat().repeat(50));
    for _ in 0..50 {
        assert_eq!(connection.reply(false).unwrap().text(), "{\n\"a\": 0\n}\n");
        assert_eq!(connection.reply(false).unwrap().status(), "404");
    }
    server.shutdown();
}

#[test]
fn a_request_that_comes_byte_by_byte_is_answered() {
    let server = serve(&one());
    let mut connection = Connection::to(server.local_addr());
    connection.stream.set_nodelay(true).unwrap();
    for at in 0..GET.len() {
        connection.send(&GET[at..=at]);
    }
    assert_eq!(connection.reply(false).unwrap().status(), "200");
    server.shutdown();
}

#[test]
fn a_client_that_shuts_its_side_still_gets_its_answer() {
    let registry = Registry::new();
    let slowly = || thread::sleep(Duration::from_millis(100));
    registry.publish("slow", Func::new(slowly)).unwrap();
    let server = serve(&registry);
    let mut connection = Connection::to(server.local_addr());
    connection.send(GET);
    connection.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(connection.reply(false).unwrap().text(), "{\n\"slow\": null\n}\n");
    server.shutdown();
}

#[test]
fn a_slow_sender_is_cut() {
    let timeout = Duration::from_millis(300);
    let server = spawn(Server::builder().registry(&one()).header_timeout(timeout));
    let before = counted("timed_out");
    let started = Instant::now();
    let mut connection = Connection::to(server.local_addr());
    connection.stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    connection.send("GET /debug/vars HTTP/1.1\r\n");
    // A header every now and then does not buy time.
    let ended = loop {
        assert!(started.elapsed() < PATIENCE, "the server waits for ever");
        let sent = connection.stream.write_all(b"X-More: 1\r\n");
        match connection.stream.read(&mut [0; 64]) {
            Ok(0) => break started.elapsed(),
            Ok(_) => panic!("an answer to half a request"),
            Err(_) if sent.is_err() => break started.elapsed(),
            Err(err) if err.kind() == std::io::ErrorKind::ConnectionReset => {
                break started.elapsed();
            }
            Err(_) => {}
        }
    };
    assert!(ended >= timeout, "cut after {ended:?}");
    assert!(counted("timed_out") > before);
    server.shutdown();
}

#[test]
fn an_idle_connection_is_closed() {
    let timeout = Duration::from_millis(300);
    let server = spawn(Server::builder().registry(&one()).idle_timeout(timeout));
    let mut silent = Connection::to(server.local_addr());
    // A connection is idle before its request, too, and a busy machine may be slow to send it.
    let answered = || {
        let mut connection = Connection::to(server.local_addr());
        let started = Instant::now();
        let reply = connection.try_get("/debug/vars")?;
        assert_eq!(reply.status(), "200");
        Some((connection, started))
    };
    let mut once = None;
    eventually("an answer", || {
        once = answered();
        once.is_some()
    });
    let (mut once, started) = once.unwrap();
    assert_eq!(once.rest(), b"");
    assert!(started.elapsed() >= timeout, "cut after {:?}", started.elapsed());
    assert_eq!(silent.rest(), b"");
    eventually("another answer", || answered().is_some());
    server.shutdown();
}

#[test]
fn a_slow_reader_is_cut_and_nobody_waits_for_it() {
    let registry = one();
    // More than both ends' socket buffers hold.
    registry.publish("long", Text::new()).unwrap().set("x".repeat(16 << 20));
    let timeout = Duration::from_millis(400);
    let server = spawn(Server::builder().registry(&registry).write_timeout(timeout));
    let mut slow = Connection::to(server.local_addr());
    let started = Instant::now();
    slow.send(GET);
    assert_eq!(get(&server, "/debug/vars?r=a").text(), "{\n\"a\": 0\n}\n");
    eventually("the slow reader's end", || slow.stream.write_all(b"\r\n").is_err());
    assert!(started.elapsed() >= timeout);
    assert!(slow.rest().len() < 16 << 20, "the whole document was sent");
    server.shutdown();
}

#[test]
fn a_reader_that_reads_is_not_cut() {
    let registry = one();
    registry.publish("long", Text::new()).unwrap().set("x".repeat(16 << 20));
    let timeout = Duration::from_secs(2);
    let server = spawn(Server::builder().registry(&registry).write_timeout(timeout));
    let mut stream = TcpStream::connect(server.local_addr()).unwrap();
    stream.write_all(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let (mut read, mut chunk) = (0, vec![0; 64 << 10]);
    let started = Instant::now();
    loop {
        match stream.read(&mut chunk).unwrap() {
            0 => break,
            count => read += count,
        }
        // Slower in all than the timeout, with much shorter pauses.
        let due = timeout * 3 / 2 * (read >> 10) as u32 / (16 << 10);
        thread::sleep(due.saturating_sub(started.elapsed()));
    }
    assert!(read > 16 << 20, "cut after {read} bytes");
    server.shutdown();
}

#[test]
fn three_hundred_connections_and_the_oldest_idle_ones_go() {
    let _alone = many_descriptors();
    let server = spawn(Server::builder().registry(&one()).idle_timeout(10 * PATIENCE));
    let before = counted("evicted");
    let mut connections: Vec<Connection> = Vec::new();
    for _ in 0..300 {
        let mut connection = Connection::to(server.local_addr());
        // Answered, so it has been accepted, in order.
        assert_eq!(connection.get("/debug/vars").status(), "200");
        connections.push(connection);
    }
    for (at, connection) in connections.iter_mut().enumerate() {
        if at < 300 - 256 {
            assert_eq!(connection.rest(), b"", "connection {at} is one of the oldest");
        } else {
            assert_eq!(connection.get("/debug/vars").status(), "200", "connection {at}");
        }
    }
    assert!(counted("evicted") >= before + 44);
    server.shutdown();
}

#[test]
fn busy_connections_are_not_given_up() {
    let (registry, release, calls) = stuck();
    let server = spawn(Server::builder().registry(&registry).max_connections(2));
    let mut busy: Vec<Connection> = (0..2).map(|_| Connection::to(server.local_addr())).collect();
    let before = counted("rejected");
    for (at, connection) in busy.iter_mut().enumerate() {
        connection.send(GET);
        eventually("its render", || calls.load(Relaxed) == at + 1);
    }
    let mut third = Connection::to(server.local_addr());
    assert_eq!(third.rest(), b"");
    assert!(counted("rejected") > before);
    release.store(true, Relaxed);
    for connection in &mut busy {
        assert_eq!(connection.reply(false).unwrap().text(), "{\n\"a\": 0,\n\"slow\": 1\n}\n");
    }
    server.shutdown();
}

#[test]
fn garbage_is_a_bad_request_and_ends_only_its_connection() {
    let server = serve(&one());
    let mut kept = Connection::to(server.local_addr());
    assert_eq!(kept.get("/debug/vars").status(), "200");
    for garbage in [
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{7f}\x00\x00\r\n\r\n",
        "GET\r\n\r\n",
        "GET /debug/vars HTTP/9.9\r\nHost: localhost\r\n\r\n",
        "GET /debug/vars HTTP/1.1\r\nHo st: localhost\r\n\r\n",
        "GET /debug/vars HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "\0\0\0\0\0\0\0\0\r\n\r\n",
    ] {
        let before = counted("errors");
        let mut connection = Connection::to(server.local_addr());
        connection.send(garbage);
        let answer = String::from_utf8(connection.rest()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{garbage:?}: {answer:?}");
        eventually("the error's count", || counted("errors") > before);
    }
    assert_eq!(kept.get("/debug/vars").status(), "200");
    server.shutdown();
}

#[test]
fn a_head_of_more_than_16_kib_is_too_large() {
    let server = serve(&one());
    let head = |bytes: usize| {
        let start = "GET /debug/vars HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: ";
        format!("{start}{}\r\n\r\n", "x".repeat(bytes - start.len() - 4))
    };
    let status = |head: &str| {
        let mut connection = Connection::to(server.local_addr());
        connection.send(head);
        connection.reply(false).expect("an answer").status().to_owned()
    };
    assert_eq!(status(&head(16 * 1024 - 1)), "200");
    assert_eq!(status(&head(16 * 1024 + 1)), "431");
    assert_eq!(status(&head(60 * 1024)), "431");
    server.shutdown();
}

#[test]
fn a_request_body_is_never_waited_for() {
    let server = serve(&one());
    let mut connection = Connection::to(server.local_addr());
    connection
        .send("GET /debug/vars HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n");
    assert_eq!(connection.reply(false).unwrap().status(), "200");
    // What else would come is not the next request, so the connection ends.
    assert_eq!(connection.rest(), b"");
    let mut connection = Connection::to(server.local_addr());
    connection.send(
        "POST /debug/vars HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
    );
    assert_eq!(connection.reply(false).unwrap().status(), "405");
    server.shutdown();
}

#[test]
fn a_shutdown_finishes_what_is_in_flight() {
    let (registry, release, calls) = stuck();
    let server = spawn(Server::builder().registry(&registry).shutdown_timeout(10 * PATIENCE));
    let addr = server.local_addr();
    let mut idle = Connection::to(addr);
    assert_eq!(idle.get("/nothing").status(), "404");
    let mut busy = Connection::to(addr);
    busy.send(GET);
    eventually("the render", || calls.load(Relaxed) == 1);
    let shutdown = thread::spawn(move || server.shutdown());
    assert_eq!(idle.rest(), b"", "an idle connection is closed at once");
    eventually("the port's release", || TcpStream::connect(addr).is_err());
    assert!(!shutdown.is_finished());
    release.store(true, Relaxed);
    let reply = busy.reply(false).expect("the answer in flight");
    assert_eq!(reply.text(), "{\n\"a\": 0,\n\"slow\": 1\n}\n");
    assert_eq!(busy.rest(), b"");
    shutdown.join().unwrap();
}

#[test]
fn a_shutdown_does_not_wait_for_ever() {
    let (registry, release, calls) = stuck();
    let patience = Duration::from_millis(200);
    let server = spawn(Server::builder().registry(&registry).shutdown_timeout(patience));
    let mut busy = Connection::to(server.local_addr());
    busy.send(GET);
    eventually("the render", || calls.load(Relaxed) == 1);
    let started = Instant::now();
    server.shutdown();
    assert!(started.elapsed() >= patience);
    assert!(busy.reply(false).is_none());
    release.store(true, Relaxed);
}
