//! The keys of a `[[discover]]` table and their validation.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::{Discover, Source, Template, TemplateError, consul, dns, files};

/// The least `Refresh`.
const MIN_REFRESH_MS: u64 = 10;

/// A `[[discover]]` table as written; each field is the key of its name (`Files`, `FailureMetric`,
/// `TokenFile`, …).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// `Files`: paths of file_sd documents; the last part may contain one `*`.
    pub files: Vec<String>,
    /// `Dns`: names.
    pub dns: Vec<String>,
    /// `Record`: `SRV` (default for names that start with `_`), `A`, `AAAA`.
    pub record: Option<String>,
    /// `Port`: for `A` and `AAAA`.
    pub port: Option<u16>,
    /// `Nameserver`: `10.0.0.2` or `10.0.0.2:53`. Default: the system's.
    pub nameserver: Option<String>,
    /// `Consul`: the agent's address, `http://127.0.0.1:8500`.
    pub consul: Option<String>,
    /// `Services`: names in Consul. Default: all.
    pub services: Vec<String>,
    /// `Tags`: only services with all of these.
    pub tags: Vec<String>,
    /// `Datacenter`: Consul's. Default: the agent's own.
    pub datacenter: Option<String>,
    /// `Passing`: whether to include only instances that pass their checks. Default: true.
    pub passing: Option<bool>,
    /// `Token`: Consul's. Default: CONSUL_HTTP_TOKEN from the environment.
    pub token: Option<String>,
    /// `TokenFile`: a file with the token, read before every request.
    pub token_file: Option<String>,
    /// `CaFile`: PEM certificates to trust for Consul's https (and the endpoints').
    pub ca_file: Option<PathBuf>,
    /// `Refresh`: the interval in milliseconds for files (default 5,000) or DNS (30,000); for
    /// Consul the longest wait for a change (300,000).
    pub refresh_ms: Option<u64>,
    /// `URL`: a template. Default: `http://{host}:{port}/debug/vars`.
    pub url: Option<String>,
    /// `Prefix`: a template; required.
    pub prefix: Option<String>,
    /// `FailureMetric`: a template.
    pub failure_metric: Option<String>,
}

/// An error in a `[[discover]]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key as documented.
    pub key: &'static str,
    /// The problem and a remedy.
    pub message: String,
}

impl Settings {
    /// The keys of a `[[discover]]` table beside those of an endpoint.
    pub const KEYS: &[&str] = &[
        "Files",
        "Dns",
        "Record",
        "Port",
        "Nameserver",
        "Consul",
        "Services",
        "Tags",
        "Datacenter",
        "Passing",
        "Token",
        "TokenFile",
        "Refresh",
        "URL",
        "Prefix",
        "FailureMetric",
    ];

    /// Validates everything.
    ///
    /// # Errors
    /// All errors, each with its key and a remedy.
    pub fn check(&self) -> Result<Discover, Vec<Problem>> {
        let mut problems = Vec::new();
        let source = self.source(&mut problems);
        let refresh = match (self.refresh_ms, &source) {
            (Some(ms), _) if ms < MIN_REFRESH_MS => {
                problems.push(Problem::new(
                    "Refresh",
                    format!("is {ms}, in milliseconds; at least {MIN_REFRESH_MS}"),
                ));
                None
            }
            (Some(ms), Some(source)) => {
                let (_, most) = source.refresh();
                Some(Duration::from_millis(ms).min(most))
            }
            (None, Some(source)) => Some(source.refresh().0),
            (_, None) => None,
        };
        let known = source.as_ref().and_then(Source::known_labels);
        let mut template = |key, text: &Option<String>| {
            let text = text.as_deref()?;
            // A URL may contain a password or a token: never repeat it.
            let is_secret = key == "URL" && text.contains(['@', '?']);
            let shown = if is_secret { "the template".to_owned() } else { format!("{text:?}") };
            let template = match Template::parse(text) {
                Ok(template) => template,
                Err(TemplateError::Name(at, _)) if is_secret => {
                    let problem = TemplateError::Name(at, "…".to_owned());
                    problems.push(Problem::new(key, format!("{shown}: {problem}")));
                    return None;
                }
                Err(error) => {
                    problems.push(Problem::new(key, format!("{shown}: {error}")));
                    return None;
                }
            };
            let unknown: Vec<_> = match &known {
                Some(known) => template.labels().filter(|l| !known.contains(l)).collect(),
                None => Vec::new(),
            };
            for label in &unknown {
                let label = if is_secret { "…" } else { label };
                problems.push(Problem::new(
                    key,
                    format!(
                        "{shown}: there is no label {{{label}}} here; there are {{{}}}",
                        known.unwrap_or_default().join("}, {")
                    ),
                ));
            }
            unknown.is_empty().then_some(template)
        };
        let url = template("URL", &self.url);
        let prefix = template("Prefix", &self.prefix);
        let failure_metric = template("FailureMetric", &self.failure_metric);
        if self.prefix.as_deref().unwrap_or_default().is_empty() {
            problems.push(Problem::new(
                "Prefix",
                "is missing; write one like \"apps.{service}.{host}_{port}\"",
            ));
        }
        match (source, prefix, refresh) {
            (Some(source), Some(prefix), Some(refresh)) if problems.is_empty() => {
                Ok(Discover { source, url, prefix, failure_metric, refresh })
            }
            _ => Err(problems),
        }
    }

