//! The configuration file: the original's keys, and ours.
//!
//! Names are matched without regard to case. Mistakes are collected, so that one look shows all
//! of them; a key that nobody knows is only a warning. `README.md` lists the keys, and
//! `sample-config.toml` shows them.

mod discover;
mod endpoint;
mod problem;
mod section;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use discover::Discover;
pub use endpoint::{Endpoint, Polling};
pub use problem::Problem;

use crate::shard::Shard;
use endpoint::Defaults;
use section::{File, Section};

/// A configuration that can be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where the points go; `None` prints them.
    pub carbon: Option<Carbon>,
    /// The endpoints that the file lists.
    pub endpoints: Vec<Endpoint>,
    /// Where others are found.
    pub discover: Vec<Discover>,
    /// The part of all endpoints that this process takes.
    pub shard: Option<Shard>,
    /// Where samlare shows itself.
    pub listen: Option<SocketAddr>,
    /// How it logs.
    pub log_format: LogFormat,
    /// How long a stop may take to send what is queued. Default 10 s.
    pub flush_timeout: Duration,
}

/// Where the points go, and what happens to them when nobody takes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carbon {
    /// As in `tcp://graphite:2003`, in the order of preference.
    pub urls: Vec<String>,
    /// Each server gets a copy, rather than the first one that answers everything.
    pub copies: bool,
    /// PEM certificates that `tls://` trusts rather than the system's.
    pub ca_file: Option<PathBuf>,
    /// A client certificate and its key, PEM.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// The name that the server's certificate must have, where it is not the host's.
    pub server_name: Option<String>,
    /// What is kept in memory and in the spool while it cannot be sent. Default 32 MiB.
    pub queue_bytes: usize,
    /// How much is sent again after a connection broke; `None` leaves it to the sender, zero
    /// suits aggregators.
    pub resend: Option<Duration>,
    /// Keeps the queue on disk also.
    pub spool_dir: Option<PathBuf>,
}

/// How events are written to standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// `key=value` pairs after the message.
    Text,
}

impl Config {
    /// Reads a file's text; gives the warnings along.
    ///
    /// # Errors
    /// Every mistake in it, in the order of its lines.
    pub fn parse(text: &str) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
        let (root, mistakes) = toml::de::DeTable::parse_recoverable(text);
        let file = File::of(text);
        for mistake in mistakes {
            let at = mistake.span().map_or(0, |span| span.start);
            let message = format!("this is not TOML: {}", mistake.message());
            let line = file.lines.line(at);
            file.errors.borrow_mut().push(Problem { line, key: String::new(), message });
        }
        let config = read(Section::new(&file, "", root.get_ref(), 0..0));
        let mut errors = file.errors.into_inner();
        errors.sort_by_key(|problem| problem.line);
        errors.dedup();
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut warnings = file.warnings.into_inner();
        warnings.sort_by_key(|problem| problem.line);
        Ok((config, warnings))
    }

    /// Every key that a file may have, with the table that it stands in (empty for the global
    /// part).
    pub fn keys() -> BTreeSet<(&'static str, &'static str)> {
        const ALL: &str = "[[endpoint]]\n[[discover]]\n[[Renames]]\n[[Rename]]\n";
        let (root, _) = toml::de::DeTable::parse_recoverable(ALL);
        let file = File::of(ALL);
        read(Section::new(&file, "", root.get_ref(), 0..0));
        file.asked.into_inner()
    }
}

fn read(root: Section<'_>) -> Config {
    let defaults = Defaults::read(&root);
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for section in root.sections("endpoint") {
        if let Some(endpoint) = endpoint::read(section, &defaults) {
            endpoints.push(endpoint);
        }
    }
    let discover: Vec<Discover> = root
        .sections("discover")
        .into_iter()
        .filter_map(|section| discover::read(section, &defaults))
        .collect();
    if !root.has("endpoint") && !root.has("discover") {
        root.warn("endpoint", "there is none: write [[endpoint]] with a URL and a Prefix");
    }
    let config = Config {
        carbon: carbon(&root),
        endpoints,
        discover,
        shard: shard(&root),
        listen: listen(&root),
        log_format: log_format(&root),
        flush_timeout: root
            .milliseconds("FlushTimeout", 1..600_000)
            .unwrap_or(Duration::from_secs(10)),
    };
    root.finish();
    config
}

fn carbon(root: &Section<'_>) -> Option<Carbon> {
    let host = root.string("CarbonHost").filter(|host| !host.is_empty());
    let port = root.integer("CarbonPort", 1..65535, "the port");
    let mut urls = root.strings("Carbon").unwrap_or_default();
    if let Some(host) = host {
        if host.contains("://") || host.contains('/') {
            root.error("CarbonHost", "it is a host's name: a URL goes into Carbon = [\"tcp://…\"]");
        }
        let host =
            if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host };
        urls.insert(0, format!("tcp://{host}:{}", port.unwrap_or(2003)));
    } else if port.is_some() && !root.has("CarbonHost") {
        root.warn("CarbonPort", "there is no CarbonHost: lines go to standard output");
    }
    let copies = match root.string("CarbonMode").as_deref() {
        None | Some("failover") => false,
        Some("copy") => true,
        Some(_) => {
            root.error("CarbonMode", "it is neither of the two: write \"failover\" or \"copy\"");
            false
        }
    };
    let certificate = root.string("CarbonCertFile").map(PathBuf::from);
    let key = root.string("CarbonKeyFile").map(PathBuf::from);
    let client_certificate = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => {
            root.error("CarbonCertFile", "CarbonCertFile and CarbonKeyFile go together: give both");
            None
        }
    };
    let carbon = Carbon {
        urls,
        copies,
        ca_file: root.string("CarbonCaFile").map(PathBuf::from),
        client_certificate,
        server_name: root.string("CarbonServerName"),
        queue_bytes: root.integer("QueueBytes", (64 << 10)..(16 << 30), "bytes").unwrap_or(32 << 20)
            as usize,
        resend: root.milliseconds("ResendWindow", 0..3_600_000),
        spool_dir: root.string("SpoolDir").map(PathBuf::from),
    };
    if carbon.urls.is_empty() {
        return None;
    }
    if let Err(error) = crate::output::check(&carbon) {
        let key = match error.field() {
            "to" | "address" if root.has("Carbon") => "Carbon",
            field if field.starts_with("tls") => "CarbonCaFile",
            "queue_bytes" => "QueueBytes",
            _ => "CarbonHost",
        };
        root.error(key, format!("{}: {}", error.problem(), error.remedy()));
    }
    Some(carbon)
}

fn listen(root: &Section<'_>) -> Option<SocketAddr> {
    let text = root.string("Listen")?;
    text.parse()
        .map_err(|_| {
            root.error("Listen", "it is no address with a port: write \"127.0.0.1:14000\"")
        })
        .ok()
}

fn shard(root: &Section<'_>) -> Option<Shard> {
    let text = root.string("Shard")?;
    let host = gethostname::gethostname();
    Shard::parse(&text, &host.to_string_lossy())
        .map_err(|error| root.error("Shard", error.to_string()))
        .ok()
}

fn log_format(root: &Section<'_>) -> LogFormat {
    match root.string("LogFormat").map(|text| text.to_ascii_lowercase()).as_deref() {
        None | Some("json") => LogFormat::Json,
        Some("text") => LogFormat::Text,
        Some(_) => {
            root.error("LogFormat", "it is neither of the two: write \"json\" or \"text\"");
            LogFormat::Json
        }
    }
}
