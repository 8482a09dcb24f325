//! jemalloc's own statistics.

use tikv_jemalloc_ctl::{epoch, stats};

use super::Allocator;

/// `None` if jemalloc is linked but is not the program's allocator, which has `live_bytes` in use,
/// or if it was built without statistics.
///
/// Advancing the epoch sums counters under one lock of an arena or bin at a time, each for a few
/// additions.
pub(super) fn read(live_bytes: u64) -> Option<Allocator> {
    epoch::advance().ok()?;
    let allocated = stats::allocated::read().ok()? as u64;
    // Unused, it takes a little for itself.
    if allocated <= 64 << 10 || allocated < live_bytes / 2 {
        return None;
    }
    let retained = stats::retained::read().ok()? as u64;
    Some(Allocator {
        allocated: Some(allocated),
        in_use: stats::active::read().ok()? as u64,
        mapped: stats::mapped::read().ok()? as u64 + retained,
        released: Some(retained),
        bookkeeping: Some(stats::metadata::read().ok()? as u64),
    })
}
