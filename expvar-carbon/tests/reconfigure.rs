//! Other settings for a sender that runs: nothing is lost, nothing comes twice, order stays.

use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use expvar_carbon::{Event, Lines, Sender, SenderBuilder, Unsent};
use expvar_peers::free_port;

const SOON: Duration = Duration::from_secs(60);

/// A server that passes on the number of each point that comes.
struct Server {
    port: u16,
    numbers: mpsc::Receiver<u64>,
}

impl Server {
    fn start(port: u16) -> Server {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (told, numbers) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                for line in BufReader::new(stream.unwrap()).lines() {
                    let number = line.unwrap().split(' ').nth(1).unwrap().parse().unwrap();
                    if told.send(number).is_err() {
                        return;
                    }
                }
            }
        });
        Server { port, numbers }
    }

    /// Everything up to the point numbered `last`.
    fn until(&self, last: u64) -> Vec<u64> {
        let mut got = Vec::new();
        while got.last() != Some(&last) {
            let next = self.numbers.recv_timeout(SOON);
            got.push(next.unwrap_or_else(|_| panic!("only {got:?}")));
        }
        got
    }
}

fn to(port: u16) -> SenderBuilder {
    Sender::builder().to(format!("127.0.0.1:{port}")).shutdown_timeout(Duration::from_millis(200))
}

fn send(sender: &Sender, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let mut lines = Lines::new();
        lines.point("a.b", number, 1_700_000_000 + number);
        sender.send(&mut lines);
    }
}

fn all(count: u64) -> Vec<u64> {
    (0..count).collect()
}

#[tokio::test]
async fn what_waits_goes_on_under_other_settings_in_order() {
    let (away, elsewhere) = (free_port(), Server::start(0));
    let sender = to(away).spawn().unwrap();
    send(&sender, 0..10);
    sender.reconfigure(to(away).queue_bytes(1 << 20), SOON).await.unwrap();
    send(&sender, 10..20);
    sender.reconfigure(to(elsewhere.port), SOON).await.unwrap();
    send(&sender, 20..30);
    assert_eq!(sender.flush(SOON).await, Unsent::default());
    assert_eq!(elsewhere.until(29), all(30));
    assert_eq!(sender.stats().points_sent, 30);
}

#[tokio::test]
async fn what_cannot_be_used_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let port = free_port();
    let sender = to(port).spawn().unwrap();
    send(&sender, 0..10);
    let error = sender.reconfigure(to(port).spool_dir(&file), SOON).await.unwrap_err();
    assert_eq!(error.field(), "spool_dir");
    let error = sender.reconfigure(to(port).queue_bytes(1), SOON).await.unwrap_err();
    assert_eq!(error.field(), "queue_bytes");
    let server = Server::start(port);
    send(&sender, 10..20);
    assert_eq!(sender.flush(SOON).await, Unsent::default());
    assert_eq!(server.until(19), all(20));
}

#[tokio::test]
async fn a_spool_stays_open_and_a_new_one_takes_everything_over() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    let port = free_port();
    let sender = to(port).spool_dir(&first).spawn().unwrap();
    send(&sender, 0..10);
    // The same directory, written otherwise.
    let again = dir.path().join("first/../first");
    sender.reconfigure(to(port).spool_dir(again).queue_bytes(1 << 20), SOON).await.unwrap();
    send(&sender, 10..20);
    sender.reconfigure(to(port).spool_dir(&second), SOON).await.unwrap();
    send(&sender, 20..30);
    assert_eq!(sender.shutdown(Duration::ZERO).await.points, 30);

    // Free at once, although the handle is still there.
    let left = to(port).spool_dir(&first).spawn().unwrap();
    assert_eq!(left.stats().points_recovered, 0);
    let server = Server::start(port);
    let successor = to(port).spool_dir(&second).spawn().unwrap();
    assert_eq!(successor.stats().points_recovered, 30);
    assert_eq!(successor.flush(SOON).await, Unsent::default());
    assert_eq!(server.until(29), all(30));
}

