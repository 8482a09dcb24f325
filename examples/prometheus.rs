//! Shows variables to Prometheus: by declaration, and by mapping for variables of other crates.
//!
//! `cargo run --example prometheus`, then `curl http://127.0.0.1:8123/metrics`.

use std::collections::BTreeMap;
use std::time::Duration;

use expvar::{Func, Unit};
use expvar_http::{Mapping, Prometheus, Server};

expvar::vars! {
    /// Jobs by queue and outcome.
    static JOBS: Map = "jobs", labels: ["queue", "outcome"], counter;
    /// Time that a job took.
    static JOB_TIME: Histogram = "job.time", unit: Nanoseconds;
    /// The version that runs.
    static VERSION: Text = "build", label: "version";
}

/// Stands for a library whose variables the program does not control.
fn start_library() -> Result<(), expvar::PublishError> {
    let stats = || BTreeMap::from([("read", 250), ("write", 750)]);
    expvar::publish("lib-cache:latency-ms", Func::new(stats))?;
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    VERSION.set(env!("CARGO_PKG_VERSION"));
    start_library()?;
    let prometheus = Prometheus::new()
        .map(
            Mapping::new("lib-cache:latency-ms")
                .family("cache_latency")
                .labels(["operation"])
                .unit(Unit::Milliseconds)
                .help("Latency of the cache, by operation."),
        )?
        .map(Mapping::new("job.time").buckets([0.001, 0.005, 0.025, 0.1]))?
        .map(Mapping::new("cmdline").hide())?;
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8123".to_owned());
    let server = Server::builder().prometheus(prometheus).spawn(addr.as_str())?;
    println!("http://{}/metrics", server.local_addr());

    let queue = JOBS.set("mail", expvar::Map::new());
    for turn in 0u64.. {
        let _timer = JOB_TIME.start();
        queue.add(if turn.is_multiple_of(10) { "failed" } else { "done" }, 1);
        std::thread::sleep(Duration::from_millis(1 + turn % 20));
    }
    Ok(())
}
