//! OTLP beside OpenTelemetry's own SDK: `cargo bench --bench otlp`.
//!
//! Both encode the same values as a protobuf request. The SDK collects and encodes as in a program,
//! by its periodic reader and exporter; its HTTP client responds at once and sends nothing, so that
//! only the two crates are timed.
//!
//! `cargo bench --bench otlp -- away` simulates a collector that is unreachable for an hour; `--
//! weight` prints crates, build time and size of a program with either.

use std::alloc::System;
use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use expvar::{Counter, FloatGauge, Gauge, Histogram, Registry};
use expvar_benches::{Race, print_machine};
use expvar_otlp::{Otlp, Renderer};
use opentelemetry::metrics::MeterProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{MetricExporter, WithHttpConfig};
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};

#[global_allocator]
static ALLOC: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const COUNTERS: usize = 10_000;
const HISTOGRAMS: usize = 200;
const NUMBERS: usize = 100_000;
const NOW: u64 = 10_000_000_000_000_000_000;

fn main() {
    print_machine("otlp");
    let words: Vec<String> = std::env::args().skip(1).collect();
    let measured = words.iter().any(|word| word == "--bench");
    let wants = |word: &str| words.iter().any(|given| given == word);
    if wants("weight") {
        return weight();
    }
    if wants("away") {
        return an_hour_away(60);
    }
    race();
    numbers(if measured { 100 } else { 1 });
    an_hour_away(if measured { 60 } else { 1 });
}

fn renderer(registry: &Registry) -> Renderer {
    let otlp = Otlp::new("http://localhost:4318").without_env().registry(registry);
    otlp.renderer().expect("good settings")
}

fn name(at: usize) -> String {
    format!("http.route{:03}.code{:02}.requests{at}", at / 100, at % 100)
}

/// What is recorded into a histogram: latencies over three decades.
fn latencies(at: usize) -> impl Iterator<Item = u64> {
    (0..1_000_u64).map(move |n| 50_000 + (n * 7_919 + at as u64) % 1_000 * (n % 50 + 1) * 997)
}

/// The SDK with the same instruments and values.
struct Sdk {
    provider: SdkMeterProvider,
}

/// Answers at once.
#[derive(Debug)]
struct Nowhere;

impl HttpClient for Nowhere {
    fn send_bytes<'life0, 'async_trait>(
        &'life0 self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        black_box(request);
        Box::pin(async { Ok(Response::new(Bytes::new())) })
    }
}

impl Sdk {
    fn new() -> Self {
        let exporter = MetricExporter::builder().with_http().with_http_client(Nowhere);
        let exporter = exporter.build().expect("an exporter");
        let reader = PeriodicReader::builder(exporter).with_interval(Duration::from_secs(86_400));
        let provider = SdkMeterProvider::builder().with_reader(reader.build()).build();
        let meter = provider.meter("bench");
        for at in 0..COUNTERS {
            meter
                .u64_counter(name(at))
                .with_description("Requests.")
                .build()
                .add(at as u64 + 1, &[]);
        }
        for at in 0..HISTOGRAMS {
            let histogram = meter.u64_histogram(format!("latency{at}")).with_unit("ns").build();
            latencies(at).for_each(|nanos| histogram.record(nanos, &[]));
        }
        Self { provider }
    }

    /// Collects, encodes and hands to the client.
    fn push(&self) {
        self.provider.force_flush().expect("a push");
    }
}

fn registry() -> Registry {
    let registry = Registry::new();
    for at in 0..COUNTERS {
        let info = expvar::Info::new().help("Requests.");
        let counter = registry.publish_with(&name(at), Counter::new(), info);
        counter.expect("a free name").add(at as u64 + 1);
    }
    for at in 0..HISTOGRAMS {
        let info = expvar::Info::new().unit(expvar::Unit::Nanoseconds);
        let histogram = registry.publish_with(&format!("latency{at}"), Histogram::new(), info);
        let histogram = histogram.expect("a free name");
        latencies(at).for_each(|nanos| histogram.record(nanos));
    }
    registry
}

