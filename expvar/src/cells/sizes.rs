//! How large the parts of the cells are, in one place so that a model checker can make them small.

/// Cells of a page that have ids.
pub(crate) const CELLS: usize = 64;

/// Pages of a chunk of memory: 144 KiB, most of them address space until they are used.
pub(super) const CHUNK: usize = 256;
/// A chunk is made when fewer pages than these are left, which serve those who must not ask for
/// memory.
pub(super) const AHEAD: u32 = 32;
/// Chunks of shared copies beside the first: four million pages.
pub(super) const SHARED: usize = (1 << 14) - 1;
/// Chunks of private copies beside the first: at most 144 MiB, whatever the limit.
pub(super) const PRIVATE: usize = (1 << 10) - 1;

/// Page numbers of a leaf of the index: 8 KiB.
pub(super) const LEAF: usize = 1024;
/// Leaves beside the first: 33 million page numbers, two billion ids.
pub(super) const LEAVES: usize = (1 << 15) - 1;

/// Windows of a thread, and those for pages that gave theirs to another: 5 KiB.
pub(super) const PLACES: usize = 256;
pub(super) const SECOND: usize = 64;

/// Records that earn a page while half of the limit is free.
pub(super) const PRICE: u16 = 256;
/// Records into one page, one after the other, of which its heat is told at once.
pub(super) const STREAK: u16 = 32;
/// A private copy that its thread did not use for so many epochs may be taken away. At least two
/// whole epochs then lie between its last record and that.
pub(super) const OLD: u64 = 3;
/// Records into shared copies between two looks at what a thread holds.
pub(super) const LOOK: u64 = 4096;
