//! What a SIGHUP changes while Carbon is away, slow or fine: no point is lost, none comes twice.

#[path = "support/program.rs"]
mod program;

use std::fs;
use std::net::TcpListener;

use program::{Manager, Program, Service, Sink, free_port, shown, wait_for};

fn config(keys: &str, port: u16, service: &Service) -> String {
    format!(
        "{keys}\nCarbonHost = \"127.0.0.1\"\nCarbonPort = {port}\nCheckInterval = 1000\n\
         Timeout = 20000\nFlushTimeout = 1000\n\
         [[endpoint]]\nURL = \"{}\"\nPrefix = \"a\"\n",
        service.url("/a")
    )
}

/// Waits for so many more polls of the counting service.
fn wait_for_polls(page: u16, count: u64) {
    let before = shown(page, "samlare.polls").as_u64().unwrap_or(0);
    wait_for("polls", || {
        shown(page, "samlare.polls").as_u64().filter(|polls| *polls >= before + count)
    });
}

/// The values of `a.n` are each poll's number: all of them must be there, in order, once.
fn assert_whole(sink: &Sink, least: usize) {
    let points = sink.wait_for("a.n", least);
    let values: Vec<u64> = points.iter().map(|point| point.0 as u64).collect();
    assert_eq!(values, (1..=values.len() as u64).collect::<Vec<_>>());
}

#[test]
#[ignore = "slow: a queue over several reloads"]
fn what_waits_for_carbon_outlives_each_change_of_its_keys() {
    let (service, page, port) = (Service::counting(), free_port(), free_port());
    let spool = tempfile::tempdir().unwrap();
    let spool = |name: &str| format!("SpoolDir = {:?}", spool.path().join(name));
    let listen = format!("Listen = \"127.0.0.1:{page}\"");
    let with = |keys: &str, port| config(&format!("{listen}\n{keys}"), port, &service);
    let program = Program::start(&with("", port));
    wait_for_polls(page, 2);
    let (elsewhere, mut changes) = (free_port(), 0);
    for (keys, port) in [
        ("QueueBytes = 1073741824".to_owned(), port),
        (spool("a"), port),
        (format!("{}\nQueueBytes = 1073741824", spool("a")), port),
        (spool("b"), port),
        (String::new(), port),
        (String::new(), elsewhere),
    ] {
        program.reload(&with(&keys, port));
        changes += 1;
        wait_for("the change", || {
            let log = program.log();
            (log.matches("the Carbon settings have changed").count() == changes).then_some(())
        });
        wait_for_polls(page, 1);
    }
    let sink = Sink::at(elsewhere);
    assert_whole(&sink, 8);
    let log = program.terminate();
    assert!(!log.contains("\"level\":\"error\""), "{log}");
}

#[test]
fn settings_that_cannot_be_used_keep_the_old_ones_until_they_can() {
    let (service, page, sink) = (Service::counting(), free_port(), Sink::start());
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("spool");
    fs::write(&spool, "a file").unwrap();
    let listen = format!("Listen = \"127.0.0.1:{page}\"\n");
    let program = Program::start(&config(&listen, sink.port, &service));
    sink.wait_for("a.n", 1);
    let spooled = config(&format!("{listen}SpoolDir = {spool:?}"), sink.port, &service);
    program.reload(&spooled);
    program
        .wait_for_log("the old Carbon settings stay\",\"line\":2,\"key\":\"SpoolDir\",\"error\":");
    let before = sink.named("a.n").len();
    sink.wait_for("a.n", before + 2);
    fs::remove_file(&spool).unwrap();
    program.reload(&spooled);
    program.wait_for_log("the Carbon settings have changed");
    let before = sink.named("a.n").len();
    assert_whole(&sink, before + 2);
    assert!(spool.join("queue").is_dir());
    program.terminate();
}

#[test]
fn nobody_waits_for_a_flush() {
    let manager = Manager::start();
    let next = || manager.next();
    let after = |text: &str| {
        wait_for(text, || next().starts_with(text).then_some(()));
        (0..3).for_each(|_| assert_eq!(next(), "WATCHDOG=1"));
    };
    // Takes a connection and reads nothing, and never closes it.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let (service, page) = (Service::counting(), free_port());
    let keys = format!("Listen = \"127.0.0.1:{page}\"");
    let port = silent.local_addr().unwrap().port();
    let patient = |keys: &str| {
        config(keys, port, &service).replace("FlushTimeout = 1000", "FlushTimeout = 600000")
    };
    let program = manager.program(&patient(&keys));
    let _taken = silent.accept().unwrap();
    after("READY=1");
    program.reload(&patient(&format!("{keys}\nQueueBytes = 1000000")));
    wait_for("the reload", || (next() == "RELOADING=1").then_some(()));
    after("READY=1");
    wait_for_polls(page, 2);
    program.signal("TERM");
    after("STOPPING=1");
    program.terminate();
}

/// A configuration on a file system that hangs.
#[test]
fn nobody_waits_for_a_file_that_cannot_be_read() {
    let (dir, manager) = (tempfile::tempdir().unwrap(), Manager::start());
    let next = || manager.next();
    let (service, sink) = (Service::counting(), Sink::start());
    let program = manager.program(&config("", sink.port, &service));
    wait_for("the start", || next().starts_with("READY=1").then_some(()));
    let fifo = dir.path().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    program.replace(&fifo);
    program.signal("HUP");
    wait_for("the reload", || (next() == "RELOADING=1").then_some(()));
    (0..3).for_each(|_| assert_eq!(next(), "WATCHDOG=1"));
    let log = program.terminate();
    assert!(log.contains("\"msg\":\"exiting\"") && !log.contains("reloaded"), "{log}");
}

#[test]
fn a_page_moves_only_where_it_can() {
    let (service, sink) = (Service::counting(), Sink::start());
    let (first, second) = (free_port(), free_port());
    let taken = TcpListener::bind(("127.0.0.1", second)).unwrap();
    let at = |address: &str, port: u16| {
        config(&format!("Listen = \"{address}:{port}\""), sink.port, &service)
    };
    let program = Program::start(&at("127.0.0.1", first));
    shown(first, "samlare.polls");
    program.reload(&at("127.0.0.1", second));
    program.wait_for_log("cannot listen: the old address stays");
    shown(first, "samlare.polls");
    drop(taken);
    program.reload(&at("127.0.0.1", second));
    shown(second, "samlare.polls");
    wait_for("the old page's end", || std::net::TcpStream::connect(("127.0.0.1", first)).err());
    // The same port, for everybody now: the old listener is in the way.
    program.reload(&at("0.0.0.0", second));
    wait_for("the reloads", || (program.log().matches("\"reloaded\"").count() == 3).then_some(()));
    shown(second, "samlare.polls");
    let log = program.terminate();
    assert_eq!(log.matches("\"msg\":\"cannot listen").count(), 1, "{log}");
}
