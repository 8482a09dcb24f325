//! `samlare watch`: the variables of running services in a terminal.
//!
//! Foreign text (names, values, errors) is sanitized before it is drawn, and everything kept is
//! bounded: 240 polls of at most 20,000 variables in all, 5,000 for each service.

pub mod draw;
mod flags;
mod flattened;
mod kinds;
mod lines;
mod pick;
mod poll;
mod ports;
mod restart;
mod screen;
pub mod series;
pub mod service;
pub mod terminal;
mod text;
pub mod units;
pub mod view;
pub mod wanted;

use std::process::ExitCode;

use crate::client::Target;
use flags::{Command, Flags};
use service::Service;
use view::View;

/// Runs `samlare watch` with these arguments. Exits with 0 when it was quit, 1 on failure, 2 for
/// invalid arguments.
pub fn run(arguments: &[String]) -> ExitCode {
    let flags = match flags::parse(arguments) {
        Ok(Command::Watch(flags)) => flags,
        Ok(Command::Help) => {
            print!("{}", flags::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("samlare watch: {error}\nsamlare watch -help lists the flags");
            return ExitCode::from(2);
        }
    };
    match watch(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("samlare watch: {error}");
            ExitCode::FAILURE
        }
    }
}

fn watch(mut flags: Flags) -> Result<(), String> {
    let own = flags.own.then(|| expvar_http::spawn("127.0.0.1:0"));
    let own = own.transpose().map_err(|error| format!("cannot show itself: {error}"))?;
    if let Some(server) = &own {
        flags.urls.push(format!("http://{}/debug/vars", server.local_addr()));
    }
    let targets: Vec<Target> = flags
        .urls
        .iter()
        .map(|url| Target::parse(url))
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{error}; {}", ports::VALID))?;
    let services: Vec<_> = targets
        .iter()
        .map(|target| Service::new(&address(&target.to_string()), targets.len()))
        .collect();
    let color = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let view = View::new(services, flags.wanted, flags.interval.as_secs_f64(), color);

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let done = runtime.block_on(async {
        let answers = poll::start(targets, flags.interval, flags.ca_file.as_deref())?;
        // A terminal that cannot position its cursor gets lines.
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let ended = match flags.dummy || is_dumb {
            true => lines::run(view, answers, flags.interval).await,
            false => screen::run(view, answers).await,
        };
        ended.map_err(|error| error.to_string())
    });
    // Do not wait for a DNS lookup in progress.
    runtime.shutdown_background();
    done
}

/// The part of a URL that distinguishes services: host and port, and an unusual path.
fn address(shown: &str) -> String {
    let rest = shown.strip_prefix("http://").unwrap_or(shown);
    rest.strip_suffix("/debug/vars").unwrap_or(rest).to_owned()
}
