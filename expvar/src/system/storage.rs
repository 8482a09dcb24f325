//! The memory that recording takes, as a variable.

use std::collections::BTreeMap;

use crate::Unit::Bytes;
use crate::{Func, Info, usage};

crate::vars! {
    /// Memory that recording takes.
    static CELLS: Func = "expvar.cells", init: variable();
}

const MEMBERS: &[(&str, Info)] = &[
    ("cells", Info::with_help("Cells of variables.").known_as("expvar_cells")),
    ("limit_bytes", Info::with_help("Limit of the memory of threads' private cells.").unit(Bytes)),
    ("lost", Info::with_help("Records lost because memory could not be allocated.").counter()),
    ("private_bytes", Info::with_help("Memory of threads' private cells.").unit(Bytes)),
    ("shared_bytes", Info::with_help("Memory of cells that all threads share.").unit(Bytes)),
];

/// Shows the fields of [`Usage`](crate::Usage).
const fn variable() -> Func {
    Func::of(&shown).members(MEMBERS)
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
