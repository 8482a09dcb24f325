//! Variables: counters, gauges, histograms, texts, maps and functions.

pub(crate) mod counter;
mod declaration;
pub(crate) mod exemplar;
pub(crate) mod family;
pub(crate) mod float_gauge;
pub(crate) mod func;
pub(crate) mod gauge;
pub(crate) mod histogram;
pub(crate) mod info;
pub(crate) mod join;
pub(crate) mod map;
pub(crate) mod member;
pub(crate) mod names;
pub(crate) mod numbers;
pub(crate) mod spec;
pub(crate) mod text;
pub(crate) mod var;
