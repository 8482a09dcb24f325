//! What is shown of instrumented tasks agrees with what they do.

#![forbid(unsafe_code)]

use std::future::Future;
use std::time::Duration;

use expvar::Registry;
use expvar_tokio::Tasks;
use tokio::sync::oneshot;
use tokio::time::sleep;

fn shown(registry: &Registry, name: &str) -> serde_json::Value {
    serde_json::from_str(&registry.get(name).unwrap().to_string()).unwrap()
}

#[tokio::test]
async fn polls_ends_and_cancellations_are_counted() {
    let registry = Registry::new();
    let tasks = Tasks::publish(&registry, "t").unwrap();
    let (finish, finished) = oneshot::channel::<u8>();
    let task = tokio::spawn(tasks.instrument(finished));
    let hangs = tokio::spawn(tasks.instrument(std::future::pending::<()>()));
    tokio::task::yield_now().await;
    assert_eq!((shown(&registry, "t.started"), shown(&registry, "t.alive")), (2.into(), 2.into()));
    finish.send(7).unwrap();
    assert_eq!(task.await.unwrap().unwrap(), 7);
    hangs.abort();
    assert!(hangs.await.unwrap_err().is_cancelled());
    assert_eq!(shown(&registry, "t.alive"), 0);
    assert_eq!(shown(&registry, "t.cancelled"), 1);
    assert_eq!(shown(&registry, "t.first_poll_delay")["count"], 2);
    // The first was polled, woken and polled again; the second was never woken.
    assert_eq!(shown(&registry, "t.poll")["count"], 3);
    assert_eq!(shown(&registry, "t.scheduled")["count"], 1);
    assert_eq!(shown(&registry, "t.idle")["count"], 1);
}

#[tokio::test]
async fn a_poll_that_blocks_is_slow_and_a_wait_is_idle() {
    let registry = Registry::new();
    let tasks = Tasks::publish(&registry, "t").unwrap().slow_after(Duration::from_millis(20));
    let (finish, finished) = oneshot::channel::<()>();
    let task = tokio::spawn(tasks.instrument(async {
        std::thread::sleep(Duration::from_millis(25));
        finished.await.unwrap();
    }));
    tokio::task::yield_now().await;
    std::thread::sleep(Duration::from_millis(30));
    finish.send(()).unwrap();
    // Woken, and not polled for as long as this blocks the only worker.
    std::thread::sleep(Duration::from_millis(35));
    task.await.unwrap();
    assert!(shown(&registry, "t.slow_polls").as_u64().unwrap() >= 1);
    let max = |name| shown(&registry, name)["max"].as_u64().unwrap();
    assert!(max("t.poll") >= 24_000_000, "{}", max("t.poll"));
    assert!(max("t.idle") >= 29_000_000, "{}", max("t.idle"));
    assert!(max("t.scheduled") >= 34_000_000, "{}", max("t.scheduled"));
}

#[tokio::test]
async fn wakers_reach_the_task_wherever_it_moved() {
    let registry = Registry::new();
    let tasks = Tasks::publish(&registry, "t").unwrap();
    let mut inner = Box::pin(tasks.instrument(sleep(Duration::from_millis(5))));
    // Polled by one task first, then awaited in another.
    std::future::poll_fn(|cx| {
        assert!(inner.as_mut().poll(cx).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
    tokio::spawn(inner).await.unwrap();
    assert_eq!(shown(&registry, "t.cancelled"), 0);
}

#[test]
fn names_that_are_taken_are_an_error_and_tasks_of_one_prefix_share() {
    let registry = Registry::new();
    let first = Tasks::publish(&registry, "t").unwrap();
    let second = Tasks::publish(&registry, "t").unwrap();
    drop((first.instrument(async {}), second.instrument(async {})));
    assert_eq!(shown(&registry, "t.cancelled"), 2);
    registry.publish("u.started", expvar::Gauge::new()).unwrap();
    assert_eq!(Tasks::publish(&registry, "u").unwrap_err().name(), "u.started");
}
