//! Serves a service's variables over HTTP at `/debug/vars`, like Go's `expvar`, and as Prometheus
//! metrics.
//!
//! ```no_run
//! expvar::vars! {
//!     /// Requests answered.
//!     static REQUESTS: Counter = "requests";
//! }
//!
//! fn main() -> std::io::Result<()> {
//!     let _server = expvar_http::spawn("127.0.0.1:8123")?;
//!     loop {
//!         REQUESTS.inc(); // curl http://127.0.0.1:8123/debug/vars
//! #       return Ok(());
//!     }
//! }
//! ```
//!
//! - [`spawn`]: a server on a thread of its own, for any program.
//! - [`serve`]: a server on an existing tokio runtime.
//! - [`Service`]: a `tower::Service`, to mount in axum and other routers.
//! - [`layer`]: records a service's requests, in axum and any other tower stack.
//! - [`Server::builder`]: names, credentials, another registry, limits.
//!
//! `GET /debug/vars` returns what Go returns, byte for byte, wherever that is valid JSON and HTTP.
//! `GET /metrics` returns the same variables as [`Prometheus`] metrics, or as OpenMetrics or
//! protobuf if the client asks for it, with the escaping that it asks for ([`MediaType`]).
//! Prometheus 3 asks for names with dots, unless its scrape sets
//! `metric_name_validation_scheme: legacy` or the program sets [`Prometheus::escaping`].
//! `/debug/vars/ui` is a live page of all variables, with charts of the last minute, hour, day and
//! month (see [`Builder::history`]). The page's URL describes its charts, so it can be shared, and
//! it loads nothing from other sites. `?r=REGEX` selects variables by name, `?pretty` indents.
//! Requests cannot change anything, request bodies are not read, and every buffer, timeout and
//! number of connections is bounded: see [`Builder`]. The servers' own statistics are the variable
//! `expvar.http` in the global registry.
#![forbid(unsafe_code)]
#![warn(missing_debug_implementations)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod accept;
mod auth;
mod body;
mod builder;
mod connection;
mod document;
mod held;
mod history;
mod host;
mod layer;
mod limits;
mod pages;
mod peer;
#[cfg(feature = "pprof")]
mod pprof;
mod pretty;
mod prometheus;
mod query;
mod render;
mod response;
mod routes;
mod server;
mod service;
mod settings;
mod stats;
mod streams;
mod ui;

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::net::ToSocketAddrs;

use tokio::net::TcpListener;

pub use body::Body;
pub use builder::Builder;
pub use layer::{Layer, Measured, MeasuredBody, MeasuredFuture, layer};
pub use pages::Page;
pub use prometheus::{Escaping, Format, Mapping, MappingError, MediaType, Prometheus};
pub use server::Server;
pub use service::{ResponseFuture, Service};

#[doc(hidden)]
pub mod __private {
    pub use crate::history::Rounds;
}

/// Serves the global registry at `addr`, on a thread of its own. Needs no async runtime.
///
/// The server runs as long as the process, even if the returned handle is dropped; only
/// [`Server::shutdown`] stops it. On an address other than loopback, everyone who can reach it can
/// read the variables: see [`Builder::bearer_auth`].
///
/// # Errors
/// `addr` is not an address or cannot be listened on. The error names it and a remedy.
pub fn spawn(addr: impl ToSocketAddrs + Debug) -> io::Result<Server> {
    Server::builder().spawn(addr)
}

/// Serves the global registry on `listener` until `shutdown` completes and the requests in flight
/// are finished. The output of `shutdown` is ignored.
///
/// Dropping the future closes all connections.
///
/// ```no_run
/// # async fn f() -> std::io::Result<()> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8123").await?;
/// expvar_http::serve(listener, std::future::pending::<()>()).await
/// # }
/// ```
///
/// # Errors
/// None at present; [`Builder::serve`] returns errors for invalid settings.
pub async fn serve<F: Future>(listener: TcpListener, shutdown: F) -> io::Result<()> {
    Server::builder().serve(listener, shutdown).await
}
