//! samlare's own page, of the running program: as JSON, and in a real browser.

#[path = "../../expvar-http/tests/browser/chromium.rs"]
#[allow(dead_code, reason = "the live page's tests use the rest")]
mod chromium;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chromium::{Chromium, Screen};
use expvar::{Counter, Gauge, Registry, Text};
use expvar_http::Server;
use expvar_peers::free_port;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

/// The parts of a name that is wider than the view of an endpoint.
const LONG: [&str; 6] = ["requests_by_route_and_status"; 6];

/// A samlare that polls two services, of which one is not there.
struct Samlare {
    program: Child,
    addr: SocketAddr,
    up: Server,
    hits: Arc<Counter>,
    down: SocketAddr,
    _config: tempfile::TempDir,
}

impl Samlare {
    fn start() -> Self {
        Self::with(0)
    }

    /// With so many more endpoints, which are one service.
    fn with(more: usize) -> Self {
        let registry = Registry::new();
        let hits = registry.publish("cache.hits", Counter::new()).unwrap();
        registry.publish("cache.size_bytes", Gauge::new()).unwrap().set(3 << 20);
        registry.publish("<img src=x onerror=window.hurt=1>", Gauge::new()).unwrap();
        registry.publish("build", Text::new()).unwrap().set("v1 <b>");
        registry.publish(&LONG.join("."), Gauge::new()).unwrap();
        let up = Server::builder().registry(&registry).spawn("127.0.0.1:0").unwrap();
        let free = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (addr, down) = (free(), free());
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("samlare.toml");
        let text = format!(
            "Listen = \"{addr}\"\nCheckInterval = 1000\nTimeout = 60000\n\
             [[endpoint]]\nURL = \"http://user:secret@{}/debug/vars\"\nPrefix = \"apps.one\"\n\
             [[endpoint]]\nURL = \"http://{down}/debug/vars\"\nPrefix = \"apps.two\"\n",
            up.local_addr()
        );
        let more_text: String = (0..more)
            .map(|at| {
                let up = up.local_addr();
                format!(
                    "[[endpoint]]\nURL = \"http://{up}/debug/vars\"\nPrefix = \"more.{at:03}\"\n"
                )
            })
            .collect();
        std::fs::write(&config, text + &more_text).unwrap();
        let program = Command::new(env!("CARGO_BIN_EXE_samlare"))
            .arg("--config")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let samlare = Self { program, addr, up, hits, down, _config: folder };
        let began = Instant::now();
        while samlare.get("/endpoints")["states"]
            != json!({"up": 1 + more, "down": 1, "waiting": 0})
        {
            assert!(began.elapsed() < PATIENCE, "{}", samlare.get("/endpoints"));
            std::thread::sleep(Duration::from_millis(100));
        }
        samlare
    }

    /// The JSON at a path, `null` while there is none.
    fn get(&self, path: &str) -> Value {
        let text = self.text(path);
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        serde_json::from_str(body).unwrap_or_default()
    }

