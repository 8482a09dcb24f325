//! What a look at one endpoint's variables may cost: memory, and time after its client has gone.
#![cfg(target_os = "linux")]

#[path = "support/program.rs"]
mod program;

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use program::{PATIENCE, Program, Service, document, free_port, wait_for};

fn ask(page: u16, path: &str) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", page)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    Some(stream)
}

/// Waits until samlare polls this URL.
fn wait_for_endpoint(page: u16, url: &str) {
    wait_for("the endpoint", || {
        let mut answer = String::new();
        ask(page, "/endpoints")?.read_to_string(&mut answer).ok()?;
        answer.contains(url).then_some(())
    });
}

/// Begins a look at the endpoint of this URL.
fn look(page: u16, url: &str) -> TcpStream {
    ask(page, &format!("/endpoint?url={url}&prefix=a")).unwrap()
}

fn config(page: u16, url: &str, keys: &str) -> String {
    format!("Listen = \"127.0.0.1:{page}\"\n{keys}[[endpoint]]\nURL = \"{url}\"\nPrefix = \"a\"\n")
}

#[test]
fn a_look_ends_when_its_client_goes_away() {
    // An endpoint that never answers, and tells when a connection to it ends.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v", silent.local_addr().unwrap());
    let (begun, begins) = mpsc::channel();
    let (ended, ends) = mpsc::channel();
    thread::spawn(move || {
        for stream in silent.incoming() {
            let (mut stream, ended) = (stream.unwrap(), ended.clone());
            begun.send(()).unwrap();
            thread::spawn(move || {
                while stream.read(&mut [0; 1000]).is_ok_and(|read| read > 0) {}
                let _ = ended.send(());
            });
        }
    });
    let page = free_port();
    // The endpoint's own time is over long after the test's.
    let _program =
        Program::start(&config(page, &url, "CheckInterval = 600000\nTimeout = 590000\n"));
    wait_for_endpoint(page, &url);
    // As many as may look at one time: the next one has its place as soon as they are gone.
    for _ in 0..3 {
        let looks: Vec<_> = (0..4).map(|_| look(page, &url)).collect();
        looks.iter().for_each(|_| begins.recv_timeout(PATIENCE).unwrap());
        drop(looks);
        (0..4).for_each(|_| ends.recv_timeout(PATIENCE).unwrap());
    }
}

#[test]
fn a_look_at_endless_names_takes_little_memory() {
    let names = (0..5_000).fold(String::new(), |mut names, n| {
        let _ = write!(names, "{}\"n{n}\":{n}", if n > 0 { "," } else { "" });
        names
    });
    let key = "K".repeat(8 << 20);
    let body = document(&format!("{{\"{key}\":{{{names}}}}}"));
    let service = Service::start(move |_, stream| drop(stream.write_all(&body)));
    let (page, url) = (free_port(), service.url("/v"));
    let program = Program::start(&config(page, &url, "CheckInterval = 600000\nTimeout = 60000\n"));
    wait_for_endpoint(page, &url);
    let mut looks: Vec<_> = (0..4).map(|_| look(page, &url)).collect();
    for look in &mut looks {
        look.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = String::new();
        look.read_to_string(&mut answer).unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        let seen: serde_json::Value = serde_json::from_str(body).unwrap();
        assert!(seen["variables"].as_array().is_some_and(|found| !found.is_empty()), "{body:.300}");
        assert!(body.len() < 4 << 20, "{} bytes", body.len());
    }
    // Each of the four holds its document of 8 MiB, twice while that grows; the names are cut.
    let peak = program.peak_mib();
    assert!(peak < 192, "{peak} MiB");
}
