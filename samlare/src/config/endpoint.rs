//! Endpoints: what is polled, how, and the names of its variables.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use super::review;
use super::section::Section;
use super::url;
use crate::client::Target;
use crate::document::{Limits, Rules};

/// A polled endpoint. Equal ones are the same endpoint across a reload.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// The address of its document.
    pub target: Target,
    /// The prefix of its metrics; may be empty.
    pub prefix: String,
    /// A metric that is 0 after a successful poll and 1 after a failed one.
    pub failure_metric: Option<String>,
    /// How it is polled.
    pub polling: Arc<Polling>,
}

/// Polling settings shared by `[[endpoint]]` and `[[discover]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Polling {
    /// The interval of polls. Default: 60 s.
    pub interval: Duration,
    /// The timeout of a request. Default: 3 s.
    pub timeout: Duration,
    /// Which variables to send, under which keys, and limits.
    pub rules: Rules,
    /// Sent with each request.
    pub headers: HeaderMap,
    /// Whether to follow redirects to other hosts.
    pub leaves_host: bool,
    /// A file with the bearer token.
    pub bearer_token_file: Option<PathBuf>,
    /// PEM certificates to trust in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether to keep only ASCII letters and digits in names.
    pub ascii_names: bool,
}

impl Polling {
    /// A name under this endpoint's rule for characters.
    pub fn name(&self, text: &str) -> expvar_carbon::Path {
        let mut path = if self.ascii_names {
            expvar_carbon::Path::ascii()
        } else {
            expvar_carbon::Path::new()
        };
        path.push(text);
        path
    }
}

impl Default for Polling {
    fn default() -> Self {
        Polling {
            interval: Duration::from_secs(60),
            timeout: Duration::from_secs(3),
            rules: Rules::default(),
            headers: HeaderMap::new(),
            leaves_host: true,
            bearer_token_file: None,
            ca_file: None,
            ascii_names: false,
        }
    }
}

/// The global part's settings for all endpoints.
#[derive(Clone, Default)]
pub(super) struct Defaults {
    pub(super) polling: Polling,
    pub(super) ignored: Vec<String>,
    pub(super) renames: Vec<(String, String)>,
}

const DAY_MS: u64 = 86_400_000;

impl Defaults {
    pub(super) fn read(section: &Section<'_>) -> Defaults {
        let mut defaults = Defaults::default();
        read_polling(section, &mut defaults.polling, 1);
        defaults.polling.ca_file = section.file_path("CaFile");
        defaults.polling.ascii_names = section.boolean("AsciiNames").unwrap_or(false);
        defaults.ignored = section.strings("IgnoreMetrics").unwrap_or_default();
        review::bare(section, "IgnoreMetrics", &defaults.ignored);
        defaults.renames = renames(section);
        defaults
    }

    /// A section's settings, with the global ones as defaults.
    pub(super) fn polling(&self, section: &Section<'_>) -> Polling {
        let mut polling = self.polling.clone();
        // Zero and empty mean the default, as in the original.
        read_polling(section, &mut polling, 0);
        let own = section.strings("IgnoreMetrics").unwrap_or_default();
        review::bare(section, "IgnoreMetrics", &own);
        let ignored = if own.is_empty() { &self.ignored } else { &own };
        let own = renames(section);
        let renames = if own.is_empty() { &self.renames } else { &own };
        ignored.iter().for_each(|key| polling.rules.ignore(key));
        renames.iter().for_each(|(from, to)| polling.rules.rename(from, to));
        polling.headers = headers(section);
        polling.bearer_token_file = section.file_path("BearerTokenFile");
        if let Some(path) = &polling.bearer_token_file {
            review::token_file(section, "BearerTokenFile", path);
        }
        if polling.bearer_token_file.is_some() && polling.headers.contains_key("authorization") {
            section.error("BearerTokenFile", "Headers has an Authorization too: keep one of them");
        }
        if let Some(path) = section.file_path("CaFile") {
            polling.ca_file = Some(path);
        }
        if let Some(path) = &polling.ca_file
            && let Err(error) = crate::client::trust(Some(path))
        {
            section.error("CaFile", format!("{error}: name a file of PEM certificates"));
        }
        polling
    }
}

