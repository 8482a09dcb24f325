//! Measurements: `cargo bench --bench NAME`.
//!
//! A bench is a [`Race`]: peers that do the same thing take turns, a short turn each, round after
//! round, so that whatever else the machine does falls on all of them alike. What counts is the
//! ratio of two peers, the median over the rounds of their times in the same round. Criterion does the
//! statistics of each peer: how sure its time is, and how it moved since the last run.

mod go;
mod machine;
mod memstats;
mod race;
mod table;

pub use go::Go;
pub use machine::print_machine;
pub use memstats::memstats;
pub use race::{Entry, Race, Times};
pub use table::print as print_table;
