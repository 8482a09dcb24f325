//! Encodes a walk over a registry as OTLP: `opentelemetry.proto.metrics.v1`.

pub(crate) mod attributes;
pub(crate) mod convention;
pub(crate) mod families;
pub(crate) mod fields;
pub(crate) mod histogram;
pub(crate) mod json;
pub(crate) mod metric;
pub(crate) mod name;
pub(crate) mod name_cache;
pub(crate) mod parts;
pub(crate) mod place;
pub(crate) mod reader;
pub(crate) mod refusal;
pub(crate) mod request;
pub(crate) mod series;
pub(crate) mod unit;
