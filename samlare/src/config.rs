//! The configuration file: the original's keys, and new ones.
//!
//! Keys are case-insensitive. All errors are collected and shown at once; an unknown key is only a
//! warning. `README.md` lists the keys, and `sample-config.toml` shows them.

mod cluster;
mod discover;
mod endpoint;
mod expand;
mod load;
mod places;
mod problem;
mod review;
mod routing;
mod section;
mod url;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use discover::Discover;
pub use endpoint::{Endpoint, Polling};
pub(crate) use places::Places;
pub use problem::Problem;
pub use routing::{Routing, Rule};

use crate::shard::Shard;
use endpoint::Defaults;
use expvar_carbon::Route;
use section::{File, Section};

/// A valid configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The Carbon destinations; `None` prints lines.
    pub carbon: Option<Carbon>,
    /// The OpenTelemetry collector, in addition to Carbon or instead of it.
    pub otlp: Option<String>,
    /// The listed endpoints.
    pub endpoints: Vec<Endpoint>,
    /// Sources of further endpoints.
    pub discover: Vec<Discover>,
    /// This process's shard of all endpoints.
    pub shard: Option<Shard>,
    /// The members that share all endpoints.
    pub cluster: Option<crate::cluster::Settings>,
    /// The address of samlare's own page and variables.
    pub listen: Option<SocketAddr>,
    /// The format of the log.
    pub log_format: LogFormat,
    /// How long a stop may take to send queued points. Default: 10 s.
    pub flush_timeout: Duration,
    /// The lines of keys that are validated when they are used.
    pub(crate) places: Places,
    /// The file has no key at all.
    is_empty: bool,
}

/// Destinations, routing and buffering of points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carbon {
    /// The destinations and the route.
    pub routing: Routing,
    /// Names with other destinations; the first matching rule wins.
    pub rules: Vec<Rule>,
    /// PEM certificates to trust for `tls://` instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// A client certificate and its key, PEM.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// The name in the server's certificate. Default: the host's.
    pub server_name: Option<String>,
    /// The size of the queue in memory and on disk. Default: 32 MiB.
    pub queue_bytes: usize,
    /// How far back to resend after a lost connection. `None` for the sender's default; zero suits
    /// aggregators.
    pub resend: Option<Duration>,
    /// Also keeps the queue on disk.
    pub spool_dir: Option<PathBuf>,
}

/// The format of events on standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// `key=value` pairs after the message.
    Text,
}

impl Config {
    /// Parses a file's text; also returns warnings.
    ///
    /// # Errors
    /// Every error, in order of lines.
    pub fn parse(text: &str) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
        Config::of(text, &File::of(text, Path::new(""), false))
    }

    /// Like [`parse`](Self::parse), for a file in `folder`, to which paths are relative; also
    /// checks the files that it names.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_file(text: &str, folder: &Path) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
        Config::of(text, &File::of(text, folder, true))
    }

    fn of(text: &str, file: &File) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
        let (root, mistakes) = toml::de::DeTable::parse_recoverable(text);
        for mistake in mistakes {
            let at = mistake.span().map_or(0, |span| span.start);
            let message = format!("this is not TOML: {}", mistake.message());
            let line = file.lines.line(at);
            file.errors.borrow_mut().push(Problem::new(line, String::new(), message));
        }
        let config = read(Section::new(file, "", root.get_ref(), 0..0));
        let mut errors = file.errors.take();
        errors.sort_by_key(|problem| problem.line);
        errors.dedup();
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut warnings = file.warnings.take();
        warnings.sort_by_key(|problem| problem.line);
        warnings.dedup();
        Ok((config, warnings))
    }

    /// Every key, with its table (empty for the global part).
    pub fn keys() -> BTreeSet<(&'static str, &'static str)> {
        const ALL: &str =
            "[[endpoint]]\n[[discover]]\n[[Renames]]\n[[Rename]]\n[[rule]]\n[cluster]\n";
        let (root, _) = toml::de::DeTable::parse_recoverable(ALL);
        let file = File::of(ALL, Path::new(""), false);
        read(Section::new(&file, "", root.get_ref(), 0..0));
        file.asked.into_inner()
    }

    /// The polling settings of listed and discovered endpoints.
    pub(crate) fn pollings(&self) -> impl Iterator<Item = &Polling> {
        let listed = self.endpoints.iter().map(|endpoint| &*endpoint.polling);
        listed.chain(self.discover.iter().map(|discover| &*discover.polling))
    }
}

