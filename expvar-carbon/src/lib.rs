//! Pushes variables to Graphite and loses no point on the way.
//!
//! ```no_run
//! let carbon = expvar_carbon::Carbon::new("graphite:2003").prefix("apps.app1").spawn()?;
//! # Ok::<(), expvar_carbon::ConfigError>(())
//! ```
//!
//! - [`Carbon`] reads a registry at exact intervals and sends what it reads; [`Handle`] ends it.
//! - [`Renderer`] renders the same lines without sending them.
//! - [`Sender`] is what it sends through, for programs that have lines of their own: [`Lines`],
//!   rendered with [`Path`]s, [`Number`]s and [`Tags`] that every server takes.
//! - [`Address`] lists what can be spoken to: `tcp://`, `udp://`, `pickle://`, `tls://`, `unix://`.
//! - [`Stats`] and [`Refused`] tell how it goes; `expvar.carbon` shows the same as a variable.
//!
//! What is lost elsewhere, and is not here: lines that a server had acknowledged and not stored
//! when it died (they are sent again, see [`SenderBuilder::resend_window`]), lines written to a
//! connection that the server had closed, lines behind a bad one, and lines that could not be
//! sent (they wait, see [`SenderBuilder::queue_bytes`] and [`SenderBuilder::spool_dir`]).
#![forbid(unsafe_code)]

mod address;
mod backoff;
mod branch;
mod buffer;
mod carbon;
mod clashes;
mod connection;
mod driver;
mod error;
mod handle;
mod lane;
mod lines;
mod name;
mod number;
mod pattern;
mod pickle;
mod prefix;
mod push;
mod queue;
mod reading;
mod refusal;
mod renderer;
mod schedule;
mod selection;
mod sender;
mod sender_builder;
mod spool;
mod stats;
mod tags;
#[cfg(feature = "tls")]
mod tls;
mod unacknowledged;

pub use address::{Address, Scheme};
pub use carbon::Carbon;
pub use clashes::Clashes;
pub use driver::Driver;
pub use error::ConfigError;
pub use handle::Handle;
pub use lines::Lines;
pub use name::{Mark, NAME_MAX_BYTES, Path, SEGMENT_MAX_BYTES};
pub use number::{EXACT_MAX, Number};
pub use push::Push;
pub use refusal::{Refusal, Refused};
pub use renderer::Renderer;
pub use selection::Counters;
pub use sender::{Left, Sender};
pub use sender_builder::SenderBuilder;
pub use stats::Stats;
pub use tags::{TAGS_MAX_BYTES, Tags};
#[cfg(feature = "tls")]
pub use tls::Tls;
