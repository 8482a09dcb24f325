//! Renders a walk over a registry to lines that every server accepts.

mod buffer;
pub(crate) mod conflicts;
pub(crate) mod lines;
pub(crate) mod name;
mod name_cache;
pub(crate) mod number;
pub(crate) mod pattern;
pub(crate) mod prefix;
pub(crate) mod reading;
pub(crate) mod refusal;
pub(crate) mod renderer;
pub(crate) mod selection;
pub(crate) mod tags;
