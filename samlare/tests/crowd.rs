//! Many endpoints, half of them bad: the rest is polled on time.

#[path = "support/program.rs"]
mod program;
#[path = "support/served.rs"]
mod served;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use program::{Program, Sink, document, free_port, shown};
use served::{path, serve};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

/// Polls of each good endpoint that the test waits for.
const ROUNDS: usize = 3;

/// Every second endpoint is bad, in turn: hanging, slow, lying about its length both ways,
/// endless, not HTTP.
async fn answer(head: String, mut stream: TcpStream) -> io::Result<TcpStream> {
    let number: usize = path(&head).split('/').nth(1).unwrap().parse().unwrap();
    let answer = match number % 12 {
        1 => std::future::pending().await,
        3 => {
            for byte in document("{\"a\": 1}") {
                tokio::time::sleep(Duration::from_millis(100)).await;
                stream.write_all(&[byte]).await?;
            }
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        5 => {
            let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{\"a\": 1}";
            stream.write_all(head).await?;
            std::future::pending().await
        }
        7 => b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{\"a\": 1}".to_vec(),
        9 => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n{\"a\": \"").await?;
            loop {
                tokio::time::sleep(Duration::from_millis(50)).await;
                stream.write_all(&[b'x'; 100]).await?;
            }
        }
        11 => b"220 mail.example ESMTP\r\n".to_vec(),
        _ => document("{\"a\": 1, \"b\": {\"c\": 2.5}}"),
    };
    stream.write_all(&answer).await.map(|()| stream)
}

#[test]
#[ignore = "slow: polls 500 endpoints for 20 s"]
fn half_of_500_endpoints_are_bad_and_the_others_are_on_time() {
    others_are_on_time(500);
}

#[test]
#[ignore = "needs a machine with nothing else running: 1,000 polls a second"]
fn half_of_5000_endpoints_are_bad_and_the_others_are_on_time() {
    others_are_on_time(5_000);
}

fn others_are_on_time(endpoints: usize) {
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || runtime.block_on(serve(listener, answer)));

    let (sink, page) = (Sink::start(), free_port());
    let mut config = format!(
        "CarbonHost = \"127.0.0.1\"\nCarbonPort = {}\nCheckInterval = 5000\nTimeout = 2000\n\
         Listen = \"127.0.0.1:{page}\"\n",
        sink.port
    );
    for number in 0..endpoints {
        let _ = write!(
            config,
            "[[endpoint]]\nURL = \"http://127.0.0.1:{port}/{number}/v\"\nPrefix = \"e{number}\"\n\
             FailureMetric = \"e{number}.failure\"\n"
        );
    }
    let program = Program::start(&config);
    program::wait_for("a good many rounds", || {
        let polls = shown(page, "samlare.polls").as_u64().unwrap();
        (polls as usize >= endpoints * (ROUNDS + 1)).then_some(())
    });
    let skipped = shown(page, "samlare.skipped");
    println!("{}", shown(page, "samlare.sender"));
    println!("{}", program.terminate().lines().last().unwrap());
    assert_eq!(skipped, 0, "no poll was late by an interval");

    let mut times: HashMap<(usize, bool), Vec<(u64, f64)>> = HashMap::new();
    for (name, value, time) in sink.points() {
        let (number, rest) = name[1..].split_once('.').unwrap();
        let number: usize = number.parse().unwrap();
        match rest {
            "failure" => times.entry((number, true)).or_default().push((time, value)),
            "a" => times.entry((number, false)).or_default().push((time, value)),
            _ => assert_eq!((rest, value), ("b.c", 2.5)),
        }
    }
    for number in 0..endpoints {
        let good = number % 2 == 0;
        let failures = &times[&(number, true)];
        assert!(
            failures.iter().all(|(_, value)| (*value == 0.0) == good),
            "{number}: {failures:?}"
        );
        assert!(failures.len() >= ROUNDS, "{number}: {failures:?}");
        let points = times.get(&(number, false));
        assert_eq!(points.is_some(), good, "{number}");
        let points = points.unwrap_or(failures);
        for pair in points.windows(2) {
            assert_eq!(pair[1].0, pair[0].0 + 5, "{number}: {points:?}");
        }
    }
}
