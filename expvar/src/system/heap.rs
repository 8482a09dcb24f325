//! Who holds the memory: profiles of the heap by the code that allocated it.
//!
//! The allocator hook ([`alloc::Counting`](crate::alloc::Counting)) samples: on average one block
//! in each `rate` bytes allocated, chosen so that each byte is equally likely. Of a sampled block
//! the stack is kept until it is freed. A profile adds up what lives by stack, and estimates the
//! whole from the sample, as Go's heap profile and tcmalloc's do. `go tool pprof`, Pyroscope and
//! Parca read it; `expvar-http` serves it at `/debug/pprof/heap`.
//!
//! ```standalone_crate
//! #[global_allocator]
//! static ALLOC: expvar::alloc::Counting = expvar::alloc::Counting::new();
//!
//! expvar::heap::start(expvar::heap::DEFAULT_RATE);
//! let cache = vec![0_u8; 64 << 20];
//! let profile = expvar::heap::profile().expect("the hook is the program's allocator");
//! assert!(profile.live_bytes() >= 64 << 20);
//! for site in profile.top(3) {
//!     println!("{} bytes in {} blocks: {}", site.bytes, site.objects, site.name);
//! }
//! # drop(cache);
//! ```
//!
//! # Cost
//! An allocation counts down a number of the thread's own; a free tests a bit. At the default rate
//! a block is sampled for each 512 KiB allocated, which takes a few microseconds for its stack.
//! Memory is bounded: at most 131,072 sampled blocks that live (64 GiB at the default rate, 4 MiB)
//! and 16,384 different stacks of up to 64 frames (at most 9 MiB, usually less than 4). What finds
//! no place is dropped, counted, and said in the profile.
//!
//! # Limits
//! Stacks are walked by unwind tables, which `panic = "abort"` keeps on Linux as well. Names need
//! the program's symbol table; file names, lines and inlined functions need debug information
//! (`debug = "line-tables-only"` suffices). Without, a profile has addresses and modules, and says
//! so. In a child after a `fork` sampling goes on, unless another thread was entering a sample at
//! that moment: then it ends there.

mod chunks;
mod filter;
mod mappings;
mod pprof;
mod profile;
pub(super) mod sample;
mod symbols;
mod table;
mod text;
mod top;

pub use profile::{Profile, SampleType, Site};

use crate::system::alloc;

/// Mean distance between samples in bytes, as in Go: 512 KiB.
pub const DEFAULT_RATE: usize = 512 << 10;

/// Samples one block in each `rate` bytes allocated from now on, on average; 0 stops.
///
/// Threads take a new rate over within their next sample. A second call changes the rate for new
/// samples; those that are there keep their weight. What was allocated before the first call is in
/// no profile. Without the allocator hook nothing happens.
///
/// The first call shows the variable `heap.top` in the [`global`](crate::global()) registry: the
/// ten functions whose blocks hold most, with `bytes` and `objects`, not older than ten seconds.
pub fn start(rate: usize) {
    top::show();
    table::own();
    sample::set_rate(rate.min(isize::MAX as usize / 64));
}

/// The mean distance between samples in bytes, 0 while nothing is sampled.
pub fn rate() -> usize {
    sample::rate()
}

/// The names of the functions at addresses of this process's code, in their order; `None` where
/// one has no name.
///
/// Reads debug information, which takes up to a second; at most 5 s are spent, and what is left has
/// no name.
pub fn symbols(addresses: &[usize]) -> Vec<Option<String>> {
    let mut names = symbols::Names::of_others();
    let name = |&address| {
        let symbols = names.at(address);
        symbols.last().filter(|symbol| symbol.is_known()).map(|symbol| symbol.name.clone())
    };
    addresses.iter().map(name).collect()
}

/// What lives, and what was allocated, by stack.
///
/// `None` where [`alloc::Counting`](crate::alloc::Counting) is not the program's allocator, or
/// [`start`] was not called.
///
/// Walks the sampled blocks in steps of some microseconds, during which no block can be sampled.
/// Names are looked up later, when the profile is written.
pub fn profile() -> Option<Profile> {
    let rate = sample::rate();
    if rate == 0 || alloc::counts().is_none() {
        return None;
    }
    Some(Profile::of(rate, table::rows(), table::dropped()))
}
