//! Under construction.
#![forbid(unsafe_code)]

pub mod discover;
pub mod shard;
