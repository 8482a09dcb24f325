//! Shows a service's variables over HTTP, as Go's `expvar` does: at `/debug/vars`.
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
//! - [`serve`]: a server on a tokio runtime that is there already.
//! - [`Service`]: a `tower::Service`, to mount in axum and friends.
//! - [`layer`]: records a service's own requests, in axum and any other tower stack.
//! - [`Server::builder`]: names, credentials, another registry, limits.
//!
//! `GET /debug/vars` answers what Go answers, to the byte, wherever that is valid JSON and HTTP.
//! `GET /metrics` answers the same variables as [`Prometheus`] metrics, as OpenMetrics or protobuf
//! to a client that asks for it, with names escaped as it asks ([`MediaType`]). `/debug/vars/ui` is a live page of all variables, each with its last
//! minute, hour, day and month (see [`Builder::history`]); its address holds what it shows, so that
//! a link shows the same charts, and it loads nothing from elsewhere.
//! `?r=REGEX` selects variables by name and `?pretty` indents. Nothing can be changed by request,
//! bodies are never read, and every buffer, wait and number of connections is bounded: see
//! [`Builder`]. What the servers of a process do is itself a variable, `expvar.http`, of the
//! global registry.
#![forbid(unsafe_code)]
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
pub use layer::{Layer, Recorded, RecordedBody, Recording, layer};
pub use pages::Page;
pub use prometheus::{Escaping, Format, Mapping, MappingError, MediaType, Prometheus};
pub use server::Server;
pub use service::{ResponseFuture, Service};

#[doc(hidden)]
pub mod __private {
    pub use crate::history::Rounds;
}

/// Serves the global registry at `addr`, on a thread of its own that needs no runtime.
///
/// The server runs as long as the process, also when the returned handle is dropped; only
/// [`Server::shutdown`] stops it. Listening on anything but a loopback address shows the
/// variables to whoever reaches it: see [`Builder::bearer_auth`].
///
/// # Errors
///
/// When `addr` is no address or cannot be listened on; the error names it and a remedy.
pub fn spawn(addr: impl ToSocketAddrs + Debug) -> io::Result<Server> {
    Server::builder().spawn(addr)
}

/// Serves the global registry on `listener` until `shutdown` completes, whatever its output, and
/// requests in flight are finished.
///
/// Dropping the future cuts all connections.
///
/// ```no_run
/// # async fn f() -> std::io::Result<()> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8123").await?;
/// expvar_http::serve(listener, std::future::pending::<()>()).await
/// # }
/// ```
///
/// # Errors
///
/// None at present; [`Builder::serve`] reports settings that cannot work.
pub async fn serve<F: Future>(listener: TcpListener, shutdown: F) -> io::Result<()> {
    Server::builder().serve(listener, shutdown).await
}
