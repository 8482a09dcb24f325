//! Functions of variables that misbehave while a document is rendered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use expvar::{Counter, Func, Registry};
use expvar_http::Server;

use crate::client::{Connection, eventually, get, serve, spawn};

const GET: &str = "GET /debug/vars HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A registry with a counter `a` and a function `slow` that returns on request.
pub(crate) fn stuck() -> (Registry, Arc<AtomicBool>, Arc<AtomicUsize>) {
    let registry = Registry::new();
    registry.publish("a", Counter::new()).unwrap();
    let (release, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (released, called) = (Arc::clone(&release), Arc::clone(&calls));
    registry
        .publish(
            "slow",
            Func::new(move || {
                called.fetch_add(1, Relaxed);
                while !released.load(Relaxed) {
                    thread::sleep(Duration::from_millis(5));
                }
                1
            }),
        )
        .unwrap();
    (registry, release, calls)
}

#[test]
#[ignore = "slow: a function of 5 s"]
fn a_function_that_takes_5_s_holds_up_only_who_asks_for_it() {
    let registry = Registry::new();
    registry.publish("a", Counter::new()).unwrap();
    registry.publish("slow", Func::new(|| thread::sleep(Duration::from_secs(5)))).unwrap();
    let server = serve(&registry);
    let started = Instant::now();
    let mut first = Connection::to(server.local_addr());
    first.send(GET);
    let mut second = Connection::to(server.local_addr());
    thread::sleep(Duration::from_millis(50)); // Whenever it comes, the second is not serialized.
    second.send(GET);
    for target in ["/", "/nothing", "/debug/vars?r=a"] {
        for _ in 0..20 {
            get(&server, target);
        }
    }
    let others = started.elapsed();
    assert!(others < Duration::from_secs(4), "others took {others:?}");
    assert_eq!(first.reply(false).unwrap().text(), "{\n\"a\": 0,\n\"slow\": null\n}\n");
    assert_eq!(second.reply(false).unwrap().status(), "200");
    let both = started.elapsed();
    assert!((Duration::from_secs(5)..Duration::from_secs(9)).contains(&both), "{both:?}");
    server.shutdown();
}

#[test]
fn a_function_that_never_returns_is_given_up_on() {
    let (registry, release, _) = stuck();
    let timeout = Duration::from_millis(300);
    let server = spawn(Server::builder().registry(&registry).render_timeout(timeout));
    // More than may be rendered at once.
    let mut stuck: Vec<Connection> = (0..20).map(|_| Connection::to(server.local_addr())).collect();
    for connection in &mut stuck {
        connection.send(GET);
    }
    for connection in &mut stuck {
        let reply = connection.reply(false).expect("an answer");
        assert_eq!(reply.status(), "503");
        assert!(reply.text().contains("?r=REGEX"), "{}", reply.text());
    }
    assert_eq!(get(&server, "/debug/vars?r=a").text(), "{\n\"a\": 0\n}\n");
    release.store(true, Relaxed);
    assert_eq!(get(&server, "/debug/vars").text(), "{\n\"a\": 0,\n\"slow\": 1\n}\n");
    server.shutdown();
}

#[test]
fn requests_that_wait_together_share_a_render() {
    let (registry, release, calls) = stuck();
    let server = serve(&registry);
    let mut connections: Vec<Connection> =
        (0..40).map(|_| Connection::to(server.local_addr())).collect();
    connections[0].send(GET);
    eventually("the first render", || calls.load(Relaxed) == 1);
    for connection in &mut connections[1..] {
        connection.send(GET);
    }
    eventually("another, because the first is slow", || calls.load(Relaxed) >= 2);
    release.store(true, Relaxed);
    for connection in &mut connections {
        assert_eq!(connection.reply(false).unwrap().text(), "{\n\"a\": 0,\n\"slow\": 1\n}\n");
    }
    let calls = calls.load(Relaxed);
    assert!(calls < 10, "{calls} renders for 40 requests");
    server.shutdown();
}

#[test]
fn every_answer_was_rendered_after_its_request() {
    let registry = Registry::new();
    let counter = registry.publish("a", Counter::new()).unwrap();
    let server = serve(&registry);
    let addr = server.local_addr();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut connection = Connection::to(addr);
                for _ in 0..200 {
                    counter.inc();
                    let least = counter.get();
                    let reply = connection.get("/debug/vars");
                    let shown = reply.text().trim_start_matches("{\n\"a\": ");
                    let shown: u64 = shown.trim_end_matches("\n}\n").parse().unwrap();
                    assert!(shown >= least, "{shown} shown, {least} before the request");
                }
            });
        }
    });
    server.shutdown();
}

#[test]
fn a_function_may_publish_and_remove_variables_and_panic() {
    let registry = Registry::new();
    registry.publish("z", Counter::new()).unwrap();
    let inner = registry.clone();
    registry
        .publish(
            "busy",
            Func::new(move || {
                inner.remove("made");
                inner.publish("made", Counter::new()).unwrap().add(7);
                inner.to_json().is_empty()
            }),
        )
        .unwrap();
    // `to_json` inside calls this one again, through `busy`, without end, if the walk let it.
    registry.remove("busy");
    let inner = registry.clone();
    registry
        .publish(
            "busy",
            Func::new(move || {
                inner.remove("made");
                inner.publish("made", Counter::new()).unwrap().add(7);
            }),
        )
        .unwrap();
    registry.publish("panics", Func::new(|| -> u8 { panic!("boom") })).unwrap();
    let server = serve(&registry);
    get(&server, "/debug/vars");
    let expected = "{\n\"busy\": null,\n\"made\": 7,\n\"panics\": null,\n\"z\": 0\n}\n";
    assert_eq!(get(&server, "/debug/vars").text(), expected);
    server.shutdown();
}
