//! Pushes variables to Graphite and loses no point on the way.
//!
//! ```no_run
//! let carbon = expvar_carbon::Carbon::new("graphite:2003").prefix("apps.app1").spawn()?;
//! // Kept in `main`: what the program did last is pushed when it returns or panics.
//! let _guard = carbon.drop_guard();
//! # Ok::<(), expvar_carbon::ConfigError>(())
//! ```
//!
//! - [`Carbon`] reads a registry at exact intervals and sends what it reads; [`Handle`] ends it.
//! - [`Renderer`] renders the same lines without sending them.
//! - [`Sender`] is what it sends through, for programs that have lines of their own: [`Lines`],
//!   rendered with [`Path`]s, [`Number`]s and [`Tags`] that every server takes.
//! - [`Address`] lists what can be spoken to: `tcp://`, `udp://`, `pickle://`, `tls://`, `unix://`.
//! - [`Route`] says which of several servers get a point, by the hashes of Graphite's relays too;
//!   [`Cluster`] gives the names that a pattern matches servers of their own.
//! - [`Event`] tells an operator of outages, of points that are dropped or refused, and of their end.
//! - [`Stats`] and [`Refused`] tell how it goes; `expvar.carbon` shows the same as a variable.
//!
//! What is lost elsewhere, and is not here: lines that a server had acknowledged and not stored
//! when it died (they are sent again, see [`SenderBuilder::resend_window`]), lines written to a
//! connection that the server had closed, lines behind a bad one, and lines that could not be
//! sent (they wait, see [`SenderBuilder::queue_bytes`] and [`SenderBuilder::spool_dir`]).
#![forbid(unsafe_code)]
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
pub use handle::{DropGuard, Handle};
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
