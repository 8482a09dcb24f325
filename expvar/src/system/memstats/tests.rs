//! Inconsistent inputs; other tests use the public interface.

use super::*;

fn status(data: u64, anonymous: u64) -> Status {
    Status { data: Some(data), anonymous: Some(anonymous), ..Status::default() }
}

#[test]
fn without_the_hook_what_cannot_be_known_is_zero() {
    let status = Status { stack: Some(10), text: Some(3), ..status(1000, 410) };
    let stats = MemStats::new(None, &status, None);
    assert_eq!((stats.alloc, stats.mallocs, stats.heap_objects), (0, 0, 0));
    assert_eq!((stats.heap_sys, stats.heap_inuse, stats.heap_idle), (1000, 400, 600));
    assert_eq!((stats.heap_released, stats.stack_inuse, stats.sys), (600, 10, 1013));
}

#[test]
fn without_a_system_everything_is_zero_and_nothing_below() {
    let stats = MemStats::new(None, &Status::default(), None);
    assert_eq!(stats, MemStats::ZERO);
}

#[test]
fn untouched_memory_is_in_use_and_no_difference_is_negative() {
    // An allocator's value older than the hook's, or memory never written.
    let allocator = Allocator {
        allocated: Some(u64::MAX),
        in_use: 0,
        mapped: 0,
        released: Some(5),
        bookkeeping: Some(7),
    };
    let mut hook = crate::alloc::Counts::ZERO;
    (hook.allocations, hook.allocated_bytes) = (1, 1 << 30);
    let stats = MemStats::new(Some(&hook), &status(100, 50), Some(allocator));
    assert_eq!((stats.alloc, stats.heap_alloc), (1 << 30, 1 << 30));
    assert_eq!((stats.heap_inuse, stats.heap_sys, stats.heap_idle), (1 << 30, 1 << 30, 0));
    assert_eq!((stats.heap_released, stats.mspan_sys, stats.sys), (0, 7, (1 << 30) + 7));
}
