//! Events about lost points: one when it begins, and one with a count when it ends.

use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

use expvar_carbon::{Event, Lines, Sender, Unsent};
use expvar_peers::free_port;

const NOW: u64 = 1_700_000_000;
const SOON: Duration = Duration::from_secs(60);

#[test]
fn points_that_are_dropped_are_told_of_until_the_queue_is_empty_again() {
    let port = free_port();
    let (tell, told) = mpsc::channel();
    let observe = move |event: &Event| drop(tell.send(event.clone()));
    let sender = Sender::builder().to(format!("127.0.0.1:{port}")).queue_bytes(64 << 10);
    let sender = sender.on_event(observe).spawn().unwrap();
    // Ten times what the queue holds, in many pieces.
    for n in 0..1_000 {
        let mut lines = Lines::new();
        (0..20).for_each(|m| assert!(lines.point("apps.some.name.of.usual.length", m, NOW + n)));
        sender.send(&mut lines);
    }
    let destination = format!("tcp://127.0.0.1:{port}");
    let mut events = Vec::new();
    let mut until = |is_it: fn(&Event) -> bool| {
        while !events.last().is_some_and(is_it) {
            events.push(told.recv_timeout(SOON).unwrap());
        }
        events.len()
    };
    until(|event| matches!(event, Event::Dropping { .. }));
    let dropped = sender.stats().points_dropped;
    assert!(dropped > 10_000, "{dropped}");
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::io::copy(&mut stream.unwrap(), &mut std::io::sink()).unwrap();
        }
    });
    assert_eq!(sender.flush_blocking(SOON), Unsent::default());
    until(|event| matches!(event, Event::Dropped { .. }));
    let dropping = Event::Dropping { destination: destination.clone() };
    assert_eq!(events.iter().filter(|event| **event == dropping).count(), 1, "{events:?}");
    assert_eq!(*events.last().unwrap(), Event::Dropped { destination, points: dropped });
}

#[tokio::test(start_paused = true)]
async fn points_that_are_refused_are_told_of_by_reason_until_there_are_none_for_ten_minutes() {
    let (tell, told) = mpsc::channel();
    let observe = move |event: &Event| drop(tell.send(event.to_string()));
    let (sender, driver) = Sender::builder().to("127.0.0.1:9").on_event(observe).build().unwrap();
    tokio::spawn(driver.run(std::future::pending()));
    let refuse = |path: &str, value: f64, points: usize| {
        let mut lines = Lines::new();
        (0..points).for_each(|_| assert!(!lines.point(path, value, NOW)));
        sender.send(&mut lines);
    };
    let wait = |secs| tokio::time::sleep(Duration::from_secs(secs));
    for _ in 0..5 {
        refuse("a", f64::INFINITY, 3);
        wait(60).await;
    }
    refuse(&"x".repeat(300), 1.0, 2);
    wait(500).await;
    let begun: Vec<String> = told.try_iter().collect();
    assert_eq!(begun.len(), 2, "{begun:?}");
    assert!(begun.iter().all(|event| event.starts_with("points are rejected: ")), "{begun:?}");
    assert_ne!(begun[0], begun[1]);
    wait(150).await;
    let mut over: Vec<String> = told.try_iter().collect();
    over.sort();
    assert_eq!(over.len(), 2, "{over:?}");
    assert!(
        over.iter().all(|event| event.starts_with("no more points are rejected: ")),
        "{over:?}"
    );
    assert!(over.iter().any(|event| event.ends_with(", 15 were")), "{over:?}");
    assert!(over.iter().any(|event| event.ends_with(", 2 were")), "{over:?}");
}
