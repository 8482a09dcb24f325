//! What a collector shows: its endpoints and samlare's own variables.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use expvar::{Func, Info, Registry};
use serde_json::{Map, Value, json};

use super::Collector;
use crate::cluster::Status as ClusterStatus;
use crate::config::Endpoint;
use crate::output::Output;
use crate::state::{Report, State};

/// The polled endpoints and the cluster, for pages and variables.
#[derive(Clone, Default)]
pub struct States(pub(super) Arc<Mutex<Vec<Polled>>>, pub(super) ClusterShown);

/// How the cluster is doing, where there is one.
pub(super) type ClusterShown = Arc<Mutex<Option<Arc<ClusterStatus>>>>;

/// An endpoint and its state.
#[derive(Clone)]
pub struct Polled {
    /// Where and how it is polled.
    pub endpoint: Endpoint,
    /// Its state.
    pub state: Arc<State>,
    /// Whether this process still owns it.
    pub(super) is_owned: bool,
}

impl States {
    /// Each endpoint's report, in the order of their URLs.
    pub fn reports(&self) -> Vec<Report> {
        self.polled().iter().map(|polled| polled.state.report()).collect()
    }

    /// The endpoints themselves, in the same order.
    pub fn polled(&self) -> Vec<Polled> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How the cluster is doing, where there is one.
    pub fn cluster(&self) -> Option<Arc<ClusterStatus>> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many endpoints this process owns, and how many points their last polls had.
    pub(super) fn counted(&self) -> (u64, u64) {
        let polled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = polled.iter().filter(|polled| polled.is_owned);
        own.fold((0, 0), |(count, points), polled| (count + 1, points + polled.state.last_points()))
    }
}

impl Collector {
    /// Publishes samlare's own variables.
    pub(super) fn show(&self, registry: &Registry) {
        let states = self.states();
        let endpoints = Func::new(move || named(states.reports()));
        let common = self.common.clone();
        let sender = Func::new(move || sender(&common.output));
        let statuses = self.statuses.clone();
        let discover = Func::new(move || {
            let statuses = statuses.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let reports = statuses.iter().map(|status| status.report());
            reports.map(|report| (report.source.clone(), report)).collect::<BTreeMap<_, _>>()
        });
        let info = |help| Info::new().help(help);
        // A name that is taken stays its owner's.
        let _ = registry.publish_with(
            "samlare.endpoints",
            endpoints,
            info("Each endpoint's state.").label("endpoint"),
        );
        let _ = registry.publish_with(
            "samlare.discover",
            discover,
            info("How the sources of endpoints are doing.").label("source"),
        );
        let common = self.common.clone();
        let otlp = Func::new(move || common.otlp.shown());
        let _ =
            registry.publish_with("samlare.otlp", otlp, info("What the sender of OTLP counts."));
        let _ = registry.publish_with("samlare.sender", sender, info("What the sender counts."));
    }
}

/// Reports by URL; duplicates get a number.
fn named(reports: Vec<Report>) -> Map<String, Value> {
    let mut named = Map::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for report in reports {
        let number = seen.entry(report.url.clone()).or_default();
        *number += 1;
        let name = match *number {
            1 => report.url.clone(),
            number => format!("{} #{number}", report.url),
        };
        named.insert(name, serde_json::to_value(report).unwrap_or(Value::Null));
    }
    named
}

fn sender(output: &Output) -> Value {
    let Some(stats) = output.stats() else { return json!({}) };
    let refused: Map<String, Value> =
        stats.refused.iter().map(|(reason, count)| (reason.name().into(), count.into())).collect();
    json!({
        "points_sent": stats.points_sent,
        "points_resent": stats.points_resent,
        "points_dropped": stats.points_dropped,
        "points_unprotected": stats.points_unprotected,
        "points_rounded": stats.points_rounded,
        "refused": refused,
        "queue_bytes": stats.queue_bytes,
        "queue_points": stats.queue_points,
        "connects": stats.connects,
        "failures": stats.failures,
        "last_error": stats.last_error,
        "last_success_age_secs": stats.last_success_age.map(|age| age.as_secs_f64()),
        "spool_bytes": stats.spool_bytes,
        "spool_failures": stats.spool_failures,
        "spool_records_damaged": stats.spool_records_damaged,
    })
}
