//! The program `samlare`: reads its command line, runs, and says how it went.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use samlare::cluster::{self, Etcd, Owners};
use samlare::config::{Config, Endpoint};
use samlare::daemon::{self, Daemon};
use samlare::discover::Source;
use samlare::log::Log;
use samlare::once;
use samlare::seen;
use samlare::shard::Shard;

const HELP: &str = "\
samlare polls /debug/vars endpoints and submits what it reads to Graphite.

Usage:
  samlare [-config=PATH] [-shard=N/M]   poll for ever (SIGHUP reloads, SIGTERM flushes and stops)
  samlare check FILE                    validate a configuration, including unknown keys
  samlare once FILE                     poll everything once and print the lines
  samlare watch [FLAGS] [URL…]          show variables in the terminal (samlare watch --help)
  samlare help, samlare version         this text; the version

Flags (one dash or two; -flag=value or -flag value):
  -config PATH   the configuration; default /etc/samlare/config.toml
  -shard N/M     poll the N-th of M parts; ordinal/M takes N from the end of the host's name
  -help          this text
  -version       the version

check and once print errors to standard error, and exit with 1 if there are any.
The configuration's keys are in the README; sample-config.toml shows them.
";

const VERSION: &str = concat!("samlare ", env!("CARGO_PKG_VERSION"), "\n");

const DEFAULT_CONFIG: &str = "/etc/samlare/config.toml";

fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|text| text.to_string_lossy().into_owned()).collect();
    match arguments.first().map(String::as_str) {
        Some("check") => file_of("check", &arguments[1..]).map_or_else(usage, check),
        Some("once") => file_of("once", &arguments[1..]).map_or_else(usage, once),
        Some("watch") => samlare::watch::run(&arguments[1..]),
        Some("help") => print(HELP),
        Some("version") => print(VERSION),
        _ => match Flags::parse(&arguments) {
            Ok(Flags::Help) => print(HELP),
            Ok(Flags::Version) => print(VERSION),
            Ok(Flags::Run(daemon)) => run(&daemon),
            Err(error) => usage(error),
        },
    }
}

/// What the command line asks for when it names no command.
enum Flags {
    Help,
    Version,
    Run(Daemon),
}

impl Flags {
    fn parse(arguments: &[String]) -> Result<Flags, String> {
        let mut daemon = Daemon { path: PathBuf::from(DEFAULT_CONFIG), shard: None };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let flag = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'));
            let Some(flag) = flag.filter(|flag| !flag.is_empty()) else {
                return Err(format!("{argument:?} is neither a command nor a flag"));
            };
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            let mut value = || {
                let value = value.clone().or_else(|| rest.next().cloned());
                value.ok_or_else(|| format!("flag needs an argument: -{name}"))
            };
            match name {
                "h" | "help" => return Ok(Flags::Help),
                "V" | "version" => return Ok(Flags::Version),
                "config" => daemon.path = PathBuf::from(value()?),
                "shard" => {
                    let host = gethostname::gethostname();
                    let shard = Shard::parse(&value()?, &host.to_string_lossy());
                    daemon.shard = Some(shard.map_err(|error| error.to_string())?);
                }
                _ => return Err(format!("flag provided but not defined: -{name}")),
            }
        }
        Ok(Flags::Run(daemon))
    }
}

fn file_of(command: &str, arguments: &[String]) -> Result<PathBuf, String> {
    match arguments {
        [file] if matches!(file.as_str(), "-h" | "-help" | "--help") => Err(String::new()),
        [file] => {
            let path = file.trim_start_matches('-').strip_prefix("config=");
            Ok(PathBuf::from(path.unwrap_or(file)))
        }
        _ => Err(format!("samlare {command} needs one file: samlare {command} {DEFAULT_CONFIG}")),
    }
}

fn usage(error: String) -> ExitCode {
    if error.is_empty() {
        return print(HELP);
    }
    eprint!("samlare: {error}\nsamlare help lists commands and flags\n");
    ExitCode::from(2)
}

