//! A Carbon that is slow is left to read; nothing goes to it twice.

use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use expvar_carbon::{Lines, Sender, Unsent};

const NOW: u64 = 1_700_000_000;
const SOON: Duration = Duration::from_secs(60);

fn lines(points: std::ops::Range<u64>) -> Lines {
    let mut lines = Lines::new();
    for n in points {
        lines.point("slow.series", n, NOW + n);
    }
    lines
}

fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

fn until(done: impl Fn() -> bool) {
    while !done() {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A timeout that is long over while the server rests. What is sent fits into its kernel's buffers,
/// so that no step of the sender waits for it.
const TIMEOUT: Duration = Duration::from_millis(200);

#[test]
#[ignore = "slow: a server that reads late"]
fn a_server_that_reads_late_gets_everything_once_and_new_lines_meanwhile() {
    let (listener, address) = listen();
    let sender = Sender::builder().to(address).timeout(TIMEOUT).spawn().unwrap();
    sender.send(&mut lines(0..1_000));
    let flushing = sender.clone();
    let flushed = std::thread::spawn(move || flushing.flush_blocking(SOON));
    // The first connection is there and not read. It is closed from the other side: what is sent
    // later comes on a second one.
    let (mut first, _) = listener.accept().unwrap();
    let second = loop {
        sender.send(&mut lines(1_000..1_001));
        listener.set_nonblocking(true).unwrap();
        match listener.accept() {
            Ok((second, _)) => break second,
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    second.set_nonblocking(false).unwrap();
    let mut line = String::new();
    BufReader::new(&second).read_line(&mut line).unwrap();
    assert!(line.starts_with("slow.series 1000 "), "{line}");
    assert!(!flushed.is_finished(), "it has not read the first thousand");
    std::thread::sleep(TIMEOUT * 10);
    assert!(!flushed.is_finished());
    let mut text = String::new();
    first.read_to_string(&mut text).unwrap();
    drop(first);
    assert_eq!(text.lines().filter(|l| !l.starts_with("slow.series 1000 ")).count(), 1_000);
    assert_eq!(flushed.join().unwrap(), Unsent::default());
    let stats = sender.stats();
    assert_eq!((stats.points_resent, stats.failures), (0, 0), "{stats:?}");
    drop(second);
}

/// 200 KB a second, as on a machine that is busy otherwise: reading takes longer than the sender's
/// timeout of 5 s.
#[test]
#[ignore = "slow: a server that reads for 10 s"]
fn closing_waits_for_a_slow_server_on_one_connection() {
    let (listener, address) = listen();
    let sender = Sender::builder().to(address).spawn().unwrap();
    let (texts, received) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            texts.send(read_slowly(stream.unwrap())).unwrap();
        }
    });
    sender.send(&mut lines(0..60_000));
    assert_eq!(sender.close(SOON), Unsent::default());
    let bytes = received.recv().unwrap();
    assert_eq!(bytes, lines(0..60_000).len());
    assert!(received.try_recv().is_err(), "one connection");
    let stats = sender.stats();
    assert_eq!((stats.points_sent, stats.points_resent, stats.connects), (60_000, 0, 1));
}

fn read_slowly(mut stream: TcpStream) -> usize {
    let (mut buffer, mut read) = ([0; 20_000], 0);
    loop {
        std::thread::sleep(Duration::from_millis(100));
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return read,
            Ok(n) => read += n,
        }
    }
}

#[test]
fn a_server_that_never_closes_leaves_points_unconfirmed_and_gets_them_once() {
    let (listener, address) = listen();
    let sender = Sender::builder().to(address).timeout(TIMEOUT).spawn().unwrap();
    sender.send(&mut lines(0..10));
    let (first, _) = listener.accept().unwrap();
    until(|| sender.stats().points_sent == 10);
    let left = sender.flush_blocking(TIMEOUT * 5);
    assert_eq!((left.points, left.unconfirmed), (0, 10));
    until(|| {
        sender.send(&mut lines(10..11));
        sender.stats().connects == 2
    });
    until(|| sender.stats().queue_points == 0);
    let sent = sender.stats().points_sent;
    let left = sender.close(TIMEOUT * 5);
    assert_eq!((left.points, left.unconfirmed), (0, sent));
    let (mut second, _) = listener.accept().unwrap();
    let mut text = String::new();
    second.read_to_string(&mut text).unwrap();
    assert!(text.lines().all(|line| line == "slow.series 10 1700000010"));
    let stats = sender.stats();
    assert_eq!((stats.points_resent, stats.failures), (0, 0), "{stats:?}");
    drop(first);
}

#[test]
fn a_closing_connection_that_fails_is_sent_again() {
    let (listener, address) = listen();
    let sender = Sender::builder().to(address).timeout(TIMEOUT).spawn().unwrap();
    sender.send(&mut lines(0..10));
    let (first, _) = listener.accept().unwrap();
    let flushing = sender.clone();
    let flushed = std::thread::spawn(move || flushing.flush_blocking(SOON));
    first.peek(&mut [0; 1]).unwrap();
    // Only its own closing can be what it waits for from now on.
    std::thread::sleep(TIMEOUT);
    // It dies with what it has not read: the kernel resets the connection.
    drop(first);
    let (mut second, _) = listener.accept().unwrap();
    let mut text = String::new();
    second.read_to_string(&mut text).unwrap();
    drop(second);
    assert_eq!(text.lines().count(), 10);
    assert_eq!(flushed.join().unwrap(), Unsent::default());
}

/// The kernel lets a program write again once a third of its buffer is free, which this server
/// takes longer for than the sender's timeout.
#[test]
#[ignore = "slow: a server that reads for half a minute"]
fn a_server_that_is_slow_while_lines_flow_gets_them_once() {
    let (listener, address) = listen();
    let sender = Sender::builder().to(address).timeout(Duration::from_secs(2)).spawn().unwrap();
    let (texts, received) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            texts.send(read_slowly(stream.unwrap())).unwrap();
        }
    });
    for part in 0..20 {
        sender.send(&mut lines(part * 10_000..(part + 1) * 10_000));
    }
    until(|| sender.stats().points_sent == 200_000 || sender.stats().failures > 0);
    assert_eq!(sender.close(SOON), Unsent::default());
    let stats = sender.stats();
    assert_eq!((stats.points_resent, stats.connects, stats.failures), (0, 1, 0), "{stats:?}");
    assert_eq!(received.recv().unwrap(), lines(0..200_000).len());
}
