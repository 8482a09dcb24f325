//! The sender against servers of our own: what arrives, what is left, what a failure costs.

use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use expvar_carbon::{Lines, Sender, Unsent};
use expvar_peers::free_port;

const NOW: u64 = 1_700_000_000;
const SOON: Duration = Duration::from_secs(60);

fn lines(points: impl IntoIterator<Item = u64>) -> Lines {
    let mut lines = Lines::new();
    for n in points {
        lines.point("a.b", n, NOW + n);
    }
    lines
}

/// Reads connection after connection to its end and passes each one's text on.
fn sink() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (texts, received) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut text = String::new();
            let _ = stream.unwrap().read_to_string(&mut text);
            if texts.send(text).is_err() {
                return;
            }
        }
    });
    (address, received)
}

#[test]
fn what_is_sent_arrives_and_nothing_is_left() {
    let (address, received) = sink();
    let sender =
        Sender::builder().to(address).shutdown_timeout(Duration::from_millis(200)).spawn().unwrap();
    sender.send(&mut lines(0..2));
    assert_eq!(sender.flush_blocking(SOON), Unsent::default());
    assert_eq!(received.recv_timeout(SOON).unwrap(), "a.b 0 1700000000\na.b 1 1700000001\n");
    sender.send(&mut lines(2..3));
    assert_eq!(sender.close(SOON), Unsent::default());
    assert_eq!(received.recv_timeout(SOON).unwrap(), "a.b 2 1700000002\n");
    let stats = sender.stats();
    assert_eq!((stats.points_sent, stats.points_resent, stats.connects), (3, 0, 2));
}

#[test]
fn a_lost_connection_is_sent_again_before_anything_newer() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let sender =
        Sender::builder().to(address).shutdown_timeout(Duration::from_millis(200)).spawn().unwrap();
    sender.send(&mut lines(0..2));
    let (first, _) = listener.accept().unwrap();
    let mut first = BufReader::new(first);
    first.read_line(&mut String::new()).unwrap();
    first.read_line(&mut String::new()).unwrap();
    drop(first);
    sender.send(&mut lines(2..3));
    let (second, _) = listener.accept().unwrap();
    let got: Vec<_> = BufReader::new(second).lines().take(3).map(Result::unwrap).collect();
    assert_eq!(got, ["a.b 0 1700000000", "a.b 1 1700000001", "a.b 2 1700000002"]);
}

#[test]
fn a_dead_server_leaves_what_it_did_not_take() {
    let address = format!("127.0.0.1:{}", free_port());
    let sender = Sender::builder()
        .to(&address)
        .shutdown_timeout(Duration::from_millis(200))
        .spawn()
        .unwrap();
    sender.send(&mut lines(0..5));
    while sender.stats().failures == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let left = sender.close(Duration::from_millis(300));
    assert_eq!((left.points, left.bytes, left.unconfirmed), (5, 85, 0));
    let stats = sender.stats();
    assert!(stats.last_error.contains(&address), "{}", stats.last_error);
    assert_eq!(stats.last_success_age, None);
}

#[test]
fn the_last_handle_sends_what_waits() {
    let (address, received) = sink();
    let sender = Sender::builder().to(address).shutdown_timeout(SOON).spawn().unwrap();
    let other = sender.clone();
    drop(sender);
    other.send(&mut lines(0..1));
    drop(other);
    assert_eq!(received.recv_timeout(SOON).unwrap(), "a.b 0 1700000000\n");
}

#[tokio::test]
async fn it_runs_in_a_runtime_until_told_to_end() {
    let (address, received) = sink();
    let (sender, driver) = Sender::builder().to(address).build().unwrap();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(driver.run(async {
        let _ = ended.await;
    }));
    sender.send(&mut lines(0..1));
    assert_eq!(sender.flush(SOON).await, Unsent::default());
    sender.send(&mut lines(1..2));
    end.send(()).unwrap();
    assert_eq!(running.await.unwrap(), Unsent::default());
    assert_eq!(received.recv().unwrap(), "a.b 0 1700000000\n");
    assert_eq!(received.recv().unwrap(), "a.b 1 1700000001\n");
    assert_eq!(sender.flush(SOON).await, Unsent::default(), "after the end nobody waits");
}

