//! Waiting for what a source of targets finds, for tests.
#![allow(dead_code, unreachable_pub)]

use std::time::Duration;

use samlare::discover::{Discovery, Report};
use tokio::time::timeout;

/// How long anything may take on a busy machine before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// `url prefix` of each target.
pub fn seen(discovery: &mut Discovery) -> Vec<String> {
    let targets = discovery.targets.borrow_and_update();
    targets.iter().map(|target| format!("{} {}", target.url, target.prefix)).collect()
}

/// The next set of targets.
pub async fn changed(discovery: &mut Discovery) -> Vec<String> {
    timeout(PATIENCE, discovery.targets.changed())
        .await
        .unwrap_or_else(|_| panic!("no change: {:?}", discovery.status.report()))
        .expect("the watch runs");
    seen(discovery)
}

/// Waits until the status says so.
pub async fn until(discovery: &Discovery, what: impl Fn(&Report) -> bool) {
    timeout(PATIENCE, async {
        while !what(&discovery.status.report()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("never came: {:?}", discovery.status.report()));
}
