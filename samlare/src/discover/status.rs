//! The status of a source, and the conversion of its findings to targets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;
use tokio::sync::{Notify, watch};

use super::{Discover, Discovery, Labels, MAX_TARGETS, Target, Template};

/// The longest error text, in characters.
const MAX_ERROR_CHARS: usize = 500;

/// The status of a source; has no secrets.
#[derive(Debug)]
pub struct Status {
    name: String,
    answers: AtomicU64,
    changes: AtomicU64,
    failures: AtomicU64,
    complete: AtomicBool,
    news: Notify,
    text: Mutex<Text>,
}

#[derive(Debug, Default)]
struct Text {
    targets: usize,
    left_out: usize,
    left_out_why: String,
    failing: bool,
    error: String,
}

/// [`Status`] at one moment, for a page or a log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The source: `files /etc/targets.json`.
    pub source: String,
    /// The number of targets in the current set.
    pub targets: usize,
    /// How often the source answered.
    pub answers: u64,
    /// How often the set changed.
    pub changes: u64,
    /// How often the source failed.
    pub failures: u64,
    /// Whether the last try failed: the set is then the last valid one.
    pub failing: bool,
    /// The last error; empty without one.
    pub last_error: String,
    /// How many targets of the last answer were invalid.
    pub left_out: usize,
    /// Why the first of them was.
    pub left_out_why: String,
}

impl Status {
    /// Whether the source has answered.
    pub fn answered(&self) -> bool {
        self.answers.load(Relaxed) > 0
    }

    /// Whether every part of the source has answered or failed.
    pub fn is_complete(&self) -> bool {
        self.complete.load(Relaxed)
    }

    /// Resolves when something has changed since the last call; for one caller at a time.
    pub async fn changed(&self) {
        self.news.notified().await;
    }

    /// The current status.
    pub fn report(&self) -> Report {
        let text = self.text.lock();
        Report {
            source: self.name.clone(),
            targets: text.targets,
            answers: self.answers.load(Relaxed),
            changes: self.changes.load(Relaxed),
            failures: self.failures.load(Relaxed),
            failing: text.failing,
            last_error: text.error.clone(),
            left_out: text.left_out,
            left_out_why: text.left_out_why.clone(),
        }
    }
}

/// The sending end of a [`Discovery`].
#[derive(Clone, Debug)]
pub(super) struct Publisher {
    url: Option<Template>,
    prefix: Template,
    failure_metric: Option<Template>,
    targets: watch::Sender<Arc<[Target]>>,
    status: Arc<Status>,
}

impl Publisher {
    /// Starts with the targets of these labels, from an earlier watch.
    pub(super) fn new(discover: &Discover, known: &[Labels]) -> (Publisher, Discovery) {
        let (sender, receiver) = watch::channel(Arc::from([]));
        let status = Arc::new(Status {
            name: discover.source.name(),
            answers: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            complete: AtomicBool::new(false),
            news: Notify::new(),
            text: Mutex::default(),
        });
        let publisher = Publisher {
            url: discover.url.clone(),
            prefix: discover.prefix.clone(),
            failure_metric: discover.failure_metric.clone(),
            targets: sender,
            status: Arc::clone(&status),
        };
        let mut discovery = Discovery { targets: receiver, status };
        let targets = publisher.take_in(known.iter().cloned());
        publisher.targets.send_replace(targets);
        discovery.targets.mark_unchanged();
        (publisher, discovery)
    }

    /// Resolves when the [`Discovery`] is dropped.
    pub(super) async fn closed(&self) {
        self.targets.closed().await;
    }

    /// The source answered with all of its targets.
    pub(super) fn found(&self, found: impl IntoIterator<Item = Labels>) {
        self.found_but(found, None);
    }

