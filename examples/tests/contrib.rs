//! The dashboards and alert rules in `contrib/` use names that a service exposes.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use expvar::process::{Cgroup, Process};
use expvar::{Func, Registry};
use expvar_carbon::Carbon;
use expvar_http::{Format, Prometheus};
use expvar_peers::contrib::{Names, contrib, graphite_match, graphite_paths, texts};
use parking_lot::Mutex;

#[global_allocator]
static ALLOC: expvar::alloc::Counting = expvar::alloc::Counting::new();

/// A service with everything that `contrib/` shows: requests, a heap, a push to Graphite.
struct Service {
    metrics: SocketAddr,
    series: Arc<Mutex<BTreeSet<String>>>,
}

impl Service {
    fn start() -> Self {
        let carbon = TcpListener::bind("127.0.0.1:0").unwrap();
        let push = Carbon::new(carbon.local_addr().unwrap().to_string());
        let push = push.prefix("apps.app1.here").interval(Duration::from_secs(1));
        // Dropping the handle leaves the push running.
        drop(push.spawn().unwrap());
        let series = Arc::new(Mutex::new(BTreeSet::new()));
        let seen = series.clone();
        std::thread::spawn(move || {
            for stream in carbon.incoming().flatten() {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let name = line.split(' ').next().unwrap_or_default();
                    let name = name.strip_prefix("apps.app1.here.").expect(&line).to_owned();
                    seen.lock().insert(name);
                }
            }
        });
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let metrics = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            runtime.block_on(async {
                let app = Router::new()
                    .route("/orders/{id}", get(|| async { "an order" }))
                    .route("/broken", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
                    .layer(expvar_http::layer())
                    .route_service("/metrics", expvar_http::Service::new());
                axum::serve(listener, app).await.unwrap();
            });
        });
        ask(metrics, "/orders/7");
        ask(metrics, "/broken");
        Self { metrics, series }
    }

    fn exposition(&self) -> String {
        ask(self.metrics, "/metrics") + &limits()
    }
}

/// Limits that only some machines have, under the names of their structs.
fn limits() -> String {
    let registry = Registry::new();
    let mut cgroup = Cgroup::default();
    cgroup.memory_bytes = Some(1);
    cgroup.memory_max_bytes = Some(1);
    let mut process = Process::default();
    process.cgroup = Some(cgroup);
    registry.publish("process", Func::new(move || process.clone())).unwrap();
    Prometheus::new().to_text(&registry, Format::Text)
}

fn ask(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// Retries until nothing is missing.
fn none_missing(mut missing: impl FnMut() -> Vec<String>) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let missing = missing();
        if missing.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "contrib uses what is not shown: {missing:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn dashboards_and_rules_use_names_that_a_service_exposes() {
    let service = Service::start();
    let mut queries = texts(&contrib("grafana/service-prometheus.json"), "expr");
    queries.extend(texts(&contrib("prometheus/service.rules.yml"), "expr"));
    assert!(queries.len() > 20, "{queries:#?}");
    none_missing(|| {
        let text = service.exposition();
        queries.iter().flat_map(|query| Names::of(query).missing(&text)).collect()
    });
    let targets = texts(&contrib("grafana/service-graphite.json"), "target");
    assert!(targets.len() > 10, "{targets:#?}");
    none_missing(|| {
        let series = service.series.lock().clone();
        let shown = |path: &String| series.iter().any(|name| graphite_match(path, name));
        let paths = targets.iter().flat_map(|target| {
            let paths = graphite_paths(target, "$root.$app.$host");
            assert!(!paths.is_empty(), "{target} names nothing below its prefix");
            paths
        });
        paths.filter(|path| !shown(path)).collect()
    });
}
