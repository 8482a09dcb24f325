//! The whole of a push: its thread, its end, what it shows, what switches it off.

use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use expvar::{Counter, Func, Gauge, Info, Registry};
use expvar_otlp::Otlp;
use expvar_peers::collector;
use serde_json::Value;

/// Its next boundary is in 2038: the one collection is the last.
const INTERVAL: Duration = Duration::from_secs(1 << 30);

/// How long anything may take on a busy machine before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

fn otlp(url: &str, registry: &Registry) -> Otlp {
    let otlp = Otlp::new(url).without_env().without_library().registry(registry);
    otlp.interval(INTERVAL).timeout(PATIENCE).shutdown_timeout(PATIENCE)
}

/// Start, time and value of the only point, which ends the request.
fn point(body: &[u8]) -> (u64, u64, u64) {
    let tail = &body[body.len() - 27..];
    let n = |at: usize| u64::from_le_bytes(tail[at..at + 8].try_into().unwrap());
    (n(1), n(10), n(19))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

#[test]
fn what_the_program_did_last_is_sent_when_the_guard_is_dropped() {
    let (url, received) = collector();
    let registry = Registry::new();
    let counter = registry.publish("n", Counter::new()).unwrap();
    let guard = otlp(&url, &registry).spawn().unwrap().drop_guard();
    counter.add(7);
    drop(guard);
    let (start, time, value) = point(&received.try_recv().unwrap());
    assert_eq!(value, 7);
    assert!(start < time && time <= now(), "never in the future: {start} {time}");
    assert!(registry.get("expvar.otlp").is_none(), "it is over");
}

#[test]
fn it_reads_by_itself_and_shows_how_it_goes() {
    let (url, received) = collector();
    let registry = Registry::new();
    registry.publish("n", Counter::new()).unwrap().add(3);
    let handle = otlp(&url, &registry).interval(Duration::from_secs(1)).spawn().unwrap();
    let (_, time, value) = point(&received.recv().unwrap());
    assert_eq!((value, time % 1_000_000_000), (3, 0), "the boundary");
    while handle.stats().accepted == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let shown = registry.get("expvar.otlp").unwrap().to_string();
    for key in ["points_accepted", "requests", "queue_bytes", "collections", "destination"] {
        assert!(shown.contains(&format!("\"{key}\": ")), "{key}: {shown}");
    }
    let second = otlp(&url, &registry).spawn().unwrap();
    while registry.get("expvar.otlp.2").is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
    second.close();
    handle.close();
}

#[test]
fn points_rejected_before_sending_are_counted_by_reason() {
    let (url, received) = collector();
    let registry = Registry::new();
    for name in ["a b", "a_b", "x".repeat(300).as_str()] {
        registry.publish(name, Gauge::new()).unwrap();
    }
    registry.publish_with("below", Func::new(|| -1), Info::new().counter()).unwrap();
    let handle = otlp(&url, &registry).interval(Duration::from_secs(1)).spawn().unwrap();
    received.recv().unwrap();
    let shown: Value =
        serde_json::from_str(&registry.get("expvar.otlp").unwrap().to_string()).unwrap();
    let rejected = shown["points_rejected"].as_object().unwrap();
    assert_eq!(rejected.len(), 4, "{shown}");
    for reason in ["bad_counter", "conflict", "long_name"] {
        assert!(rejected[reason].as_u64().unwrap() > 0, "{reason}: {shown}");
    }
    assert_eq!((&rejected["server"], &shown["last_conflict"]), (&0.into(), &"a_b".into()));
    handle.close();
}

#[tokio::test]
async fn it_is_a_task_of_a_runtime_too() {
    let (url, received) = collector();
    let registry = Registry::new();
    registry.publish("n", Counter::new()).unwrap().add(5);
    let left = otlp(&url, &registry).run(std::future::ready(())).await.unwrap();
    assert_eq!(left, Default::default());
    assert_eq!(point(&received.recv().unwrap()).2, 5);
}

#[test]
fn the_environment_says_where_and_whether() {
    let run = |set: &[(&str, &str)]| {
        let mut test = Command::new(std::env::current_exe().unwrap());
        test.args(["--exact", "pushes_by_the_environment", "--ignored", "--nocapture"]);
        test.env("EXPVAR_OTLP_TEST", "1").envs(set.iter().copied());
        let output = test.output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let (url, received) = collector();
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str());
    let told = run(&[endpoint, ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")]);
    assert_eq!(point(&received.try_recv().unwrap()).2, 9);
    assert!(
        told.contains("OTEL_EXPORTER_OTLP_TIMEOUT is ignored: \"soon\" is no number"),
        "{told}"
    );
    for off in [("OTEL_SDK_DISABLED", "true"), ("OTEL_METRICS_EXPORTER", "none")] {
        run(&[endpoint, off]);
        assert!(received.try_recv().is_err(), "{off:?}");
    }
}

/// What the test above runs with other environments.
#[test]
#[ignore = "needs an environment: run by the test above"]
fn pushes_by_the_environment() {
    if std::env::var("EXPVAR_OTLP_TEST").is_err() {
        return;
    }
    let registry = Registry::new();
    registry.publish("n", Counter::new()).unwrap().add(9);
    let otlp = Otlp::from_env().registry(&registry).without_library();
    let otlp = otlp.on_event(|event| println!("{event}"));
    let otlp = otlp.interval(INTERVAL).shutdown_timeout(PATIENCE);
    assert_eq!(otlp.spawn().unwrap().close(), Default::default());
}
