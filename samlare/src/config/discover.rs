//! Where endpoints are found that the file does not list.

use std::sync::Arc;

use super::endpoint::{Defaults, Polling};
use super::section::Section;
use crate::discover::{self, Settings};

/// A `[[discover]]`: a source of targets, and how the endpoints found are polled.
#[derive(Clone, Debug)]
pub struct Discover {
    /// Who is asked, and what makes an endpoint of each target.
    pub source: discover::Discover,
    /// How the endpoints found are asked and read.
    pub polling: Arc<Polling>,
    settings: Settings,
}

/// Two that are equal find the same endpoints.
impl PartialEq for Discover {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings && self.polling == other.polling
    }
}

/// Reads one `[[discover]]`.
pub(super) fn read(section: Section<'_>, defaults: &Defaults) -> Option<Discover> {
    let polling = Arc::new(defaults.polling(&section));
    let settings = Settings {
        files: section.strings("Files").unwrap_or_default(),
        dns: section.strings("Dns").unwrap_or_default(),
        record: section.string("Record"),
        port: section.integer("Port", 1..65535, "the port").map(|port| port as u16),
        nameserver: section.string("Nameserver"),
        consul: section.string("Consul"),
        services: section.strings("Services").unwrap_or_default(),
        tags: section.strings("Tags").unwrap_or_default(),
        datacenter: section.string("Datacenter"),
        passing: section.boolean("Passing"),
        token: section.string("Token"),
        token_file: section.string("TokenFile"),
        ca_file: polling.ca_file.clone(),
        refresh_ms: section.integer("Refresh", 0..86_400_000, "milliseconds"),
        url: section.string("URL"),
        prefix: section.string("Prefix"),
        failure_metric: section.string("FailureMetric").filter(|name| !name.is_empty()),
    };
    let checked = settings.check();
    for problem in checked.as_ref().err().into_iter().flatten() {
        section.error(problem.key, &problem.message);
    }
    section.finish();
    Some(Discover { source: checked.ok()?, polling, settings })
}
