//! Consul's responses.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::Consul;
use crate::discover::Labels;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    node: Node,
    service: Instance,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    #[serde(default)]
    node: String,
    #[serde(default)]
    address: String,
    #[serde(default)]
    datacenter: Option<String>,
    #[serde(default)]
    meta: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Instance {
    #[serde(default, rename = "ID")]
    id: String,
    service: String,
    #[serde(default)]
    tags: Option<Vec<String>>,
    #[serde(default)]
    address: String,
    #[serde(default)]
    port: u16,
    #[serde(default)]
    meta: Option<BTreeMap<String, String>>,
}

/// The instances in a response of `/v1/health/service/…`.
pub(super) fn instances(consul: &Consul, document: &[u8]) -> Result<Vec<Labels>, String> {
    let entries: Option<Vec<Entry>> = serde_json::from_slice(document)
        .map_err(|error| format!("the answer is not Consul's: {error}"))?;
    let entries = entries.unwrap_or_default().into_iter();
    Ok(entries
        .filter(|entry| has_all(consul, entry.service.tags.as_deref().unwrap_or_default()))
        .map(labels)
        .collect())
}

/// The services in a response of `/v1/catalog/services`.
pub(super) fn services(consul: &Consul, document: &[u8]) -> Result<BTreeSet<String>, String> {
    let services: BTreeMap<String, Option<Vec<String>>> = serde_json::from_slice(document)
        .map_err(|error| format!("the answer is not Consul's: {error}"))?;
    // A tag of the list may be another instance's; it only says which services to query.
    let services = services.into_iter();
    Ok(services
        .filter(|(_, tags)| has_all(consul, tags.as_deref().unwrap_or_default()))
        .map(|(name, _)| name)
        .collect())
}

fn has_all(consul: &Consul, tags: &[String]) -> bool {
    consul.tags.iter().all(|tag| tags.contains(tag))
}

/// Metadata first, so that Consul's own labels take precedence.
fn labels(entry: Entry) -> Labels {
    let Entry { node, service } = entry;
    let mut labels = node.meta.unwrap_or_default();
    labels.extend(service.meta.unwrap_or_default());
    let host = if service.address.is_empty() { node.address } else { service.address };
    let tags = service.tags.unwrap_or_default();
    let mut say = |name: &str, value: String| labels.insert(name.to_owned(), value);
    say("address", format!("{host}:{}", service.port));
    say("host", host);
    say("service", service.service);
    say("id", service.id);
    say("node", node.node);
    say("dc", node.datacenter.unwrap_or_default());
    say("tag", tags.first().cloned().unwrap_or_default());
    say("tags", tags.join(","));
    // Registered without a port: omitted with a reason.
    say("port", if service.port == 0 { String::new() } else { service.port.to_string() });
    labels
}
