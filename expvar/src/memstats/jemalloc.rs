//! What jemalloc says of itself.

use tikv_jemalloc_ctl::{epoch, stats};

use super::Allocator;

/// `None` where jemalloc is linked and does not serve the program, or was built without
/// statistics.
///
/// Advancing the epoch adds up counters under one arena's or bin's lock at a time, each for a few
/// additions.
pub(super) fn read() -> Option<Allocator> {
    // Linked and not used, it allocates a little for itself all the same.
    const USED: usize = 1 << 20;
    epoch::advance().ok()?;
    let mapped = stats::mapped::read().ok()?;
    if mapped < USED {
        return None;
    }
    let retained = stats::retained::read().ok()? as u64;
    Some(Allocator {
        allocated: Some(stats::allocated::read().ok()? as u64),
        in_use: stats::active::read().ok()? as u64,
        mapped: mapped as u64 + retained,
        released: Some(retained),
        bookkeeping: stats::metadata::read().ok()? as u64,
    })
}
