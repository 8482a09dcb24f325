//! What the server shows of itself.

use std::sync::Once;

use expvar::{Counter, Gauge};

use crate::history;

expvar::vars! {
    /// What the servers of variables in this process did and do.
    static HTTP: Map = "expvar.http";
}

/// Requests answered, whatever the answer.
pub(crate) static REQUESTS: Counter = Counter::new();
/// Answers with a status of 400 or more.
pub(crate) static ERRORS: Counter = Counter::new();
/// Bytes of answers' bodies.
pub(crate) static BYTES: Counter = Counter::new();
/// Connections open now.
pub(crate) static CONNECTIONS: Gauge = Gauge::new();
/// Connections accepted.
pub(crate) static ACCEPTED: Counter = Counter::new();
/// Connections that could not be accepted, mostly for want of file descriptors.
pub(crate) static ACCEPT_ERRORS: Counter = Counter::new();
/// Connections closed to make room for newer ones.
pub(crate) static EVICTED: Counter = Counter::new();
/// Connections turned away because all others were busy.
pub(crate) static REFUSED: Counter = Counter::new();
/// Documents that clients were reading too slowly, given up to bound memory.
pub(crate) static GIVEN_UP: Counter = Counter::new();
/// Requests refused because of the name that they gave the server.
pub(crate) static REFUSED_HOSTS: Counter = Counter::new();
/// Connections cut because their peer did not send, or did not read, in time.
pub(crate) static TIMED_OUT: Counter = Counter::new();
/// Nanoseconds from a request for a document to its answer, the last time.
pub(crate) static LAST_SCRAPE_NS: Gauge = Gauge::new();

/// Fills the map `expvar.http`, once.
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
        HTTP.set("refused", &REFUSED);
        HTTP.set("refused_hosts", &REFUSED_HOSTS);
        HTTP.set("timed_out", &TIMED_OUT);
        HTTP.set("given_up", &GIVEN_UP);
        HTTP.set("pages", &history::WATCHERS);
        HTTP.set("pages_cut", &history::CUT);
        HTTP.set("history_series", &history::SERIES);
        HTTP.set("history_evicted", &history::EVICTED);
        HTTP.set("last_scrape_ns", &LAST_SCRAPE_NS);
    });
}
