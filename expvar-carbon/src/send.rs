//! Sends lines to servers: queues, connections, the spool.

pub(crate) mod address;
pub(crate) mod cluster;
mod connection;
mod destination;
pub(crate) mod driver;
mod handover;
mod network;
mod pickle;
mod reporter;
pub(crate) mod route;
mod routing;
pub(crate) mod sender;
mod setup;
pub(crate) mod stats;
mod unacknowledged;
