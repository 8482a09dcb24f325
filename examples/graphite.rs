//! A service whose counter, gauge, map and histogram are pushed to Graphite.
//!
//! `cargo run --example graphite -- --carbon tcp://graphite:2003 --interval 60 --prefix apps.demo`
//!
//! Without `--carbon` it listens on loopback itself and prints the lines that it receives, so it
//! runs on machines without a Carbon.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::ExitCode;
use std::time::Duration;

use expvar_carbon::Carbon;

expvar::vars! {
    /// Requests answered.
    static REQUESTS: Counter = "requests";
    /// Requests that wait.
    static WAITING: Gauge = "waiting";
    /// Requests by route.
    static ROUTES: Map = "routes", label: "route", counter;
    /// How long a request took.
    static LATENCY: Histogram = "latency", unit: Nanoseconds;
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The text names the setting and a remedy.
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse()?;
    let address = match options.carbon {
        Some(address) => address,
        None => print_what_comes()?,
    };
    let carbon = Carbon::new(address)
        .prefix(options.prefix)
        .interval(options.interval)
        .exclude("{memstats,process}.**")
        .spawn()?;
    eprintln!("pushing each {:?}; Ctrl-C ends", options.interval);
    for request in 0_u64.. {
        serve(request);
        // The push's statistics are a variable like any other: `expvar.carbon`.
        if request % 1_000 == 999 && !carbon.stats().last_error.is_empty() {
            eprintln!("{}", carbon.stats().last_error);
        }
    }
    Ok(())
}

/// One request of a busy service.
fn serve(request: u64) {
    let _timer = LATENCY.start();
    let routes = ["index", "api.search", "api.order"];
    WAITING.set((request % 7) as i64);
    std::thread::sleep(Duration::from_micros(500 + request % 13 * 200));
    ROUTES.add(routes[request as usize % routes.len()], 1);
    REQUESTS.inc();
}

/// Prints the lines of every connection; returns the address that it listens on.
fn print_what_comes() -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if writeln!(std::io::stdout(), "{line}").is_err() {
                    // The reader has gone, as after `| head`.
                    std::process::exit(0);
                }
            }
        }
    });
    Ok(address)
}

struct Options {
    carbon: Option<String>,
    interval: Duration,
    prefix: String,
}

impl Options {
    fn parse() -> Result<Self, String> {
        let mut options = Options {
            carbon: None,
            interval: Duration::from_secs(5),
            prefix: "apps.{exe}.{host}".to_owned(),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{name} needs a value"));
            match name.as_str() {
                "--carbon" => options.carbon = Some(value()?),
                "--prefix" => options.prefix = value()?,
                "--interval" => {
                    let seconds = value()?.parse().map_err(|_| "--interval takes whole seconds")?;
                    options.interval = Duration::from_secs(seconds);
                }
                _ => {
                    return Err(format!(
                        "{name}: use --carbon URL, --interval SECONDS, --prefix P"
                    ));
                }
            }
        }
        Ok(options)
    }
}
