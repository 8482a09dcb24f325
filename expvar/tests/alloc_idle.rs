//! jemalloc and mimalloc that are linked but unused are not mistaken for the allocator.

use expvar::alloc::Counting;
use expvar::memstats::read_now;

#[global_allocator]
static ALLOC: Counting = Counting::new();

#[test]
fn figures_stay_the_system_s() {
    let idle = read_now();
    assert_eq!(idle.mspan_sys, 0);
    let block = std::hint::black_box(vec![1_u8; 64 << 20]);
    let stats = read_now();
    assert_eq!(stats.mspan_sys, 0);
    assert!(stats.heap_inuse - idle.heap_inuse > 60 << 20 && stats.heap_sys > stats.heap_inuse);
    assert!((64 << 20..65 << 20).contains(&(stats.heap_sys - idle.heap_sys)), "{idle:?} {stats:?}");
    drop(block);
}
