//! Counts what a program allocates, at a cost of a few nanoseconds.
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
//! With it `memstats` knows `Alloc`, `TotalAlloc`, `Mallocs`, `Frees`, `HeapObjects` and `BySize`
//! exactly. Around another allocator: `Counting::with(Jemalloc)`. Without the sizes, which is
//! cheaper still: `static ALLOC: Counting<System, false> = Counting::new();`.
//!
//! The hook adds to cells of the calling thread, after its first allocations, as all recording in
//! this crate does; they count toward the limit ([`set_limit`](crate::set_limit)), 1,152 bytes a
//! thread, until it ends or has not allocated for a minute. It takes no lock, and allocates only
//! the memory for those cells, 144 KiB for 128 threads; so it may run before `main`, in a thread
//! that is being torn down and in one that never records anything else. Before a thread has its
//! cells, past the limit, and late in the thread's teardown, it adds to cells that all threads
//! share, which is slower and just as exact. Linux is what is tested.

// This is the one file of the crate that may hold `unsafe`: what implements `GlobalAlloc`, and the
// few calls of C for which the standard library has no safe form.
#![allow(unsafe_code)]

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

/// An allocator that counts, and leaves the work to `A`.
///
/// `BY_SIZE` chooses whether allocations are counted by size class ([`CLASS_SIZES`]).
///
/// A reallocation counts as an allocation of the new size and a free of the old one, and beside
/// that as done in place or moved. Sizes are those asked for, not rounded up. A failed call counts
/// nothing.
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
    /// Counts what the system's allocator is asked for.
    pub const fn new() -> Self {
        Self::with(System)
    }
}

impl<A, const BY_SIZE: bool> Counting<A, BY_SIZE> {
    /// Counts what `inner` is asked for.
    pub const fn with(inner: A) -> Self {
        Self { inner }
    }

    #[inline(always)]
    fn class(size: usize) -> usize {
        if BY_SIZE { class_of(size) } else { 0 }
    }

    /// Counts a block that was asked for, unless that failed, and returns it.
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
// promises. Counting does not touch the block, does not unwind and does not allocate.
unsafe impl<A: GlobalAlloc, const BY_SIZE: bool> GlobalAlloc for Counting<A, BY_SIZE> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise for `layout` is passed on.
        Self::counted(unsafe { self.inner.alloc(layout) }, layout.size())
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // Counted first, so that nothing needs to be kept across the call.
        counts::freed(Self::class(layout.size()), layout.size());
        // Before the block is free: from then on another thread may be given its address.
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
        // Before the block may be free, as in `dealloc`.
        #[cfg(feature = "heap")]
        let sampled = sample::take(block);
        // SAFETY: `block` came from `inner` with this `layout`; `new_size` is the caller's promise.
        let moved = unsafe { self.inner.realloc(block, layout, new_size) };
        #[cfg(feature = "heap")]
        match moved.is_null() {
            // The block is still there.
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

/// Nanoseconds on one of the system's clocks, `None` where there is no such clock.
#[cfg(all(feature = "process", any(target_os = "linux", target_os = "android")))]
pub(crate) fn clock_ns(clock: libc::clockid_t) -> Option<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a `timespec` of our own, which the call fills or leaves alone; any
    // number may be given as clock, and an unknown one is refused.
    if unsafe { libc::clock_gettime(clock, &mut time) } != 0 {
        return None;
    }
    let seconds = u64::try_from(time.tv_sec).ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(u64::try_from(time.tv_nsec).ok()?)
}

/// Writes the return addresses of the calling thread's stack, innermost first, and returns how many
/// there are. Allocates nothing and takes no lock.
#[cfg(feature = "heap")]
#[inline(never)]
pub(super) fn trace(frames: &mut [usize]) -> usize {
    let mut depth = 0;
    // SAFETY: the call is unsynchronized only in what it loads of symbols on Windows (dbghelp);
    // elsewhere it walks the caller's own stack. The closure neither unwinds nor allocates.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            // The outermost frame may be zero: the end of the stack.
            if let (ip @ 1.., Some(place)) = (frame.ip() as usize, frames.get_mut(depth)) {
                *place = ip;
                depth += 1;
            }
            depth < frames.len()
        });
    }
    depth
}

/// What the system has counted for this process.
#[cfg(all(feature = "process", any(target_os = "linux", target_os = "android")))]
pub(crate) fn resource_usage() -> Option<libc::rusage> {
    let mut usage = std::mem::MaybeUninit::zeroed();
    // SAFETY: the pointer is to memory of our own, large enough for a `rusage`.
    if unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: the call succeeded, so it is filled; and zeros are a valid `rusage` anyway.
    Some(unsafe { usage.assume_init() })
}

/// Bytes that mimalloc has committed, for the whole process; a load of its own counter.
#[cfg(feature = "mimalloc")]
pub(crate) fn mimalloc_committed_bytes() -> u64 {
    let mut ignored = [0_usize; 7];
    let [elapsed, user, system, resident, peak, peak_committed, faults] = &mut ignored;
    let mut committed = 0;
    // SAFETY: each of the pointers is to a `usize` of our own that the call fills.
    unsafe {
        libmimalloc_sys::mi_process_info(
            elapsed,
            user,
            system,
            resident,
            peak,
            &mut committed,
            peak_committed,
            faults,
        );
    }
    committed as u64
}
