//! Discovery of endpoints in files, DNS or Consul.
//!
//! Each `[[discover]]` table is a [`Discover`]; [`Discover::spawn`] watches its source until the
//! [`Discovery`] is dropped. The result is a set of [`Target`]s, replaced whenever it changes. If a
//! source fails, its last set stays; [`Status`] has the error and counts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

mod consul;
mod dns;
mod files;
mod settings;
mod status;
mod tell;
mod template;

pub use consul::Consul;
pub use dns::{Dns, Record};
pub use files::parse_groups;
pub use settings::{Problem, Settings};
pub use status::{Report, Status};
pub use tell::tell;
pub use template::{Template, TemplateError};

use status::Publisher;

/// The most targets of one source; further ones are omitted and counted.
pub const MAX_TARGETS: usize = 100_000;

/// Labels of a target, for templates.
///
/// Every source sets `host` and `port`. DNS adds `service` (the queried name); Consul adds
/// `service`, `node`, `id`, `dc`, `tag` (the first) and the metadata of service and node; files add
/// their labels.
pub type Labels = BTreeMap<String, String>;

/// A source of targets.
#[derive(Clone, Debug)]
pub enum Source {
    /// Prometheus' file_sd: paths (the last part may contain `*`), JSON or YAML.
    Files(Vec<PathBuf>),
    /// Names in DNS.
    Dns(Dns),
    /// Services in Consul's catalog.
    Consul(Consul),
}

/// A validated `[[discover]]` table, from [`Settings::check`].
#[derive(Clone, Debug)]
pub struct Discover {
    /// The source.
    pub source: Source,
    /// The template of URLs. Default: `http://{host}:{port}/debug/vars`.
    pub url: Option<Template>,
    /// The template of prefixes.
    pub prefix: Template,
    /// The template of failure metrics, if any.
    pub failure_metric: Option<Template>,
    /// The interval for files and DNS; for Consul, the longest wait for a change.
    pub refresh: Duration,
}

/// One endpoint to poll.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// The URL with credentials.
    pub url: String,
    /// The prefix of its metrics.
    pub prefix: String,
    /// Its failure metric, if any.
    pub failure_metric: Option<String>,
    /// Its labels.
    pub labels: Labels,
}

/// A watched source. Dropping it ends the watch.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// The targets by URL, each once. Until the source has answered (see [`Status::answered`]), the
    /// targets known before.
    pub targets: watch::Receiver<Arc<[Target]>>,
    /// The status of the source.
    pub status: Arc<Status>,
}

impl Discover {
    /// Watches the source in a task of the current Tokio runtime, until the last clone of the
    /// result's `targets` is dropped.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn spawn(self) -> Discovery {
        self.spawn_knowing(&[])
    }

    /// Like [`spawn`](Self::spawn), starting with targets found by another watch of the same
    /// source: they stay, with these templates, until the source has answered.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn spawn_knowing(self, known: &[Target]) -> Discovery {
        let known: Vec<Labels> = known.iter().map(|target| target.labels.clone()).collect();
        let (publisher, discovery) = Publisher::new(&self, &known);
        match self.source {
            Source::Files(paths) => {
                tokio::spawn(files::watch(paths, self.refresh, publisher));
            }
            Source::Dns(names) => {
                tokio::spawn(dns::watch(names, self.refresh, publisher));
            }
            Source::Consul(consul) => {
                tokio::spawn(consul::watch(consul, self.refresh, publisher, known));
            }
        }
        discovery
    }
}

impl Source {
    /// Whether both query the same place.
    pub fn is_at_the_place_of(&self, other: &Source) -> bool {
        match (self, other) {
            (Source::Files(one), Source::Files(other)) => one == other,
            (Source::Dns(one), Source::Dns(other)) => one.names == other.names,
            (Source::Consul(one), Source::Consul(other)) => one.address == other.address,
            (Source::Files(_) | Source::Dns(_) | Source::Consul(_), _) => false,
        }
    }

    /// A short name for logs and pages, without secrets: `files /etc/x.json`.
    pub fn name(&self) -> String {
        match self {
            Source::Files(paths) => {
                let paths: Vec<_> = paths.iter().map(|p| p.display().to_string()).collect();
                format!("files {}", paths.join(" "))
            }
            Source::Dns(dns) => format!("dns {}", dns.names.join(" ")),
            Source::Consul(consul) => consul.name(),
        }
    }
}
