//! Building blocks of expvar's push exporters.
//!
//! Programs use the exporters, such as `expvar-carbon`. This crate is for authors of further ones:
//!
//! - [`Schedule`] says when to collect: at whole intervals of the wall clock. [`Task`] collects and
//!   passes the points to an [`Export`]; [`PushHandle`] flushes and ends it. [`Sends`] is what the
//!   handle asks of the sender.
//! - [`Queue`] holds unsent batches, bounded; [`Spool`] is its copy on disk; [`Backoff`] paces
//!   retries.
//! - [`connect`] and [`race`] connect to a host with several addresses; [`Tls`] configures trust.
//! - [`Event`] reports problems to operators, [`ConfigError`] an invalid setting, [`Unsent`] what
//!   was not sent by a deadline.
#![forbid(unsafe_code)]
#![warn(missing_debug_implementations)]
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
#[cfg(feature = "tls")]
mod untrusted;

pub use backoff::Backoff;
pub use error::ConfigError;
pub use event::{Event, Observer};
pub use handle::{DropGuard, Order, PushHandle, Reply, Sends};
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
