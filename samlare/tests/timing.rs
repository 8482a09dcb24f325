//! When endpoints are polled, on a clock that the test moves.

#[path = "support/served.rs"]
mod served;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use expvar::Registry;
use samlare::collector::Collector;
use samlare::config::Config;
use samlare::log::Log;
use samlare::schedule::Clock;
use served::{GOOD, path, serve};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

const START_MS: u64 = 1_700_000_000_000;
const ENDPOINTS: usize = 60;

/// Answers each request after a while, and notes when it came and for which path.
async fn service(clock: Clock, pause: Duration) -> (u16, Arc<Mutex<Vec<(String, u64)>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let polls: Arc<Mutex<Vec<(String, u64)>>> = Arc::default();
    let noted = polls.clone();
    tokio::spawn(serve(listener, move |head, mut stream| {
        noted.lock().unwrap().push((path(&head).to_owned(), clock.now_ms()));
        async move {
            tokio::time::sleep(pause).await;
            stream.write_all(GOOD).await.map(|()| stream)
        }
    }));
    (port, polls)
}

fn config(port: u16, interval_ms: u64, endpoints: usize) -> Config {
    let mut text = format!("CheckInterval = {interval_ms}\nTimeout = 60000\n");
    for number in 0..endpoints {
        text.push_str(&format!(
            "[[endpoint]]\nURL = \"http://127.0.0.1:{port}/{number}\"\nPrefix = \"e{number}\"\n"
        ));
    }
    // An unused port: points stay in the queue.
    text.insert_str(0, "CarbonHost = \"127.0.0.1\"\nCarbonPort = 1\n");
    Config::parse(&text).unwrap().0
}

/// Lets paused time pass in small steps, so that sockets have their turns between them.
async fn pass(duration: Duration) {
    let step = Duration::from_millis(5);
    for _ in 0..duration.as_millis() / step.as_millis() {
        tokio::time::advance(step).await;
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

#[tokio::test(start_paused = true)]
async fn intervals_are_exact_and_phases_differ() {
    let clock = Clock::counted(START_MS);
    let (port, polls) = service(clock, Duration::ZERO).await;
    let log = Log::to(Default::default(), std::io::sink());
    // Their phases follow from their URLs, so from the port: three for each of 20 phases.
    let config = config(port, 1000, ENDPOINTS);
    let collector = Collector::start(config, &Registry::new(), clock, log).unwrap();
    pass(Duration::from_millis(4_100)).await;
    let polls = polls.lock().unwrap().clone();
    let mut phases = Vec::new();
    for number in 0..ENDPOINTS {
        let path = format!("/{number}");
        let times: Vec<u64> =
            polls.iter().filter(|(asked, _)| *asked == path).map(|(_, time)| *time).collect();
        assert!(times.len() >= 4, "{number}: {times:?}");
        for pair in times.windows(2) {
            // A step of the clock, and no more, is what a poll can be off.
            assert!((990..=1010).contains(&(pair[1] - pair[0])), "{number}: {times:?}");
        }
        phases.push(times[0] % 1000 / 10);
    }
    phases.sort_unstable();
    phases.dedup();
    assert!(phases.len() >= 12, "no herd: {phases:?}");
    drop(collector);
}

#[tokio::test(start_paused = true)]
async fn a_slow_endpoint_skips_and_counts_rather_than_queues() {
    let clock = Clock::counted(START_MS);
    let (port, polls) = service(clock, Duration::from_millis(2_500)).await;
    let log = Log::to(Default::default(), std::io::sink());
    let registry = Registry::new();
    let collector = Collector::start(config(port, 1000, 1), &registry, clock, log).unwrap();
    pass(Duration::from_millis(9_200)).await;
    let times: Vec<u64> = polls.lock().unwrap().iter().map(|(_, time)| *time).collect();
    assert!(times.len() >= 3, "{times:?}");
    for pair in times.windows(2) {
        // Two slots pass during a poll; the third is polled, exactly when it is due.
        assert!((2_990..=3_010).contains(&(pair[1] - pair[0])), "{times:?}");
    }
    let report = &collector.states().reports()[0];
    assert_eq!(report.skipped, 2 * report.polls, "{report:?}");
    let shown: serde_json::Value = serde_json::from_str(&registry.to_json()).unwrap();
    assert_eq!(shown["samlare.skipped"], report.skipped);
}
