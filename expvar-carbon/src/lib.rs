//! Pushes variables to Graphite without losing points.
//!
//! ```no_run
//! let carbon = expvar_carbon::Carbon::new("graphite:2003").prefix("apps.app1").spawn()?;
//! // Keep it in `main` to push the last values when `main` returns or panics.
//! let _guard = carbon.drop_guard();
//! # Ok::<(), expvar_carbon::ConfigError>(())
//! ```
//!
//! - [`Carbon`] collects a registry at exact intervals and sends the points; [`PushHandle`] ends it.
//! - [`Renderer`] renders the same lines without sending them.
//! - [`Sender`] sends lines of the program's own: [`Lines`], built from [`Path`]s, [`Number`]s and
//!   [`Tags`] that every server accepts.
//! - [`Address`] lists the protocols: `tcp://`, `udp://`, `pickle://`, `tls://`, `unix://`.
//! - [`Route`] selects which of several servers get a point, also by the hashes of Graphite's
//!   relays; [`Cluster`] sends names that match a pattern to other servers.
//! - [`Event`] reports outages, dropped points and rejected points, at the beginning and at the
//!   end.
//! - [`Stats`] and [`Refused`] are the statistics; the variable `expvar.carbon` shows the same.
//!
//! Points that other clients lose: lines that a server acknowledged but had not stored when it died
//! (resent, see [`SenderBuilder::resend_window`]), lines written to a connection that the server
//! had closed, lines after a malformed one, and lines that could not be sent (queued, see
//! [`SenderBuilder::queue_bytes`] and [`SenderBuilder::spool_dir`]).
#![forbid(unsafe_code)]
#![warn(missing_debug_implementations)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod carbon;
mod handle;
mod push;
mod render;
mod send;

pub use carbon::Carbon;
pub use expvar::Number;
#[cfg(feature = "tls")]
pub use expvar_push::Tls;
pub use expvar_push::{ConfigError, Event, Unsent};
pub use handle::{DropGuard, PushHandle};
pub use push::Push;
pub use render::conflicts::Conflicts;
pub use render::lines::Lines;
pub use render::name::{Mark, NAME_MAX_BYTES, Path, SEGMENT_MAX_BYTES};
pub use render::number::EXACT_MAX;
pub use render::refusal::{Refusal, Refused};
pub use render::renderer::Renderer;
pub use render::selection::Counters;
pub use render::tags::{TAGS_MAX_BYTES, Tags};
pub use send::address::{Address, Scheme};
pub use send::cluster::Cluster;
pub use send::driver::Driver;
pub use send::route::{Dialect, Route, Router};
pub use send::sender::Sender;
pub use send::sender::builder::SenderBuilder;
pub use send::stats::Stats;
