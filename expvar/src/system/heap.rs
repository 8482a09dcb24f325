//! Heap profiles: memory in use by the code that allocated it.
//!
//! The allocator hook ([`alloc::Counting`](crate::alloc::Counting)) samples on average one block
//! per `rate` bytes allocated, with equal probability for each byte. The stack of a sampled block
//! is kept until the block is freed. A profile sums live blocks by stack and extrapolates from the
//! sample, like Go's heap profile and tcmalloc's. `go tool pprof`, Pyroscope and Parca read it;
//! `expvar-http` serves it at `/debug/pprof/heap`.
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
//! An allocation decrements a thread-local number; a free tests a bit. At the default rate one
//! block per 512 KiB is sampled, which takes a few microseconds for its stack. Memory is bounded:
//! at most 131,072 live samples (4 MiB; 64 GiB of heap at the default rate) and 16,384 distinct
//! stacks of up to 64 frames (at most 9 MiB, usually less than 4). Samples past a bound are
//! dropped, counted, and reported in the profile.
//!
//! # Limitations
//! Stacks are walked by unwind tables, which `panic = "abort"` keeps on Linux as well. Function
//! names need the program's symbol table; files, lines and inlined functions need debug information
//! (`debug = "line-tables-only"` suffices). Without them a profile has addresses and modules, and
//! says so. A child after `fork` keeps sampling, unless another thread was storing a sample at that
//! moment: then sampling ends in the child.

mod chunks;
mod filter;
mod hook;
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

/// The default mean distance between samples, as in Go: 512 KiB.
pub const DEFAULT_RATE: usize = 512 << 10;

/// Starts sampling: on average one block per `rate` bytes allocated; 0 stops.
///
/// Threads adopt a new rate at their next sample. Existing samples keep their weight. Allocations
/// before the first call are in no profile. Without the allocator hook this does nothing.
///
/// The first call publishes the variable `heap.top` in the [`global`](crate::global()) registry:
/// the ten functions with the most live bytes, with `bytes` and `objects`, at most ten seconds old.
pub fn start(rate: usize) {
    prepare();
    sample::set_rate(rate.min(isize::MAX as usize / 64));
}

/// Starts sampling at [`DEFAULT_RATE`], unless the program has set a rate, before or meanwhile.
#[doc(hidden)]
pub fn start_by_default() {
    if rate() == 0 {
        prepare();
        sample::set_first_rate(DEFAULT_RATE);
    }
}

fn prepare() {
    if alloc::counts().is_some() {
        top::show();
    }
    table::own();
    hook::learn();
}

/// The mean distance between samples in bytes; 0 if nothing is sampled.
pub fn rate() -> usize {
    sample::rate()
}

/// Returns the names of the functions at these addresses, in order; `None` for one without a name.
///
/// Reads debug information, which takes up to a second. Stops after 5 s; the remaining addresses
/// have no name.
pub fn symbols(addresses: &[usize]) -> Vec<Option<String>> {
    let mut names = symbols::Names::of_others();
    let name = |&address| {
        let symbols = names.at(address);
        symbols.last().filter(|symbol| symbol.is_known()).map(|symbol| symbol.name.clone())
    };
    addresses.iter().map(name).collect()
}

/// Returns a profile of live and total allocations by stack.
///
/// `None` if [`alloc::Counting`](crate::alloc::Counting) is not the program's allocator, or
/// [`start`] was not called.
///
/// Walks the samples in steps of some microseconds, during which no block can be sampled. Names are
/// resolved later, when the profile is written.
pub fn profile() -> Option<Profile> {
    let rate = sample::rate();
    if rate == 0 || alloc::counts().is_none() {
        return None;
    }
    Some(Profile::of(rate, table::rows(), table::dropped()))
}
