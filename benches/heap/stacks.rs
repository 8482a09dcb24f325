//! Allocations from thousands of different stacks.

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;

/// Calls on until the stack is some `depth` frames deep, then allocates. At each frame a bit of
/// `way` chooses one of two functions, so that 4,096 ways make 4,096 stacks.
pub(crate) fn deep(depth: u32, way: u32, allocator: &dyn GlobalAlloc, layout: Layout) -> *mut u8 {
    let next = if (way >> (depth % 12)) & 1 == 0 { left } else { right };
    next(depth, way, allocator, layout)
}

#[inline(never)]
fn left(depth: u32, way: u32, allocator: &dyn GlobalAlloc, layout: Layout) -> *mut u8 {
    if depth == 0 {
        // SAFETY: the callers' layouts are not empty.
        return unsafe { allocator.alloc(layout) };
    }
    // What is done with the result keeps the call from being a jump.
    black_box(deep(depth - 1, way, allocator, layout))
}

#[inline(never)]
fn right(depth: u32, way: u32, allocator: &dyn GlobalAlloc, layout: Layout) -> *mut u8 {
    if depth == 0 {
        // SAFETY: as above.
        return unsafe { allocator.alloc(layout) };
    }
    // Other than `left`, lest the two become one function.
    black_box(deep(depth - 1, way, allocator, layout).wrapping_add(1)).wrapping_sub(1)
}
