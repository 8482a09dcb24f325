//! Reading: the walk over a registry, and the JSON of it.

pub mod json;
pub(crate) mod prefetch;
pub(crate) mod visit;