#[tokio::test]
async fn a_queue_in_memory_moves_to_a_spool_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let sender = to(port).spawn().unwrap();
    send(&sender, 0..10);
    sender.reconfigure(to(port).spool_dir(dir.path()), SOON).await.unwrap();
    assert!(sender.stats().spool_bytes > 200, "{:?}", sender.stats());
    send(&sender, 10..20);
    sender.reconfigure(to(port), SOON).await.unwrap();
    assert_eq!(sender.stats().spool_bytes, 0);
    let left = to(port).spool_dir(dir.path()).spawn().unwrap();
    assert_eq!(left.stats().points_recovered, 0, "the memory has them");
    let server = Server::start(port);
    assert_eq!(sender.flush(SOON).await, Unsent::default());
    assert_eq!(server.until(19), all(20));
}

#[tokio::test]
async fn copies_get_what_waits_and_one_of_them_goes_on_alone() {
    let (up, away) = (Server::start(0), free_port());
    let both = || to(up.port).to(format!("127.0.0.1:{away}"));
    let sender = to(away).spawn().unwrap();
    send(&sender, 0..10);
    sender.reconfigure(both().copy(true), SOON).await.unwrap();
    assert_eq!(up.until(9), all(10));
    send(&sender, 10..20);
    while sender.stats().points_sent < 20 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // One server is enough now, and one has everything.
    sender.reconfigure(both(), SOON).await.unwrap();
    send(&sender, 20..30);
    assert_eq!(sender.flush(SOON).await, Unsent::default());
    assert_eq!(up.until(29), (10..30).collect::<Vec<_>>());
}

#[tokio::test]
async fn two_hundred_changes_lose_and_double_nothing() {
    let server = Server::start(0);
    let sender = to(server.port).spawn().unwrap();
    let sending = sender.clone();
    let thread = std::thread::spawn(move || {
        for number in 0..2_000 {
            send(&sending, number..number + 1);
            std::thread::yield_now();
        }
    });
    for n in 0..200 {
        sender.reconfigure(to(server.port).queue_bytes((1 << 20) + n), SOON).await.unwrap();
    }
    thread.join().unwrap();
    assert_eq!(sender.shutdown(SOON).await, Unsent::default());
    assert_eq!(server.until(1_999), all(2_000));
    let ended = sender.reconfigure(to(server.port), SOON).await.unwrap_err();
    assert_eq!(ended.field(), "sender");
}

fn accept(listener: &TcpListener) -> TcpStream {
    listener.accept().unwrap().0
}

