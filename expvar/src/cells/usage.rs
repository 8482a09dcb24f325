//! The memory that recording uses, and its limit.

use std::sync::atomic::Ordering::Relaxed;

use super::{IDS, LOST, STORE, page};

/// Memory that recording takes, in bytes. See [`usage`].
///
/// ```
/// let usage = expvar::usage();
/// assert!(usage.private_bytes <= usage.limit_bytes);
/// assert_eq!(usage.lost, 0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Cells of all variables: one for a number, 1,088 for a histogram. Only pages of 64 that were
    /// recorded into take memory.
    pub cells: usize,
    /// Bytes of shared copies: 9 for each number, 576 for each page of a histogram with a value.
    pub shared_bytes: usize,
    /// Bytes of private copies, each for a page that a thread records into often.
    pub private_bytes: usize,
    /// The limit on `private_bytes`. See [`set_limit`].
    pub limit_bytes: usize,
    /// Recordings lost because the system refused memory for a shared copy.
    pub lost: u64,
}

/// Returns the memory that recording takes now. Costs a few loads.
pub fn usage() -> Usage {
    let (shared, private) = STORE.held();
    Usage {
        cells: IDS.used() as usize,
        shared_bytes: shared as usize * page::BYTES,
        private_bytes: private as usize * page::BYTES,
        limit_bytes: STORE.limit() as usize * page::BYTES,
        lost: LOST.load(Relaxed),
    }
}

/// Sets the limit on the memory of all threads' private copies together, in bytes. Default: 16 MiB.
/// Maximum: 144 MiB.
///
/// A thread releases its copies when it ends. A live thread's copies are reclaimed when they were
/// unused for a minute, provided that something reads.
///
/// Can be set once, best at the start of `main`: threads keep the copies that they have. Past the
/// limit, recording uses shared copies, at the cost of an atomic addition; nothing is lost. With 0,
/// all recording does. Returns false if it was already set.
pub fn set_limit(bytes: usize) -> bool {
    STORE.set_limit(bytes)
}
