//! A service that is worth looking at, and what a person does on its page.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::chromium::{Chromium, Screen};
use expvar::{Counter, Func, Gauge, Histogram, Info, Map, Registry, Text, Unit};
use expvar_http::Server;
use fantoccini::Locator;
use serde_json::json;

/// A service that is worth looking at: it works while it is held.
pub(crate) struct Service {
    pub(crate) registry: Registry,
    pub(crate) server: Server,
    pub(crate) requests: Arc<Counter>,
    _work: Arc<()>,
}

impl Service {
    pub(crate) fn start() -> Self {
        Self::at("127.0.0.1:0")
    }

    pub(crate) fn at(addr: &str) -> Self {
        let registry = Registry::new();
        let with = |help: &'static str, unit| Info::new().help(help).unit(unit);
        let requests = registry
            .publish_with("http.requests", Counter::new(), with("Requests answered.", Unit::None))
            .unwrap();
        let latency = registry
            .publish_with(
                "http.latency",
                Histogram::new(),
                with("Time to answer.", Unit::Nanoseconds),
            )
            .unwrap();
        let cache = registry
            .publish_with("cache.size", Gauge::new(), with("Bytes in the cache.", Unit::Bytes))
            .unwrap();
        let routes = Info::new().help("Requests by route.").label("route").counter();
        let routes = registry.publish_with("routes", Map::new(), routes).unwrap();
        for route in ["GET /", "GET /users/{id}", "POST /orders", "GET /static/app.v1.js"] {
            routes.add(route, 1);
        }
        registry.publish("build", Text::new()).unwrap().set("v1.4.2 (a1b2c3d), release");
        registry
            .publish(
                "settings",
                Func::new(|| json!({"workers": 4, "hosts": ["a", "b"], "tls": true})),
            )
            .unwrap();
        let held_bytes = Arc::clone(&cache);
        let memstats =
            move || json!({"HeapAlloc": 30_000_000 + held_bytes.get(), "Mallocs": 12_345});
        registry.publish("memstats", Func::new(memstats)).unwrap();
        let held_bytes = Arc::clone(&cache);
        let process = move || {
            json!({
                "resident_bytes": 60_000_000 + held_bytes.get(),
                "cgroup": {"memory_max_bytes": 256 << 20},
                "cpu_user_seconds": 1.5,
            })
        };
        registry.publish("process", Func::new(process)).unwrap();
        let jobs = registry.publish("jobs", Map::new()).unwrap();
        for queue in 0..120 {
            jobs.add(format!("queue_{queue:03}.depth"), queue);
        }
        let (work, counted) = (Arc::new(()), Arc::clone(&requests));
        let held = Arc::downgrade(&work);
        thread::spawn(move || {
            let mut step = 0_u64;
            while held.upgrade().is_some() {
                step += 1;
                let wave = (step as f64 / 40.0).sin();
                counted.add((20.0 + 10.0 * wave) as u64);
                routes.add("GET /", 3);
                routes.add("GET /users/{id}", (step % 7) as i64);
                for n in 0..20 {
                    latency.record((1_000_000.0 * (2.0 + wave) * f64::from(1 + n % 10)) as u64);
                }
                cache.set(((48.0 + 8.0 * wave) * 1048576.0) as i64);
                jobs.add("queue_007.depth", 1);
                thread::sleep(Duration::from_millis(50));
            }
        });
        let server = Server::builder().registry(&registry).history(true).spawn(addr).unwrap();
        Self { registry, server, requests, _work: work }
    }

    pub(crate) fn page(&self) -> String {
        format!("{}/debug/vars/ui", self.server.url())
    }
}

/// Opens the page and waits for its first values.
pub(crate) async fn open(service: &Service) -> Chromium {
    let browser = Chromium::start().await;
    browser.screen(Screen::DESKTOP).await;
    // The browser begins with a page of its own, whose requests are not ours.
    browser.client.goto("about:blank").await.unwrap();
    browser.requests().await;
    go(&browser, &service.page()).await;
    browser
}

pub(crate) async fn go(browser: &Chromium, url: &str) {
    browser.client.goto(url).await.unwrap();
    browser.until("the page has rows", "document.querySelector('.row .value')").await;
}

/// The text of the value of the row of that name, as an expression.
pub(crate) fn value(leaf: &str) -> String {
    format!("{}?.querySelector('.value').textContent", row(leaf))
}

pub(crate) const NAMES: &str =
    "[...document.querySelectorAll('.row bdi')].map((leaf) => leaf.textContent)";

pub(crate) async fn click(browser: &Chromium, selector: &str) {
    browser.client.find(Locator::Css(selector)).await.unwrap().click().await.unwrap();
}

/// Clicks a button by what it says.
pub(crate) async fn choose(browser: &Chromium, within: &str, text: &str) {
    let script = format!(
        "[...document.querySelector({within:?}).querySelectorAll('button')]\
         .find((button) => button.textContent === {text:?}).click()"
    );
    browser.run(&script).await;
}

pub(crate) async fn filter(browser: &Chromium, text: &str) {
    browser
        .run(&format!(
            "const box = document.getElementById('filter'); box.value = {text:?}; \
             box.dispatchEvent(new Event('input'))"
        ))
        .await;
}

/// The row of that name, as an expression.
pub(crate) fn row(leaf: &str) -> String {
    format!(
        "[...document.querySelectorAll('.row:not(.group):not(.panel)')]\
         .find((row) => row.querySelector('bdi')?.textContent === {leaf:?})"
    )
}

/// Clicks the row of that name, and waits for its chart.
pub(crate) async fn open_chart(browser: &Chromium, leaf: &str) {
    let open = format!("{}?.getAttribute('aria-expanded') === 'true'", row(leaf));
    browser.until(leaf, &row(leaf)).await;
    browser.run(&format!("{}.click()", row(leaf))).await;
    browser.until("the chart is open", &open).await;
}

/// The figures below the first chart, by name, as an expression.
pub(crate) const FIGURES: &str = "Object.fromEntries([...document.querySelectorAll('.panel .stats')][0] \
     ? [...document.querySelector('.panel .stats').children].map((one) => [one.children[0].textContent, one.children[1].textContent]) : [])";
