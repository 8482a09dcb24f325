//! What is shown of a tokio runtime agrees with what is done to it.

#![forbid(unsafe_code)]

use std::sync::mpsc;
use std::time::{Duration, Instant};

use expvar::Registry;
use expvar_tokio::Runtime;
use tokio::sync::oneshot;

fn shown(registry: &Registry, name: &str) -> serde_json::Value {
    let var = registry.get(name).unwrap_or_else(|| panic!("no {name}"));
    serde_json::from_str(&var.to_string()).unwrap()
}

/// Waits until what is shown is as wanted; it must be within a minute.
fn eventually(registry: &Registry, name: &str, wanted: impl Fn(&serde_json::Value) -> bool) {
    let start = Instant::now();
    while !wanted(&shown(registry, name)) {
        assert!(start.elapsed() < Duration::from_secs(60), "{name}: {}", shown(registry, name));
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn runtime(workers: usize) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(workers).build().unwrap()
}

#[test]
fn blocked_workers_and_queued_tasks_are_seen() {
    let registry = Registry::new();
    let runtime = runtime(2);
    let _shown = Runtime::publish(&registry, "tokio", runtime.handle()).unwrap();
    assert_eq!(shown(&registry, "tokio.workers"), 2);
    eventually(&registry, "tokio.parks", |parks| {
        parks.as_array().unwrap().iter().all(|parks| parks.as_u64().unwrap() > 0)
    });

    // Both workers are blocked, so that what is spawned from outside has to wait in the queue.
    let (entered, both) = mpsc::channel();
    let releases: Vec<_> = (0..2)
        .map(|_| {
            let (release, released) = mpsc::channel::<()>();
            let entered = entered.clone();
            runtime.spawn(async move {
                entered.send(()).unwrap();
                let _ = released.recv();
            });
            release
        })
        .collect();
    for _ in 0..2 {
        both.recv_timeout(Duration::from_secs(60)).unwrap();
    }
    let waiting: Vec<_> = (0..5).map(|_| runtime.spawn(async {})).collect();
    assert_eq!(shown(&registry, "tokio.global_queue_depth"), 5);
    assert_eq!(shown(&registry, "tokio.alive_tasks"), 7);
    std::thread::sleep(Duration::from_millis(50));
    drop(releases);
    runtime.block_on(async {
        for task in waiting {
            task.await.unwrap();
        }
    });
    eventually(&registry, "tokio.alive_tasks", |tasks| tasks == 0);
    eventually(&registry, "tokio.global_queue_depth", |depth| depth == 0);
    // Each worker was blocked for at least these 50 ms, which count once it parks again.
    eventually(&registry, "tokio.busy", |busy| {
        let busy: Vec<f64> = serde_json::from_value(busy.clone()).unwrap();
        busy.len() == 2 && busy.iter().all(|seconds| *seconds >= 0.05)
    });
    let ratio = shown(&registry, "tokio.busy_ratio").as_f64().unwrap();
    assert!(ratio > 0.0 && ratio <= 1.0, "{ratio}");
}

#[test]
fn tasks_that_wait_are_alive() {
    let registry = Registry::new();
    let runtime = runtime(1);
    let _shown = Runtime::publish(&registry, "tokio", runtime.handle()).unwrap();
    let (finish, finished) = oneshot::channel::<()>();
    let task = runtime.spawn(finished);
    eventually(&registry, "tokio.alive_tasks", |tasks| tasks == 1);
    finish.send(()).unwrap();
    runtime.block_on(task).unwrap().unwrap();
    eventually(&registry, "tokio.alive_tasks", |tasks| tasks == 0);
    let info = registry.info("tokio.parks").unwrap();
    assert_eq!((&*info.get_labels()[0], info.is_counter()), ("worker", true));
}

#[test]
fn what_is_dropped_is_gone_and_a_prefix_belongs_to_one() {
    let registry = Registry::new();
    let runtime = runtime(1);
    let first = Runtime::publish(&registry, "tokio", runtime.handle()).unwrap();
    let error = Runtime::publish(&registry, "tokio", runtime.handle()).unwrap_err();
    assert_eq!(error.name(), "tokio.workers");
    assert!(registry.get("tokio.workers").is_some(), "the first one stays");
    let second = Runtime::publish(&registry, "other", runtime.handle()).unwrap();
    drop(first);
    second.keep();
    let mut names = Vec::new();
    registry.for_each(|name, _| names.push(name.to_owned()));
    assert!(names.len() >= 7 && names.iter().all(|name| name.starts_with("other.")), "{names:?}");
}

#[test]
fn the_runtime_that_one_is_in_is_published_globally() {
    runtime(1).block_on(async {
        let _shown = expvar_tokio::publish("here").unwrap();
        assert_eq!(shown(expvar::global(), "here.workers"), 1);
    });
}

/// Run with `RUSTFLAGS="--cfg tokio_unstable"`; without, tokio counts no polls.
#[cfg(tokio_unstable)]
#[test]
fn polls_and_blocking_threads_are_seen() {
    let registry = Registry::new();
    let runtime = runtime(1);
    let _shown = Runtime::publish(&registry, "tokio", runtime.handle()).unwrap();
    let task = runtime.spawn(async {
        for _ in 0..9 {
            tokio::task::yield_now().await;
        }
    });
    runtime.block_on(task).unwrap();
    eventually(&registry, "tokio.polls", |polls| polls[0].as_u64().unwrap() >= 10);
    assert_eq!(shown(&registry, "tokio.spawned_tasks"), 1);
    let (release, released) = mpsc::channel::<()>();
    runtime.spawn_blocking(move || released.recv());
    eventually(&registry, "tokio.blocking_threads", |threads| threads == 1);
    drop(release);
    eventually(&registry, "tokio.idle_blocking_threads", |threads| threads == 1);
}

/// Run with `RUSTFLAGS="--cfg tokio_unstable"`.
#[cfg(tokio_unstable)]
#[test]
fn a_worker_that_is_stuck_in_a_poll_is_counted_by_thread() {
    let registry = Registry::new();
    let runtime = runtime(1);
    let shown_here = Runtime::publish(&registry, "tokio", runtime.handle()).unwrap();
    let (release, released) = mpsc::channel::<()>();
    let (entered, waits) = mpsc::channel();
    runtime.spawn(async move {
        entered.send(std::thread::current().id()).unwrap();
        let _ = released.recv();
    });
    let thread = waits.recv_timeout(Duration::from_secs(60)).unwrap();
    let key = format!("0 {thread:?}");
    eventually(&registry, "tokio.stalls", |stalls| stalls[&key] == 1);
    drop(release);
    drop(shown_here);
    assert!(registry.get("tokio.stalls").is_none());
}
