//! A complete service: a store of notes over HTTP, with its variables on another port.
//!
//! `cargo run --example service -- --traffic`, then open the page that it names.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{MatchedPath, Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::net::TcpListener;

#[path = "service/traffic.rs"]
mod traffic;

const USAGE: &str = "usage: service [--traffic] [--listen ADDRESS] [--vars ADDRESS]

  --traffic         send requests to itself, so that there is something to see
  --listen ADDRESS  where the service listens (127.0.0.1:8080)
  --vars ADDRESS    where its variables are shown (127.0.0.1:8123)";

expvar::vars! {
    /// Requests answered, by route and status.
    static REQUESTS: Map = "http.requests", label: "route", counter;
    /// How long requests take, without the client's network.
    static LATENCY: Histogram = "http.latency", unit: Nanoseconds;
    /// Requests being answered now.
    static IN_FLIGHT: Gauge = "http.in_flight";
    /// What was built.
    static BUILD: Text = "build.version";
    /// Sizes of the notes that were put.
    static NOTE_BYTES: Histogram = "notes.put", unit: Bytes;
}

/// The notes by name; at most [`MOST_NOTES`].
type Notes = Arc<Mutex<BTreeMap<String, Bytes>>>;

const MOST_NOTES: usize = 1000;

/// The value of the variable `notes`.
#[derive(Serialize)]
struct Summary {
    count: usize,
    bytes: usize,
    largest: Option<String>,
    uptime_secs: u64,
}

fn summarize(notes: &Notes, started: Instant) -> Summary {
    let notes = notes.lock();
    Summary {
        count: notes.len(),
        bytes: notes.values().map(Bytes::len).sum(),
        largest: notes.iter().max_by_key(|(_, note)| note.len()).map(|(name, _)| name.clone()),
        uptime_secs: started.elapsed().as_secs(),
    }
}

/// Counts and times each request.
///
/// The map has a key for each route and status. The route is the template `/notes/{name}`, not the
/// path, so that clients cannot create keys.
async fn observe(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    IN_FLIGHT.inc();
    let timer = LATENCY.start();
    let response = next.run(request).await;
    drop(timer);
    IN_FLIGHT.dec();
    let route = route.as_ref().map_or("(none)", MatchedPath::as_str);
    REQUESTS.add(format!("{route} {}", response.status().as_u16()), 1);
    response
}

async fn list(State(notes): State<Notes>) -> String {
    let notes = notes.lock();
    notes.keys().map(|name| format!("{name}\n")).collect()
}

async fn read(State(notes): State<Notes>, Path(name): Path<String>) -> Result<Bytes, StatusCode> {
    let notes = notes.lock();
    notes.get(&name).cloned().ok_or(StatusCode::NOT_FOUND)
}

async fn write(State(notes): State<Notes>, Path(name): Path<String>, note: Bytes) -> StatusCode {
    NOTE_BYTES.record(note.len() as u64);
    let mut notes = notes.lock();
    if notes.len() >= MOST_NOTES && !notes.contains_key(&name) {
        return StatusCode::INSUFFICIENT_STORAGE;
    }
    match notes.insert(name, note) {
        Some(_) => StatusCode::NO_CONTENT,
        None => StatusCode::CREATED,
    }
}

async fn remove(State(notes): State<Notes>, Path(name): Path<String>) -> StatusCode {
    let mut notes = notes.lock();
    match notes.remove(&name) {
        Some(_) => StatusCode::NO_CONTENT,
        None => StatusCode::NOT_FOUND,
    }
}

/// The slow route: its cost depends on the number of notes.
async fn report(State(notes): State<Notes>) -> String {
    let count = notes.lock().len();
    tokio::time::sleep(Duration::from_micros(500 + 50 * count as u64)).await;
    format!("{count} notes\n")
}

fn app(notes: Notes) -> Router {
    Router::new()
        .route("/", get(list))
        .route("/report", get(report))
        .route("/notes/{name}", get(read).put(write).delete(remove))
        .layer(middleware::from_fn(observe))
        .with_state(notes)
}

struct Options {
    traffic: bool,
    listen: String,
    vars: String,
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        traffic: false,
        listen: "127.0.0.1:8080".to_owned(),
        vars: "127.0.0.1:8123".to_owned(),
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs an address\n{USAGE}"));
        match &*arg {
            "--traffic" => options.traffic = true,
            "--listen" => options.listen = value()?,
            "--vars" => options.vars = value()?,
            "--help" | "-h" => return Err(USAGE.to_owned()),
            _ => return Err(format!("{arg} is not understood\n{USAGE}")),
        }
    }
    Ok(options)
}

async fn run(options: Options) -> io::Result<()> {
    let (notes, started) = (Notes::default(), Instant::now());
    BUILD.set(concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")));
    let shown = Arc::clone(&notes);
    expvar::publish("notes", expvar::Func::new(move || summarize(&shown, started)))
        .map_err(io::Error::other)?;
    let variables = expvar_http::Server::builder().history(true).spawn(&*options.vars)?;
    let listener = TcpListener::bind(&options.listen).await.map_err(|err| {
        let remedy = "give another address with --listen";
        io::Error::new(err.kind(), format!("cannot listen on {}: {err}; {remedy}", options.listen))
    })?;
    let addr: SocketAddr = listener.local_addr()?;
    let url = variables.url();
    println!("service    http://{addr}/");
    println!("variables  {url}/debug/vars");
    println!("live page  {url}/debug/vars/ui");
    println!("Prometheus {url}/metrics");
    if options.traffic {
        println!("sending requests to itself until Ctrl-C");
        traffic::start(addr);
    }
    let stop = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    axum::serve(listener, app(notes)).with_graceful_shutdown(stop).await?;
    variables.shutdown();
    Ok(())
}

#[tokio::main]
async fn main() {
    let done = match options() {
        Ok(options) => run(options).await.map_err(|err| err.to_string()),
        Err(usage) => Err(usage),
    };
    if let Err(why) = done {
        eprintln!("{why}");
        std::process::exit(1);
    }
}
