//! Pushes variables to Graphite and loses no point on the way.
#![forbid(unsafe_code)]

mod address;
mod backoff;
mod connection;
mod error;
mod lane;
mod lines;
mod name;
mod number;
mod pickle;
mod queue;
mod refusal;
mod sender;
mod sender_builder;
mod spool;
mod stats;
mod tags;
#[cfg(feature = "tls")]
mod tls;
mod unacknowledged;

pub use address::{Address, Scheme};
pub use error::ConfigError;
pub use lines::Lines;
pub use name::{Mark, NAME_MAX_BYTES, Path, SEGMENT_MAX_BYTES};
pub use number::{EXACT_MAX, Number};
pub use refusal::{Refusal, Refused};
pub use sender::{Driver, Left, Sender};
pub use sender_builder::SenderBuilder;
pub use stats::Stats;
pub use tags::{TAGS_MAX_BYTES, Tags};
#[cfg(feature = "tls")]
pub use tls::Tls;
