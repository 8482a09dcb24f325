//! Sends requests to a collector.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod client;
pub(crate) mod driver;
pub(crate) mod endpoint;
pub(crate) mod pack;
pub(crate) mod sender;
pub(crate) mod stats;
