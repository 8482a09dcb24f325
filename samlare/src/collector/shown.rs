//! What a collector shows: its endpoints and samlare's own variables.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use expvar::{Func, Info, Registry, Unit};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use super::Collector;
use crate::cluster::Status as ClusterStatus;
use crate::config::Endpoint;
use crate::output::Output;
use crate::state::{Report, State};

/// Metadata of an endpoint's report.
const ENDPOINT: &[(&str, Info)] = &[
    ("up", Info::with_help("1 if the last poll succeeded, else 0.")),
    ("interval_ms", Info::with_help("Time between two polls.").unit(Unit::Milliseconds)),
    ("polls", Info::with_help("Completed polls of the endpoint, failed ones included.").counter()),
    ("failures", Info::with_help("Polls of the endpoint that failed.").counter()),
    ("failures_in_row", Info::with_help("Consecutive failed polls up to the last.")),
    ("skipped", Info::with_help("Slots skipped because a poll was still running.").counter()),
    ("last_ms", Info::with_help("How long the last poll took.").unit(Unit::Milliseconds)),
    ("last_bytes", Info::with_help("Size of the last document.").unit(Unit::Bytes)),
    ("last_points", Info::with_help("Points of the last document.")),
    (
        "last_conflicts",
        Info::with_help("Points of the last document with the name of an earlier one."),
    ),
    ("last_rejected", Info::with_help("Points of the last document that were not sent.")),
];

/// Metadata of a source's report.
const SOURCE: &[(&str, Info)] = &[
    ("targets", Info::with_help("Targets of the current set.")),
    ("answers", Info::with_help("How many times the source answered.").counter()),
    ("changes", Info::with_help("How many times the set changed.").counter()),
    ("failures", Info::with_help("How many times the source failed.").counter()),
    ("failing", Info::with_help("1 if the last attempt failed, else 0.")),
    ("left_out", Info::with_help("Targets of the last answer that cannot be used.")),
];

const REASON: &[Cow<'static, str>] = &[Cow::Borrowed("reason")];

/// Metadata of `samlare.sender`.
const SENDER: &[(&str, Info)] = &[
    ("points_sent", Info::with_help("Points written to Carbon for the first time.").counter()),
    ("points_resent", Info::with_help("Points written again after a lost connection.").counter()),
    ("points_dropped", Info::with_help("Points dropped because the queue was full.").counter()),
    ("points_unprotected", Info::with_help("Points that cannot be sent again any more.").counter()),
    ("points_rounded", Info::with_help("Integers that Carbon rounds.").counter()),
    (
        "points_rejected",
        Info::with_help("Points that cannot be sent, by reason.").counter().keyed(REASON),
    ),
    ("queue_bytes", Info::with_help("Memory of the fullest queue.").unit(Unit::Bytes)),
    ("queue_points", Info::with_help("Points that wait in the fullest queue.")),
    ("connects", Info::with_help("Connections made to Carbon.").counter()),
    ("failures", Info::with_help("Connections not made, or lost.").counter()),
    (
        "last_success_age_secs",
        Info::with_help("Time since something was last written.").unit(Unit::Seconds),
    ),
    ("spool_bytes", Info::with_help("Bytes kept on disk.").unit(Unit::Bytes)),
    ("spool_failures", Info::with_help("Writes to the spool that failed.").counter()),
    ("spool_records_damaged", Info::with_help("Damaged records found in the spool.").counter()),
];

/// Metadata of `samlare.otlp`.
const OTLP: &[(&str, Info)] = &[
    ("requests", Info::with_help("Requests that got a response, with any status.").counter()),
    ("requests_retried", Info::with_help("Requests that were sent again.").counter()),
    (
        "sent_bytes",
        Info::with_help("Bytes of the requests that got a response.").counter().unit(Unit::Bytes),
    ),
    ("points_accepted", Info::with_help("Points accepted by the server.").counter()),
    ("points_rejected", Info::with_help("Points rejected by the server.").counter()),
    ("points_dropped", Info::with_help("Points dropped because the queue was full.").counter()),
];

const MEMBER: &[Cow<'static, str>] = &[Cow::Borrowed("member")];

/// Metadata of `samlare.cluster`.
pub(super) const CLUSTER: &[(&str, Info)] = &[
    ("engine", Info::with_help("The engine that keeps the list of members.")),
    ("engine_up", Info::with_help("1 while the engine answers, else 0.")),
    ("engine_error", Info::with_help("Why the engine does not answer.")),
    ("requests", Info::with_help("Requests to the engine.").counter()),
    ("lease", Info::with_help("Whether this member's lease is held, unknown or gone.")),
    ("leases_lost", Info::with_help("How many times the lease was found gone.").counter()),
    ("name", Info::with_help("This member's name.")),
    ("group", Info::with_help("The group that shares the endpoints.")),
    ("replicas", Info::with_help("How many members poll each endpoint.")),
    ("changes", Info::with_help("How many times members joined or left.").counter()),
    (
        "failures_withheld",
        Info::with_help("Failures not sent because this member may have been cut off.").counter(),
    ),
    ("members", Info::with_help("The members of the group.").keyed(MEMBER).members(CLUSTER_MEMBER)),
    ("troubles", Info::with_help("Problems of the cluster, with remedies.")),
    ("other_groups", Info::with_help("Other groups in the same engine.")),
];

/// Metadata of a member in `samlare.cluster`.
const CLUSTER_MEMBER: &[(&str, Info)] = &[
    ("since", Info::with_help("When the member joined.")),
    ("since_secs", Info::with_help("When the member joined, in Unix time.").unit(Unit::Seconds)),
    ("endpoints", Info::with_help("Endpoints that the member polls.")),
    ("points", Info::with_help("Points of the member's last polls.")),
    ("config", Info::with_help("A hash of the member's configuration.")),
    ("other_config", Info::with_help("1 if the member's configuration differs, else 0.")),
    ("leaving", Info::with_help("1 once the member has begun to leave, else 0.")),
    ("version", Info::with_help("The version of the member's program.")),
];

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
        self.0.lock().clone()
    }

    /// How the cluster is doing, where there is one.
    pub fn cluster(&self) -> Option<Arc<ClusterStatus>> {
        self.1.lock().clone()
    }

    /// How many endpoints this process owns, and how many points their last polls had.
    pub(super) fn counted(&self) -> (u64, u64) {
        let polled = self.0.lock();
        let own = polled.iter().filter(|polled| polled.is_owned);
        own.fold((0, 0), |(count, points), polled| (count + 1, points + polled.state.last_points()))
    }
}

