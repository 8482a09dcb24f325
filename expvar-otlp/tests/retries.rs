//! What becomes of a request, by a server that plays a script.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use expvar::{Counter, Registry};
use expvar_otlp::{Event, Otlp, PushHandle, Temporality};
use expvar_peers::free_port;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// What the server does with a request.
#[derive(Debug, Clone)]
enum Act {
    /// Answers with this status, these headers and this body.
    Answer(u16, &'static str, &'static [u8]),
    /// Reads all of it, and closes without an answer.
    Swallow,
    /// Sends what is no HTTP.
    Frames,
    /// Never answers.
    Silence,
}

const OK: Act = Act::Answer(200, "content-type: application/x-protobuf\r\n", b"");

/// Plays `acts`, then takes everything. The bodies that it has read whole come out of the channel.
async fn server(acts: Vec<Act>) -> (String, mpsc::UnboundedReceiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (bodies, received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut acts = acts.into_iter();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            while let Some(len) = head(&mut stream).await {
                let act = acts.next().unwrap_or(OK);
                let mut body = vec![0; len];
                stream.read_exact(&mut body).await.unwrap();
                let _ = bodies.send(body);
                match act {
                    Act::Answer(status, headers, body) => {
                        let len = body.len();
                        let head = format!(
                            "HTTP/1.1 {status} X\r\n{headers}content-length: {len}\r\n\r\n"
                        );
                        stream.write_all(head.as_bytes()).await.unwrap();
                        stream.write_all(body).await.unwrap();
                    }
                    Act::Frames => {
                        let _ = stream.write_all(b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0\x40\0").await;
                        break;
                    }
                    Act::Silence => std::future::pending().await,
                    Act::Swallow => break,
                }
            }
        }
    });
    (url, received)
}

/// Reads a request's head; returns how long the body is.
async fn head(stream: &mut TcpStream) -> Option<usize> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("post /v1/metrics http/1.1\r\n"), "{head}");
    let len = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    Some(len.parse().unwrap())
}

/// A push of one counter whose clock jumps by an interval whenever it is asked to.
struct Stage {
    handle: PushHandle,
    counter: Arc<Counter>,
    registry: Registry,
    events: Arc<Mutex<Vec<String>>>,
    clock: Arc<Mutex<Duration>>,
}

async fn stage(url: &str, change: impl FnOnce(Otlp) -> Otlp) -> Stage {
    let registry = Registry::new();
    let counter = registry.publish("n", Counter::new()).unwrap();
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = events.clone();
    let otlp = Otlp::new(url)
        .without_env()
        .registry(&registry)
        .without_library()
        .interval(Duration::from_secs(10))
        .on_event(move |event: &Event| told.lock().unwrap().push(event.to_string()));
    let (handle, mut push) = change(otlp).build().unwrap();
    let clock = Arc::new(Mutex::new(Duration::from_secs(10_000_000_003)));
    let (now, asked) = (clock.clone(), Arc::new(AtomicBool::new(false)));
    let asks = asked.clone();
    let time = move || {
        asks.store(true, Relaxed);
        *now.lock().unwrap()
    };
    push.in_time(time, 0.0);
    tokio::spawn(push.run(std::future::pending()));
    // From now on boundaries count.
    while !asked.load(Relaxed) {
        tokio::task::yield_now().await;
    }
    Stage { handle, counter, registry, events, clock }
}

impl Stage {
    /// Lets the next boundary pass.
    fn pass(&self) {
        *self.clock.lock().unwrap() += Duration::from_secs(10);
    }

    async fn flushed(&self) -> expvar_otlp::Unsent {
        self.handle.flush(Duration::from_secs(60)).await
    }