fn print(text: &str) -> ExitCode {
    use std::io::Write;
    // A reader that has seen enough is no failure.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn complain(errors: &[String]) -> ExitCode {
    for error in errors {
        eprintln!("samlare: {error}");
    }
    ExitCode::FAILURE
}

fn check(path: PathBuf) -> ExitCode {
    let (config, warnings) = match daemon::load(&path) {
        Ok(loaded) => loaded,
        Err(errors) => return complain(&errors),
    };
    let name = path.display();
    // Files of targets are here; other sources are somebody's to ask.
    let Some(runtime) = runtime() else { return ExitCode::FAILURE };
    let log = Log::stderr(config.log_format);
    let files = |source: &Source| matches!(source, Source::Files(_));
    let (endpoints, found) = runtime.block_on(once::gather(&config, &log, files));
    let warnings = runtime.block_on(seen::decide(warnings, &endpoints));
    let mut wrong: Vec<_> = warnings.iter().map(|w| format!("{name}: {w}")).collect();
    wrong.extend(found);
    if wrong.is_empty() {
        let share = runtime.block_on(share(&config, &endpoints));
        return print(&format!("{name}: {}\n{share}", summary(&config)));
    }
    complain(&wrong)
}

fn summary(config: &Config) -> String {
    let destination = match &config.carbon {
        Some(carbon) => carbon.routing.urls.join(", "),
        None => "standard output".to_owned(),
    };
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    format!(
        "{} and {}, to {destination}",
        count(config.endpoints.len(), "endpoint"),
        count(config.discover.len(), "[[discover]] source")
    )
}

/// What this member of a cluster would poll if it joined now.
async fn share(config: &Config, endpoints: &[Endpoint]) -> String {
    let Some(settings) = &config.cluster else { return String::new() };
    let looked = match Etcd::new(settings) {
        Ok(engine) => cluster::look(&engine, settings).await,
        Err(error) => Err(error.to_string()),
    };
    let me = settings.name.as_str();
    let (owners, why) = match looked {
        Ok(owners) => (owners, String::new()),
        Err(why) => (
            Owners::new([me], settings.replicas),
            format!("cluster: {} cannot be asked, so as if alone: {why}\n", settings.engine_name()),
        ),
    };
    let mut lines = why;
    for name in owners.names() {
        let count = endpoints.iter().filter(|endpoint| owners.owns(name, endpoint.target.url()));
        let this = if name == me { " (this one)" } else { "" };
        lines.push_str(&format!("cluster: {name}{this} polls {} endpoints\n", count.count()));
    }
    lines
}

fn once(path: PathBuf) -> ExitCode {
    let (config, warnings) = match daemon::load(&path) {
        Ok(loaded) => loaded,
        Err(errors) => return complain(&errors),
    };
    let name = path.display();
    let log = Log::stderr(config.log_format);
    let Some(runtime) = runtime() else { return ExitCode::FAILURE };
    let (endpoints, sources) = runtime.block_on(once::gather(&config, &log, |_| true));
    let warnings = runtime.block_on(seen::decide(warnings, &endpoints));
    let mut wrong: Vec<_> = warnings.iter().map(|w| format!("{name}: {w}")).collect();
    wrong.extend(sources);
    match runtime.block_on(once::poll(endpoints, &mut std::io::stdout().lock())) {
        Ok(found) => {
            wrong.extend(found);
            if wrong.is_empty() { ExitCode::SUCCESS } else { complain(&wrong) }
        }
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => complain(&[format!("standard output: {error}")]),
    }
}

fn run(daemon: &Daemon) -> ExitCode {
    let Some(runtime) = runtime() else { return ExitCode::FAILURE };
    let ended = runtime.block_on(daemon.run());
    // Names that are being looked up may take long; they are not worth waiting for.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(errors) => complain(&errors),
    }
}

fn runtime() -> Option<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| complain(&[format!("cannot start: {error}")])).ok()
}