impl Collector {
    /// Publishes samlare's own variables.
    pub(super) fn show(&self, registry: &Registry) {
        let states = self.states();
        let endpoints = Func::new(move || named(states.reports())).members(ENDPOINT);
        let common = self.common.clone();
        let sender = Func::new(move || sender(&common.output)).members(SENDER);
        let statuses = self.statuses.clone();
        let discover = Func::new(move || {
            let statuses = statuses.lock().clone();
            let reports = statuses.iter().map(|status| status.report());
            reports.map(|report| (report.source.clone(), report)).collect::<BTreeMap<_, _>>()
        })
        .members(SOURCE);
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
            info("State of the sources of endpoints.").label("source"),
        );
        let common = self.common.clone();
        let otlp = Func::new(move || common.otlp.shown()).members(OTLP);
        let _ = registry.publish_with("samlare.otlp", otlp, info("Statistics of the OTLP sender."));
        let _ = registry.publish_with("samlare.sender", sender, info("Statistics of the sender."));
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
    let rejected: Map<String, Value> =
        stats.refused.iter().map(|(reason, count)| (reason.name().into(), count.into())).collect();
    json!({
        "points_sent": stats.points_sent,
        "points_resent": stats.points_resent,
        "points_dropped": stats.points_dropped,
        "points_unprotected": stats.points_unprotected,
        "points_rounded": stats.points_rounded,
        "points_rejected": rejected,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Report;

    fn names(metadata: &[(&'static str, Info)]) -> Vec<&'static str> {
        metadata.iter().map(|(name, _)| *name).collect()
    }

    #[test]
    fn every_field_of_the_cluster_has_metadata_in_its_order() {
        let mut report = Report::default();
        report.members.entry("a".to_owned()).or_default();
        let shown = expvar::Registry::new();
        shown.publish("cluster", Func::new(move || report.clone())).unwrap();
        let text = shown.to_json();
        let order = |names: Vec<&str>| {
            let mut rest = &text[..];
            for name in &names {
                let key = format!("\"{name}\":");
                rest = rest.split_once(&key).unwrap_or_else(|| panic!("{name} in {text}")).1;
            }
        };
        order(names(CLUSTER));
        let document: Value = serde_json::from_str(&text).unwrap();
        let cluster = document["cluster"].as_object().unwrap();
        assert_eq!(cluster.len(), CLUSTER.len(), "{text}");
        assert_eq!(cluster["members"]["a"].as_object().unwrap().len(), CLUSTER_MEMBER.len());
        order(names(CLUSTER_MEMBER));
    }
}
