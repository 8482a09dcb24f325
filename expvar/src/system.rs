//! The process itself: arguments, memory, and operating-system statistics.

pub mod alloc;
#[cfg(feature = "serde")]
pub mod cmdline;
#[cfg(feature = "process")]
pub(crate) mod fresh;
mod health;
#[cfg(feature = "heap")]
pub mod heap;
#[cfg(feature = "process")]
pub mod memstats;
#[cfg(feature = "process")]
pub mod process;
#[cfg(feature = "serde")]
mod storage;
