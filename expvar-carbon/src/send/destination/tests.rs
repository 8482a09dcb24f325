//! Destinations against scripted servers, in paused time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::health::STABLE;
use super::*;
use crate::send::connection::Connection;
use expvar_push::Observer;

/// How long to wait for what must come, in paused time: without it, what never comes would let the
/// clock run for ever.
const PATIENCE: Duration = Duration::from_secs(3_600);
const POLICY: Policy = Policy { timeout: Duration::from_secs(5), window: Duration::from_secs(10) };

/// Returns a server at each call, or an error if scripted, or ends.
struct Script {
    answers: Mutex<VecDeque<bool>>,
    always: AtomicBool,
    calls: Mutex<Vec<(String, Instant)>>,
    servers: mpsc::UnboundedSender<DuplexStream>,
}

impl Dial for Script {
    async fn dial(&self, address: &Address, _: Duration) -> io::Result<Connection> {
        self.calls.lock().push((address.to_string(), Instant::now()));
        let answer = self.answers.lock().pop_front();
        if !answer.unwrap_or(self.always.load(Relaxed)) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (ours, theirs) = duplex(4 << 10);
        self.servers.send(theirs).unwrap();
        Ok(Connection::Memory(ours))
    }
}

#[derive(Default)]
struct Orders {
    close: AtomicBool,
    asked: AtomicUsize,
}

/// More turns of a session than any test needs.
const MOST_TURNS: usize = 100_000;

impl Host for Orders {
    fn command(&self, _: &Destination) -> Command {
        // Paused time stands still while a task runs: only a panic ends one that never waits.
        let turns = self.asked.fetch_add(1, Relaxed);
        assert!(turns < MOST_TURNS, "the session turns without waiting");
        if self.close.load(Relaxed) { Command::Close } else { Command::Serve }
    }

    fn confirmed(&self) {}
}

/// A running destination and what it observed.
struct Stage {
    destination: Arc<Destination>,
    script: Arc<Script>,
    counts: Arc<Counts>,
    orders: Arc<Orders>,
    servers: mpsc::UnboundedReceiver<DuplexStream>,
    events: Arc<Mutex<Vec<String>>>,
}

fn stage(addresses: &[&str], limit: usize, answers: &[bool], always: bool) -> Stage {
    let addresses = addresses.iter().map(|a| a.parse().unwrap()).collect();
    let (send, servers) = mpsc::unbounded_channel();
    let script = Script {
        answers: Mutex::new(answers.iter().copied().collect()),
        always: AtomicBool::new(always),
        calls: Mutex::default(),
        servers: send,
    };
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = events.clone();
    let mut counts = Counts::default();
    counts.observer = Observer::new(move |event| seen.lock().push(event.to_string()));
    let stage = Stage {
        destination: Arc::new(Destination::new(0, addresses, Queue::new(limit), None)),
        script: Arc::new(script),
        counts: Arc::new(counts),
        orders: Arc::default(),
        servers,
        events,
    };
    let (destination, script) = (stage.destination.clone(), stage.script.clone());
    let (counts, orders) = (stage.counts.clone(), stage.orders.clone());
    tokio::spawn(async move { destination.drive(&*script, POLICY, &counts, &*orders).await });
    stage
}

impl Stage {
    fn push(&self, text: &str) {
        let points = text.matches('\n').count() as u64;
        let batch = Batch { bytes: Bytes::copy_from_slice(text.as_bytes()), points };
        self.destination.push(batch, &self.counts);
    }

    async fn server(&mut self) -> BufReader<DuplexStream> {
        let server = timeout(PATIENCE, self.servers.recv()).await;
        BufReader::new(
            server.expect("no connection within an hour").expect("the destination ended"),
        )
    }
}