    /// The same, while a part of the source keeps failing.
    pub(super) fn found_but(&self, found: impl IntoIterator<Item = Labels>, error: Option<&str>) {
        let targets = self.take_in(found);
        let first = self.status.answers.fetch_add(1, Relaxed) == 0;
        match error {
            Some(error) => self.still_failing(error),
            None => self.text().failing = false,
        }
        self.targets.send_if_modified(|current| {
            let changed = *current != targets;
            if changed {
                *current = targets;
                self.status.changes.fetch_add(1, Relaxed);
            }
            // An empty first answer is a change, too.
            changed || first
        });
        self.status.news.notify_one();
    }

    /// Every part of the source has answered or failed.
    pub(super) fn complete(&self) {
        self.status.complete.store(true, Relaxed);
        self.status.news.notify_one();
    }

    /// Converts findings to targets, and counts valid and invalid ones.
    fn take_in(&self, found: impl IntoIterator<Item = Labels>) -> Arc<[Target]> {
        let mut targets = BTreeMap::new();
        let mut left_out = 0;
        let mut why = String::new();
        for labels in found {
            let made = if targets.len() == MAX_TARGETS {
                Err(format!("more than {MAX_TARGETS} targets"))
            } else {
                self.target(labels)
            };
            match made {
                Ok(target) => {
                    targets.entry(target.url.clone()).or_insert(target);
                }
                Err(error) => {
                    left_out += 1;
                    if why.is_empty() {
                        why = error;
                    }
                }
            }
        }
        let mut text = self.text();
        text.targets = targets.len();
        text.left_out = left_out;
        text.left_out_why = shortened(&why);
        targets.into_values().collect()
    }

    /// The source answered without a change.
    pub(super) fn unchanged(&self) {
        self.status.answers.fetch_add(1, Relaxed);
        self.text().failing = false;
        self.status.news.notify_one();
    }

    /// The source failed: its last set stays.
    pub(super) fn failed(&self, error: &str) {
        self.status.failures.fetch_add(1, Relaxed);
        self.still_failing(error);
        self.status.news.notify_one();
    }

    /// A part of the source keeps failing.
    fn still_failing(&self, error: &str) {
        let mut text = self.text();
        text.failing = true;
        text.error = shortened(error);
    }

    fn target(&self, labels: Labels) -> Result<Target, String> {
        let named = |key: &str, error: super::TemplateError| {
            let address = labels.get("address").map_or("", String::as_str);
            format!("{key}: {error} at {address:?}")
        };
        let url = match &self.url {
            Some(template) => template.url(&labels),
            None => default_url(&labels),
        };
        let url = url.map_err(|e| named("URL", e))?;
        if let Err(error) = crate::client::Target::parse(&url) {
            let address = labels.get("address").map_or("", String::as_str);
            return Err(format!("URL: {error} at {address:?}"));
        }
        Ok(Target {
            url,
            prefix: self.prefix.metric(&labels).map_err(|e| named("Prefix", e))?,
            failure_metric: self
                .failure_metric
                .as_ref()
                .map(|template| template.metric(&labels))
                .transpose()
                .map_err(|e| named("FailureMetric", e))?,
            labels,
        })
    }

    fn text(&self) -> MutexGuard<'_, Text> {
        self.status.text.lock()
    }
}

/// `http://{host}:{port}/debug/vars`, unless Prometheus' `__scheme__` and `__metrics_path__` say
/// otherwise.
fn default_url(labels: &Labels) -> Result<String, super::TemplateError> {
    let label = |name: &str| labels.get(name).filter(|v| !v.is_empty());
    let needed =
        |name: &str| label(name).ok_or_else(|| super::TemplateError::Unknown(name.to_owned()));
    let scheme = label("__scheme__").map_or("http", String::as_str);
    let path = label("__metrics_path__").map_or("/debug/vars", String::as_str);
    let slash = if path.starts_with('/') { "" } else { "/" };
    let (host, port) = (needed("host")?, needed("port")?);
    Ok(if host.contains(':') {
        format!("{scheme}://[{host}]:{port}{slash}{path}")
    } else {
        format!("{scheme}://{host}:{port}{slash}{path}")
    })
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_ERROR_CHARS).collect()
}
