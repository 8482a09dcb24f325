//! Collects the variables of many services into Graphite.
//!
//! The program `samlare` is made of these parts; they are public for its tests and benches.
//!
//! - [`config`]: the configuration file.
//! - [`client`], [`document`]: from a URL to points.
//! - [`discover`], [`shard`]: endpoints that are found, and shared among processes.
//! - [`schedule`], [`poller`], [`collector`]: all of them, each in time.
//! - [`cluster`]: several samlares that share their endpoints.
//! - [`output`]: to Carbon, or to standard output.
//! - [`daemon`], [`once`], [`seen`]: the commands; [`notify`]: systemd; [`file_limit`]: open files.
//! - [`watch`]: services in a terminal.
//! - [`state`], [`news`], [`outage`], [`counts`], [`log`], [`page`]: what samlare tells of itself.
#![forbid(unsafe_code)]

pub mod client;
pub mod cluster;
pub mod collector;
pub mod config;
pub mod counts;
pub mod daemon;
pub mod discover;
pub mod document;
pub mod file_limit;
pub mod log;
pub mod news;
pub mod notify;
pub mod once;
pub mod otlp;
pub mod outage;
pub mod output;
pub mod page;
pub mod poller;
pub mod schedule;
pub mod seen;
pub mod shard;
pub mod state;
pub mod watch;
