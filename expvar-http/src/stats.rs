//! The servers' own statistics.

use std::sync::Once;

use expvar::{Counter, Gauge, Info, Unit};

use crate::history;

expvar::vars! {
    /// Statistics of this process's expvar servers.
    static HTTP: Map = "expvar.http", init: expvar::Map::new().members(MEMBERS);
}

/// Metadata of the keys.
const MEMBERS: &[(&str, Info)] = &[
    ("requests", Info::with_help("Requests answered, with any status.")),
    ("errors", Info::with_help("Answers with a status of 400 or more.")),
    ("bytes", Info::with_help("Bytes of answers' bodies.").unit(Unit::Bytes)),
    ("connections", Info::with_help("Connections open now.")),
    ("accepted", Info::with_help("Connections accepted.")),
    ("accept_errors", Info::with_help("Connections that could not be accepted.")),
    ("evicted", Info::with_help("Connections closed to make room for newer ones.")),
    ("rejected", Info::with_help("Connections rejected because all others were busy.")),
    ("rejected_hosts", Info::with_help("Requests rejected for their Host header.")),
    ("timed_out", Info::with_help("Connections cut because their peer was too slow.")),
    ("given_up", Info::with_help("Documents aborted because clients read them too slowly.")),
    ("pages", Info::with_help("Live pages open now.")),
    ("pages_cut", Info::with_help("Live pages disconnected because they did not read.")),
    ("history_series", Info::with_help("Series in the live page's history.")),
    ("history_evicted", Info::with_help("Series evicted from the history.")),
    (
        "last_scrape_ns",
        Info::with_help("Time to answer the last request for a document.").unit(Unit::Nanoseconds),
    ),
];

/// Requests answered, with any status.
pub(crate) static REQUESTS: Counter = Counter::new();
/// Responses with a status of 400 or more.
pub(crate) static ERRORS: Counter = Counter::new();
/// Bytes of response bodies.
pub(crate) static BYTES: Counter = Counter::new();
/// Connections open now.
pub(crate) static CONNECTIONS: Gauge = Gauge::new();
/// Connections accepted.
pub(crate) static ACCEPTED: Counter = Counter::new();
/// Connections that could not be accepted, usually for lack of file descriptors.
pub(crate) static ACCEPT_ERRORS: Counter = Counter::new();
/// Connections closed to make room for newer ones.
pub(crate) static EVICTED: Counter = Counter::new();
/// Connections closed because all others were busy.
pub(crate) static REJECTED: Counter = Counter::new();
/// Documents dropped because clients read them too slowly.
pub(crate) static GIVEN_UP: Counter = Counter::new();
/// Requests rejected because of their host name.
pub(crate) static REJECTED_HOSTS: Counter = Counter::new();
/// Connections closed by a timeout.
pub(crate) static TIMED_OUT: Counter = Counter::new();
/// Duration of the last request for a document in nanoseconds.
pub(crate) static LAST_SCRAPE_NS: Gauge = Gauge::new();

/// Publishes the map `expvar.http`, once.
pub(crate) fn show() {
    static SHOWN: Once = Once::new();
    SHOWN.call_once(|| {
        HTTP.set("requests", &REQUESTS);
        HTTP.set("errors", &ERRORS);
        HTTP.set("bytes", &BYTES);
        HTTP.set("connections", &CONNECTIONS);
        HTTP.set("accepted", &ACCEPTED);
        HTTP.set("accept_errors", &ACCEPT_ERRORS);
        HTTP.set("evicted", &EVICTED);
        HTTP.set("rejected", &REJECTED);
        HTTP.set("rejected_hosts", &REJECTED_HOSTS);
        HTTP.set("timed_out", &TIMED_OUT);
        HTTP.set("given_up", &GIVEN_UP);
        HTTP.set("pages", &history::WATCHERS);
        HTTP.set("pages_cut", &history::CUT);
        HTTP.set("history_series", &history::SERIES);
        HTTP.set("history_evicted", &history::EVICTED);
        HTTP.set("last_scrape_ns", &LAST_SCRAPE_NS);
    });
}
