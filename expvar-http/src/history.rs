//! History for the live page: every variable once a second.
//!
//! A [`Sampler`] walks the registry each second into a [`Sample`](sample::Sample) and merges that
//! into a [`Table`](table::Table), which has a [`Series`](series::Series) for each number and knows
//! what changed. [`messages`] writes the events for pages.

mod known;
mod messages;
mod sample;
mod sampler;
mod series;
mod table;

#[doc(hidden)]
pub use sampler::Rounds;
pub(crate) use sampler::{CUT, EVICTED, Events, SERIES, Sampler, WATCHERS};
pub(crate) use series::Span;
