//! The live page in a real browser: what a person sees and does.

mod chromium;

use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use chromium::{Chromium, Screen};
use expvar::{Counter, Func, Gauge, Histogram, Info, Map, Registry, Text, Unit};
use expvar_http::Server;
use fantoccini::Locator;
use serde_json::{Value, json};

/// A service that is worth looking at: it works while it is held.
struct Service {
    registry: Registry,
    server: Server,
    requests: Arc<Counter>,
    _work: Arc<()>,
}

impl Service {
    fn start() -> Self {
        Self::at("127.0.0.1:0")
    }

    fn at(addr: &str) -> Self {
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
            jobs.add(&format!("queue_{queue:03}.depth"), queue);
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

    fn page(&self) -> String {
        format!("{}/debug/vars/ui", self.server.url())
    }
}

/// Opens the page and waits for its first values.
async fn open(service: &Service) -> Chromium {
    let browser = Chromium::start().await;
    browser.screen(Screen::DESKTOP).await;
    // The browser begins with a page of its own, whose requests are not ours.
    browser.client.goto("about:blank").await.unwrap();
    browser.requests().await;
    go(&browser, &service.page()).await;
    browser
}

async fn go(browser: &Chromium, url: &str) {
    browser.client.goto(url).await.unwrap();
    browser.until("the page has rows", "document.querySelector('.row .value')").await;
}

/// The text of the value of the row of that name, as an expression.
fn value(leaf: &str) -> String {
    format!(
        "[...document.querySelectorAll('.row:not(.group)')]\
         .find((row) => row.querySelector('bdi')?.textContent === {leaf:?})\
         ?.querySelector('.value').textContent"
    )
}

const NAMES: &str = "[...document.querySelectorAll('.row bdi')].map((leaf) => leaf.textContent)";

async fn click(browser: &Chromium, selector: &str) {
    browser.client.find(Locator::Css(selector)).await.unwrap().click().await.unwrap();
}

/// Clicks a button by what it says.
async fn choose(browser: &Chromium, within: &str, text: &str) {
    let script = format!(
        "[...document.querySelector({within:?}).querySelectorAll('button')]\
         .find((button) => button.textContent === {text:?}).click()"
    );
    browser.run(&script).await;
}

async fn filter(browser: &Chromium, text: &str) {
    browser
        .run(&format!(
            "const box = document.getElementById('filter'); box.value = {text:?}; \
             box.dispatchEvent(new Event('input'))"
        ))
        .await;
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn values_move_with_the_services_and_nothing_is_complained_of() {
    let service = Service::start();
    let browser = open(&service).await;
    filter(&browser, "cache size").await;
    browser
        .until(
            "the cache's size is in MiB",
            &format!("/^[45]\\d\\.\\d MiB$/.test({})", value("size")),
        )
        .await;
    let before = browser.run(&format!("return {}", value("size"))).await;
    browser.until("the value changes", &format!("{} !== {before}", value("size"))).await;
    filter(&browser, "http requests").await;
    browser
        .until("a counter is a rate", &format!("/^\\d+\\/s$/.test({})", value("requests")))
        .await;
    choose(&browser, "#tools", "Totals").await;
    browser.until("or a total", &format!("/^[\\d,]+$/.test({})", value("requests"))).await;
    service.requests.add(5_000_000);
    browser.until("the total follows", &format!("/ M$/.test({})", value("requests"))).await;
    assert_eq!(browser.run("return document.getElementById('state').textContent").await, "Live");
    let legend = browser.run("return document.querySelector('#memory .legend').innerText").await;
    let legend = legend.as_str().unwrap();
    assert!(legend.contains("limit") && legend.contains("256 MiB"), "{legend}");
    assert!(legend.contains("resident") && legend.contains("heap"), "{legend}");
    assert_eq!(browser.complaints().await, [""; 0]);
    let origin = service.server.url();
    let requests = browser.requests().await;
    assert!(requests.len() > 8, "{requests:?}");
    for url in requests {
        assert!(url.starts_with(&origin), "a request to {url}");
    }
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn the_policy_is_in_force() {
    let service = Service::start();
    let browser = open(&service).await;
    browser
        .run(
            "window.refused = []; \
             addEventListener('securitypolicyviolation', (e) => refused.push(e.effectiveDirective)); \
             const script = document.createElement('script'); script.textContent = 'window.ran = 1'; \
             document.body.append(script); \
             const image = new Image(); image.src = 'http://192.0.2.1/x.png'; \
             fetch('http://192.0.2.1/').catch(() => {});",
        )
        .await;
    browser
        .until("inline script, foreign image and foreign fetch are refused", "refused.length >= 3")
        .await;
    assert_eq!(
        browser.run("return [refused.sort(), window.ran ?? null]").await,
        json!([["connect-src", "img-src", "script-src-elem"], null])
    );
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn the_filter_filters_and_stays_in_the_address() {
    let service = Service::start();
    let browser = open(&service).await;
    filter(&browser, "ROUTES users").await;
    assert_eq!(browser.run(&format!("return {NAMES}")).await, json!(["GET /users/{id}"]));
    filter(&browser, "/^http\\.(lat|req)/").await;
    assert_eq!(browser.run(&format!("return {NAMES}")).await, json!(["latency", "requests"]));
    browser.client.refresh().await.unwrap();
    browser.until("the filter is there again", &format!("{NAMES}.length === 2")).await;
    let kept = browser.run("return document.getElementById('filter').value").await;
    assert_eq!(kept, "/^http\\.(lat|req)/");

    filter(&browser, "/(/").await;
    let wrong = browser.run("return document.getElementById('wrong').textContent").await;
    assert!(wrong.as_str().unwrap().contains("Unterminated group"), "{wrong}");
    assert_eq!(browser.run(&format!("return {NAMES}.length")).await, 2, "what was shown stays");
    filter(&browser, "nothing-of-this-name").await;
    browser.until("it says so", "!document.getElementById('empty').hidden").await;
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn groups_fold_and_the_list_sorts() {
    let service = Service::start();
    let browser = open(&service).await;
    let groups = "[...document.querySelectorAll('.group .name')].map((name) => name.textContent)";
    let seen = browser.run(&format!("return {groups}")).await;
    assert_eq!(
        seen.as_array().unwrap()[..4],
        ["ungrouped", "cache", "http", "jobs"].map(Value::from)
    );
    browser.run("[...document.querySelectorAll('.group')].find((g) => g.textContent.startsWith('http')).click()").await;
    browser.until("http is folded", &format!("!{NAMES}.includes('latency')")).await;
    browser.client.refresh().await.unwrap();
    browser.until("there are rows", &format!("{NAMES}.includes('size')")).await;
    assert_eq!(browser.run(&format!("return {NAMES}.includes('latency')")).await, false);

    filter(&browser, "jobs").await;
    choose(&browser, "#tools", "By change").await;
    browser.until("what moves is first", &format!("{NAMES}[0] === 'queue_007.depth'")).await;
    let address = browser.run("return location.search").await;
    assert_eq!(address, "?q=jobs&sort=change");
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn a_click_opens_the_chart_with_its_spans_extremes_and_crosshair() {
    let service = Service::start();
    let browser = open(&service).await;
    filter(&browser, "latency").await;
    click(&browser, ".row:not(.group)").await;
    browser.until("the chart is open", "document.getElementById('detail').open").await;
    let legend = "[...document.querySelectorAll('#detail .legend li')].map((li) => li.textContent)";
    browser.until("bands", &format!("{legend}.length === 4 && {legend}.slice(1).every((t) => /p\\d\\d[\\d.]+ ms/.test(t))")).await;
    assert_eq!(
        browser.run("return document.getElementById('detail-help').textContent").await,
        "Time to answer."
    );
    let stats = "[...document.querySelectorAll('#detail dt')].map((dt) => dt.textContent)";
    assert_eq!(
        browser.run(&format!("return {stats}")).await,
        json!(["Current p99", "Minimum p99", "Maximum p99", "Mean p99", "Records"])
    );
    let last = "document.querySelector('#detail .plot').getAttribute('aria-valuemax')";
    for (span, points) in [("60 min", "59"), ("24 h", "23"), ("30 d", "29"), ("60 s", "59")] {
        choose(&browser, "#detail", span).await;
        browser.until(span, &format!("{last} === '{points}' && !/[a-z]/.test(document.getElementById('detail-note').textContent)")).await;
    }
    browser.run("document.querySelector('#detail .plot').focus()").await;
    browser.press(&["ArrowLeft", "ArrowLeft"]).await;
    let said = browser
        .run("return document.querySelector('#detail .plot').getAttribute('aria-valuetext')")
        .await;
    let said = said.as_str().unwrap();
    assert!(said.contains("p99") && said.as_bytes()[2] == b':', "{said}");
    let at = browser
        .run("return document.querySelector('#detail .plot').getAttribute('aria-valuenow')")
        .await;
    assert_eq!(at, "57");
    browser.press(&["Escape"]).await;
    browser.until("it is closed", "!document.getElementById('detail').open").await;

    filter(&browser, "http.requests").await;
    click(&browser, ".row:not(.group)").await;
    choose(&browser, "#detail", "Total").await;
    browser.until("a counter's total", "document.querySelector('#detail dt:nth-child(1)') && [...document.querySelectorAll('#detail dd')].at(-1).textContent.length > 0 && [...document.querySelectorAll('#detail .legend li')][1].textContent.startsWith('total')").await;
    assert_eq!(browser.complaints().await, [""; 0]);
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn the_keyboard_alone_reaches_everything() {
    let service = Service::start();
    let browser = open(&service).await;
    let mut reached = Vec::new();
    for _ in 0..40 {
        browser.press(&["Tab"]).await;
        let here = "const e = document.activeElement; return e === document.body ? '' : \
            (e.id || e.getAttribute('aria-label') || e.textContent)";
        let here = browser.run(here).await.as_str().unwrap().to_owned();
        if here.is_empty() || reached.contains(&here) && here == "pause" {
            break;
        }
        reached.push(here);
    }
    for wanted in [
        "pause",
        "JSON",
        "theme",
        "help-open",
        "60 s",
        "30 d",
        "Memory; arrow keys move the crosshair",
        "filter",
        "By name",
        "By change",
        "Grouped",
        "Flat",
        "Rates",
        "Totals",
        "rows",
    ] {
        assert!(reached.iter().any(|name| name == wanted), "{wanted} is not among {reached:?}");
    }

    browser.run("document.activeElement.blur()").await;
    browser.press(&["/"]).await;
    assert_eq!(browser.run("return document.activeElement.id").await, "filter");
    browser.press(&["c", "a", "c", "h", "e", "Enter"]).await;
    assert_eq!(browser.run("return document.activeElement.id").await, "rows");
    browser.press(&["Home", "ArrowDown", "p"]).await;
    browser
        .until("it is pinned", "document.querySelector('.group .name').textContent === 'Pinned'")
        .await;
    browser.press(&["Home", "ArrowDown", "Enter"]).await;
    browser.until("the chart is open", "document.getElementById('detail').open").await;
    assert_eq!(
        browser.run("return document.getElementById('detail-name').textContent").await,
        "cache.size"
    );
    browser.press(&["ArrowLeft"]).await;
    browser
        .until(
            "the crosshair moves",
            "document.querySelector('#detail .plot').getAttribute('aria-valuenow') === '58'",
        )
        .await;
    browser.press(&["Escape"]).await;
    browser.until("it is closed", "!document.getElementById('detail').open").await;
    assert_eq!(
        browser.run("return document.activeElement.id").await,
        "rows",
        "the focus comes back"
    );
    browser.client.refresh().await.unwrap();
    browser
        .until(
            "the pin is kept",
            "document.querySelector('.group .name')?.textContent === 'Pinned'",
        )
        .await;

    browser.press(&["?"]).await;
    browser.until("help", "document.getElementById('help').open").await;
    browser.press(&["Escape"]).await;
    browser.until("help is closed", "!document.getElementById('help').open").await;
    browser.press(&[" "]).await;
    browser.until("paused", "document.getElementById('state').textContent === 'Paused'").await;
    let before = browser.run(&format!("return {}", value("size"))).await;
    service.requests.add(1);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(browser.run(&format!("return {}", value("size"))).await, before);
    browser.press(&[" "]).await;
    browser.until("it goes on", &format!("{} !== {before}", value("size"))).await;
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn texts_and_json_fold_out() {
    let service = Service::start();
    service.registry.publish("story", Text::new()).unwrap().set("line one\nline two ".repeat(200));
    let browser = open(&service).await;
    let folded = "document.querySelector('.fold pre')?.textContent";
    filter(&browser, "story").await;
    click(&browser, ".row:not(.group)").await;
    browser.until("the whole text", &format!("{folded}?.length === {}", 18 * 200)).await;
    filter(&browser, "settings.hosts").await;
    click(&browser, ".row:not(.group)").await;
    browser.until("the list", &format!("{folded} === '[\\n  \"a\",\\n  \"b\"\\n]'")).await;
    click(&browser, ".row:not(.group)").await;
    browser.until("folded in again", "!document.querySelector('.fold')").await;
    assert_eq!(browser.complaints().await, [""; 0]);
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn hostile_names_and_values_are_only_text() {
    let service = Service::start();
    let evil = "<img src=x onerror=\"window.hurt=1\">\u{202e}\u{1b}[31m\u{0}'\"&amp;";
    let map = service.registry.publish("evil", Map::new()).unwrap();
    map.add(evil, 1);
    map.add(&"long".repeat(2500), 2);
    let text = Text::new();
    text.set(format!("</script><script>window.hurt=1</script>{}", evil.repeat(300)));
    map.set("text", text);
    let browser = open(&service).await;
    filter(&browser, "evil").await;
    browser.until("they are listed", &format!("{NAMES}.length === 3")).await;
    let shown = browser.run(&format!("return {NAMES}[0]")).await;
    assert_eq!(shown, "<img src=x onerror=\"window.hurt=1\">⟨202E⟩⟨001B⟩[31m⟨0000⟩'\"&amp;");
    for row in 0..3 {
        browser
            .run(&format!(
                "document.querySelectorAll('.row:not(.group):not(.fold)')[{row}].click()"
            ))
            .await;
        browser.picture(&format!("hostile-{row}")).await;
        browser.run("document.getElementById('detail').close()").await;
    }
    browser
        .until(
            "the text is folded out",
            "document.querySelector('.fold pre')?.textContent.length > 5000",
        )
        .await;
    assert_eq!(
        browser.run("return [window.hurt ?? null, document.images.length]").await,
        json!([null, 0])
    );
    let wide = browser.run("return document.documentElement.scrollWidth <= innerWidth").await;
    assert_eq!(wide, true, "a long name makes the page wider than the window");
    assert_eq!(browser.complaints().await, [""; 0]);
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn a_restart_is_survived_and_told() {
    let service = Service::start();
    let addr = service.server.local_addr().to_string();
    let browser = open(&service).await;
    let Service { server, .. } = service;
    server.shutdown();
    browser
        .until(
            "it says that nobody answers",
            "document.getElementById('state').textContent === 'No connection'",
        )
        .await;
    let notice = "document.getElementById('notice-text').textContent";
    browser
        .until(
            "and since when",
            &format!("/No word from the service since \\d\\d:/.test({notice})"),
        )
        .await;
    let _again = Service::at(&addr);
    browser.until("live again", "document.getElementById('state').textContent === 'Live'").await;
    browser
        .until(
            "with a word about it",
            &format!("/^The service restarted at \\d\\d:/.test({notice})"),
        )
        .await;
    filter(&browser, "http requests").await;
    browser
        .until("counters count again", &format!("/^\\d+\\/s$/.test({})", value("requests")))
        .await;
}

/// A service whose one function takes longer than the page's patience.
#[tokio::test]
#[ignore = "needs chromium"]
async fn a_slow_function_is_waited_for_and_not_taken_for_a_lost_connection() {
    let service = Service::start();
    let browser = open(&service).await;
    let slow = || {
        thread::sleep(Duration::from_secs(6));
        7
    };
    service.registry.publish("slow", Func::new(slow)).unwrap();
    let state = "document.getElementById('state').textContent";
    browser
        .until("it says how long it waits", &format!("/^No news for \\d+ s$/.test({state})"))
        .await;
    browser.until("and goes on", &format!("{state} === 'Live'")).await;
    assert_eq!(browser.run("return document.getElementById('notice').hidden").await, true);
    service.registry.remove("slow");
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn of_thousands_only_what_is_in_sight_exists() {
    let service = Service::start();
    let many = service.registry.publish("many", Map::new()).unwrap();
    for at in 0..2000 {
        many.add(&format!("key_{at:04}"), at);
    }
    let browser = open(&service).await;
    filter(&browser, "many").await;
    browser
        .until(
            "they are counted",
            "document.getElementById('count').textContent.startsWith('2000 of')",
        )
        .await;
    let rows = "document.querySelectorAll('.row').length";
    for share in [0.0, 0.5, 1.0] {
        browser.run(&format!("scrollTo(0, document.body.scrollHeight * {share})")).await;
        browser.until("rows follow", &format!("{rows} > 10 && {rows} < 60")).await;
    }
    browser.until("the last one is in sight", &format!("{NAMES}.includes('key_1999')")).await;
    let described = "return document.getElementById('rows').getAttribute('aria-rowcount')";
    assert_eq!(browser.run(described).await, "2001");
}

/// Where axe-core is, which npm puts under `target/`.
fn axe() -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/axe");
    let file = format!("{folder}/node_modules/axe-core/axe.min.js");
    if !std::path::Path::new(&file).exists() {
        std::fs::create_dir_all(folder).unwrap();
        let npm =
            ["install", "--no-audit", "--no-fund", "--no-save", "--prefix", folder, "axe-core@4"];
        let done = Command::new("npm")
            .args(npm)
            .status()
            .expect("npm is not installed: apt-get install npm");
        assert!(done.success(), "npm install axe-core failed");
    }
    std::fs::read_to_string(file).unwrap()
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn axe_finds_nothing_serious() {
    let service = Service::start();
    let browser = open(&service).await;
    let axe = axe();
    let check = async |where_: &str| {
        browser.run(&axe).await;
        let found = browser
            .client
            .execute_async(
                "const done = arguments[0]; axe.run().then((r) => done(r.violations.map((v) => \
                 [v.impact, v.id, v.nodes.map((n) => n.html).slice(0, 3)])))",
                Vec::new(),
            )
            .await
            .unwrap();
        let grave = |one: &&Value| one[0] == "serious" || one[0] == "critical";
        let grave: Vec<_> = found.as_array().unwrap().iter().filter(grave).collect();
        assert!(grave.is_empty(), "{where_}: {grave:#?}");
    };
    for dark in [false, true] {
        browser.screen(Screen { dark, ..Screen::DESKTOP }).await;
        browser
            .until(
                "colours",
                &format!(
                    "document.documentElement.dataset.theme === '{}'",
                    if dark { "dark" } else { "light" }
                ),
            )
            .await;
        filter(&browser, "").await;
        check("the list").await;
        filter(&browser, "settings.hosts").await;
        click(&browser, ".row:not(.group)").await;
        browser.until("the list is folded out", "document.querySelector('.fold pre')").await;
        check("a value folded out").await;
        click(&browser, ".row:not(.group)").await;
        filter(&browser, "latency").await;
        click(&browser, ".row:not(.group)").await;
        check("a chart").await;
        browser.press(&["Escape"]).await;
        browser.run("document.getElementById('help').showModal()").await;
        check("help").await;
        browser.run("document.getElementById('help').close()").await;
    }
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn pictures_are_taken_dark_and_light_large_and_small() {
    let service = Service::start();
    let browser = open(&service).await;
    browser
        .until("there is something to see", &format!("/^\\d+\\/s$/.test({})", value("requests")))
        .await;
    tokio::time::sleep(Duration::from_secs(12)).await;
    for (size, screen) in [("desktop", Screen::DESKTOP), ("phone", Screen::PHONE)] {
        for dark in [false, true] {
            let name = format!("{size}-{}", if dark { "dark" } else { "light" });
            browser.screen(Screen { dark, ..screen }).await;
            go(&browser, &service.page()).await;
            let background = "getComputedStyle(document.documentElement).backgroundColor";
            let expected = if dark { "rgb(13, 17, 23)" } else { "rgb(245, 246, 248)" };
            browser.until("colours", &format!("{background} === '{expected}'")).await;
            browser.until("sparklines", &format!("/\\/s$/.test({})", value("requests"))).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
            browser.picture(&name).await;
            let wide =
                browser.run("return document.documentElement.scrollWidth <= innerWidth").await;
            assert_eq!(wide, true, "{name}: the page is wider than the window");
            filter(&browser, "latency").await;
            browser.run("document.querySelector('.row:not(.group)').click()").await;
            tokio::time::sleep(Duration::from_millis(500)).await;
            browser.picture(&format!("{name}-chart")).await;
        }
    }
    // The button goes before what the system prefers, and is remembered.
    browser.screen(Screen::DESKTOP).await;
    go(&browser, &service.page()).await;
    click(&browser, "#theme").await;
    browser.client.refresh().await.unwrap();
    browser.until("dark by choice", "document.documentElement.dataset.theme === 'dark'").await;
    assert_eq!(browser.complaints().await, [""; 0]);
}