fn read(root: Section<'_>) -> Config {
    root.expand();
    let defaults = Defaults::read(&root);
    let mut endpoints: Vec<(usize, Endpoint)> = Vec::new();
    for section in root.sections("endpoint") {
        let line = section.line();
        if let Some(endpoint) = endpoint::read(section, &defaults) {
            endpoints.push((line, endpoint));
        }
    }
    review::shared(root.file(), &endpoints);
    let endpoints = endpoints.into_iter().map(|(_, endpoint)| endpoint).collect();
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
        otlp: otlp(&root),
        endpoints,
        discover,
        shard: shard(&root),
        cluster: root.section("cluster").and_then(cluster::read),
        listen: listen(&root),
        log_format: log_format(&root),
        flush_timeout: root
            .milliseconds("FlushTimeout", 1..600_000)
            .unwrap_or(Duration::from_secs(10)),
        places: Places::of(&root),
        is_empty: root.is_empty(),
    };
    if let Some(settings) = &config.cluster {
        let tightest = config
            .pollings()
            .min_by_key(|polling| polling.interval.saturating_sub(polling.timeout));
        let tightest = tightest.map(|polling| (polling.interval, polling.timeout));
        cluster::review(&root, settings, tightest);
        if config.shard.is_some() {
            root.error("Shard", "[cluster] shares the endpoints, too: remove one of them");
        }
    }
    if config.flush_timeout > UNIT_STOP {
        root.warn(
            "FlushTimeout",
            "systemd's limit for a stop must be longer: raise TimeoutStopSec in the unit, which is \
             30 s as shipped, or write at most 25000",
        );
    }
    root.finish();
    config
}

/// Fits the unit's `TimeoutStopSec=30`.
const UNIT_STOP: Duration = Duration::from_secs(25);

/// Why a host name is invalid.
fn host_problem(host: &str) -> Option<String> {
    if let Some(filled) = expand::unfilled(host) {
        let (host, port) = match filled.rsplit_once("}:") {
            Some((host, port)) => (format!("{host}}}"), format!(", and CarbonPort = {port}")),
            None => (filled, String::new()),
        };
        return Some(format!(
            "variables are not filled in: write Expand = true and CarbonHost = \"{host}\"{port}"
        ));
    }
    if host.contains("://") || host.contains('/') {
        return Some("it is a host's name: a URL goes into Carbon = [\"tcp://…\"]".to_owned());
    }
    if let Some((name, port)) = host.rsplit_once(':')
        && (!name.contains(':') || name.ends_with(']'))
    {
        let name = name.trim_matches(['[', ']']);
        return Some(format!(
            "it holds a port: write CarbonHost = {name:?} and CarbonPort = {}",
            port.parse::<u16>().unwrap_or(2003)
        ));
    }
    let odd = |c: char| c.is_whitespace() || "@?#\"'".contains(c);
    host.contains(odd)
        .then(|| "it is no host's name: write one as in graphite.example.com".to_owned())
}

fn carbon(root: &Section<'_>) -> Option<Carbon> {
    let host = root.string("CarbonHost").filter(|host| !host.is_empty());
    let port = root.integer("CarbonPort", 1..65535, "the port");
    let mut urls = root.strings("Carbon").unwrap_or_default();
    if let Some(host) = host {
        if let Some(problem) = host_problem(&host) {
            root.error("CarbonHost", problem);
            return None;
        }
        let host =
            if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host };
        urls.insert(0, format!("tcp://{host}:{}", port.unwrap_or(2003)));
    } else if port.is_some() && !root.has("CarbonHost") {
        root.warn("CarbonPort", "there is no CarbonHost: lines go to standard output");
    }
    let mut routing = Routing::read(root, urls);
    match root.string("CarbonMode").as_deref() {
        None => {}
        Some(mode @ ("failover" | "copy")) if root.has("Route") && mode != routing.route.name() => {
            root.error("CarbonMode", "Route says otherwise: remove CarbonMode");
        }
        Some("failover") => {}
        Some("copy") => routing.route = Route::Copy,
        Some(_) => {
            root.error("CarbonMode", "it is neither of the two: write \"failover\" or \"copy\"");
        }
    }
    let sections = root.sections("rule");
    let rules: Vec<Rule> = sections.into_iter().filter_map(routing::read).collect();
    let certificate = root.file_path("CarbonCertFile");
    let key = root.file_path("CarbonKeyFile");
    let client_certificate = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => {
            root.error("CarbonCertFile", "CarbonCertFile and CarbonKeyFile go together: give both");
            None
        }
    };
    let carbon = Carbon {
        routing,
        rules,
        ca_file: root.file_path("CarbonCaFile"),
        client_certificate,
        server_name: root.string("CarbonServerName"),
        queue_bytes: root.integer("QueueBytes", (64 << 10)..(16 << 30), "bytes").unwrap_or(32 << 20)
            as usize,
        resend: root.milliseconds("ResendWindow", 0..3_600_000),
        spool_dir: root.file_path("SpoolDir"),
    };
    review::unused(root, &carbon);
    if carbon.routing.urls.is_empty() {
        if !carbon.rules.is_empty() {
            root.error("Carbon", "it is missing: names that no [[rule]] matches have no place");
        }
        return None;
    }
    if let Some(dir) = &carbon.spool_dir {
        review::spool_dir(root, "SpoolDir", dir);
    }
    if let Err(error) = crate::output::check(&carbon) {
        let key = places::sender_key(error.field(), |key| root.has(key));
        // A rule has said so itself, with its line.
        if key != "rule" || !root.file().has_error_below("rule") {
            root.error(key, format!("{}: {}", error.problem(), error.remedy()));
        }
    }
    Some(carbon)
}

fn otlp(root: &Section<'_>) -> Option<String> {
    let url = root.string("Otlp").filter(|url| !url.is_empty())?;
    if let Err(error) = crate::otlp::check(&url) {
        root.error("Otlp", format!("{}: {}", error.problem(), error.remedy()));
    }
    Some(url)
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