fn race() {
    let (sdk, registry) = (Sdk::new(), registry());
    let ours = Mutex::new(renderer(&registry));
    let push = || ours.lock().expect("whole").to_requests_at(NOW).len();
    (0..3).for_each(|_| {
        sdk.push();
        push();
    });
    let allocated = |f: &dyn Fn()| {
        let region = Region::new(ALLOC);
        f();
        let Stats { allocations, bytes_allocated, bytes_reallocated, .. } = region.change();
        (allocations, (bytes_allocated as isize + bytes_reallocated) as f64 / 1e6)
    };
    let (theirs, their_mb) = allocated(&|| sdk.push());
    let (own, own_mb) = allocated(&|| {
        black_box(push());
    });
    println!("{COUNTERS} counters and {HISTOGRAMS} histograms, collected and encoded\n");
    println!("| a push | allocations | at most | MB allocated |\n|---|--:|--:|--:|");
    println!("| opentelemetry-otlp | {theirs} | | {their_mb:.2} |");
    println!("| expvar-otlp | {own} | {} | {own_mb:.2} |\n", theirs / 10);

    let (expvar, opentelemetry) = ("expvar-otlp", "opentelemetry + opentelemetry-otlp 0.33");
    let mut race = Race::new("otlp", &[1]);
    race.peer(expvar, |_| {
        black_box(push());
    });
    race.peer(opentelemetry, |_| sdk.push());
    race.run().print_ratios(&[((expvar, 1), (opentelemetry, 1), 0.1)]);
}

/// Points a second of numbers alone.
fn numbers(rounds: usize) {
    let registry = Registry::new();
    for at in 0..NUMBERS {
        let (name, free) = (name(at), "a free name");
        match at % 4 {
            0 => registry.publish(&name, FloatGauge::new()).expect(free).set(at as f64 / 7.0),
            1 => registry.publish(&name, Gauge::new()).expect(free).set(at as i64),
            _ => registry.publish(&name, Counter::new()).expect(free).add(at as u64),
        }
    }
    let mut renderer = renderer(&registry);
    for _ in 0..3 {
        black_box(renderer.encode(NOW));
    }
    let region = Region::new(ALLOC);
    let mut times: Vec<Duration> = (0..rounds as u64)
        .map(|round| {
            let start = Instant::now();
            black_box(renderer.encode(NOW + round));
            start.elapsed()
        })
        .collect();
    let allocations = region.change().allocations / rounds;
    times.sort();
    let median = times[times.len() / 2];
    let millions = NUMBERS as f64 / median.as_secs_f64() / 1e6;
    println!("{NUMBERS} numbers encoded: {millions:.1} million points a second (at least 10), ");
    println!("{allocations} allocations a collection, whatever the number of points\n");
}

