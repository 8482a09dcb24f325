//! Endpoints that come and go: found in files, in DNS or in Consul.
//!
//! Each `[[discover]]` table becomes a [`Discover`], and [`Discover::spawn`]
//! watches its source for as long as somebody holds the [`Discovery`]. What
//! it finds is a set of [`Target`]s, replaced as a whole whenever it changes.
//! A source that fails keeps its last set; the failure is counted and kept in
//! [`Status`].

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

/// Most targets that one source gives; the rest are left out and counted.
pub const MAX_TARGETS: usize = 100_000;

/// Names and values of what is known of a target, for templates.
///
/// Every source gives `host` and `port`; DNS adds `service` (the name that was
/// asked for), Consul `service`, `node`, `id`, `dc`, `tag` (the first) and the
/// service's and node's metadata, files whatever labels they hold.
pub type Labels = BTreeMap<String, String>;

/// Where targets come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Prometheus' file_sd: paths (the last part may hold `*`), JSON or YAML.
    Files(Vec<PathBuf>),
    /// Names in DNS.
    Dns(Dns),
    /// Services in Consul's catalog.
    Consul(Consul),
}

/// One `[[discover]]` table, checked; made by [`Settings::check`].
#[derive(Clone, Debug)]
pub struct Discover {
    /// Where targets come from.
    pub source: Source,
    /// How a target's URL is made; `http://{host}:{port}/debug/vars` unless told.
    pub url: Option<Template>,
    /// How the prefix of a target's metrics is made.
    pub prefix: Template,
    /// How the name of a target's failure metric is made, if it has one.
    pub failure_metric: Option<Template>,
    /// How often files are looked at and DNS is asked; how long Consul may wait
    /// for a change before it answers.
    pub refresh: Duration,
}

/// One endpoint to poll.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// Where its document is, credentials included.
    pub url: String,
    /// What its metrics' names start with.
    pub prefix: String,
    /// The name of its failure metric, if it has one.
    pub failure_metric: Option<String>,
    /// What was known of it.
    pub labels: Labels,
}

/// A source being watched. Dropping it ends the watch.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// The targets, in order of their URLs, each URL once; until the source
    /// has first answered (see [`Status::answered`]) those known before.
    pub targets: watch::Receiver<Arc<[Target]>>,
    /// How the source is doing.
    pub status: Arc<Status>,
}

impl Discover {
    /// Watches the source in a task of the current Tokio runtime, until the
    /// last clone of the answer's `targets` is dropped.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn spawn(self) -> Discovery {
        self.spawn_knowing(&[])
    }

    /// The same, beginning with targets that another watch of the same source has found: they
    /// stay, made anew by these templates, until the source has answered.
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
    /// Whether both ask the same place, for whatever.
    pub fn is_at_the_place_of(&self, other: &Source) -> bool {
        match (self, other) {
            (Source::Files(one), Source::Files(other)) => one == other,
            (Source::Dns(one), Source::Dns(other)) => one.names == other.names,
            (Source::Consul(one), Source::Consul(other)) => one.address == other.address,
            _ => false,
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
