//! `[[discover]]` sections.

use std::sync::Arc;

use super::endpoint::{Defaults, Polling};
use super::review;
use super::section::Section;
use super::url;
use crate::discover::{self, Settings};

/// A source of targets, and how the endpoints found are polled.
#[derive(Clone, Debug)]
pub struct Discover {
    /// The source and the templates.
    pub source: discover::Discover,
    /// How these endpoints are polled.
    pub polling: Arc<Polling>,
    settings: Settings,
}

/// Equal ones find the same endpoints.
impl PartialEq for Discover {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings && self.polling == other.polling
    }
}

impl Discover {
    /// What determines the endpoints found, as text; files by name only, because folders may differ
    /// between machines, and no token.
    pub(crate) fn written(&self) -> String {
        // Lists every key, so that a new one is not forgotten.
        let Settings {
            files,
            dns,
            record,
            port,
            nameserver: _,
            consul,
            services,
            tags,
            datacenter,
            passing,
            token: _,
            token_file: _,
            ca_file: _,
            refresh_ms: _,
            url,
            prefix,
            failure_metric,
        } = &self.settings;
        let name = |path: &String| path.rsplit('/').next().unwrap_or_default().to_owned();
        let files: Vec<String> = files.iter().map(name).collect();
        format!(
            "{:?} {:?} {:?}",
            (files, dns, record, port),
            (consul, services, tags, datacenter, passing),
            (url, prefix, failure_metric)
        )
    }
}

fn files(section: &Section<'_>) -> Vec<String> {
    let paths = section.file_paths("Files").unwrap_or_default();
    paths.iter().map(|path| path.display().to_string()).collect()
}

fn token_file(section: &Section<'_>) -> Option<String> {
    let path = section.file_path("TokenFile")?;
    review::token_file(section, "TokenFile", &path);
    Some(path.display().to_string())
}

/// Reads one `[[discover]]`.
pub(super) fn read(section: Section<'_>, defaults: &Defaults) -> Option<Discover> {
    let polling = Arc::new(defaults.polling(&section));
    let settings = Settings {
        files: files(&section),
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
        token_file: token_file(&section),
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
    if let Some(url) = &settings.url {
        url::review_template(&section, url);
    }
    for (key, text) in [("Prefix", &settings.prefix), ("FailureMetric", &settings.failure_metric)] {
        if let Some(text) = text {
            review::template(&section, key, text, &polling);
        }
    }
    section.finish();
    Some(Discover { source: checked.ok()?, polling, settings })
}
