//! Reading: the walk over a registry, its visitors, and the JSON document.

pub(crate) mod document;
#[cfg(feature = "serde")]
pub(crate) mod parts;
pub(crate) mod recall;
pub(crate) mod recorded;
mod registry;
pub(crate) mod visitor;
pub(crate) mod walk;
