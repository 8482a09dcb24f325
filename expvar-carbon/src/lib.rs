//! Pushes variables to Graphite and loses no point on the way.
#![forbid(unsafe_code)]

mod address;
mod backoff;
mod carbon;
mod clashes;
mod connection;
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
pub use error::ConfigError;
pub use handle::Handle;
pub use lines::Lines;
pub use name::{Mark, NAME_MAX_BYTES, Path, SEGMENT_MAX_BYTES};
pub use number::{EXACT_MAX, Number};
pub use push::Push;
pub use refusal::{Refusal, Refused};
pub use renderer::Renderer;
pub use selection::Counters;
pub use sender::{Driver, Left, Sender};
pub use sender_builder::SenderBuilder;
pub use stats::Stats;
pub use tags::{TAGS_MAX_BYTES, Tags};
#[cfg(feature = "tls")]
pub use tls::Tls;
