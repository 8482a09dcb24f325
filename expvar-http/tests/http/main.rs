//! The server over real sockets.

mod alone;
mod attacks;
mod callbacks;
mod client;
mod go;
mod limits;
mod mounted;
#[cfg(target_os = "linux")]
mod remains;
mod requests;
mod start;

/// What servers in processes of their own say that they hold.
#[global_allocator]
static ALLOC: expvar::alloc::Counting = expvar::alloc::Counting::new();
