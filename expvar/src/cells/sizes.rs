//! Sizes of the cells' parts, in one place so that a model checker can shrink them.

/// Cells of a page that have ids.
pub(crate) const CELLS: usize = 64;

/// Pages of a chunk: 144 KiB, address space until used.
pub(super) const CHUNK: usize = 256;
/// A chunk is allocated when fewer pages than these remain; they serve callers that must not
/// request memory.
pub(super) const AHEAD: u32 = 32;
/// Chunks of shared copies beside the first: four million pages.
pub(super) const SHARED: usize = (1 << 14) - 1;
/// Chunks of private copies beside the first: at most 144 MiB at any limit.
pub(super) const PRIVATE: usize = (1 << 10) - 1;

/// Page numbers of a leaf of the index: 8 KiB.
pub(super) const LEAF: usize = 1024;
/// Leaves beside the first: 33 million page numbers, two billion ids.
pub(super) const LEAVES: usize = (1 << 15) - 1;

/// Windows of a thread, in each of two tables: 5 KiB.
pub(super) const PLACES: usize = 256;
pub(super) const SECOND: usize = 64;

/// Recordings that earn a page while half of the limit is free.
pub(super) const PRICE: u16 = 256;
/// Consecutive recordings into one page that count as heat at once.
pub(super) const STREAK: u16 = 32;
/// Epochs without use after which a private copy may be reclaimed. At least two whole epochs then
/// separate its last recording from the reclamation.
pub(super) const OLD: u64 = 3;
/// Recordings into shared copies between two scans of a thread's copies.
pub(super) const LOOK: u64 = 4096;
