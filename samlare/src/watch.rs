//! `samlare watch`: the variables of running services in a terminal.
//!
//! Everything foreign (names, values, errors) is made harmless before it is
//! drawn, and everything that is kept is bounded: 240 polls of at most 20,000
//! variables in all, 5,000 a service.

pub mod draw;
mod flags;
mod kinds;
mod lines;
mod pick;
mod poll;
mod ports;
mod reading;
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

/// Runs `samlare watch` with the arguments after these words: 0 when it was
/// quit, 1 when it failed, 2 when the arguments are wrong.
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
        .map_err(|error| format!("{error}; {}", ports::UNDERSTOOD))?;
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
        // A terminal that cannot place its cursor gets lines.
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let ended = match flags.dummy || is_dumb {
            true => lines::run(view, answers, flags.interval).await,
            false => screen::run(view, answers).await,
        };
        ended.map_err(|error| error.to_string())
    });
    // A name that is still being resolved must not hold up the end.
    runtime.shutdown_background();
    done
}

/// What of a URL tells services apart: its host and port, its path where it is
/// no common one.
fn address(shown: &str) -> String {
    let rest = shown.strip_prefix("http://").unwrap_or(shown);
    rest.strip_suffix("/debug/vars").unwrap_or(rest).to_owned()
}
