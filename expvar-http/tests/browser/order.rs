//! What stands where in the list, and how it is found.

use expvar::{Counter, Gauge, Histogram, Info, Map, Registry};
use expvar_http::Server;
use serde_json::json;

use super::chromium::{Chromium, Screen};
use super::service::{FIGURES, NAMES, Service, choose, filter, go, open, row};

const GROUPS: &str =
    "[...document.querySelectorAll('.group .name')].map((name) => name.textContent)";

#[tokio::test]
#[ignore = "needs chromium"]
async fn own_variables_come_first_and_what_never_moved_is_folded_at_the_end() {
    let registry = Registry::new();
    registry.publish("zebra.stripes", Gauge::new()).unwrap().set(7);
    let idle = registry.publish("aardvark.ants", Counter::new()).unwrap();
    registry.publish("expvar.http", Map::new()).unwrap().add("accepted", 1);
    let process = || json!({"threads": 4, "open_fds": 0});
    registry.publish("process", expvar::Func::new(process)).unwrap();
    registry.publish("aardvark.naps", Histogram::new()).unwrap();
    let server = Server::builder().registry(&registry).spawn("127.0.0.1:0").unwrap();
    let browser = Chromium::start().await;
    browser.screen(Screen::DESKTOP).await;
    go(&browser, &format!("{}/debug/vars/ui", server.url())).await;
    assert_eq!(
        browser.run(&format!("return {GROUPS}")).await,
        json!(["zebra", "process", "expvar", "Always zero"])
    );
    assert_eq!(browser.run(&format!("return {NAMES}")).await, json!(["stripes", "threads"]));
    idle.inc();
    browser.until("it moves to its own", &format!("{NAMES}[0] === 'ants'")).await;
    // What is looked for is found, wherever it stands.
    filter(&browser, "naps").await;
    assert_eq!(browser.run(&format!("return {NAMES}")).await, json!(["naps"]));
    filter(&browser, "").await;
    browser.run("[...document.querySelectorAll('.group')].at(-1).click()").await;
    browser.until("it folds out", &format!("{NAMES}.includes('naps')")).await;
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn enter_chooses_the_first_variable_and_then_opens_it() {
    let service = Service::start();
    let browser = open(&service).await;
    browser.press(&["/", "l", "a", "t", "e", "n", "c", "y", "Enter", "Enter"]).await;
    browser.until("its chart is open", "document.querySelector('.panel canvas')").await;
    assert_eq!(browser.run("return location.search").await, "?q=latency&open=http.latency");
    // Nothing was folded away behind it.
    filter(&browser, "").await;
    browser.until("the group is whole", &format!("{NAMES}.includes('requests')")).await;
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn help_texts_are_searched_and_shown() {
    let service = Service::start();
    let browser = open(&service).await;
    filter(&browser, "time to answer").await;
    assert_eq!(browser.run(&format!("return {NAMES}")).await, json!(["latency"]));
    filter(&browser, "/requests by route/").await;
    assert_eq!(browser.run(&format!("return {NAMES}.length")).await, 4, "of every key of a map");
    let help = format!("return {}.querySelector('.name').title", row("GET /"));
    assert_eq!(browser.run(&help).await, "Requests by route.");
}

/// The library's own variables, which the global registry has.
#[tokio::test]
#[ignore = "needs chromium"]
async fn each_field_of_process_says_what_it_is() {
    let server = Server::builder().spawn("127.0.0.1:0").unwrap();
    let browser = Chromium::start().await;
    browser.screen(Screen::DESKTOP).await;
    go(&browser, &format!("{}/debug/vars/ui", server.url())).await;
    filter(&browser, "/^process\\.(resident_bytes|threads)$/").await;
    let helps = "return [...document.querySelectorAll('.row .name')].filter((n) => n.title).map((n) => n.title)";
    let helps = browser.run(helps).await;
    let helps: Vec<&str> =
        helps.as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    assert!(helps[0].starts_with("Memory that is resident"), "{helps:?}");
    assert_eq!(helps[1], "Live threads.");
    filter(&browser, "processor time kernel").await;
    let found = browser.run(&format!("return {NAMES}")).await;
    assert_eq!(found, json!(["cpu_system_seconds"]));
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn the_heading_of_what_is_in_sight_stays() {
    let service = Service::start();
    let browser = open(&service).await;
    browser.run(&format!("scrollTo(0, {}.getBoundingClientRect().top + 1500)", row("size"))).await;
    browser
        .until("it is said", "document.getElementById('here').textContent === 'jobs' && !document.getElementById('here').hidden")
        .await;
    browser.run("scrollTo(0, 0)").await;
    browser.until("it is gone", "document.getElementById('here').hidden").await;
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn the_total_of_the_chosen_time_is_exact() {
    let service = Service::start();
    let info = Info::new().help("Orders.");
    let orders = service.registry.publish_with("orders", Counter::new(), info).unwrap();
    orders.add(1_000_000);
    let browser = open(&service).await;
    filter(&browser, "orders").await;
    browser.until("it is there", &row("orders")).await;
    browser.run(&format!("{}.click()", row("orders"))).await;
    browser.until("at rest", &format!("{FIGURES}['Total of this time'] === '0'")).await;
    orders.add(70_001);
    browser.until("in a minute", &format!("{FIGURES}['Total of this time'] === '70,001'")).await;
    choose(&browser, "#tools", "24 h").await;
    browser.until("in a day", &format!("{FIGURES}['Total of this time'] === '70,001'")).await;
    orders.add(2);
    browser.until("and on", &format!("{FIGURES}['Total of this time'] === '70,003'")).await;
    assert_eq!(browser.run(&format!("return {FIGURES}['Total ever']")).await, "1,070,003");
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn a_large_map_leaves_memory_its_past_and_the_note_says_what_is_kept() {
    let registry = Registry::new();
    let crowd = registry.publish("a.crowd", Map::with_limit(20_000)).unwrap();
    (0..600).for_each(|key| crowd.add(format!("{key:03}"), 1));
    let process = || json!({"resident_bytes": 50_000_000, "cgroup": {"memory_max_bytes": 1 << 30}});
    registry.publish("process", expvar::Func::new(process)).unwrap();
    let server =
        Server::builder().registry(&registry).max_series(100).spawn("127.0.0.1:0").unwrap();
    let browser = Chromium::start().await;
    browser.screen(Screen::DESKTOP).await;
    let ui = format!("{}/debug/vars/ui?span=minute&q=crowd.599&open=a.crowd.599", server.url());
    go(&browser, &ui).await;
    let note =
        "[...document.querySelectorAll('.panel [role=status]')].map((p) => p.textContent)[0]";
    let words = "Not kept for this one. The past of 100 of 602 series is kept, variables before keys of large maps.";
    browser.until("how many are kept", &format!("{note} === {words:?}")).await;
    let legend = "document.querySelector('#memory .legend').innerText.replaceAll('\\n', ' ')";
    browser
        .until(
            "a share of the limit",
            &format!("{legend}.includes('resident 47.7 MiB 4.66 % of the limit')"),
        )
        .await;
    let limit = browser.run("return document.getElementById('memory-limit').textContent").await;
    assert_eq!(limit, "limit 1.00 GiB");
    assert_eq!(
        browser.run(&format!("return {legend}.includes('limit 1')")).await,
        false,
        "it is far"
    );
}