    /// Waits until something is counted: what comes when the clock has jumped.
    async fn until(&self, is_so: impl Fn(expvar_otlp::Stats) -> bool) {
        while !is_so(self.handle.stats()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn shown(&self, key: &str) -> serde_json::Value {
        let map = self.registry.get("expvar.otlp").unwrap().to_string();
        serde_json::from_str::<serde_json::Value>(&map).unwrap()[key].clone()
    }

    fn events(&self) -> String {
        self.events.lock().unwrap().join("\n")
    }
}

/// The counter's value and start in a request, by what surrounds them.
fn value(body: &[u8]) -> (u64, u64) {
    let n = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
    // The only point ends the request: start, time and value, each with its key.
    let tail = &body[body.len() - 27..];
    assert_eq!((tail[0], tail[9], tail[18]), (0x11, 0x19, 0x31));
    (n(&tail[19..]), n(&tail[1..9]))
}

#[tokio::test]
async fn what_is_not_taken_now_is_sent_again_until_it_is() {
    // Together: each waits for looks at the clock, which come once a second.
    join_all([429, 502, 503, 504].map(async |status| {
        let later = Act::Answer(status, "", b"busy");
        let (url, mut bodies) = server(vec![later.clone(), later, OK]).await;
        let stage = stage(&url, |otlp| otlp).await;
        stage.counter.add(5);
        stage.pass();
        let first = bodies.recv().await.unwrap();
        assert_eq!(stage.flushed().await, Default::default());
        assert_eq!(
            (bodies.recv().await.unwrap(), bodies.recv().await.unwrap()),
            (first.clone(), first)
        );
        let stats = stage.handle.stats();
        assert_eq!((stats.requests, stats.retries, stats.accepted), (3, 2, 1), "{status}");
        assert_eq!((stats.rejected, stats.dropped, stats.unanswered), (0, 0, 0));
        let events = stage.events();
        assert!(
            events.contains("accepts no points, they are queued: the answer is 5") || status == 429,
            "{events}"
        );
        assert!(events.contains("busy") && events.contains("is back after"), "{events}");
    }))
    .await;
}

#[tokio::test]
async fn what_would_be_refused_again_is_not_sent_again() {
    join_all([400, 401, 403, 404, 408, 413, 415, 500, 501, 505].map(async |status| {
        let (url, mut bodies) = server(vec![Act::Answer(status, "", b"no"), OK]).await;
        let stage = stage(&url, |otlp| otlp).await;
        stage.counter.add(5);
        stage.pass();
        bodies.recv().await.unwrap();
        stage.until(|stats| stats.rejected == 1).await;
        stage.counter.add(1);
        stage.pass();
        assert_eq!(value(&bodies.recv().await.unwrap()).0, 6, "the next one, not the same");
        stage.until(|stats| stats.accepted == 1).await;
        assert_eq!(stage.handle.stats().retries, 0);
        let events = stage.events();
        assert!(events.contains(&format!("rejects points: the answer is {status}")));
        assert!(events.ends_with("accepts all points again, 1 were rejected"), "{events}");
        assert_eq!(stage.shown("points_rejected")["server"], 1);
    }))
    .await;
}

#[tokio::test]
async fn what_is_taken_in_part_is_counted_and_not_sent_again() {
    // `partial_success { rejected_data_points: 1, error_message: "old" }`
    let partial = Act::Answer(
        200,
        "content-type: application/x-protobuf\r\n",
        b"\x0a\x07\x08\x01\x12\x03old",
    );
    let (url, mut bodies) = server(vec![partial]).await;
    let stage = stage(&url, |otlp| otlp).await;
    stage.pass();
    bodies.recv().await.unwrap();
    stage.until(|stats| stats.rejected == 1).await;
    assert_eq!(stage.flushed().await, Default::default());
    assert_eq!((stage.handle.stats().accepted, stage.handle.stats().requests), (0, 1));
    assert!(stage.events().contains("1 of 1 points: old"), "{}", stage.events());
    assert!(stage.shown("last_error").as_str().unwrap().contains("old"));
}

#[tokio::test]
async fn an_unanswered_request_goes_again_with_totals_and_not_with_deltas() {
    for (temporality, bodies_seen) in [(Temporality::Cumulative, 2), (Temporality::Delta, 1)] {
        let (url, mut bodies) = server(vec![Act::Swallow, OK, OK]).await;
        let stage = stage(&url, |otlp| otlp.temporality(temporality)).await;
        stage.counter.add(5);
        stage.pass();
        let first = bodies.recv().await.unwrap();
        if bodies_seen == 2 {
            stage.flushed().await;
            assert_eq!(bodies.recv().await.unwrap(), first, "the same request");
            assert_eq!(stage.handle.stats().unanswered, 0);
        } else {
            stage.until(|stats| stats.unanswered == 1).await;
            assert!(stage.events().contains("deltas are not sent twice"), "{}", stage.events());
        }
        stage.counter.add(2);
        stage.pass();
        let (next, start) = value(&bodies.recv().await.unwrap());
        match temporality {
            Temporality::Delta => {
                assert_eq!((next, start), (2, 10_000_000_010_000_000_000), "what came after");
            }
            _ => assert_eq!(next, 7),
        }
    }
}

#[tokio::test]
async fn a_delta_that_was_refused_goes_again_until_it_is_taken_once() {
    let later = Act::Answer(503, "", b"");
    let (url, mut bodies) = server(vec![later.clone(), later, OK]).await;
    let stage = stage(&url, |otlp| otlp.temporality(Temporality::Delta)).await;
    stage.counter.add(5);
    stage.pass();
    let first = bodies.recv().await.unwrap();
    stage.flushed().await;
    let rest: Vec<_> = std::iter::from_fn(|| bodies.try_recv().ok()).collect();
    assert_eq!(rest, [first.clone(), first]);
    assert_eq!((stage.handle.stats().accepted, stage.handle.stats().unanswered), (1, 0));
}

#[tokio::test]
async fn a_server_s_wish_to_wait_is_heeded() {
    let later = Act::Answer(429, "retry-after: 2\r\n", b"");
    let (url, mut bodies) = server(vec![later, OK]).await;
    let stage = stage(&url, |otlp| otlp).await;
    // Before the answer: the machine may be busy after it.
    let asked = tokio::time::Instant::now();
    stage.pass();
    bodies.recv().await.unwrap();
    stage.flushed().await;
    bodies.recv().await.unwrap();
    assert!(asked.elapsed() >= Duration::from_millis(1_900), "a flush does not break in");
}

#[tokio::test]
async fn what_is_no_collector_says_what_to_change() {
    let html = Act::Answer(200, "content-type: text/html\r\n", b"<html>");
    let unauthorized = Act::Answer(401, "", b"");
    for (act, words) in [
        (html, &["a page of HTML", "/v1/metrics"][..]),
        (unauthorized, &["401 Unauthorized", "OTEL_EXPORTER_OTLP_HEADERS"]),
        (Act::Frames, &["port for gRPC", "4318"]),
    ] {
        let (url, mut bodies) = server(vec![act]).await;
        let stage = stage(&url, |otlp| otlp).await;
        stage.pass();
        bodies.recv().await.unwrap();
        stage.until(|_| !stage.events().is_empty()).await;
        for word in words {
            assert!(stage.events().contains(word), "{}", stage.events());
            assert!(stage.shown("last_error").as_str().unwrap().contains(word));
        }
    }
}

#[tokio::test]
async fn an_attempt_ends_in_time_and_the_last_push_within_the_deadline() {
    let (url, mut bodies) = server(vec![Act::Silence]).await;
    let stage = stage(&url, |otlp| {
        otlp.timeout(Duration::from_secs(3_600)).shutdown_timeout(Duration::from_millis(100))
    })
    .await;
    stage.counter.add(1);
    stage.pass();
    bodies.recv().await.unwrap();
    let left = stage.handle.shutdown().await;
    assert_eq!(left.points, 2, "the one that is not answered, and the last one");
    assert!(stage.registry.get("expvar.otlp").is_none());
}

#[tokio::test]
async fn nothing_is_lost_while_nobody_listens() {
    let address = format!("127.0.0.1:{}", free_port());
    let stage =
        stage(&format!("http://{address}"), |otlp| otlp.temporality(Temporality::Delta)).await;
    for reading in 1..=3 {
        stage.counter.add(1);
        stage.pass();
        while stage.shown("queue_points") != reading {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let listener = TcpListener::bind(&address).await.unwrap();
    let (done, received) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut values = Vec::new();
        let (mut stream, _) = listener.accept().await.unwrap();
        for _ in 0..3 {
            let mut body = vec![0; head(&mut stream).await.unwrap()];
            stream.read_exact(&mut body).await.unwrap();
            values.push(value(&body).0);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        }
        done.send(values).unwrap();
    });
    assert_eq!(stage.flushed().await, Default::default());
    assert_eq!(received.await.unwrap(), [1, 1, 1], "each delta once, in their order");
}

#[tokio::test]
#[ignore = "slow: a reading a second"]
async fn a_full_queue_keeps_the_newest() {
    let address = format!("127.0.0.1:{}", free_port());
    let stage = stage(&format!("http://{address}"), |otlp| otlp.queue_bytes(500)).await;
    for _ in 0..8 {
        stage.counter.add(1);
        let collections = stage.shown("collections").as_u64().unwrap();
        stage.pass();
        while stage.shown("collections").as_u64().unwrap() == collections {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    assert!(stage.shown("queue_bytes").as_u64().unwrap() <= 500);
    let kept = stage.shown("queue_points").as_u64().unwrap();
    assert!((1..4).contains(&kept), "{kept}");
    stage.until(|stats| stats.dropped + kept >= 7).await;
    assert!(stage.events().contains("is full, its oldest points are dropped"));
}
