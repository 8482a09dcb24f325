//! What the log says of points that a stop leaves behind.

#[path = "support/program.rs"]
mod program;

use std::net::TcpListener;

use program::{Program, Service, free_port, shown, wait_for};

/// The log of a samlare that stops once there are points by this name in `samlare.sender`.
fn log(keys: &str, port: u16, points: &str) -> String {
    let (service, page) = (Service::counting(), free_port());
    let program = Program::start(&format!(
        "{keys}\nCarbonHost = \"127.0.0.1\"\nCarbonPort = {port}\nListen = \"127.0.0.1:{page}\"\n\
         CheckInterval = 1000\nTimeout = 20000\nFlushTimeout = 200\n\
         [[endpoint]]\nURL = \"{}\"\nPrefix = \"a\"\n",
        service.url("/a")
    ));
    wait_for("points", || {
        shown(page, "samlare.sender")[points].as_u64().filter(|points| *points > 0)
    });
    program.terminate()
}

/// An event of such a log after the signal.
fn told(keys: &str, port: u16, points: &str, msg: &str) -> serde_json::Value {
    let log = log(keys, port, points);
    let (_, after) = log.split_once("\"msg\":\"exiting\"").unwrap();
    let mut events = after.lines().skip(1).map(|line| serde_json::from_str(line).unwrap());
    events.find(|event: &serde_json::Value| event["msg"] == msg).unwrap_or_else(|| panic!("{log}"))
}

#[test]
fn points_that_a_dead_carbon_left_are_lost_or_kept() {
    let port = free_port();
    let lost = told("", port, "queue_points", "points unsent at the deadline are lost");
    assert_eq!(lost["level"], "warn");
    assert!(lost["points"].as_u64() > Some(0), "{lost}");
    assert_eq!(lost["remedy"], "raise FlushTimeout, or set SpoolDir");

    let dir = tempfile::tempdir().unwrap();
    let spool = format!("SpoolDir = {:?}", dir.path());
    let msg = "points unsent at the deadline are kept in SpoolDir";
    let kept = told(&spool, port, "queue_points", msg);
    assert!(kept["points"].as_u64() > Some(0), "{kept}");

    let next = log(&spool, port, "queue_points");
    let recovered = next
        .lines()
        .find(|line| line.contains("points of an earlier process are sent from SpoolDir"))
        .unwrap_or_else(|| panic!("{next}"));
    let recovered: serde_json::Value = serde_json::from_str(recovered).unwrap();
    assert!(recovered["points"].as_u64() >= kept["points"].as_u64(), "{recovered} after {kept}");
}

#[test]
fn points_that_a_silent_carbon_has_not_read_are_told_of() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let msg = "points were sent, but the server had not read them at the deadline";
    let unread = told("", silent.local_addr().unwrap().port(), "points_sent", msg);
    assert!(unread["points"].as_u64() > Some(0), "{unread}");
}