#[test]
fn copies_reach_each_server_and_failover_the_first_that_answers() {
    let ((one, from_one), (two, from_two)) = (sink(), sink());
    let both = Sender::builder().to(&one).to(&two).copy(true).spawn().unwrap();
    both.send(&mut lines(0..1));
    assert_eq!(both.close(SOON), Unsent::default());
    assert_eq!(from_one.recv_timeout(SOON).unwrap(), "a.b 0 1700000000\n");
    assert_eq!(from_two.recv_timeout(SOON).unwrap(), "a.b 0 1700000000\n");

    let dead = format!("127.0.0.1:{}", free_port());
    let first = Sender::builder().to(dead).to(&two).to(&one).spawn().unwrap();
    first.send(&mut lines(0..1));
    assert_eq!(first.close(SOON), Unsent::default());
    assert_eq!(from_two.recv_timeout(SOON).unwrap(), "a.b 0 1700000000\n");
    assert!(from_one.try_recv().is_err());
}

#[test]
fn a_server_that_reads_nothing_is_given_up_and_the_queue_stays_bounded() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let sender = Sender::builder()
        .to(address)
        .timeout(Duration::from_millis(200))
        .queue_bytes(1 << 20)
        .spawn()
        .unwrap();
    let (_silent, _): (TcpStream, _) = listener.accept_after(|| sender.send(&mut lines(0..1)));
    let mut sent = 1;
    while sender.stats().failures == 0 {
        sender.send(&mut lines(0..1_000));
        sent += 1_000;
        assert!(sender.stats().queue_bytes <= 1 << 20);
        std::thread::sleep(Duration::from_millis(1));
    }
    sender.close(Duration::from_millis(100));
    let stats = sender.stats();
    // What may have to go again is counted as sent and as waiting.
    assert!(stats.points_sent + stats.points_dropped + stats.queue_points >= sent);
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_silent_peer_has_not_acknowledged_is_sent_again_without_a_window() {
    use std::collections::BTreeSet;
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    // Far less room than there is to send: the rest stays unacknowledged, as in a partition.
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    socket.listen(8).unwrap();
    let listener: TcpListener = socket.into();
    let sender = Sender::builder()
        .to(listener.local_addr().unwrap().to_string())
        .resend_window(Duration::ZERO)
        .timeout(Duration::from_millis(1_500))
        .shutdown_timeout(Duration::from_millis(100))
        .spawn()
        .unwrap();
    sender.send(&mut lines(0..20_000));
    let (mut silent, _) = listener.accept().unwrap();
    let again = read_up_to("a.b 19999 ", &listener);
    // What the silent one's kernel had taken in.
    let mut taken = String::new();
    let _ = silent.read_to_string(&mut taken);
    let whole: BTreeSet<&str> = taken.split_inclusive('\n').filter(|l| l.ends_with('\n')).collect();
    let missed = whole.len();
    assert!(missed < 20_000, "the peer was not silent");
    assert!(again.len() < 20_000 || missed < 3_000, "only what was open goes again");
    let whole = whole.iter().map(|line| line.trim_end().to_owned());
    let all: BTreeSet<String> = whole.chain(again).collect();
    assert_eq!(all.len(), 20_000);
    assert!(sender.stats().failures >= 1);
}

/// The whole lines up to the last one: of one connection, or of more where this test is too slow for
/// the sender's timeout.
#[cfg(target_os = "linux")]
fn read_up_to(last: &str, listener: &TcpListener) -> std::collections::BTreeSet<String> {
    let mut read = std::collections::BTreeSet::new();
    for stream in listener.incoming() {
        let (mut stream, mut line) = (BufReader::new(stream.unwrap()), String::new());
        while stream.read_line(&mut line).is_ok() && line.ends_with('\n') {
            read.insert(line.trim_end().to_owned());
            if line.starts_with(last) {
                return read;
            }
            line.clear();
        }
    }
    read
}

trait AcceptAfter {
    fn accept_after(&self, f: impl FnOnce()) -> (TcpStream, std::net::SocketAddr);
}

impl AcceptAfter for TcpListener {
    fn accept_after(&self, f: impl FnOnce()) -> (TcpStream, std::net::SocketAddr) {
        f();
        self.accept().unwrap()
    }
}

#[test]
fn shared_names_are_sent_again_as_they_were() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let settings = Sender::builder().to(address).share_names(true);
    let sender = settings.shutdown_timeout(Duration::from_millis(200)).spawn().unwrap();
    let (mut lines, mut expected) = (Lines::new(), Vec::new());
    for reading in 0..3 {
        for n in 0..100 {
            lines.point(&format!("apps.app1.name{n}"), n * reading, NOW + reading);
        }
        expected.extend_from_slice(lines.as_bytes());
        sender.send(&mut lines);
    }
    for _ in 0..3 {
        let (mut connection, _) = listener.accept().unwrap();
        let mut got = vec![0; expected.len()];
        connection.read_exact(&mut got).unwrap();
        assert_eq!(String::from_utf8(got).unwrap(), String::from_utf8(expected.clone()).unwrap());
    }
    assert_eq!(sender.stats().points_sent, 300);
    assert!(sender.stats().points_resent >= 300);
}
