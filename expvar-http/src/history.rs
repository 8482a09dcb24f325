//! What the live page shows: every variable once a second, and what its numbers were.
//!
//! A [`Sampler`] walks the registry each second into a [`Sample`](sample::Sample) and puts that
//! into a [`Table`](table::Table), which keeps a [`Series`](series::Series) for each number and
//! knows what changed; [`messages`] are what pages are told of it.

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