    fn source(&self, problems: &mut Vec<Problem>) -> Option<Source> {
        let named = [!self.files.is_empty(), !self.dns.is_empty(), self.consul.is_some()];
        match named {
            [true, false, false] => files::source(self, problems),
            [false, true, false] => dns::source(self, problems),
            [false, false, true] => consul::source(self, problems),
            [false, false, false] => {
                problems.push(Problem::new(
                    "Files",
                    "is missing; a [[discover]] has one of Files = [\"…\"], Dns = [\"…\"], \
                     Consul = \"http://127.0.0.1:8500\"",
                ));
                None
            }
            _ => {
                let key = if named[0] { "Files" } else { "Dns" };
                problems.push(Problem::new(
                    key,
                    "stands beside another source; a [[discover]] has one of Files, Dns and \
                     Consul: write one table each",
                ));
                None
            }
        }
    }
}

impl Source {
    /// The default `Refresh`, and the highest.
    fn refresh(&self) -> (Duration, Duration) {
        match self {
            Source::Files(_) => (files::REFRESH, Duration::MAX),
            Source::Dns(_) => (dns::REFRESH, Duration::MAX),
            Source::Consul(_) => (consul::WAIT, consul::MAX_WAIT),
        }
    }

    /// The labels, if they are known in advance.
    fn known_labels(&self) -> Option<&'static [&'static str]> {
        match self {
            Source::Dns(_) => Some(dns::LABELS),
            // Labels in files and Consul's metadata are free.
            Source::Files(_) | Source::Consul(_) => None,
        }
    }
}

impl Problem {
    pub(super) fn new(key: &'static str, message: impl Into<String>) -> Problem {
        Problem { key, message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key, self.message)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Settings(…)") // holds a token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_url_repeats_no_secret() {
        for url in [
            "http://user:hunter2@{host",
            "http://user:hunter2@{host}:{hunter2 x}",
            "http://user:hun{ter2@{host}:{port}/",
            "http://user:{hunter2}@{host}:{port}/",
            "http://{host}:{port}/?token={hunter2}",
            "http://{host}:{port}/?token=hunter2}",
        ] {
            let settings = Settings {
                dns: vec!["_http._tcp.example.org".to_owned()],
                prefix: Some("apps.{service}".to_owned()),
                url: Some(url.to_owned()),
                ..Settings::default()
            };
            let problems = settings.check().err().unwrap();
            assert_eq!(problems.iter().map(|p| p.key).collect::<Vec<_>>(), ["URL"], "{url}");
            let message = &problems[0].message;
            assert!(!message.contains("hun") && !message.contains("ter2"), "{message}");
            assert!(message.starts_with("the template: "), "{message}");
        }
        let settings = Settings {
            dns: vec!["_http._tcp.example.org".to_owned()],
            prefix: Some("apps.{dc}".to_owned()),
            ..Settings::default()
        };
        let problems = settings.check().err().unwrap();
        assert!(problems[0].message.starts_with("\"apps.{dc}\": there is no label {dc} here;"));
    }
}
