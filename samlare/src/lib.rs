//! Collects the variables of many services into Graphite.
#![forbid(unsafe_code)]

pub mod client;
pub mod config;
pub mod discover;
pub mod document;
pub mod shard;
