//! Measurements: `cargo bench --bench NAME`.
//!
//! A bench is a [`Race`]: peers take short turns, round after round, so that other load on the
//! machine affects all of them equally. The result is the ratio of two peers: the median over the
//! rounds of their times in the same round. Criterion adds the statistics of each peer: confidence,
//! and change since the last run.

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
