//! Collects the variables of many services into Graphite.
#![forbid(unsafe_code)]

fn main() {}