async fn lines<const N: usize>(server: &mut BufReader<DuplexStream>) -> [String; N] {
    let mut lines = [const { String::new() }; N];
    for line in &mut lines {
        timeout(PATIENCE, server.read_line(line)).await.expect("no line within an hour").unwrap();
        line.truncate(line.trim_end().len());
    }
    lines
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_sends_the_window_again_and_no_more() {
    let mut stage = stage(&["h:1"], 1 << 20, &[], true);
    let start = Instant::now();
    for second in [0, 5, 20, 25] {
        sleep_until(start + Duration::from_secs(second)).await;
        stage.push(&format!("at {second} 1\n"));
    }
    let mut first = stage.server().await;
    assert_eq!(lines(&mut first).await, ["at 0 1", "at 5 1", "at 20 1", "at 25 1"]);
    sleep_until(start + Duration::from_secs(26)).await;
    drop(first);
    sleep(Duration::from_millis(1)).await;
    stage.push("at 26 1\n");
    let mut second = stage.server().await;
    assert_eq!(lines(&mut second).await, ["at 20 1", "at 25 1", "at 26 1"]);
    sleep(Duration::from_millis(1)).await;
    assert_eq!((stage.counts.points_sent.get(), stage.counts.points_resent.get()), (5, 2));
    assert_eq!(stage.counts.last_error(), "tcp://h:1: closed by the server");
}

#[tokio::test(start_paused = true)]
async fn what_comes_soon_after_a_write_is_gathered() {
    let mut stage = stage(&["h:1"], 1 << 20, &[], true);
    let start = Instant::now();
    stage.push("a 1 1\n");
    let mut server = stage.server().await;
    assert_eq!(lines(&mut server).await, ["a 1 1"]);
    assert_eq!(start.elapsed(), Duration::ZERO, "the first goes at once");
    stage.push("b 1 1\n");
    sleep(Duration::from_millis(20)).await;
    stage.push("c 1 1\n");
    let mut together = [0; 64];
    let read = server.read(&mut together).await.unwrap();
    assert_eq!(&together[..read], b"b 1 1\nc 1 1\n");
    assert!(start.elapsed() <= Duration::from_millis(60), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn attempts_at_a_dead_server_keep_to_the_backoff() {
    let stage = stage(&["h:1"], 1 << 20, &[], false);
    let start = Instant::now();
    stage.push("a 1 1\n");
    sleep(Duration::from_secs(3_600)).await;
    let calls = stage.script.calls.lock().clone();
    let mut before = start;
    let mut ceiling = Duration::from_secs(1);
    for (_, at) in &calls[1..] {
        assert!(*at - before <= ceiling + Duration::from_millis(1), "{:?}", *at - before);
        before = *at;
        ceiling = (ceiling * 2).min(Duration::from_secs(60));
    }
    // Every 30 s on average, once the maximum is reached.
    assert!((60..240).contains(&calls.len()), "{}", calls.len());
    assert_eq!(stage.counts.failures.get(), calls.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn an_hour_away_costs_the_queue_and_nothing_goes_twice() {
    const LIMIT: usize = 4 << 20;
    let mut stage = stage(&["h:1"], LIMIT, &[], false);
    for push in 0..360 {
        for batch in 0..6 {
            let lines: String = (0..1_700).map(|n| format!("apps.v{n} {batch} {push}\n")).collect();
            stage.push(&lines);
            assert!(stage.destination.queue(|q| q.bytes()) <= LIMIT);
        }
        sleep(Duration::from_secs(10)).await;
    }
    stage.script.always.store(true, Relaxed);
    stage.orders.close.store(true, Relaxed);
    stage.destination.wake();
    let mut got = String::new();
    stage.server().await.read_to_string(&mut got).await.unwrap();
    let dropped = stage.counts.points_dropped.get() as usize;
    assert_eq!(got.lines().count() + dropped, 360 * 6 * 1_700, "every point went or was counted");
    assert!(got.len() > LIMIT * 9 / 10, "the room is used");
    let newest = (0..360 * 6).flat_map(|n| (0..1_700).map(move |v| (n, v))).skip(dropped);
    let expected = newest.map(|(n, v)| format!("apps.v{v} {} {}", n % 6, n / 6));
    assert!(got.lines().eq(expected), "the newest, in order, once");
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_renewed_without_sending_again() {
    let mut stage = stage(&["h:1"], 1 << 20, &[], true);
    let start = Instant::now();
    stage.push("a 1 1\n");
    let mut server = stage.server().await;
    let mut text = String::new();
    server.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "a 1 1\n");
    assert_eq!((Instant::now() - start).as_secs(), 100);
    drop(server);
    sleep(Duration::from_secs(20)).await;
    stage.push("a 2 2\n");
    assert_eq!(lines(&mut stage.server().await).await, ["a 2 2"]);
    assert_eq!(stage.counts.failures.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_nothing_is_left_after_the_timeout() {
    let mut stage = stage(&["h:1"], 1 << 20, &[], true);
    let text = "a 1 1\n".repeat(2_000);
    stage.push(&text);
    let start = Instant::now();
    let silent = stage.server().await;
    let mut next = stage.server().await;
    let waited = Instant::now() - start;
    assert!(waited >= POLICY.timeout && waited <= POLICY.timeout + Backoff::FIRST);
    stage.orders.close.store(true, Relaxed);
    let mut got = String::new();
    next.read_to_string(&mut got).await.unwrap();
    assert_eq!(got, text, "whole, from the start");
    drop(silent);
}

#[tokio::test(start_paused = true)]
async fn the_second_server_serves_until_the_first_is_back() {
    let mut stage = stage(&["one:1", "two:1"], 1 << 20, &[false, true, false], true);
    let start = Instant::now();
    stage.push("a 1 1\n");
    let mut two = stage.server().await;
    assert_eq!(lines(&mut two).await, ["a 1 1"]);
    let seen = two.read(&mut [0; 9]).await.unwrap();
    assert_eq!((seen, (Instant::now() - start).as_secs()), (0, 100), "idle");
    drop(two);
    stage.push("a 2 2\n");
    assert_eq!(lines(&mut stage.server().await).await, ["a 2 2"]);
    let names: Vec<_> = stage.script.calls.lock().iter().map(|(name, _)| name.clone()).collect();
    // Both at first; the first one again after a minute, in vain, and for the next connection.
    assert_eq!(names, ["tcp://one:1", "tcp://two:1", "tcp://one:1", "tcp://one:1"]);
}

#[tokio::test(start_paused = true)]
async fn a_better_server_takes_over_while_the_worse_one_works() {
    let mut stage = stage(&["one:1", "two:1"], 1 << 20, &[false], true);
    stage.push("a 0 0\n");
    let mut two = stage.server().await;
    let reader = tokio::spawn(async move {
        let mut text = String::new();
        two.read_to_string(&mut text).await.unwrap();
        text
    });
    for second in 1..=70 {
        sleep(Duration::from_secs(1)).await;
        stage.push(&format!("a {second} {second}\n"));
    }
    let mut one = stage.server().await;
    let [first] = lines(&mut one).await;
    let from_two = reader.await.unwrap();
    assert!((60..=61).contains(&from_two.lines().count()), "a minute's worth");
    assert_eq!(first, format!("a {0} {0}", from_two.lines().count()), "then the other, no gap");
    assert_eq!(stage.counts.failures.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_up_at_once_is_not_hammered() {
    let mut stage = stage(&["h:1"], 1 << 20, &[], true);
    stage.push("a 1 1\n");
    let end = Instant::now() + Duration::from_secs(600);
    let mut connections = 0;
    while tokio::time::timeout_at(end, stage.servers.recv()).await.is_ok() {
        connections += 1;
    }
    assert!(connections < 60, "{connections}");
}

#[tokio::test(start_paused = true)]
async fn the_host_of_datagrams_is_resolved_again_while_they_flow() {
    let mut stage = stage(&["udp://h:1"], 1 << 20, &[true, false, true], true);
    let start = Instant::now();
    let mut servers = Vec::new();
    for second in 0..150 {
        sleep_until(start + Duration::from_secs(second)).await;
        stage.push(&format!("a {second} 1\n"));
        servers.extend(stage.servers.try_recv().map(BufReader::new));
    }
    sleep(Duration::from_secs(1)).await;
    let calls: Vec<_> =
        stage.script.calls.lock().iter().map(|(_, at)| (*at - start).as_secs()).collect();
    assert_eq!(calls, [0, 30, 60, 90, 120]);
    // The failed attempt at 30 s leaves the old one in use.
    let [first] = lines(&mut servers[1]).await;
    assert_eq!(first, "a 60 1");
    assert_eq!((stage.counts.failures.get(), stage.counts.points_resent.get()), (1, 0));
}

/// The events reported to [`Stage`], as text.
fn told(stage: &Stage) -> Vec<String> {
    stage.events.lock().clone()
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_told_once_and_its_end_with_what_was_lost() {
    let mut stage = stage(&["h:1"], 64 << 10, &[], false);
    stage.push("a 1 1\n");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(
        told(&stage),
        ["tcp://h:1 accepts no points, they are queued: tcp://h:1: connection refused"]
    );
    // Too much for the queue: one of two batches is dropped.
    stage.push(&"a 2 2\n".repeat(6_000));
    stage.push(&"a 3 3\n".repeat(6_000));
    stage.script.always.store(true, Relaxed);
    let mut server = stage.server().await;
    let reader = tokio::spawn(async move {
        let mut text = String::new();
        server.read_to_string(&mut text).await.unwrap();
    });
    sleep(Duration::from_secs(2)).await;
    let [_, back] = &told(&stage)[..] else { panic!("{:?}", told(&stage)) };
    assert!(back.starts_with("tcp://h:1 is back after "), "{back}");
    assert!(back.ends_with(" s, 6001 points were dropped"), "{back}");
    reader.abort();
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_no_outage() {
    let mut stage = stage(&["h:1"], 1 << 20, &[], true);
    for n in 0..3 {
        stage.push(&format!("a {n} 1\n"));
        let mut server = stage.server().await;
        let [_] = lines(&mut server).await;
        sleep(Duration::from_secs(5)).await;
        drop(server);
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(told(&stage), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_is_away_until_it_keeps_a_connection() {
    let mut stage = stage(&["h:1"], 1 << 20, &[], true);
    stage.push(&"a 1 1\n".repeat(2_000));
    let _silent = stage.server().await;
    let _silent_too = stage.server().await;
    let mut server = stage.server().await;
    let reader = tokio::spawn(async move {
        let mut text = String::new();
        server.read_to_string(&mut text).await.unwrap();
    });
    sleep(Duration::from_secs(7)).await;
    let told = told(&stage);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].ends_with("accepts no points, they are queued: tcp://h:1: timed out"),
        "{told:?}"
    );
    assert!(told[1].contains(" is back after "), "{told:?}");
    reader.abort();
}

#[tokio::test(start_paused = true)]
async fn a_load_balancer_without_a_server_is_an_outage() {
    let mut stage = stage(&["h:1"], 1 << 20, &[], true);
    stage.push("a 1 1\n");
    for _ in 0..20 {
        let mut server = stage.server().await;
        let [line] = lines(&mut server).await;
        assert_eq!(line, "a 1 1");
        sleep(Duration::from_secs(3)).await;
    }
    let away = ["tcp://h:1 accepts no points, they are queued: tcp://h:1: closed by the server"];
    assert_eq!(told(&stage), away);
    let server = stage.server().await;
    sleep(STABLE - Duration::from_secs(1)).await;
    assert_eq!(told(&stage), away);
    sleep(Duration::from_secs(2)).await;
    let [_, back] = &told(&stage)[..] else { panic!("{:?}", told(&stage)) };
    assert!(back.ends_with(" s, 0 points were dropped"), "{back}");
    drop(server);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_closes_idle_connections_is_well() {
    let mut stage = stage(&["h:1"], 1 << 20, &[], true);
    for n in 0..20 {
        stage.push(&format!("a {n} 1\n"));
        let mut server = stage.server().await;
        let [line] = lines(&mut server).await;
        assert_eq!(line, format!("a {n} 1"));
        sleep(Duration::from_secs(20)).await;
        drop(server);
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(told(&stage), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn another_server_is_told_of_until_the_preferred_one_serves_again() {
    let mut stage = stage(&["one:1", "two:1"], 1 << 20, &[false], true);
    stage.push("a 0 0\n");
    let _two = stage.server().await;
    for second in 1..=70 {
        sleep(Duration::from_secs(1)).await;
        stage.push(&format!("a {second} {second}\n"));
    }
    let _one = stage.server().await;
    sleep(Duration::from_secs(2)).await;
    let told = told(&stage);
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(
        told[0],
        "points go to tcp://two:1, because a preferred server fails: tcp://one:1: connection refused"
    );
    assert!(told[1].starts_with("points go to tcp://one:1 again, after "), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_is_left_for_another_until_it_proves_that_it_reads() {
    let mut stage = stage(&["one:1", "two:1"], 1 << 20, &[], true);
    let text = "a 1 1\n".repeat(2_000);
    stage.push(&text);
    let start = Instant::now();
    let _hung = stage.server().await;
    let mut two = stage.server().await;
    assert!(start.elapsed() <= POLICY.timeout + Backoff::FIRST, "{:?}", start.elapsed());
    let mut got = vec![0; text.len()];
    two.read_exact(&mut got).await.unwrap();
    assert_eq!(got, text.as_bytes(), "whole, from the start");
    // It still accepts connections. They bring nothing, and meanwhile points go to the other.
    let mut proofs = Vec::new();
    for second in 1.. {
        sleep(Duration::from_secs(1)).await;
        let line = format!("a {second} 2");
        stage.push(&format!("{line}\n"));
        assert_eq!(lines(&mut two).await, [line]);
        proofs.extend(stage.servers.try_recv());
        if proofs.len() == 5 {
            assert!(second >= 300, "one at a time, each for a minute: {second}");
            break;
        }
        assert!(second < 900, "{}", proofs.len());
    }
    let mut last = proofs.pop().unwrap();
    let mut nothing = String::new();
    last.read_to_string(&mut nothing).await.unwrap();
    assert_eq!(nothing, "");
    let failed_over = "points go to tcp://two:1, because a preferred server fails: tcp://one:1: \
                       timed out";
    assert_eq!(told(&stage), [failed_over]);
    drop(last);
    let mut one = stage.server().await;
    stage.push("a 0 3\n");
    assert_eq!(lines(&mut one).await, ["a 0 3"]);
    assert!(told(&stage)[1].starts_with("points go to tcp://one:1 again, after "));
    let mut rest = String::new();
    two.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "");
}

#[tokio::test(start_paused = true)]
async fn servers_that_all_hang_are_tried_in_turn() {
    let mut stage = stage(&["one:1", "two:1"], 1 << 20, &[], true);
    stage.push(&"a 1 1\n".repeat(2_000));
    let mut hung = Vec::new();
    for _ in 0..4 {
        hung.push(stage.server().await);
    }
    let names: Vec<_> = stage.script.calls.lock().iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names, ["tcp://one:1", "tcp://two:1", "tcp://one:1", "tcp://two:1"]);
    let told = told(&stage);
    let away = told.iter().filter(|event| event.contains("accepts no points"));
    assert_eq!(away.count(), 1, "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hung_and_was_restarted_serves_again() {
    let mut stage = stage(&["one:1", "two:1"], 1 << 20, &[true, true, false, false, true], true);
    let start = Instant::now();
    stage.push(&"a 1 1\n".repeat(2_000));
    let hung = stage.server().await;
    let mut two = stage.server().await;
    let reader = tokio::spawn(async move {
        let mut text = String::new();
        two.read_to_string(&mut text).await.unwrap();
    });
    drop(hung);
    // At the first attempt it is refused twice: the process has ended. A minute later it is there.
    while start.elapsed() < Duration::from_secs(140) {
        sleep(Duration::from_secs(1)).await;
        stage.push("a 2 2\n");
    }
    let mut one = stage.server().await;
    assert_eq!(lines(&mut one).await, ["a 2 2"]);
    reader.await.unwrap();
    let names: Vec<_> = stage.script.calls.lock().iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names[2..], ["tcp://one:1", "tcp://one:1", "tcp://one:1"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hung_is_tried_again_though_no_connection_lasts() {
    let mut stage = stage(&["one:1", "two:1"], 1 << 20, &[], true);
    stage.push(&"a 1 1\n".repeat(2_000));
    let _hung = stage.server().await;
    let start = Instant::now();
    let is_one = |stage: &Stage| stage.script.calls.lock().last().unwrap().0 == "tcp://one:1";
    loop {
        stage.push("a 2 2\n");
        let mut server = stage.server().await;
        if is_one(&stage) {
            break;
        }
        let reader = async { server.read_to_string(&mut String::new()).await };
        let _ = timeout(Duration::from_secs(30), reader).await;
    }
    let waited = start.elapsed();
    assert!((600..700).contains(&waited.as_secs()), "{waited:?}");
}
