//! Functions of variables that misbehave while a document is rendered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use expvar::{Counter, Func, Registry};
use expvar_http::Server;

use crate::client::{Connection, PATIENCE, eventually, get, serve, spawn};

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
fn a_function_that_takes_its_time_holds_up_only_who_asks_for_it() {
    let (registry, release, calls) = stuck();
    let server = spawn(Server::builder().registry(&registry).render_timeout(10 * PATIENCE));
    let mut first = Connection::to(server.local_addr());
    first.send(GET);
    eventually("a call", || calls.load(Relaxed) == 1);
    let mut second = Connection::to(server.local_addr());
    second.send(GET);
    eventually("another beside it", || calls.load(Relaxed) == 2);
    for (target, status) in [("/", "200"), ("/nothing", "404"), ("/debug/vars?r=a", "200")] {
        for _ in 0..20 {
            assert_eq!(get(&server, target).status(), status, "{target}");
        }
    }
    assert_eq!(calls.load(Relaxed), 2, "nobody else asked for it");
    release.store(true, Relaxed);
    for connection in [&mut first, &mut second] {
        let reply = connection.reply(false).expect("an answer");
        assert_eq!(reply.text(), "{\n\"a\": 0,\n\"slow\": 1\n}\n");
    }
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
    // On a busy machine it may be too late for these, too.
    let shows = |target: &str, document: &str| {
        eventually(target, || get(&server, target).text() == document);
    };
    shows("/debug/vars?r=a", "{\n\"a\": 0\n}\n");
    release.store(true, Relaxed);
    shows("/debug/vars", "{\n\"a\": 0,\n\"slow\": 1\n}\n");
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