/// Seconds of CPU that this process has used.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    // User and system time, in hundredths: proc(5).
    fields.skip(11).take(2).filter_map(|n| n.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// An hour of collections, one a minute, while the collector is unreachable. The clock jumps from
/// boundary to boundary, so this takes seconds.
fn an_hour_away(collections: u64) {
    let registry = registry();
    let limit = 8 << 20;
    let otlp = Otlp::new("http://127.0.0.1:9").without_env().registry(&registry);
    let otlp = otlp.interval(Duration::from_secs(60)).queue_bytes(limit).without_library();
    let (handle, mut push) = otlp.build().expect("good settings");
    let clock = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(10_000_000_005));
    let now = clock.clone();
    let order = std::sync::atomic::Ordering::Relaxed;
    push.in_time(move || Duration::from_secs(now.load(order)), 0.0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let before = cpu_seconds();
    runtime.block_on(async {
        let ending = async {
            for _ in 0..collections {
                clock.fetch_add(60, order);
                let read = |map: &str| {
                    let text = registry.get(map).map(|map| map.to_string()).unwrap_or_default();
                    let shown: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
                    shown["collections"].as_u64().unwrap_or(0)
                };
                let seen = read("expvar.otlp");
                while read("expvar.otlp") == seen {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        };
        push.run(ending).await;
    });
    let cpu = cpu_seconds() - before;
    let left = handle.close();
    println!(
        "an hour away: {collections} collections of {} points took {cpu:.2} s of CPU,",
        COUNTERS + HISTOGRAMS
    );
    println!(
        "{:.3} % of the hour they stand for (at most 1 %);",
        cpu / (60.0 * collections as f64) * 100.0
    );
    println!("kept: {} bytes (at most {limit}), {} points\n", left.bytes, left.points);
    assert!(left.bytes <= limit as u64, "{}", left.bytes);
}

/// Crates, build time and size of a program with nothing but one exporter.
fn weight() {
    let scratch = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("otlp-weight");
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let path = |name: &str| root.join(name).display().to_string();
    let http = format!("expvar-http = {{ path = {:?} }}", path("expvar-http"));
    let expvar = format!("expvar = {{ path = {:?} }}", path("expvar"));
    let otlp = format!("{expvar}\n{http}\nexpvar-otlp = {{ path = {:?} }}", path("expvar-otlp"));
    let sdk = "opentelemetry = { version = \"0.33\", default-features = false, features = [\"metrics\"] }\n\
               opentelemetry_sdk = { version = \"0.33\", default-features = false, features = [\"metrics\"] }\n\
               opentelemetry-otlp = { version = \"0.33\", default-features = false, features = \
               [\"http-proto\", \"metrics\", \"reqwest-blocking-client\"] }";
    let ours = "expvar::vars! { static N: Counter = \"n\"; }\nfn main() { N.inc(); \
                let _guard = expvar_otlp::Otlp::new(\"http://localhost:4318\").spawn().unwrap().drop_guard(); }";
    let served = "expvar::vars! { static N: Counter = \"n\"; }\nfn main() { N.inc(); \
                  let _server = expvar_http::spawn(\"127.0.0.1:0\").unwrap(); }";
    let both = "expvar::vars! { static N: Counter = \"n\"; }\nfn main() { N.inc(); \
                let _server = expvar_http::spawn(\"127.0.0.1:0\").unwrap(); \
                let _guard = expvar_otlp::Otlp::new(\"http://localhost:4318\").spawn().unwrap().drop_guard(); }";
    let alone = format!("{expvar}\nexpvar-otlp = {{ path = {:?} }}", path("expvar-otlp"));
    let theirs = "use opentelemetry::metrics::MeterProvider;\nfn main() { \
        let exporter = opentelemetry_otlp::MetricExporter::builder().with_http().build().unwrap(); \
        let provider = opentelemetry_sdk::metrics::SdkMeterProvider::builder().with_periodic_exporter(exporter).build(); \
        provider.meter(\"m\").u64_counter(\"n\").build().add(1, &[]); let _ = provider.shutdown(); }";
    println!("| program | crates | seconds to build | MB |\n|---|--:|--:|--:|");
    for (name, dependencies, main) in [
        ("expvar-http", format!("{expvar}\n{http}"), served),
        ("expvar-http + expvar-otlp", otlp, both),
        ("expvar-otlp", alone, ours),
        ("opentelemetry-otlp", sdk.to_owned(), theirs),
    ] {
        let _ = std::fs::remove_dir_all(&scratch);
        std::fs::create_dir_all(scratch.join("src")).expect("a directory");
        let manifest = format!(
            "[package]\nname = \"weight\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\
             [dependencies]\n{dependencies}\n[workspace]\n[profile.release]\nstrip = true\n"
        );
        std::fs::write(scratch.join("Cargo.toml"), manifest).expect("a file");
        std::fs::write(scratch.join("src/main.rs"), main).expect("a file");
        let start = Instant::now();
        let build = Command::new(env!("CARGO"))
            .args(["build", "--release", "--target-dir"])
            .arg(scratch.join("target"))
            .current_dir(&scratch)
            .output()
            .expect("cargo runs");
        let seconds = start.elapsed().as_secs_f64();
        let progress = String::from_utf8_lossy(&build.stderr);
        assert!(build.status.success(), "{progress}");
        let crates = progress.lines().filter(|line| line.contains("Compiling")).count() - 1;
        let size = std::fs::metadata(scratch.join("target/release/weight")).expect("it").len();
        println!("| {name} | {crates} | {seconds:.0} | {:.1} |", size as f64 / 1e6);
    }
    let _ = std::fs::remove_dir_all(&scratch);
}
