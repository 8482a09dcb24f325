//! From lines to servers: queues, connections, the spool.

pub(crate) mod address;
mod backoff;
mod connection;
pub(crate) mod driver;
pub(crate) mod event;
mod handover;
mod lane;
pub(crate) mod left;
mod network;
mod pickle;
mod queue;
mod reporter;
pub(crate) mod sender;
mod setup;
mod spool;
pub(crate) mod stats;
#[cfg(feature = "tls")]
pub(crate) mod tls;
mod unacknowledged;
