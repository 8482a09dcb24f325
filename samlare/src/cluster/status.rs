//! The status of the cluster, for the page and the variables.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;

use super::owners::Owners;

/// The status of the cluster, shared with its readers.
#[derive(Debug, Default)]
pub struct Status {
    current: Mutex<Current>,
}

#[derive(Debug, Default)]
pub(super) struct Current {
    pub(super) report: Report,
    pub(super) owners: Owners,
}

/// [`Status`] at one moment; holds no secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The engine.
    pub engine: String,
    /// 1 while the engine answers, else 0: the last members then stay in force.
    pub engine_up: u8,
    /// Why it does not answer; empty while it does.
    pub engine_error: String,
    /// Requests that this member has sent to the engine.
    pub requests: u64,
    /// `held`, `unknown` while the engine is unreachable, or `gone`.
    pub lease: &'static str,
    /// How often the lease was found gone.
    pub leases_lost: u64,
    /// This member's name.
    pub name: String,
    /// The group that shares the endpoints.
    pub group: String,
    /// How many members poll each endpoint.
    pub replicas: usize,
    /// How often members joined or left.
    pub changes: u64,
    /// Failures that were not sent because this member may have been partitioned.
    pub failures_withheld: u64,
    /// The members, by name.
    pub members: BTreeMap<String, Member>,
    /// Problems, with remedies.
    pub troubles: Vec<String>,
    /// Other groups in the same engine.
    pub other_groups: Vec<String>,
}

/// One member in a [`Report`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Member {
    /// When it joined, as in `2026-11-27T03:10:00Z`.
    pub since: String,
    /// The same in Unix seconds.
    pub since_secs: u64,
    /// How many endpoints it polls.
    pub endpoints: u64,
    /// How many points the last polls had.
    pub points: u64,
    /// A hash of its configuration.
    pub config: String,
    /// 1 if that differs from this member's.
    pub other_config: u8,
    /// 1 once it has begun to leave.
    pub leaving: u8,
    /// Its program's version.
    pub version: String,
}

impl Status {
    /// The current status.
    pub fn report(&self) -> Report {
        self.lock().report.clone()
    }

    /// The names of the members that poll the endpoint at this URL, heaviest first.
    pub fn owners(&self, url: &str) -> Vec<String> {
        self.lock().owners.of(url).into_iter().map(str::to_owned).collect()
    }

    /// The owners.
    pub fn shared_by(&self) -> Owners {
        self.lock().owners.clone()
    }

    pub(crate) fn withheld(&self, failures: u64) {
        self.lock().report.failures_withheld = failures;
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock()
    }
}

/// Unix milliseconds as readable text.
pub(super) fn written(ms: u64) -> String {
    // A member may publish any number; the year 9999 is the last shown.
    let ms = ms.min(253_402_300_799_000);
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
    humantime::format_rfc3339_seconds(time).to_string()
}
