//! Every endpoint once, to standard output.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use expvar_carbon::Lines;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::collector::found;
use crate::config::{Config, Endpoint};
use crate::log::Log;
use crate::poller::Poller;
use crate::schedule::Clock;
use crate::state::{State, Taken};

/// How many endpoints are asked at the same time.
const AT_ONCE: usize = 256;

/// How long a source of endpoints may take to answer.
const SOURCE_TIMEOUT: Duration = Duration::from_secs(30);

/// Polls everything once and writes the lines to `out`, endpoint by endpoint in the file's order.
///
/// Returns one line for each endpoint or source that failed, naming it.
///
/// # Errors
/// `out` cannot be written.
pub async fn poll(
    config: &Config,
    log: &Log,
    out: &mut impl Write,
) -> std::io::Result<Vec<String>> {
    let mut failed = Vec::new();
    let mut endpoints = config.endpoints.clone();
    for source in &config.discover {
        let mut discovery = source.source.clone().spawn();
        let answered = discovery.targets.wait_for(|_| discovery.status.answered());
        let targets = match tokio::time::timeout(SOURCE_TIMEOUT, answered).await {
            Ok(Ok(targets)) => targets.clone(),
            _ => {
                let report = discovery.status.report();
                failed.push(format!("{}: {}", report.source, report.last_error));
                continue;
            }
        };
        endpoints.extend(found(source, &targets, log));
    }
    if let Some(shard) = config.shard {
        endpoints.retain(|endpoint| shard.owns(endpoint.target.url()));
    }

    let secs = Clock::System.now_ms() / 1000;
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut polls = JoinSet::new();
    for (number, endpoint) in endpoints.into_iter().enumerate() {
        let slots = slots.clone();
        polls.spawn(async move {
            let _slot = slots.acquire().await;
            let name = endpoint.target.to_string();
            let mut lines = Lines::new();
            let result = one(endpoint, secs, &mut lines).await;
            (number, lines, result.err().map(|error| format!("{name}: {error}")))
        });
    }
    let mut done = polls.join_all().await;
    done.sort_by_key(|(number, ..)| *number);
    for (_, lines, error) in done {
        out.write_all(lines.as_bytes())?;
        failed.extend(error);
    }
    out.flush()?;
    Ok(failed)
}

async fn one(endpoint: Endpoint, secs: u64, lines: &mut Lines) -> Result<Taken, String> {
    let state = Arc::new(State::new(String::new(), String::new(), 0));
    let mut poller = Poller::new(endpoint, state).map_err(|error| error.to_string())?;
    poller.once(secs, lines).await
}
