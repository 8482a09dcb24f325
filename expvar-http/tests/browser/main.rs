//! The live page in a real browser: what a person sees and does.

mod charts;
mod chromium;
mod figures;
mod flame;
mod order;
mod service;

use std::process::Command;
use std::thread;
use std::time::Duration;

use chromium::Screen;
use expvar::{Func, Map, Text};
use expvar_peers::free_port;
use serde_json::{Value, json};
use service::{NAMES, Service, choose, click, filter, go, open, open_chart, row, value};

/// Heap profiles of this process itself.
#[cfg(feature = "pprof")]
#[global_allocator]
static ALLOC: expvar::alloc::Counting = expvar::alloc::Counting::new();

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
        ["Without a group", "cache", "http", "jobs"].map(Value::from)
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
        "Memory; arrow keys move the crosshair, drag to zoom",
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
    browser.press(&["p"]).await;
    browser
        .until("it is pinned", "document.querySelector('.group .name').textContent === 'Pinned'")
        .await;
    browser.press(&["Enter"]).await;
    browser.until("the chart is open", "document.querySelector('.panel canvas')").await;
    browser.run("document.querySelector('.panel .plot').focus()").await;
    browser.press(&["ArrowLeft"]).await;
    browser
        .until(
            "the crosshair moves",
            "Number(document.querySelector('.panel .plot').getAttribute('aria-valuenow')) < 59",
        )
        .await;
    browser.run("document.getElementById('rows').focus()").await;
    browser.press(&["Escape"]).await;
    browser.until("it is closed", "!document.querySelector('.panel')").await;
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
    // A dialog's button keeps the focus until the next frame.
    browser
        .until(
            "help is closed",
            "!document.getElementById('help').open && document.activeElement === document.body",
        )
        .await;
    browser.press(&[" "]).await;
    browser
        .until("paused", "document.getElementById('state').textContent.startsWith('Paused at ')")
        .await;
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
    click(&browser, ".row:not(.group)").await;
    filter(&browser, "settings.hosts").await;
    browser.run(&format!("{}.click()", row("hosts"))).await;
    browser.until("the list", &format!("{folded} === '[\\n  \"a\",\\n  \"b\"\\n]'")).await;
    browser.run(&format!("{}.click()", row("hosts"))).await;
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
    map.add("long".repeat(250), 2);
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
                "document.querySelectorAll('.row:not(.group):not(.fold):not(.panel)')[{row}].click()"
            ))
            .await;
        browser.picture(&format!("hostile-{row}")).await;
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
    let addr = format!("127.0.0.1:{}", free_port());
    let service = Service::at(&addr);
    let browser = open(&service).await;
    let Service { server, .. } = service;
    server.shutdown();
    // Wherever one has scrolled to, and in the tab.
    browser.run("scrollTo(0, document.body.scrollHeight)").await;
    let state = "document.getElementById('state')";
    browser
        .until("it says since when", &format!("/^Lost since \\d\\d:/.test({state}.textContent)"))
        .await;
    let seen = browser
        .run(&format!(
            "const box = {state}.getBoundingClientRect(); \
             const old = getComputedStyle(document.querySelector('.row:not(.group) .value')).color; \
             return [document.title.startsWith('✕ lost '), box.top >= 0 && box.bottom < 80, old]"
        ))
        .await;
    assert_eq!(seen, json!([true, true, "rgb(88, 99, 116)"]));
    browser.picture("lost").await;
    let _again = Service::at(&addr);
    browser.until("live again", &format!("{state}.textContent === 'Live'")).await;
    browser
        .until(
            "with a word about it",
            "/^Restarted \\d\\d:/.test(document.getElementById('restarted').textContent) \
             && document.title.startsWith('↻ restarted ')",
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
    service.registry.remove("slow");
}

/// Publishes the map `many` with this many keys: `key_0000`, …
fn publish_many(service: &Service, count: i64) {
    let many = service.registry.publish("many", Map::new()).unwrap();
    for at in 0..count {
        many.add(format!("key_{at:04}"), at);
    }
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn of_thousands_only_what_is_in_sight_exists() {
    let service = Service::start();
    publish_many(&service, 2000);
    let browser = open(&service).await;
    filter(&browser, "many").await;
    browser
        .until(
            "they are counted",
            "document.getElementById('count').textContent.startsWith('2,000 of')",
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

#[tokio::test]
#[ignore = "needs chromium"]
async fn paper_has_every_variable_in_dark_ink() {
    let service = Service::start();
    publish_many(&service, 600);
    let browser = open(&service).await;
    browser.screen(Screen { dark: true, ..Screen::DESKTOP }).await;
    filter(&browser, "many").await;
    let theme = "document.documentElement.dataset.theme";
    browser.until("it is dark", &format!("{theme} === 'dark'")).await;
    let rows = "document.querySelectorAll('.row').length";
    browser.until("they are found", &format!("{NAMES}.every((n) => n.startsWith('key_'))")).await;
    browser
        .run(&format!(
            "addEventListener('beforeprint', () => {{ window.paper = [{rows}, {NAMES}.at(-1), \
             document.querySelector('.row:last-of-type .value').textContent, {theme}]; }})"
        ))
        .await;
    let printed = browser.devtools("Page.printToPDF", json!({})).await;
    assert!(printed["data"].as_str().unwrap().len() > 10_000);
    let paper = browser.run("return window.paper").await;
    assert_eq!(paper, json!([601, "key_0599", "599", "light"]));
    browser.until("the screen is as before", &format!("{rows} < 60 && {theme} === 'dark'")).await;
    // A contained list is not divided among pages: whole ones stay blank.
    browser.devtools("Emulation.setEmulatedMedia", json!({"media": "print"})).await;
    let contain = "return getComputedStyle(document.getElementById('rows')).contain";
    assert_eq!(browser.run(contain).await, "none");
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
        open_chart(&browser, "latency").await;
        check("a chart").await;
        browser
            .run("document.querySelector('.panel [aria-label=\"Close the chart\"]').click()")
            .await;
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
            assert_eq!(browser.hint_fits("#filter").await, true, "{name}: the hint is cut");
            filter(&browser, "latency").await;
            open_chart(&browser, "latency").await;
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
