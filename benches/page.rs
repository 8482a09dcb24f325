//! The cost of the live page, for the service and for the browser.
//!
//! `cargo bench --bench page`; takes about two minutes. The browser's part needs Chromium and its
//! driver (`.ci/peers.sh`), and says so where they are missing.

#[path = "../expvar-http/tests/browser/chromium.rs"]
#[allow(dead_code, reason = "the browser's tests use the rest")]
mod chromium;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use chromium::{Chromium, Screen};
use expvar::{Counter, Gauge, Info, Registry, Unit};
use expvar_http::Server;
use serde_json::{Value, json};

/// How long each figure is measured over.
const SPAN: Duration = Duration::from_secs(20);

fn main() {
    println!("{:48} {:>14} {:>14}", "what", "measured", "must");
    sampler();
    pages();
    if Command::new("chromedriver").arg("--version").output().is_err() {
        println!("the browser's part is not measured: chromedriver is missing, see .ci/peers.sh");
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(browser());
}

fn row(what: &str, measured: String, must: &str) {
    println!("{what:48} {measured:>14} {must:>14}");
}

/// Variables that all change, half of them counters, while the value is held.
struct Busy {
    registry: Registry,
    on: Arc<AtomicBool>,
}

impl Busy {
    fn new(variables: usize) -> Self {
        let registry = Registry::new();
        let mut counters = Vec::new();
        let mut gauges = Vec::new();
        for at in 0..variables {
            let name = format!("service.part_{:02}.{at:05}", at % 20);
            if at % 2 == 0 {
                counters.push(registry.publish(&name, Counter::new()).unwrap());
            } else {
                let info = Info::new().unit(Unit::Bytes);
                gauges.push(registry.publish_with(&name, Gauge::new(), info).unwrap());
            }
        }
        let on = Arc::new(AtomicBool::new(true));
        let going = Arc::clone(&on);
        thread::Builder::new()
            .name("busy".to_owned())
            .spawn(move || {
                let mut step = 0_i64;
                while going.load(Relaxed) {
                    step += 1;
                    for (at, counter) in counters.iter().enumerate() {
                        counter.add((at as u64 * 7 + step as u64) % 100);
                    }
                    for (at, gauge) in gauges.iter().enumerate() {
                        gauge.set(1_000_000 + (at as i64 * 31 + step * 977) % 500_000);
                    }
                    thread::sleep(Duration::from_millis(200));
                }
            })
            .unwrap();
        Self { registry, on }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.on.store(false, Relaxed);
    }
}

/// Processor time of this process' threads by name.
fn busy_time() -> HashMap<String, Duration> {
    let mut times = HashMap::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let read = |file: &str| std::fs::read_to_string(task.path().join(file));
        let (Ok(name), Ok(stat)) = (read("comm"), read("schedstat")) else { continue };
        let nanos = stat.split(' ').next().unwrap().parse().unwrap();
        *times.entry(name.trim_end().to_owned()).or_default() += Duration::from_nanos(nanos);
    }
    times
}

/// The share of a core that threads of these names take.
fn share(names: &[&str]) -> f64 {
    let of = |times: &HashMap<String, Duration>| -> f64 {
        names.iter().filter_map(|name| times.get(*name)).map(Duration::as_secs_f64).sum()
    };
    let (before, began) = (of(&busy_time()), Instant::now());
    thread::sleep(SPAN);
    (of(&busy_time()) - before) / began.elapsed().as_secs_f64()
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn sampler() {
    let busy = Busy::new(5000);
    // What the walk itself needs for the first time is not the history's, nor what the threads that
    // record earn while they do.
    thread::sleep(Duration::from_secs(5));
    busy.registry.to_json();
    let before = resident_bytes();
    let server =
        Server::builder().registry(&busy.registry).history(true).spawn("127.0.0.1:0").unwrap();
    thread::sleep(Duration::from_secs(3));
    let cpu = share(&["expvar-sampler"]);
    let mib = (resident_bytes() - before) as f64 / 1_048_576.0;
    row("sampler, 5,000 series: of a core", format!("{:.2} %", cpu * 100.0), "1 %");
    row("sampler, 5,000 series: resident, server too", format!("{mib:.1} MiB"), "8 MiB");
    server.shutdown();
}

fn watch(addr: SocketAddr, read: Arc<AtomicU64>) {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.write_all(b"GET /debug/vars/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    thread::Builder::new()
        .name("reader".to_owned())
        .spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
                read.fetch_add(bytes as u64, Relaxed);
            }
        })
        .unwrap();
}

