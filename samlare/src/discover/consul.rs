//! Discovery in Consul's catalog.
//!
//! Each service is watched by a blocking query: the agent answers on a change, or after
//! [`Discover::refresh`](super::Discover). If no services are configured, the catalog's list is
//! watched in the same way. Failed queries are retried with increasing pauses of up to a minute;
//! known targets stay.

mod entries;
mod query;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::status::Publisher;
use super::{Labels, Problem, Settings, Source};
use query::Query;

/// The default wait for a change, equal to Consul's own.
pub(super) const WAIT: Duration = Duration::from_secs(300);
/// The longest wait.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(600);

/// The most services that are watched.
const MAX_SERVICES: usize = 10_000;

/// The most pending answers.
const WAITING: usize = 64;

/// What to query from Consul.
#[derive(Clone)]
pub struct Consul {
    /// The agent's URL without a path: `http://127.0.0.1:8500`.
    pub address: String,
    /// The services; empty for all.
    pub services: Vec<String>,
    /// Only instances with all of these tags.
    pub tags: Vec<String>,
    /// The datacenter. Default: the agent's own.
    pub datacenter: Option<String>,
    /// Whether to include only instances that pass their checks.
    pub passing: bool,
    /// The token, sent as `X-Consul-Token`.
    pub token: Option<String>,
    /// A file with the token, read before each request.
    pub token_file: Option<PathBuf>,
    /// PEM certificates to trust for https in addition to the system's.
    pub ca_file: Option<PathBuf>,
}

/// The source of a table with `Consul`.
pub(super) fn source(settings: &Settings, problems: &mut Vec<Problem>) -> Option<Source> {
    let address = settings.consul.as_deref().unwrap_or_default();
    let before = problems.len();
    if settings.token.is_some() && settings.token_file.is_some() {
        problems.push(Problem::new("Token", "stands beside TokenFile; keep one"));
    }
    let consul = Consul::new(address)
        .map_err(|message| problems.push(Problem::new("Consul", message)))
        .ok()?;
    (problems.len() == before).then(|| {
        Source::Consul(Consul {
            services: settings.services.clone(),
            tags: settings.tags.clone(),
            datacenter: settings.datacenter.clone(),
            passing: settings.passing.unwrap_or(true),
            token: settings.token.clone(),
            token_file: settings.token_file.as_ref().map(PathBuf::from),
            ca_file: settings.ca_file.clone(),
            ..consul
        })
    })
}

impl Consul {
    /// All passing services of the agent at `address` (`http://host:port` or `host:port`).
    ///
    /// # Errors
    /// The address is malformed.
    pub fn new(address: &str) -> Result<Consul, String> {
        let full = match address.split_once("://") {
            Some(("http" | "https", _)) => address.trim_end_matches('/').to_owned(),
            None if !address.is_empty() => format!("http://{}", address.trim_end_matches('/')),
            _ => String::new(),
        };
        let host = full.split_once("://").map_or("", |(_, host)| host);
        if host.is_empty() || host.contains(['/', '?', '#', '@', ' ']) {
            return Err(
                "must be the agent's address, like \"http://127.0.0.1:8500\"; a token goes \
                 into Token or TokenFile"
                    .to_owned(),
            );
        }
        Ok(Consul {
            address: full,
            services: Vec::new(),
            tags: Vec::new(),
            datacenter: None,
            passing: true,
            token: None,
            token_file: None,
            ca_file: None,
        })
    }

    pub(super) fn name(&self) -> String {
        format!("consul {} {}", self.address, self.services.join(" ")).trim_end().to_owned()
    }
}

impl fmt::Debug for Consul {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name()) // the token stays out of it
    }
}

/// A query's result; the catalog's has no service.
struct News {
    service: Option<String>,
    result: Result<Found, String>,
}

/// What an answer holds.
enum Found {
    /// The instances of a service.
    Instances(Vec<Labels>),
    /// The services of the catalog.
    Services(BTreeSet<String>),
}

/// A task that is aborted with its handle.
struct Ending(JoinHandle<()>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Watches all services until the receiver is dropped. `wait` bounds a blocking query; the
/// instances `before` stay until their services have answered.
pub(super) async fn watch(
    consul: Consul,
    wait: Duration,
    publisher: Publisher,
    before: Vec<Labels>,
) {
    let (sender, mut news) = mpsc::channel(WAITING);
    let start = |service: Option<&str>| {
        let query = Query::new(consul.clone(), service.map(str::to_owned), wait);
        Ending(tokio::spawn(query.run(sender.clone())))
    };
    let mut services: BTreeMap<String, Ending> = BTreeMap::new();
    let _catalog = consul.services.is_empty().then(|| start(None));
    for name in &consul.services {
        services.insert(name.clone(), start(Some(name)));
    }
    let mut known: BTreeMap<String, Vec<Labels>> = BTreeMap::new();
    for instance in before {
        if let Some(name) = instance.get("service")
            && (consul.services.is_empty() || consul.services.contains(name))
        {
            known.entry(name.clone()).or_default().push(instance);
        }
    }
    let mut errors: BTreeMap<Option<String>, String> = BTreeMap::new();
    let mut asked: BTreeSet<Option<String>> = BTreeSet::new();
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            () = publisher.closed() => return,
            count = news.recv_many(&mut batch, WAITING) => if count == 0 { return },
        }
        let mut changed = false;
        for News { service, result } in batch.drain(..) {
            asked.insert(service.clone());
            match result {
                Err(error) => {
                    publisher.failed(&error);
                    errors.insert(service, error);
                    continue;
                }
                Ok(Found::Services(names)) => {
                    services.retain(|name, _| names.contains(name));
                    known.retain(|name, _| names.contains(name));
                    errors.retain(|name, _| name.as_ref().is_some_and(|n| names.contains(n)));
                    for name in names.into_iter().take(MAX_SERVICES) {
                        services.entry(name.clone()).or_insert_with(|| start(Some(&name)));
                    }
                }
                // A late answer of a removed service is ignored.
                Ok(Found::Instances(instances)) => {
                    if let Some(name) = service.as_ref().filter(|name| services.contains_key(*name))
                    {
                        known.insert(name.clone(), instances);
                    }
                }
            }
            errors.remove(&service);
            changed = true;
        }
        if changed {
            let error = errors.values().next().map(String::as_str);
            publisher.found_but(known.values().flatten().cloned(), error);
        }
        let catalog = !consul.services.is_empty() || asked.contains(&None);
        if catalog && services.keys().all(|name| asked.contains(&Some(name.clone()))) {
            publisher.complete();
        }
    }
}
