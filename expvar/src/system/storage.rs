//! The memory that recording takes, as a variable.

use std::collections::BTreeMap;

use crate::{Func, usage};

crate::vars! {
    /// Memory that recording takes.
    static CELLS: Func = "expvar.cells", init: variable();
}

/// Shows the fields of [`Usage`](crate::Usage).
const fn variable() -> Func {
    Func::of(&shown)
}

fn shown() -> BTreeMap<&'static str, u64> {
    let usage = usage();
    BTreeMap::from([
        ("cells", usage.cells as u64),
        ("limit_bytes", usage.limit_bytes as u64),
        ("lost", usage.lost),
        ("private_bytes", usage.private_bytes as u64),
        ("shared_bytes", usage.shared_bytes as u64),
    ])
}
