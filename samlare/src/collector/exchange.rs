//! Exchanges the output's settings while endpoints are polled.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::config::{Carbon, Places, Problem};
use crate::log::{Level, Log};
use crate::outage;
use crate::output::Settings;
use crate::poller::Common;

/// Settings for the output.
#[derive(Clone)]
pub(super) struct OutputSettings {
    pub(super) carbon: Option<Carbon>,
    /// Where the file has the settings.
    pub(super) places: Places,
    pub(super) within: Duration,
    pub(super) log: Log,
}

/// Exchanges the output's settings as often as others are settings for.
pub(super) async fn exchange(
    common: Arc<Common>,
    mut used: Settings,
    mut settings: watch::Receiver<OutputSettings>,
) {
    while settings.changed().await.is_ok() {
        let OutputSettings { carbon, places, within, log } = settings.borrow_and_update().clone();
        let read = tokio::task::spawn_blocking(move || Settings::of(carbon)).await;
        let Ok(wanted) = read else { continue };
        if wanted == used {
            continue;
        }
        let is_kept = common.output.has_spool();
        match common.output.exchange(wanted.carbon.as_ref(), within).await {
            Ok(unsent) => {
                let carbon = wanted.carbon.as_ref();
                let to = carbon.map_or("standard output".to_owned(), |c| c.routing.urls.join(", "));
                used = wanted;
                log.event(Level::Info, "the Carbon settings have changed", &[("to", &to)]);
                outage::unsent(&log, &unsent, is_kept);
            }
            Err(error) => {
                log_problem(&log, "the old Carbon settings stay", &places.problem(&error));
            }
        }
    }
}

pub(super) fn log_problem(log: &Log, message: &str, problem: &Problem) {
    log.event(
        Level::Error,
        message,
        &[("line", &problem.line), ("key", &problem.key), ("error", &problem.message)],
    );
}
