//! Targets from Consul's catalog.

use std::fmt;
use std::path::PathBuf;

use super::status::Publisher;

/// What to ask an agent of Consul for.
#[derive(Clone)]
pub struct Consul {
    /// Where the agent is, without a path: `http://127.0.0.1:8500`.
    pub address: String,
    /// The services; every one of the catalog when empty.
    pub services: Vec<String>,
    /// Only instances that have all of these tags.
    pub tags: Vec<String>,
    /// The datacenter; the agent's own unless told.
    pub datacenter: Option<String>,
    /// Whether only instances that pass their checks count.
    pub passing: bool,
    /// The token, sent as `X-Consul-Token`.
    pub token: Option<String>,
    /// The file that holds the token, read before each request.
    pub token_file: Option<PathBuf>,
}

impl Consul {
    /// All services that the agent at `address` (`http://host:port` or
    /// `host:port`) knows as passing.
    ///
    /// # Errors
    /// When the address is not of that form.
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

pub(super) async fn watch(_consul: Consul, publisher: Publisher) {
    publisher.failed("not asked yet");
    publisher.closed().await;
}
