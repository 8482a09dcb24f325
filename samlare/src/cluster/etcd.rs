//! Members in etcd, over its HTTP/JSON gateway.
//!
//! A member is the key `samlare/GROUP/NAME/INSTANCE` with a lease, renewed every third of its TTL.
//! If a node does not answer, the next one is used. Members are read once and then watched from
//! that revision on. A broken watch is resumed on any node; after a compaction the members are read
//! again.

mod follow;
mod gateway;
mod wire;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use expvar_push::{ConfigError, Identity, Tls};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::engine::{Changes, Engine, Keeper, Lease, Pending};
use super::seat::escaped;
use super::settings::Settings;
use gateway::{Gateway, Servers, Trouble};

/// Renewals per TTL.
const RENEWALS: u32 = 3;
/// The pause after a renewal that no node accepted.
const RETRY: Duration = Duration::from_millis(200);
/// How many TTLs pass between comparisons of the watched members with a fresh read.
const READ_EVERY: u32 = 5;

/// Keeps members in etcd.
pub struct Etcd {
    servers: Arc<Servers>,
    /// The prefix of the group's keys.
    prefix: String,
    ttl: Duration,
    entered: Mutex<Option<Entered>>,
    gateway: Mutex<Gateway>,
}

/// This member's entry.
struct Entered {
    id: String,
    lease: Lease,
    keeping: AbortHandle,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.keeping.abort();
    }
}

impl Etcd {
    /// Creates the engine of the settings; connects later.
    ///
    /// # Errors
    /// A certificate or key is invalid.
    pub fn new(settings: &Settings) -> Result<Etcd, ConfigError> {
        let identity = if settings.tls { Some(Identity::new(tls(settings))?) } else { None };
        // A round over all nodes must fit into the rest of the lease.
        let rounds = u32::try_from(settings.engine.len()).unwrap_or(u32::MAX).max(3) + 1;
        let limit = (settings.ttl / rounds).max(Duration::from_millis(300));
        let servers =
            Servers::new(settings.engine.clone(), identity, settings.login.clone(), limit);
        let servers = Arc::new(servers);
        Ok(Etcd {
            prefix: format!("{ROOT}{}/", escaped(&settings.group)),
            ttl: settings.ttl,
            entered: Mutex::default(),
            gateway: Mutex::new(Gateway::new(servers.clone())),
            servers,
        })
    }

    async fn enter(&self, key: &str, value: &str) -> Result<Lease, Trouble> {
        let mut entered = self.entered.lock().await;
        let mut gateway = self.gateway.lock().await;
        let key = wire::encode(format!("{}{key}", self.prefix));
        let value = wire::encode(value);
        if let Some(held) = entered.as_ref().filter(|held| !held.lease.standing().is_lost) {
            let put = json!({"key": key, "value": value, "lease": held.id});
            // If the lease is gone, its next renewal fails.
            gateway.call("/v3/kv/put", &put).await?;
            return Ok(held.lease.clone());
        }
        *entered = None;
        let asked = Instant::now();
        let secs = self.ttl.as_millis().div_ceil(1000).max(1) as u64;
        let grant = gateway.call("/v3/lease/grant", &json!({"TTL": secs})).await?;
        let id = grant["ID"].as_str().ok_or_else(|| Trouble::strange("a lease without an ID"))?;
        let put = json!({"key": key, "value": value, "lease": id});
        gateway.call("/v3/kv/put", &put).await?;
        let (keeper, lease) = Lease::granted(asked);
        let keeping = keep(Gateway::new(self.servers.clone()), id.to_owned(), self.ttl, keeper);
        let keeping = tokio::spawn(keeping).abort_handle();
        *entered = Some(Entered { id: id.to_owned(), lease: lease.clone(), keeping });
        Ok(lease)
    }
}

/// The prefix of all of samlare's keys.
const ROOT: &str = "samlare/";

/// Trust and client identity.
fn tls(settings: &Settings) -> Tls {
    let mut tls = Tls::new();
    if let Some(path) = &settings.ca_file {
        tls = tls.ca_file(path);
    }
    if let Some((certificate, key)) = &settings.client_certificate {
        tls = tls.client_certificate(certificate, key);
    }
    if let Some(name) = &settings.server_name {
        tls = tls.server_name(name);
    }
    tls
}

/// Renews a lease until it is gone.
async fn keep(mut gateway: Gateway, id: String, ttl: Duration, keeper: Keeper) {
    let body = json!({"ID": id});
    let mut wait = ttl / RENEWALS;
    loop {
        tokio::time::sleep(wait).await;
        let sent = Instant::now();
        match gateway.call("/v3/lease/keepalive", &body).await {
            Ok(answer) => {
                let left = wire::number(&answer["result"]["TTL"]);
                if left == 0 {
                    return keeper.lost();
                }
                keeper.renewed(sent);
                wait = (ttl / RENEWALS).saturating_sub(sent.elapsed());
            }
            Err(Trouble::Refused { code: wire::NOT_FOUND, .. }) => return keeper.lost(),
            Err(trouble) => {
                keeper.failed(&trouble.to_string());
                wait = RETRY;
            }
        }
    }
}

impl Engine for Etcd {
    fn join<'a>(&'a self, key: &'a str, value: &'a str) -> Pending<'a, Result<Lease, String>> {
        Box::pin(async move { self.enter(key, value).await.map_err(|trouble| trouble.to_string()) })
    }

    fn members(&self) -> Changes {
        let gateway = Gateway::new(self.servers.clone());
        let (prefix, every) = (self.prefix.clone(), self.ttl * READ_EVERY);
        Changes::of(|reporter| follow::follow(gateway, prefix, every, reporter))
    }

    fn leave(&self) -> Pending<'_, Result<(), String>> {
        Box::pin(async move {
            let Some(entered) = self.entered.lock().await.take() else { return Ok(()) };
            entered.keeping.abort();
            let mut gateway = self.gateway.lock().await;
            match gateway.call("/v3/lease/revoke", &json!({"ID": entered.id})).await {
                Ok(_) | Err(Trouble::Refused { code: wire::NOT_FOUND, .. }) => Ok(()),
                Err(trouble) => Err(trouble.to_string()),
            }
        })
    }

    fn requests(&self) -> u64 {
        self.servers.requests.load(Relaxed)
    }

    fn reread(&self) -> Result<(), String> {
        self.servers.reread().map_err(|error| error.to_string())
    }
}
