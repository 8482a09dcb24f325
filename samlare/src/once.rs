//! Polls every endpoint once, to standard output.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use expvar_carbon::Lines;
use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::collector::found;
use crate::config::{Config, Discover, Endpoint};
use crate::discover::{Report, Source, Target};
use crate::log::Log;
use crate::poller::Poller;
use crate::schedule::Clock;
use crate::state::{State, Taken};

/// How many endpoints are polled at the same time.
pub(crate) const AT_ONCE: usize = 256;

/// The timeout of a source.
const SOURCE_TIMEOUT: Duration = Duration::from_secs(30);

/// Every endpoint of a configuration, including discovered ones, and a line for each problem:
/// failing sources, invalid targets, endpoints that are listed twice or overwrite each other's
/// points.
///
/// Queries the sources that `wanted` accepts, all at the same time.
pub async fn gather(
    config: &Config,
    log: &Log,
    wanted: impl Fn(&Source) -> bool,
) -> (Vec<Endpoint>, Vec<String>) {
    let sources = config.discover.iter().filter(|source| wanted(&source.source.source));
    let answers = join_all(sources.map(|source| async move { (source, ask(source).await) })).await;
    let mut endpoints = config.endpoints.clone();
    let mut wrong = Vec::new();
    for (source, (targets, report, in_time)) in answers {
        let name = &report.source;
        if report.failing {
            wrong.push(format!("{name}: {}", report.last_error));
        } else if !in_time {
            wrong.push(format!("{name}: no answer within {} s", SOURCE_TIMEOUT.as_secs()));
        }
        if report.left_out > 0 {
            let Report { left_out, left_out_why, .. } = &report;
            wrong.push(format!("{name}: targets left out: {left_out}, the first: {left_out_why}"));
        }
        endpoints.extend(found(source, &targets, log, |_| true));
    }
    if let Some(shard) = config.shard {
        endpoints.retain(|endpoint| shard.owns(endpoint.target.url()));
    }
    single(&mut endpoints, config.endpoints.len(), &mut wrong);
    (endpoints, wrong)
}

/// A source's targets, its status, and whether it answered completely in time.
async fn ask(source: &Discover) -> (Arc<[Target]>, Report, bool) {
    let discovery = source.source.clone().spawn();
    let complete = async {
        while !discovery.status.is_complete() {
            discovery.status.changed().await;
        }
    };
    let in_time = tokio::time::timeout(SOURCE_TIMEOUT, complete).await.is_ok();
    let targets = discovery.targets.borrow().clone();
    (targets, discovery.status.report(), in_time)
}

/// Keeps each endpoint once; reports duplicates and shared prefixes, except among the first
/// `listed`, for which the configuration has its own warnings.
fn single(endpoints: &mut Vec<Endpoint>, listed: usize, wrong: &mut Vec<String>) {
    let mut seen: HashMap<(String, String), Vec<String>> = HashMap::new();
    let mut metrics: HashMap<String, String> = HashMap::new();
    let mut at = 0;
    endpoints.retain(|endpoint| {
        at += 1;
        let prefix = endpoint.polling.name(&endpoint.prefix);
        let (url, prefix) = (endpoint.target.url().to_owned(), prefix.as_str().to_owned());
        let others = seen.entry((String::new(), prefix.clone())).or_default();
        let shares = others.first().cloned();
        others.push(endpoint.target.to_string());
        let twice = seen.insert((url, prefix.clone()), Vec::new()).is_some();
        if at > listed && twice {
            wrong.push(format!(
                "{}: it is found or listed twice: it is polled once",
                endpoint.target
            ));
        } else if at > listed
            && let Some(other) = shares
        {
            wrong.push(format!(
                "{}: {other} has the same prefix {prefix:?}: where both have a name, only one \
                 point stays",
                endpoint.target
            ));
        }
        if !twice && let Some(metric) = &endpoint.failure_metric {
            let name = endpoint.polling.name(metric).as_str().to_owned();
            let target = endpoint.target.to_string();
            if let Some(other) = metrics.get(&name).filter(|_| at > listed) {
                wrong.push(format!(
                    "{target}: {other} has the same failure metric {name:?}: only one point stays"
                ));
            } else {
                metrics.entry(name).or_insert(target);
            }
        }
        !twice
    });
}

/// Polls endpoints once and writes the lines to `out`, in their order.
///
/// Returns a line for each problem: failed endpoints, and points that Graphite cannot store or
/// distinguish.
///
/// # Errors
/// `out` cannot be written.
pub async fn poll(endpoints: Vec<Endpoint>, out: &mut impl Write) -> std::io::Result<Vec<String>> {
    let mut wrong = Vec::new();
    let secs = Clock::System.now_ms() / 1000;
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut polls = JoinSet::new();
    for (number, endpoint) in endpoints.into_iter().enumerate() {
        let slots = slots.clone();
        polls.spawn(async move {
            let _slot = slots.acquire().await;
            let name = endpoint.target.to_string();
            let mut lines = Lines::new();
            let wrong: Vec<String> = match one(endpoint, secs, &mut lines).await {
                Ok(taken) => taken.flaws.iter().map(|flaw| format!("{name}: {flaw}")).collect(),
                Err(error) => vec![format!("{name}: {error}")],
            };
            (number, lines, wrong)
        });
    }
    let mut done = polls.join_all().await;
    done.sort_by_key(|(number, ..)| *number);
    for (_, lines, found) in done {
        out.write_all(lines.as_bytes())?;
        wrong.extend(found);
    }
    out.flush()?;
    Ok(wrong)
}

async fn one(endpoint: Endpoint, secs: u64, lines: &mut Lines) -> Result<Taken, String> {
    let state = Arc::new(State::new(String::new(), String::new(), 0));
    let mut poller = Poller::new(endpoint, state).map_err(|error| error.to_string())?;
    poller.once(secs, lines).await
}
