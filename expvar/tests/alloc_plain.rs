//! The allocator hook around another allocator, and without sizes.

use std::alloc::System;

use expvar::alloc::{Counting, counts};

#[global_allocator]
static ALLOC: Counting<System, false> = Counting::with(System);

#[test]
fn totals_without_sizes() {
    let before = counts().unwrap();
    let block = std::hint::black_box(Vec::<u8>::with_capacity(1000));
    let during = counts().unwrap();
    drop(block);
    let after = counts().unwrap();
    assert_eq!(during.live_bytes() - before.live_bytes(), 1000);
    assert_eq!(during.live_blocks() - before.live_blocks(), 1);
    assert_eq!(after.allocations - before.allocations, 1);
    assert_eq!(after.live_bytes(), before.live_bytes());
    assert!(after.by_size.iter().all(|class| class.allocations == 0 && class.frees == 0));
    assert_eq!(after.by_size[60].size, 18_432);
    let stats = expvar::memstats::read_now();
    assert!(stats.mallocs >= after.allocations);
}
