//! Reading: the walk over a registry, and the JSON of it.

pub mod json;
pub(crate) mod number;
pub(crate) mod prefetch;
pub mod protobuf;
pub(crate) mod recall;
pub(crate) mod visit;
pub(crate) mod visitor;
pub(crate) mod walk;
