//! What expvar's pushing exporters share.
//!
//! Programs use the exporters, `expvar-carbon` for one. This crate is for whoever writes another:
//!
//! - [`Schedule`] says when to read: at whole intervals of the wall clock. [`Task`] does it, and
//!   hands what was read to an [`Export`]; [`Handle`] flushes and ends it.
//! - [`Queue`] is what waits, bounded; [`Spool`] its copy on disk; [`Backoff`] the pauses between
//!   attempts.
//! - [`connect`] and [`race`] reach a host that has several addresses; [`Tls`] says whom to trust.
//! - [`Event`] is what an operator wants to hear of, [`ConfigError`] a setting that cannot be used,
//!   [`Unsent`] what a deadline left over.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod backoff;
mod content;
mod error;
mod event;
mod handle;
mod queue;
mod race;
mod random;
mod schedule;
#[cfg(feature = "spool")]
mod spool;
mod task;
mod thread;
#[cfg(feature = "tls")]
mod tls;
mod unsent;

pub use backoff::Backoff;
pub use error::ConfigError;
pub use event::{Event, Observer};
pub use handle::{Handle, Order, Reply};
pub use queue::{Batch, Dropped, Queue};
pub use race::{connect, race};
pub use random::{random, random_bits};
pub use schedule::{Due, Moment, Schedule};
#[cfg(feature = "spool")]
pub use spool::{Recovered, Spool};
pub use task::{Export, Task, publish_beside};
pub use thread::spawn;
#[cfg(feature = "tls")]
pub use tls::{Connector, Identity, Tls};
pub use unsent::Unsent;
