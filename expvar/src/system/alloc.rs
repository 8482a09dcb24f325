//! Counts allocations, at a cost of a few nanoseconds each.
//!
//! ```standalone_crate
//! #[global_allocator]
//! static ALLOC: expvar::alloc::Counting = expvar::alloc::Counting::new();
//!
//! let before = expvar::alloc::counts().unwrap();
//! let bytes = vec![0_u8; 1 << 20];
//! let after = expvar::alloc::counts().unwrap();
//! assert!(after.live_bytes() - before.live_bytes() >= 1 << 20);
//! # drop(bytes);
//! ```
//!
//! With the hook, `memstats` has exact values of `Alloc`, `TotalAlloc`, `Mallocs`, `Frees`,
//! `HeapObjects` and `BySize`. Around another allocator: `Counting::with(Jemalloc)`. Without size
//! classes, which is cheaper: `static ALLOC: Counting<System, false> = Counting::new();`.
//!
//! After a thread's first allocations the hook adds to cells of that thread, like all recording in
//! this crate. They take 1,152 bytes a thread and count toward the limit
//! ([`set_limit`](crate::set_limit)), until the thread ends or has not allocated for a minute. The
//! hook takes no lock and allocates nothing but the memory for these cells, 144 KiB for 128
//! threads. So it works before `main`, during thread teardown, and in threads that record nothing
//! else. A thread without cells of its own (before it has earned them, past the limit, late in
//! teardown) adds to shared ones, which is slower and equally exact. Tested on Linux. On macOS,
//! Windows and musl it relies on Rust 1.93, the first whose standard library does not allocate for
//! thread-local destructors through the global allocator.

// The only files of the crate with `unsafe`: the `GlobalAlloc` implementation, and in `calls` the
// few C calls without a safe form in the standard library.
#![allow(unsafe_code)]

pub(crate) mod calls;
mod class;
mod counts;

use std::alloc::{GlobalAlloc, Layout, System};

pub use class::{CLASS_SIZES, CLASSES};
pub use counts::{Counts, SizeCounts, counts};

use class::class_of;

#[cfg(feature = "heap")]
use super::heap::sample;

/// This file, as debug information names it.
#[cfg(feature = "heap")]
pub(super) const FILE: &str = file!();

/// An allocator that counts and delegates to `A`.
///
/// `BY_SIZE` enables counts by size class ([`CLASS_SIZES`]).
///
/// A reallocation counts as an allocation of the new size and a free of the old one, and also as
/// done in place or moved. Sizes are as requested, not rounded up. Failed calls count nothing.
///
/// ```standalone_crate
/// #[global_allocator]
/// static ALLOC: expvar::alloc::Counting = expvar::alloc::Counting::new();
///
/// let before = expvar::alloc::counts().unwrap().allocations;
/// let held = vec![0_u8; 4096];
/// assert!(expvar::alloc::counts().unwrap().allocations > before);
/// # drop(held);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Counting<A = System, const BY_SIZE: bool = true> {
    inner: A,
}

impl<const BY_SIZE: bool> Counting<System, BY_SIZE> {
    /// Wraps the system's allocator.
    pub const fn new() -> Self {
        Self::with(System)
    }
}

impl<A, const BY_SIZE: bool> Counting<A, BY_SIZE> {
    /// Wraps `inner`.
    pub const fn with(inner: A) -> Self {
        Self { inner }
    }

    #[inline(always)]
    fn class(size: usize) -> usize {
        if BY_SIZE { class_of(size) } else { 0 }
    }

    /// Counts an allocated block, unless the allocation failed, and returns it.
    #[inline(always)]
    fn counted(block: *mut u8, size: usize) -> *mut u8 {
        if !block.is_null() {
            counts::allocated(Self::class(size), size);
            #[cfg(feature = "heap")]
            sample::allocated(block, size);
        }
        block
    }
}

// SAFETY: every method hands its arguments to `inner` unchanged and returns `inner`'s result
// unchanged, so the contract holds where it holds for `inner`, which its own `unsafe impl`
// promises. Counting does not access the block, does not unwind and does not allocate.
unsafe impl<A: GlobalAlloc, const BY_SIZE: bool> GlobalAlloc for Counting<A, BY_SIZE> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise for `layout` is passed on.
        Self::counted(unsafe { self.inner.alloc(layout) }, layout.size())
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // Counted first, so that nothing is kept across the call.
        counts::freed(Self::class(layout.size()), layout.size());
        // Before the block is free: from then on another thread may get its address.
        #[cfg(feature = "heap")]
        sample::freed(block);
        // SAFETY: `block` came from this allocator, so from `inner`, with this `layout`.
        unsafe { self.inner.dealloc(block, layout) };
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise for `layout` is passed on.
        Self::counted(unsafe { self.inner.alloc_zeroed(layout) }, layout.size())
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // Before the block may be freed, as in `dealloc`.
        #[cfg(feature = "heap")]
        let sampled = sample::take(block);
        // SAFETY: `block` came from `inner` with this `layout`; `new_size` is the caller's promise.
        let moved = unsafe { self.inner.realloc(block, layout, new_size) };
        #[cfg(feature = "heap")]
        match moved.is_null() {
            // The block has not moved.
            true => sample::put_back(block, sampled),
            false => sample::allocated(moved, new_size),
        }
        if !moved.is_null() {
            counts::reallocated(moved == block);
            counts::freed(Self::class(layout.size()), layout.size());
            counts::allocated(Self::class(new_size), new_size);
        }
        moved
    }
}

/// Writes the return addresses of the calling thread's stack, innermost first, and returns their
/// number. Allocates nothing and takes no lock.
#[cfg(feature = "heap")]
#[inline(never)]
pub(super) fn trace(frames: &mut [usize]) -> usize {
    let mut depth = 0;
    // SAFETY: the call is unsynchronized only in what it loads of symbols on Windows (dbghelp);
    // elsewhere it walks the caller's own stack. The closure neither unwinds nor allocates.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            // The outermost frame may be zero, which ends the stack.
            if let (ip @ 1.., Some(place)) = (frame.ip() as usize, frames.get_mut(depth)) {
                *place = ip;
                depth += 1;
            }
            depth < frames.len()
        });
    }
    depth
}