fn pages() {
    let busy = Busy::new(200);
    let server = Server::builder().registry(&busy.registry).spawn("127.0.0.1:0").unwrap();
    let read = Arc::new(AtomicU64::new(0));
    for _ in 0..100 {
        watch(server.local_addr(), Arc::clone(&read));
    }
    thread::sleep(Duration::from_secs(3));
    let before = read.load(Relaxed);
    let cpu = share(&["expvar-sampler", "expvar-http"]);
    let bytes = (read.load(Relaxed) - before) as f64 / SPAN.as_secs_f64() / 100.0;
    row("100 pages of 200 variables: of a core", format!("{:.2} %", cpu * 100.0), "15 %");
    row("a page of 200 variables: bytes a second", format!("{:.1} KiB", bytes / 1024.0), "20 KiB");
    server.shutdown();
}

async fn browser() {
    let busy = Busy::new(200);
    let server = Server::builder().registry(&busy.registry).spawn("127.0.0.1:0").unwrap();
    let page = format!("{}/debug/vars/ui", server.url());
    let browser = Chromium::start().await;
    browser.screen(Screen::DESKTOP).await;
    let mut paints = Vec::new();
    for _ in 0..10 {
        browser.client.goto("about:blank").await.unwrap();
        browser.client.goto(&page).await.unwrap();
        // The first paint that has rows, not the empty frame before.
        let script = "const done = arguments[0]; const look = () => document.querySelector('.row .value') \
             ? requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))) \
             : setTimeout(look, 1); look();";
        let rows = browser.client.execute_async(script, Vec::new()).await.unwrap();
        let first = browser
            .run("return performance.getEntriesByName('first-contentful-paint')[0].startTime")
            .await;
        paints.push((first.as_f64().unwrap(), rows.as_f64().unwrap()));
    }
    paints.sort_by(|a, b| a.1.total_cmp(&b.1));
    let (first, rows) = paints[0];
    row("page of 200 variables: first paint, best of 10", format!("{first:.0} ms"), "300 ms");
    row("  and with its values", format!("{rows:.0} ms"), "");
    server.shutdown();
    drop(busy);

    let busy = Busy::new(2000);
    let server = Server::builder().registry(&busy.registry).spawn("127.0.0.1:0").unwrap();
    browser.client.goto(&format!("{}/debug/vars/ui", server.url())).await.unwrap();
    browser.until("rows", "document.querySelector('.row .value')").await;
    // Ticks of the thread, so that what else the machine does is not counted.
    browser.devtools("Performance.enable", json!({"timeDomain": "threadTicks"})).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let idle = main_thread(&browser).await;
    row("page of 2,000 variables: main thread", format!("{idle:.1} ms/s"), "10 ms/s");
    // A person who reads on: a wheel's notch every two seconds.
    browser.run("setInterval(() => scrollBy(0, 100), 2000)").await;
    let reading = main_thread(&browser).await;
    row("  and scrolled by 100 px every 2 s", format!("{reading:.1} ms/s"), "10 ms/s");
    server.shutdown();
}

/// Milliseconds a second that the page's main thread is busy.
async fn main_thread(browser: &Chromium) -> f64 {
    async fn busy_secs(browser: &Chromium) -> f64 {
        let metrics = browser.devtools("Performance.getMetrics", json!({})).await;
        let metrics = metrics["metrics"].as_array().unwrap();
        let task = metrics.iter().find(|metric| metric["name"] == "TaskDuration").unwrap();
        task["value"].as_f64().unwrap_or_else(|| panic!("{}", Value::clone(task)))
    }
    let (before, began) = (busy_secs(browser).await, Instant::now());
    tokio::time::sleep(SPAN).await;
    (busy_secs(browser).await - before) * 1000.0 / began.elapsed().as_secs_f64()
}