/// A listener whose connections take in little before they are read.
fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    socket2::SockRef::from(&listener).set_recv_buffer_size(8 << 10).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn numbers(text: &str) -> Vec<u64> {
    text.lines().map(|line| line.split(' ').nth(1).unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn a_slow_server_keeps_its_connection_through_changes() {
    let (listener, port) = listen();
    let reader = std::thread::spawn(move || {
        let (mut stream, mut text, mut part) = (accept(&listener), Vec::new(), [0; 10_000]);
        loop {
            match stream.read(&mut part).unwrap() {
                0 => break,
                read => text.extend_from_slice(&part[..read]),
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        drop(stream);
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "one connection");
        text
    });
    let sender = to(port).timeout(SOON).spawn().unwrap();
    let mut lines = Lines::new();
    for number in 0..60_000 {
        lines.point("a.b", number, 1_700_000_000 + number);
    }
    sender.send(&mut lines);
    // Most of it is in the kernel meanwhile.
    for change in 0..20 {
        let settings = to(port).timeout(SOON).queue_bytes((64 << 20) + change);
        sender.reconfigure(settings, Duration::ZERO).await.unwrap();
    }
    assert_eq!(sender.flush(SOON).await, Unsent::default());
    assert_eq!(sender.shutdown(SOON).await, Unsent::default());
    assert_eq!(numbers(std::str::from_utf8(&reader.join().unwrap()).unwrap()), all(60_000));
    let stats = sender.stats();
    assert_eq!((stats.connects, stats.points_resent, stats.failures), (1, 0, 0), "{stats:?}");
}

/// A server that has got 3,000 points and read none, of which the sender goes to another one.
async fn left_for(next: &Server) -> (Sender, TcpStream) {
    let (listener, port) = listen();
    let sender = to(port).timeout(SOON).spawn().unwrap();
    send(&sender, 0..3_000);
    let first = accept(&listener);
    while sender.stats().points_sent < 3_000 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    sender.reconfigure(to(next.port).timeout(SOON), Duration::ZERO).await.unwrap();
    send(&sender, 3_000..3_001);
    (sender, first)
}

#[tokio::test]
async fn a_server_that_is_left_may_read_what_it_was_sent() {
    let next = Server::start(0);
    let (sender, mut first) = left_for(&next).await;
    assert_eq!(next.until(3_000), [3_000]);
    // It is not waited for, and has as much time as it needs.
    let mut text = String::new();
    first.read_to_string(&mut text).unwrap();
    drop(first);
    assert_eq!(numbers(&text), all(3_000));
    assert_eq!(sender.flush(SOON).await, Unsent::default());
    assert_eq!(sender.stats().points_resent, 0);
}

#[tokio::test]
async fn what_a_server_that_is_left_never_reads_goes_to_the_next_one() {
    let next = Server::start(0);
    let (sender, first) = left_for(&next).await;
    assert_eq!(next.until(3_000), [3_000]);
    drop(first);
    assert_eq!(next.until(2_999), all(3_000));
    assert_eq!(sender.flush(SOON).await, Unsent::default());
}

#[tokio::test]
async fn an_outage_goes_on_through_changes() {
    let port = free_port();
    let (tell, told) = mpsc::channel();
    let settings = |bytes: usize| {
        let tell = tell.clone();
        to(port).queue_bytes(bytes).on_event(move |event| drop(tell.send(event.clone())))
    };
    let sender = settings(1 << 20).spawn().unwrap();
    send(&sender, 0..1);
    assert!(matches!(told.recv_timeout(SOON).unwrap(), Event::Away { .. }));
    for change in 1..10 {
        sender.reconfigure(settings((1 << 20) + change), SOON).await.unwrap();
        let failures = sender.stats().failures;
        while sender.stats().failures == failures {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let server = Server::start(port);
    assert_eq!(sender.flush(SOON).await, Unsent::default());
    assert_eq!(server.until(0), [0]);
    send(&sender, 1..2);
    let back = told.recv_timeout(SOON).unwrap();
    assert!(matches!(back, Event::Back { dropped: 0, .. }), "{back:?}");
}

#[tokio::test]
async fn an_outage_ends_where_another_server_is_added() {
    let (away, server) = (free_port(), Server::start(0));
    let (tell, told) = mpsc::channel();
    let telling = |settings: SenderBuilder| {
        let tell = tell.clone();
        settings.on_event(move |event| drop(tell.send(event.clone())))
    };
    let sender = telling(to(away)).spawn().unwrap();
    send(&sender, 0..10);
    assert!(matches!(told.recv_timeout(SOON).unwrap(), Event::Away { .. }));
    let both = to(away).to(format!("127.0.0.1:{}", server.port));
    sender.reconfigure(telling(both), SOON).await.unwrap();
    assert_eq!(server.until(9), all(10));
    // It is back as soon as the connection has lasted.
    let wait = async || {
        while told.try_recv().map_or(true, |event| event.is_trouble()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, wait()).await.unwrap();
    assert_eq!(sender.flush(SOON).await, Unsent::default());
}

#[tokio::test]
async fn another_server_is_told_of_once_through_changes() {
    let (away, server) = (free_port(), Server::start(0));
    let (tell, told) = mpsc::channel();
    let settings = |bytes: usize| {
        let tell = tell.clone();
        let both = to(away).to(format!("127.0.0.1:{}", server.port)).queue_bytes(bytes);
        both.on_event(move |event| drop(tell.send(event.clone())))
    };
    let sender = settings(1 << 20).spawn().unwrap();
    for n in 0..5 {
        send(&sender, n..n + 1);
        assert_eq!(server.until(n), [n]);
        sender.reconfigure(settings((1 << 20) + n as usize + 1), SOON).await.unwrap();
    }
    assert_eq!(sender.flush(SOON).await, Unsent::default());
    let events: Vec<_> = told.try_iter().collect();
    assert!(matches!(&events[..], [Event::FailedOver { .. }]), "{events:?}");
}
