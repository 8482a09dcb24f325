//! What a system may not have: a clock and process ids.

use std::time::Instant;

/// Whether this is WebAssembly in a browser, where `std` panics when it is asked for either.
const IS_BARE: bool = cfg!(all(target_family = "wasm", target_os = "unknown"));

/// The monotonic clock; `None` where there is none.
pub(crate) fn now() -> Option<Instant> {
    (!IS_BARE).then(Instant::now)
}

/// This process; 0 where there is no such thing.
#[cfg(feature = "process")]
pub(crate) fn process_id() -> u32 {
    if IS_BARE { 0 } else { std::process::id() }
}
