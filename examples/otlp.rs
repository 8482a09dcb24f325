//! A service whose counter, gauge, map and histogram are pushed to an OpenTelemetry collector.
//!
//! `cargo run --example otlp -- --endpoint http://collector:4318 --interval 60`
//!
//! Without `--endpoint` it prints the requests as JSON, one on each line, and sends nothing. The
//! environment variables `OTEL_EXPORTER_OTLP_…` apply in both cases.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use expvar_otlp::Otlp;

expvar::vars! {
    /// Requests answered.
    static REQUESTS: Counter = "requests", unit: Other("requests");
    /// Requests that wait.
    static WAITING: Gauge = "waiting";
    /// Requests by route.
    static ROUTES: Map = "routes", label: "http.route", counter;
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
    let Some(endpoint) = options.endpoint else { return print(options.interval) };
    let otlp = Otlp::new(endpoint)
        .service_name("otlp-example")
        .interval(options.interval)
        .on_event(|event| eprintln!("{event}"))
        .spawn()?;
    // Pushes the last values when the service ends.
    let _guard = otlp.drop_guard();
    eprintln!("pushing each {:?}; Ctrl-C ends", options.interval);
    (0..u64::MAX).for_each(serve);
    Ok(())
}

/// Prints the requests until the reader has gone, as after `| head`.
fn print(interval: Duration) -> Result<(), Box<dyn std::error::Error>> {
    let mut renderer = Otlp::from_env().service_name("otlp-example").renderer()?;
    std::thread::spawn(|| (0..u64::MAX).for_each(serve));
    eprintln!("printing each {interval:?}; Ctrl-C ends");
    loop {
        std::thread::sleep(interval);
        let text = renderer.to_json();
        if std::io::stdout().write_all(text.as_bytes()).is_err() {
            return Ok(());
        }
    }
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

struct Options {
    endpoint: Option<String>,
    interval: Duration,
}

impl Options {
    fn parse() -> Result<Self, String> {
        let mut options = Options { endpoint: None, interval: Duration::from_secs(5) };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{name} needs a value"));
            match name.as_str() {
                "--endpoint" => options.endpoint = Some(value()?),
                "--interval" => {
                    let seconds = value()?.parse().map_err(|_| "--interval takes whole seconds")?;
                    options.interval = Duration::from_secs(seconds);
                }
                _ => return Err(format!("{name}: use --endpoint URL, --interval SECONDS")),
            }
        }
        Ok(options)
    }
}
