//! Who holds the memory: the heap profile as a flame graph.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use expvar::Registry;
use expvar_http::{Page, Server};
use serde_json::json;

use super::chromium::{Chromium, Screen};
use super::service::{choose, go};

const FRAMES: &str = "[...document.querySelectorAll('.flame button')]";

/// A service whose profile says what a test wants: `leak` grows when it is asked to.
fn server(leak: Arc<AtomicU64>) -> Server {
    let registry = Registry::new();
    let memory = || json!({"HeapAlloc": 40 << 20});
    registry.publish("memstats", expvar::Func::new(memory)).unwrap();
    registry.publish("heap.top", expvar::Func::new(|| json!({"leak": {"bytes": 9}}))).unwrap();
    let find = move |uri: http::Uri| {
        let leaked = leak.load(Relaxed) << 20;
        async move {
            let profile = json!({
                "functions": ["main", "serve", "parse", "leak<T>", "</button><b>"],
                "rate": 524_288,
                "stacks": [
                    [[0, 1, 2], 10 << 20, 100],
                    [[0, 1, 3], leaked, 50],
                    [[0, 1, 3, 3], 1 << 20, 2],
                    [[0, 4], 4 << 20, 1],
                ],
            });
            let is_profile = uri.path() == "/debug/pprof/heap" && uri.query() == Some("stacks");
            is_profile.then(|| Page::new("application/json", profile.to_string()))
        }
    };
    Server::builder().registry(&registry).pages(find).spawn("127.0.0.1:0").unwrap()
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn live_bytes_are_a_graph_that_zooms_and_is_searched() {
    let leak = Arc::new(AtomicU64::new(5));
    let server = server(Arc::clone(&leak));
    let browser = Chromium::start().await;
    browser.screen(Screen::DESKTOP).await;
    go(&browser, &format!("{}/debug/vars/ui", server.url())).await;
    browser.run("document.getElementById('heap').click()").await;
    browser.until("the graph", &format!("{FRAMES}.length === 7")).await;
    let says = |name: &str| {
        format!("{FRAMES}.find((one) => one.textContent === {name:?})?.getAttribute('aria-label')")
    };
    assert_eq!(
        browser.run(&format!("return [{}, {}]", says("parse"), says("</button><b>"))).await,
        json!(["parse: 10.0 MiB, 50.0 % of all", "</button><b>: 4.00 MiB, 20.0 % of all"])
    );
    let table = "[...document.querySelectorAll('.sites tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent))";
    assert_eq!(
        browser.run(&format!("return {table}.slice(0, 3)")).await,
        json!([
            ["parse", "10.0 MiB", "10.0 MiB"],
            ["leak<T>", "6.00 MiB", "6.00 MiB"],
            ["</button><b>", "4.00 MiB", "4.00 MiB"],
        ]),
        "a function that calls itself counts once"
    );
    // By keyboard: down to what holds most, beside it, into it, and out again.
    browser.run(&format!("{FRAMES}[0].focus()")).await;
    browser.press(&["ArrowDown", "ArrowDown", "ArrowDown", "ArrowRight"]).await;
    let focus = "return document.activeElement.textContent";
    assert_eq!(browser.run(focus).await, "leak<T>");
    browser.press(&["Enter"]).await;
    let wide = format!(
        "Math.abs({FRAMES}.find((one) => one.textContent === 'leak<T>').offsetWidth - document.querySelector('.flame').offsetWidth) < 2"
    );
    browser.until("it takes the whole width", &wide).await;
    assert_eq!(browser.run("return location.search").await, "?heap=1");
    browser.press(&["Escape"]).await;
    browser.until("all again", &format!("{FRAMES}.length === 7")).await;
    browser
        .run("const box = document.querySelector('.heap input'); box.value = 'LEAK'; box.dispatchEvent(new Event('input'))")
        .await;
    let note = "document.querySelector('.heap [role=status]').textContent";
    browser
        .until(
            "the sum of what matches",
            &format!("{note}.endsWith('What matches holds 6.00 MiB.')"),
        )
        .await;
    browser.picture("flame-desktop").await;
    assert_eq!(browser.complaints().await, [""; 0]);
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn a_difference_is_red_where_memory_grew() {
    let leak = Arc::new(AtomicU64::new(5));
    let server = server(Arc::clone(&leak));
    let browser = Chromium::start().await;
    for (name, screen) in [
        ("desktop-dark", Screen { dark: true, ..Screen::DESKTOP }),
        ("phone", Screen { width: 320, height: 640, ..Screen::PHONE }),
    ] {
        leak.store(5, Relaxed);
        browser.screen(screen).await;
        go(&browser, &format!("{}/debug/vars/ui?heap=1", server.url())).await;
        browser.until("the graph", &format!("{FRAMES}.length === 7")).await;
        leak.store(13, Relaxed);
        choose(&browser, ".heap", "Difference").await;
        let grown = format!(
            "{FRAMES}.some((one) => one.className === 'up' && one.title === 'leak<T>: 14.0 MiB, 50.0 % of all, +8.00 MiB')"
        );
        browser.until("what grew", &grown).await;
        let table = "document.querySelector('.sites tbody tr').textContent";
        browser
            .until("and first in the table", &format!("{table} === 'leak<T>8.00 MiB8.00 MiB'"))
            .await;
        leak.store(2, Relaxed);
        choose(&browser, ".heap", "Read again").await;
        let shrunk = format!(
            "{FRAMES}.some((one) => one.className === 'down' && one.title.startsWith('leak<T>: 3.00 MiB'))"
        );
        browser.until("what shrank", &shrunk).await;
        let wide = "return document.documentElement.scrollWidth <= innerWidth";
        assert_eq!(browser.run(wide).await, true, "{name}");
        browser.run("document.querySelector('.flame').scrollIntoView({block: 'center'})").await;
        browser.picture(&format!("flame-{name}")).await;
    }
}

#[cfg(feature = "pprof")]
#[tokio::test]
#[ignore = "needs chromium"]
async fn the_real_profile_names_who_holds_the_memory() {
    use std::hint::black_box;

    #[inline(never)]
    fn holds(mib: usize) -> Vec<Vec<u8>> {
        (0..mib).map(|_| black_box(vec![1; 1 << 20])).collect()
    }
    #[inline(never)]
    fn fills_a_cache() -> Vec<Vec<u8>> {
        black_box(holds(64))
    }
    #[inline(never)]
    fn grows_later() -> Vec<Vec<u8>> {
        black_box(holds(32))
    }
    expvar::heap::start(64 << 10);
    let server = expvar_http::spawn("127.0.0.1:0").unwrap();
    // What was drawn before the rate was set ends within this.
    drop(black_box(vec![1_u8; 1 << 20]));
    let cache = black_box(fills_a_cache());
    let browser = Chromium::start().await;
    browser.screen(Screen::DESKTOP).await;
    go(&browser, &format!("{}/debug/vars/ui?heap=1", server.url())).await;
    let frame = |name: &str| format!("{FRAMES}.find((one) => one.textContent.endsWith({name:?}))");
    let says = |name: &str| format!("{}?.title ?? ''", frame(name));
    let cache_frame = "::fills_a_cache";
    let held = format!("/::fills_a_cache: 6[45]\\.\\d MiB, /.test({})", says(cache_frame));
    browser.until("who holds the memory", &held).await;
    browser.run("document.querySelector('.flame').scrollIntoView({block: 'center'})").await;
    browser.picture("flame-real").await;
    // By mouse.
    browser.run(&format!("{}.click()", frame(cache_frame))).await;
    let wide = format!(
        "{}.offsetWidth > 0.98 * document.querySelector('.flame').offsetWidth",
        frame(cache_frame)
    );
    browser.until("zoomed in", &wide).await;
    browser.press(&["ArrowDown"]).await;
    let focus = "document.activeElement.textContent";
    browser.until("by keyboard, what it calls", &format!("{focus}.endsWith('::holds')")).await;
    browser.press(&["ArrowUp"]).await;
    browser.until("and back", &format!("{focus}.endsWith({cache_frame:?})")).await;
    browser.press(&["Escape"]).await;
    browser.until("all again", &format!("{focus} === 'all'")).await;
    // By name.
    browser
        .run("const box = document.querySelector('.heap input'); box.value = 'CACHE'; box.dispatchEvent(new Event('input'))")
        .await;
    let note = "document.querySelector('.heap [role=status]').textContent";
    let sum = format!("/What matches holds 6[45]\\.\\d MiB\\.$/.test({note})");
    browser.until("what matches", &sum).await;
    browser
        .run("const box = document.querySelector('.heap input'); box.value = ''; box.dispatchEvent(new Event('input'))")
        .await;
    // Two moments.
    choose(&browser, ".heap", "Difference").await;
    browser
        .until("a difference", &format!("{FRAMES}.some((one) => one.className === 'same')"))
        .await;
    let grown = black_box(grows_later());
    drop(cache);
    choose(&browser, ".heap", "Read again").await;
    let both = format!(
        "{}?.className === 'up' && {}?.className === 'down'",
        frame("::grows_later"),
        frame(cache_frame)
    );
    browser.until("red and blue", &both).await;
    let moved = format!(
        "/\\+32\\.\\d MiB$/.test({}) && /−6[45]\\.\\d MiB$/.test({})",
        says("::grows_later"),
        says(cache_frame)
    );
    browser.until("by how much", &moved).await;
    browser.picture("flame-real-difference").await;
    browser.screen(Screen { width: 320, height: 640, ..Screen::PHONE }).await;
    let fits = "return document.documentElement.scrollWidth <= innerWidth";
    assert_eq!(browser.run(fits).await, true);
    browser.run("document.querySelector('.flame').scrollIntoView({block: 'center'})").await;
    browser.picture("flame-real-phone").await;
    assert_eq!(browser.complaints().await, [""; 0]);
    drop(grown);
}