    fn text(&self, path: &str) -> String {
        let Ok(mut stream) = TcpStream::connect(self.addr) else { return String::new() };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Samlare {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

#[test]
fn endpoints_in_trouble_come_first_and_secrets_never() {
    let samlare = Samlare::start();
    let all = samlare.get("/endpoints");
    assert_eq!(all["total"], 2);
    let [first, second] = &all["endpoints"].as_array().unwrap()[..] else { panic!("{all}") };
    assert_eq!(first["url"], format!("http://{}/debug/vars", samlare.down));
    assert_eq!(first["state"], "down");
    assert!(first["last_error"].as_str().unwrap().contains("refused"), "{first}");
    assert_eq!(first["recent_ms"][0], Value::Null);
    assert_eq!(second["prefix"], "apps.one");
    assert!(second["recent_ms"][0].as_f64().unwrap() >= 0.0, "{second}");
    assert!(!all.to_string().contains("secret"), "{all}");

    let one = samlare.get("/endpoints?q=APPS.ONE+up");
    assert_eq!((&one["matching"], one["endpoints"].as_array().unwrap().len()), (&json!(1), 1));
    let page = samlare.text("/").to_ascii_lowercase();
    assert!(page.contains("content-security-policy: default-src 'none'; script-src 'self';"));
    for path in ["/endpoints.js", "/endpoints.css", "/debug/vars/ui/chart.js", "/debug/vars/ui"] {
        assert!(samlare.text(path).starts_with("HTTP/1.0 200 "), "{path}");
    }
}

#[test]
fn every_endpoint_is_within_reach() {
    let samlare = Samlare::with(230);
    let first = samlare.get("/endpoints");
    assert_eq!((&first["matching"], &first["from"]), (&json!(232), &json!(0)));
    let prefixes = |answer: &Value| -> Vec<String> {
        let all = answer["endpoints"].as_array().unwrap().iter();
        all.map(|one| one["prefix"].as_str().unwrap().to_owned()).collect()
    };
    let mut seen = prefixes(&first);
    assert_eq!(seen.len(), 200);
    seen.extend(prefixes(&samlare.get("/endpoints?from=200")));
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 232);
    assert_eq!(prefixes(&samlare.get("/endpoints?from=1000")), [""; 0]);
}

#[test]
fn one_endpoint_shows_its_variables_now() {
    let samlare = Samlare::start();
    let up = samlare.up.local_addr();
    samlare.hits.add(41);
    let path = format!("/endpoint?url=http://{up}/debug/vars&prefix=apps.one");
    let variables = samlare.get(&path);
    assert_eq!(
        variables,
        json!({"more": 0, "variables": [
            ["<img src=x onerror=window.hurt=1>", 0],
            ["build", "v1 <b>"],
            ["cache.hits", 41],
            ["cache.size_bytes", 3 << 20],
            [LONG.join("."), 0],
        ]})
    );
    let path = format!("/endpoint?url=http://{}/debug/vars&prefix=apps.two", samlare.down);
    let refused = samlare.get(&path);
    assert!(refused["error"].as_str().unwrap().contains("refused"), "{refused}");
    // Only configured endpoints are fetched.
    let elsewhere = samlare.get(&format!("/endpoint?url=http://{up}/debug/vars&prefix=x"));
    assert_eq!(elsewhere["error"], "this endpoint is not polled (any more)");
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn the_page_shows_who_is_up_and_what_they_show() {
    let samlare = Samlare::start();
    let browser = Chromium::start().await;
    browser.client.goto("about:blank").await.unwrap();
    browser.requests().await;
    let origin = format!("http://{}", samlare.addr);
    for (size, screen) in [("desktop", Screen::DESKTOP), ("phone", Screen::PHONE)] {
        for dark in [false, true] {
            browser.screen(Screen { dark, ..screen }).await;
            browser.client.goto(&origin).await.unwrap();
            let rows =
                "[...document.querySelectorAll('#endpoints .open')].map((b) => b.textContent)";
            browser.until("both are listed", &format!("{rows}.length === 2")).await;
            let state = browser.run("return document.getElementById('state').textContent").await;
            assert_eq!(state, "1 down");
            let wide =
                browser.run("return document.documentElement.scrollWidth <= innerWidth").await;
            assert_eq!(wide, true, "{size}: the page is wider than the window");
            assert_eq!(browser.hint_fits("#filter").await, true, "{size}: the hint is cut");
            let name = format!("samlare-{size}-{}", if dark { "dark" } else { "light" });
            tokio::time::sleep(Duration::from_secs(2)).await;
            browser.picture(&name).await;
            // What failed leaves its mark in the line of the one that is down, and in no other.
            let marks = "return [...document.querySelectorAll('#endpoints .x .line')].map((line) => /^(M\\d+ 20V220)+$/.test(line.getAttribute('d')))";
            assert_eq!(browser.run(marks).await, json!([true, false]));
            // By keyboard alone: to the second endpoint, and into it.
            browser.run("document.querySelectorAll('#endpoints .open')[1].focus()").await;
            browser.press(&["Enter"]).await;
            browser
                .until("its variables", "document.querySelectorAll('#variables tr').length === 5")
                .await;
            let size_of = "[...document.querySelectorAll('#variables tr')]\
                .find((row) => row.cells[0].textContent === 'cache.size_bytes').cells[2].textContent";
            assert_eq!(browser.run(&format!("return {size_of}")).await, "3.00 MiB");
            let fits = "const detail = document.getElementById('detail'); \
                return detail.scrollWidth <= detail.clientWidth";
            assert_eq!(browser.run(fits).await, true, "{size}: a long name hides the values");
            let hits = "[...document.querySelectorAll('#variables tr')]\
                .find((row) => row.cells[0].textContent === 'cache.hits').cells[2].textContent";
            let before = browser.run(&format!("return {hits}")).await;
            samlare.hits.add(5);
            browser.until("they move", &format!("{hits} !== {before}")).await;
            browser.picture(&format!("{name}-endpoint")).await;
            let search = browser.run("return location.search").await;
            assert!(search.as_str().unwrap().contains("&prefix=apps.one"), "{search}");
            browser.client.back().await.unwrap();
            browser.until("it is closed", "!document.getElementById('detail').open").await;
            browser.client.forward().await.unwrap();
            browser.until("and open again", "document.getElementById('detail').open").await;
            browser.press(&["Escape"]).await;
            browser.until("it is closed", "!document.getElementById('detail').open").await;
        }
    }
    assert_eq!(browser.run("return window.hurt ?? null").await, Value::Null);
    assert_eq!(browser.complaints().await, [""; 0]);
    for url in browser.requests().await {
        assert!(url.starts_with(&origin), "a request to {url}");
    }
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn of_many_endpoints_all_are_scrolled_to_and_one_leads_to_its_live_page() {
    let samlare = Samlare::with(230);
    let browser = Chromium::start().await;
    browser.screen(Screen::DESKTOP).await;
    browser.client.goto(&format!("http://{}", samlare.addr)).await.unwrap();
    let names =
        "[...document.querySelectorAll('#endpoints .prefix')].map((one) => one.textContent)";
    browser.until("the first are listed", &format!("{names}.length === 200")).await;
    // Which one is last depends on who is down when: those come first.
    browser
        .until("the last is in sight", &format!("scrollTo(0, document.body.scrollHeight) ?? (new Set({names}).size === 200 && document.querySelector('#above td').style.height === `${{32 * 56}}px` && document.querySelector('#below td').style.height === '0px')"))
        .await;
    browser.picture("samlare-many").await;
    browser
        .run("const box = document.getElementById('filter'); box.value = 'apps.one'; box.dispatchEvent(new Event('input'))")
        .await;
    browser.until("one is found", &format!("{names}.length === 1")).await;
    browser.run("document.querySelector('#endpoints tr').click()").await;
    browser.until("its variables", "document.querySelectorAll('#variables tr').length === 5").await;
    // A link shows the same endpoint.
    browser.client.refresh().await.unwrap();
    browser
        .until("its variables again", "document.querySelectorAll('#variables tr').length === 5")
        .await;
    // One that is beyond the first 200 endpoints of its URL.
    let all = samlare.get("/endpoints?from=200");
    let last = &all["endpoints"].as_array().unwrap().last().unwrap()["prefix"];
    browser
        .run(&format!("const link = new URL(location); link.searchParams.delete('q'); link.searchParams.set('prefix', {last}); location.href = link"))
        .await;
    browser
        .until(
            "the last one's variables",
            &format!("document.getElementById('detail-about').textContent.includes({last}) && document.querySelectorAll('#variables tr').length === 5"),
        )
        .await;
    assert_eq!(browser.complaints().await, [""; 0]);
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn a_hidden_page_asks_for_nothing() {
    let samlare = Samlare::start();
    let browser = Chromium::start().await;
    let asked = |requests: &[String], path: &str| {
        requests.iter().filter(|request| request.contains(path)).count()
    };
    let link =
        format!("http://{}/?url=http://{}/debug/vars", samlare.addr, samlare.up.local_addr());
    // The open endpoint, and one that is not known yet.
    for (prefix, path) in [("apps.one", "/endpoint?"), ("none", "/endpoints?q=http")] {
        browser.client.goto(&format!("{link}&prefix={prefix}")).await.unwrap();
        let mut requests = Vec::new();
        let began = Instant::now();
        while asked(&requests, path) < 2 {
            assert!(began.elapsed() < PATIENCE, "a page that is shown asks again: {requests:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
            requests.extend(browser.requests().await);
        }
        browser.client.minimize_window().await.unwrap();
        browser.until("a page that is minimized is hidden", "document.hidden").await;
        browser.requests().await;
        // Three times as long as between two requests.
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(browser.requests().await, [""; 0], "{prefix}");
        browser.client.set_window_size(1280, 900).await.unwrap();
        browser.until("the page is shown", "!document.hidden").await;
        let (mut requests, began) = (Vec::new(), Instant::now());
        while asked(&requests, path) < 2 {
            assert!(began.elapsed() < PATIENCE, "it goes on when it is shown: {requests:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
            requests.extend(browser.requests().await);
        }
    }
    assert_eq!(browser.complaints().await, [""; 0]);
}
