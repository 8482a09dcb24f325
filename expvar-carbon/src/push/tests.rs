//! The push in paused time, with lines taken from the queue.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use expvar::{Func, Gauge};
use tokio::time::{Instant, sleep_until};

use super::*;
use crate::{Carbon, PushHandle};

/// The start of these tests' wall clock, 3 s after a boundary; it runs with tokio's clock.
const BEGIN: Duration = Duration::from_secs(1_000_003);

struct Stage {
    start: Instant,
    sender: Sender,
    handle: Option<PushHandle>,
    registry: Registry,
    /// How far the wall clock is ahead, in seconds.
    ahead: Arc<AtomicU64>,
}

/// A push without a server, every 10 s.
fn stage(registry: &Registry, jitter: f64) -> Stage {
    let carbon = Carbon::new("127.0.0.1:1").registry(registry).exclude("expvar.**");
    let (handle, mut push) = carbon.interval(Duration::from_secs(10)).build().unwrap();
    let (start, ahead) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let jump = ahead.clone();
    let clock = move || BEGIN + start.elapsed() + Duration::from_secs(jump.load(Relaxed));
    push.task.in_time(clock, jitter);
    let sender = push.sender.clone();
    tokio::spawn(push.run(std::future::pending()));
    Stage { start, sender, handle: Some(handle), registry: registry.clone(), ahead }
}

impl Stage {
    /// The lines handed over until `seconds` of the wall clock past BEGIN's minute.
    async fn until(&self, seconds: f64) -> Vec<String> {
        sleep_until(self.start + Duration::from_secs_f64(seconds - 3.0)).await;
        let batches: Vec<_> = self.sender.destinations()[0].queue(|q| {
            q.since(0).map(|(_, batch)| String::from_utf8(batch.bytes.to_vec()).unwrap()).collect()
        });
        batches.concat().lines().map(str::to_owned).collect()
    }

    fn shown(&self, key: &str) -> serde_json::Value {
        let map = self.registry.get("expvar.carbon").unwrap().to_string();
        serde_json::from_str::<serde_json::Value>(&map).unwrap()[key].clone()
    }
}

#[tokio::test(start_paused = true)]
async fn values_are_read_at_boundaries_and_handed_over_with_the_jitter() {
    let registry = Registry::new();
    let gauge = registry.publish("a", Gauge::new()).unwrap();
    gauge.set(1);
    let stage = stage(&registry, 0.5);
    assert!(stage.until(10.1).await.is_empty(), "read but not handed over");
    gauge.set(2);
    assert!(stage.until(10.4).await.is_empty());
    assert_eq!(stage.until(10.6).await, ["a 1 1000010"], "as it was at the boundary");
    let all = stage.until(40.6).await;
    assert_eq!(all[1..], ["a 2 1000020", "a 2 1000030", "a 2 1000040"]);
    assert_eq!(stage.shown("collections"), 4);
    assert_eq!(stage.shown("collections_late"), 0);
}

#[tokio::test(start_paused = true)]
async fn much_is_spread_over_a_quarter_of_the_interval() {
    let registry = Registry::new();
    for n in 0..20_000 {
        registry.publish(&format!("some.longer.name.{n}"), Gauge::new()).unwrap();
    }
    let stage = stage(&registry, 0.0);
    let mut before = 0;
    for tenth in 1..=25 {
        let now = stage.until(10.0 + f64::from(tenth) / 10.0 - 0.05).await.len();
        let share = (now - before) as f64 / 20_000.0;
        assert!(share < 0.25, "{share} within a tenth of a second");
        before = now;
    }
    assert_eq!(stage.until(12.6).await.len(), 20_000);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reading_skips_boundaries_and_says_so() {
    let registry = Registry::new();
    registry.publish("a", Gauge::new()).unwrap();
    let stage = stage(&registry, 0.0);
    let ahead = stage.ahead.clone();
    let once = AtomicU64::new(1);
    let slow = Func::new(move || ahead.fetch_add(35 * once.swap(0, Relaxed), Relaxed));
    registry.publish("slow", slow).unwrap();
    stage.until(10.5).await;
    let timestamps: Vec<_> = stage
        .until(25.5)
        .await
        .iter()
        .filter(|line| line.starts_with("a "))
        .map(|line| line.rsplit_once(' ').unwrap().1.to_owned())
        .collect();
    assert_eq!(timestamps, ["1000010", "1000040", "1000050", "1000060"]);
    assert_eq!(stage.shown("collections_skipped"), 2);
    assert_eq!(stage.shown("collections_late"), 1);
}

#[tokio::test(start_paused = true)]
async fn the_end_hands_over_what_waits_and_a_last_reading() {
    let registry = Registry::new();
    let gauge = registry.publish("a", Gauge::new()).unwrap();
    let mut stage = stage(&registry, 1.0);
    stage.until(10.5).await;
    gauge.set(7);
    let handle = stage.handle.take().unwrap();
    let left = handle.shutdown().await;
    assert_eq!(left.points, 2);
    assert_eq!(stage.until(20.0).await, ["a 0 1000010", "a 7 1000020"]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_handle_leaves_the_task_running() {
    let registry = Registry::new();
    registry.publish("a", Gauge::new()).unwrap();
    let mut stage = stage(&registry, 1.0);
    stage.until(4.0).await;
    drop(stage.handle.take());
    let lines = ["a 0 1000010", "a 0 1000020", "a 0 1000030"];
    assert_eq!(stage.until(35.0).await, lines);
    assert_eq!(stage.shown("collections"), 3);
}