/// Settings that the global part and each section can have.
fn read_polling(section: &Section<'_>, polling: &mut Polling, least: u64) {
    let replace = |value: &mut Duration, key| match section.milliseconds(key, least..DAY_MS) {
        Some(given) if !given.is_zero() => *value = given,
        _ => {}
    };
    replace(&mut polling.interval, "CheckInterval");
    replace(&mut polling.timeout, "Timeout");
    if section.has("CheckInterval") && polling.interval < Duration::from_secs(1) {
        section.warn(
            "CheckInterval",
            "Carbon keeps one point a second at most: write 1000 (milliseconds) or more",
        );
    }
    let millis = polling.timeout.as_millis();
    if section.has("Timeout") && millis < 100 {
        section.warn(
            "Timeout",
            format!("it is {millis} milliseconds: write {millis}000 for {millis} s"),
        );
    }
    let leaves_host = section.boolean("RedirectsToOtherHosts");
    polling.leaves_host = leaves_host.unwrap_or(polling.leaves_host);
    let rules = &mut polling.rules;
    rules.booleans = section.boolean("Booleans").unwrap_or(rules.booleans);
    rules.arrays = section.boolean("Arrays").unwrap_or(rules.arrays);
    let limits: &mut Limits = &mut rules.limits;
    let limit = |value: &mut usize, key, most, unit: &str| {
        if let Some(given) = section.integer(key, 1..most, unit) {
            *value = given as usize;
        }
    };
    limit(&mut limits.bytes, "MaxBodyBytes", 1 << 30, "bytes");
    limit(&mut limits.depth, "MaxDepth", 1000, "levels");
    limit(&mut limits.numbers, "MaxNumbers", 10_000_000, "numbers");
}

/// `[[renames]]`, which the original reads, and `[[rename]]`, which its sample documents.
fn renames(section: &Section<'_>) -> Vec<(String, String)> {
    let sections = section.sections("Renames").into_iter().chain(section.sections("Rename"));
    let mut renames = Vec::new();
    for rename in sections {
        match (rename.string("From"), rename.string("To")) {
            (Some(from), Some(to)) => {
                review::bare(&rename, "From", std::slice::from_ref(&from));
                review::key(&rename, "To", &to);
                renames.push((from, to));
            }
            _ => rename.error("From", "a rename needs From = \"…\" and To = \"…\""),
        }
        rename.finish();
    }
    renames
}

fn headers(section: &Section<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in section.pairs("Headers").unwrap_or_default() {
        match (HeaderName::try_from(&name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(_)) if forbidden(&name) => {
                section.error("Headers", format!("{name} is set by samlare: remove it"));
            }
            (Ok(name), Ok(mut value)) => {
                value.set_sensitive(true);
                headers.append(name, value);
            }
            (Err(_), _) => section.error("Headers", format!("{name:?} is no name of a header")),
            (_, Err(_)) => {
                section.error(
                    "Headers",
                    format!("the value of {name} has characters no header may have"),
                );
            }
        }
    }
    headers
}

/// Headers that frame the message must not be overridden.
fn forbidden(name: &HeaderName) -> bool {
    use http::header::{
        ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE,
    };
    [ACCEPT_ENCODING, CONNECTION, HOST, CONTENT_LENGTH, TE, TRANSFER_ENCODING, UPGRADE]
        .contains(name)
}

/// Reads one `[[endpoint]]`.
pub(super) fn read(section: Section<'_>, defaults: &Defaults) -> Option<Endpoint> {
    let polling = Arc::new(defaults.polling(&section));
    let prefix = section.string("Prefix");
    let failure_metric = section.string("FailureMetric").filter(|name| !name.is_empty());
    let target = match section.string("URL") {
        Some(url) if !url::review(&section, &url) => None,
        Some(url) => Target::parse(&url).map_err(|error| section.error("URL", error)).ok(),
        None if section.has("URL") => None,
        None => {
            section.error("URL", "it is missing: write URL = \"http://host:port/debug/vars\"");
            None
        }
    };
    if prefix.is_none() && !section.has("Prefix") {
        section.warn("Prefix", "it is missing: names begin with the document's own keys");
    }
    if let Some(prefix) = prefix.as_deref() {
        review::name(&section, "Prefix", prefix, &polling);
    }
    if let Some(metric) = failure_metric.as_deref() {
        review::name(&section, "FailureMetric", metric, &polling);
    }
    section.finish();
    Some(Endpoint { target: target?, prefix: prefix.unwrap_or_default(), failure_metric, polling })
}
