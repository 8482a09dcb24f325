//! The members on samlare's page, in a real browser.

#[path = "../../expvar-http/tests/browser/chromium.rs"]
#[allow(dead_code, reason = "the live page's tests use the rest")]
mod chromium;
#[path = "support/program.rs"]
mod program;

use std::io::Write;

use chromium::{Chromium, Screen};
use expvar_peers::EtcdCluster;
use program::{Program, Service, document, free_port};
use samlare::cluster::Owners;
use serde_json::json;

#[tokio::test]
#[ignore = "needs etcd and chromium: .ci/peers.sh installs them"]
async fn the_page_shows_the_members_what_is_wrong_and_who_polls_a_url() {
    let etcd = EtcdCluster::start(1);
    let service = Service::start(|_, stream| drop(stream.write_all(&document("{\"n\": 1}"))));
    let start = |name: &str, listen: u16, interval: u64| {
        Program::start(&format!(
            "Listen = \"127.0.0.1:{listen}\"\nCheckInterval = {interval}\nTimeout = 400\n\
             [[endpoint]]\nURL = \"{}\"\nPrefix = \"a\"\n\
             [cluster]\nEngine = \"{}\"\nName = \"{name}\"\nTtl = 2000\n",
            service.url("/a"),
            etcd.engine()
        ))
    };
    let port = free_port();
    let (_a, _b) = (start("a<b>", port, 4000), start("b", free_port(), 5000));
    let browser = Chromium::start().await;
    let origin = format!("http://127.0.0.1:{port}");
    let rows =
        "[...document.querySelectorAll('#members tr')].map((row) => row.cells[0].textContent)";
    for (size, screen) in [("desktop", Screen::DESKTOP), ("phone", Screen::PHONE)] {
        browser.screen(screen).await;
        browser.client.goto(&origin).await.unwrap();
        browser.until("both are listed", &format!("{rows}.length === 2")).await;
        assert_eq!(browser.run(&format!("return {rows}")).await, json!(["a<b> (this one)", "b"]));
        let engine =
            browser.run("return document.getElementById('cluster-engine').textContent").await;
        assert!(engine.as_str().unwrap().contains("answers"), "{engine}");
        let red = "[...document.querySelectorAll('#members .other')].map((cell) => \
                   cell.parentElement.cells[0].textContent)";
        browser.until("b has another configuration", &format!("{red}.length === 1")).await;
        assert_eq!(browser.run(&format!("return {red}")).await, json!(["b"]));
        let troubles = "document.getElementById('troubles').textContent";
        let said = format!("{troubles}.includes('b has another configuration')");
        browser.until("it is said", &said).await;
        let ask = format!(
            "const box = document.getElementById('owner-url'); box.value = '{}'; \
             box.form.requestSubmit()",
            service.url("/a")
        );
        browser.run(&ask).await;
        let owner = Owners::new(["a<b>", "b"], 1);
        let owner = owner.of(&service.url("/a"))[0];
        let shown = format!("document.getElementById('owners').textContent === '{owner}'");
        browser.until("its owner", &shown).await;
        let wide = browser.run("return document.documentElement.scrollWidth <= innerWidth").await;
        assert_eq!(wide, true, "{size}: the page is wider than the window");
        browser.picture(&format!("samlare-cluster-{size}")).await;
    }
    assert_eq!(browser.complaints().await, [""; 0]);
}
