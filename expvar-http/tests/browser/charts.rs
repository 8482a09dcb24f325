//! Charts in the list: several under one crosshair and one time, in the address.

use serde_json::json;

use super::chromium::{Chromium, Screen};
use super::service::{FIGURES, Service, choose, filter, go, open, open_chart, row, value};

const SEARCH: &str = "return location.search";
const PANELS: &str = "document.querySelectorAll('.panel').length";

/// Where a plot is: left, top, width, height.
async fn plot(browser: &Chromium, selector: &str) -> [f64; 4] {
    let script = format!(
        "const one = document.querySelector({selector:?}); one.scrollIntoView({{block: 'center'}}); \
         const box = one.getBoundingClientRect(); return [box.left, box.top, box.width, box.height]"
    );
    let found = browser.run(&script).await;
    serde_json::from_value(found).unwrap()
}

async fn mouse(browser: &Chromium, kind: &str, x: f64, y: f64) {
    let held = kind != "mouseMoved";
    let event = json!({"type": kind, "x": x, "y": y, "clickCount": u8::from(held),
        "button": "left", "buttons": u8::from(kind != "mouseReleased")});
    browser.devtools("Input.dispatchMouseEvent", event).await;
}

/// Drags over a plot, from one share of its width to another.
async fn drag(browser: &Chromium, selector: &str, from: f64, to: f64) {
    let [left, top, width, height] = plot(browser, selector).await;
    let (y, x) = (top + height / 2.0, |share: f64| left + width * share);
    mouse(browser, "mousePressed", x(from), y).await;
    for step in 1..=5 {
        mouse(browser, "mouseMoved", x(from + (to - from) * f64::from(step) / 5.0), y).await;
    }
    mouse(browser, "mouseReleased", x(to), y).await;
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn the_address_is_the_state_and_back_closes_a_chart() {
    let service = Service::start();
    let browser = open(&service).await;
    filter(&browser, "cache").await;
    open_chart(&browser, "size").await;
    filter(&browser, "http").await;
    open_chart(&browser, "latency").await;
    assert_eq!(browser.run(&format!("return {PANELS}")).await, 2, "the first one stays");
    browser.run(&format!("{}.querySelector('.pin').click()", row("requests"))).await;
    choose(&browser, "#tools", "60 min").await;
    let link = browser.run(SEARCH).await;
    assert_eq!(link, "?q=http&span=minute&open=cache.size&open=http.latency&pin=http.requests");

    // A colleague, whose browser has kept nothing.
    browser.run("localStorage.clear()").await;
    go(&browser, &format!("{}{}", service.page(), link.as_str().unwrap())).await;
    browser.until("the same charts", &format!("{PANELS} === 2")).await;
    let same = browser
        .run(
            "return [document.getElementById('filter').value, \
             document.querySelector('.group .name').textContent, \
             [...document.querySelectorAll('.choice [aria-pressed=true]')].map((b) => b.textContent)[0]]",
        )
        .await;
    assert_eq!(same, json!(["http", "Pinned", "60 min"]));
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn back_closes_a_chart() {
    let service = Service::start();
    let browser = open(&service).await;
    filter(&browser, "latency").await;
    open_chart(&browser, "latency").await;
    assert_eq!(browser.run(SEARCH).await, "?q=latency&open=http.latency");
    browser.client.back().await.unwrap();
    browser.until("it is closed", &format!("{PANELS} === 0")).await;
    assert_eq!(browser.run(SEARCH).await, "?q=latency");
    browser.client.forward().await.unwrap();
    browser.until("it is open again", &format!("{PANELS} === 1")).await;
    assert_eq!(browser.complaints().await, [""; 0]);
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn all_charts_have_one_crosshair_and_a_drag_zooms_them_all() {
    let service = Service::start();
    let browser = open(&service).await;
    filter(&browser, "http cache").await;
    filter(&browser, "/^http|^cache/").await;
    open_chart(&browser, "size").await;
    open_chart(&browser, "requests").await;
    let known = "document.querySelector('#memory .plot').getAttribute('aria-valuemax') === '59'";
    browser.until("a minute", known).await;
    let [left, top, width, height] = plot(&browser, ".panel .plot").await;
    mouse(&browser, "mouseMoved", left + width / 2.0, top + height / 2.0).await;
    let heads =
        "new Set([...document.querySelectorAll('.legend .at')].map((li) => li.textContent))";
    let all = format!("document.querySelectorAll('.legend .at').length >= 2 && {heads}.size === 1");
    browser.until("all point at one moment", &all).await;
    let when = browser.run(&format!("return [...{heads}][0]")).await;
    let when = when.as_str().unwrap();
    assert!(when.contains(':') && when.contains(' '), "a day and a time: {when}");

    drag(&browser, ".panel .plot", 0.4, 0.7).await;
    let points =
        "[...document.querySelectorAll('.plot')].map((plot) => plot.getAttribute('aria-valuemax'))";
    let zoomed = format!("new Set({points}).size === 1 && Number({points}[0]) < 30");
    browser.until("all are zoomed", &zoomed).await;
    let search = browser.run(SEARCH).await;
    let search = search.as_str().unwrap();
    assert!(search.contains("from=") && search.contains("&to="), "{search}");
    let words = "document.getElementById('unzoom').textContent";
    browser
        .until("the time is said", &format!("/\\d\\d:\\d\\d:\\d\\d – \\d\\d:/.test({words})"))
        .await;
    browser.client.back().await.unwrap();
    browser.until("the minute again", known).await;
    assert_eq!(browser.complaints().await, [""; 0]);
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn two_variables_share_a_chart_on_request() {
    let service = Service::start();
    let browser = open(&service).await;
    filter(&browser, "requests").await;
    open_chart(&browser, "requests").await;
    choose(&browser, ".panel", "Compare").await;
    browser.until("it asks for one", "!document.getElementById('pick').hidden").await;
    filter(&browser, "cache").await;
    browser.run(&format!("{}.click()", row("size"))).await;
    let legend = "[...document.querySelectorAll('.panel .legend li')].map((li) => li.textContent)";
    let both = format!(
        "/^http.requests[\\d.]+\\/s/.test({legend}[1]) && /^cache.size[\\d.]+ MiB/.test({legend}[2])"
    );
    browser.until("both are read out", &both).await;
    assert_eq!(browser.run(SEARCH).await, "?q=cache&open=http.requests&with=cache.size");
    browser.picture("two-in-one").await;
    choose(&browser, ".panel", "Without size").await;
    browser.until("one again", &format!("{legend}.length === 2")).await;
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn a_histogram_names_its_quantiles_and_the_time_they_are_of() {
    let service = Service::start();
    let browser = open(&service).await;
    filter(&browser, "latency").await;
    let said = "/^p50 [\\d.]+ ms  p90 [\\d.]+ ms  p99 [\\d.]+ ms$/";
    browser.until("all three", &format!("{said}.test({})", value("latency"))).await;
    let note = format!("return {}.querySelector('small').textContent", row("latency"));
    assert_eq!(browser.run(&note).await, "last minute");
    open_chart(&browser, "latency").await;
    let figures = browser.run(&format!("return Object.keys({FIGURES})")).await;
    assert_eq!(figures, json!(["Now p99", "Highest p99", "Records"]));
    let help = browser.run("return document.querySelector('.panel .help').textContent").await;
    assert_eq!(help, "Time to answer. p50, p90 and p99 of the last minute.");
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn a_spike_of_a_second_is_the_maximum_of_the_hour() {
    let service = Service::start();
    let spike = service.registry.publish("spike", expvar::Gauge::new()).unwrap();
    spike.set(10);
    let browser = open(&service).await;
    filter(&browser, "spike").await;
    browser.until("it is at rest", &format!("{} === '10'", value("spike"))).await;
    spike.set(100_000);
    browser.until("it is seen", &format!("{} === '100,000'", value("spike"))).await;
    spike.set(10);
    open_chart(&browser, "spike").await;
    choose(&browser, "#tools", "60 min").await;
    browser.until("the maximum", &format!("{FIGURES}.Maximum === '100,000'")).await;
    assert_eq!(browser.run(&format!("return {FIGURES}.Minimum")).await, "10");
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn a_finger_opens_a_chart_and_drags_over_it() {
    let service = Service::start();
    let browser = open(&service).await;
    browser.screen(Screen { width: 320, height: 640, ..Screen::PHONE }).await;
    go(&browser, &format!("{}?q=latency", service.page())).await;
    let wide = "return document.documentElement.scrollWidth <= innerWidth && innerWidth === 320";
    assert_eq!(browser.run(wide).await, true);
    let inside = "const right = (id) => document.querySelector(id).getBoundingClientRect().right; \
         return right('#count') <= right('.bar')";
    assert_eq!(browser.run(inside).await, true, "the count stays in the bar");
    let touch = async |kind: &str, points: serde_json::Value| {
        let event = json!({"type": kind, "touchPoints": points});
        browser.devtools("Input.dispatchTouchEvent", event).await;
    };
    let [left, top, width, height] = plot(&browser, ".row:not(.group)").await;
    let at = |x: f64, y: f64| json!([{"x": x, "y": y}]);
    touch("touchStart", at(left + width / 2.0, top + height / 2.0)).await;
    touch("touchEnd", json!([])).await;
    browser.until("the chart is open", &format!("{PANELS} === 1")).await;
    assert_eq!(browser.run(wide).await, true);
    let [left, top, width, height] = plot(&browser, ".panel .plot").await;
    browser.until("the chart is drawn", "document.querySelector('.panel .legend b')").await;
    touch("touchStart", at(left + width * 0.5, top + height / 2.0)).await;
    for step in 1..=6 {
        touch("touchMove", at(left + width * (0.5 + 0.06 * f64::from(step)), top + height / 2.0))
            .await;
    }
    touch("touchEnd", json!([])).await;
    browser.until("it is zoomed", "location.search.includes('from=')").await;
    browser.picture("phone-320").await;
}
