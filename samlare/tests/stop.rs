//! What the log says of points that a stop leaves behind.

#[path = "support/program.rs"]
mod program;

use std::net::TcpListener;

use program::{Program, Service, free_port, shown, wait_for};

/// The last event of a samlare that stops once there are points by this name in `samlare.sender`.
fn last_event(keys: &str, port: u16, points: &str) -> serde_json::Value {
    let (service, page) = (Service::counting(), free_port());
    let program = Program::start(&format!(
        "{keys}\nCarbonHost = \"127.0.0.1\"\nCarbonPort = {port}\nListen = \"127.0.0.1:{page}\"\n\
         CheckInterval = 1000\nTimeout = 800\nFlushTimeout = 200\n\
         [[endpoint]]\nURL = \"{}\"\nPrefix = \"a\"\n",
        service.url("/a")
    ));
    wait_for("points", || {
        shown(page, "samlare.sender")[points].as_u64().filter(|points| *points > 0)
    });
    let log = program.terminate();
    let (_, after) = log.split_once("\"msg\":\"exiting\"").unwrap();
    serde_json::from_str(after.lines().last().unwrap()).unwrap_or_else(|_| panic!("{log}"))
}

#[test]
fn points_that_a_dead_carbon_left_are_lost_or_kept() {
    let port = free_port();
    let lost = last_event("", port, "queue_points");
    assert_eq!(lost["msg"], "points unsent at the deadline are lost");
    assert_eq!(lost["level"], "warn");
    assert!(lost["points"].as_u64() > Some(0), "{lost}");
    assert_eq!(lost["remedy"], "raise FlushTimeout, or set SpoolDir");

    let dir = tempfile::tempdir().unwrap();
    let kept = last_event(&format!("SpoolDir = {:?}", dir.path()), port, "queue_points");
    assert_eq!(kept["msg"], "points unsent at the deadline are kept in SpoolDir");
    assert!(kept["points"].as_u64() > Some(0), "{kept}");
}

#[test]
fn points_that_a_silent_carbon_has_not_read_are_told_of() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let unread = last_event("", silent.local_addr().unwrap().port(), "points_sent");
    assert_eq!(unread["msg"], "points were sent, but the server had not read them at the deadline");
    assert!(unread["points"].as_u64() > Some(0), "{unread}");
}
