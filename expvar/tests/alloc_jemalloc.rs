//! `memstats` of a program that allocates with jemalloc, behind the hook.

use expvar::alloc::Counting;
use expvar::memstats::read_now;
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOC: Counting<Jemalloc> = Counting::with(Jemalloc);

const MIB: u64 = 1 << 20;

#[test]
fn jemalloc_is_asked() {
    let before = read_now();
    let block = std::hint::black_box(vec![1_u8; 64 << 20]);
    let during = read_now();
    drop(block);
    let after = read_now();
    assert!(before.mspan_sys > 0, "jemalloc's bookkeeping");
    assert!((64 * MIB..66 * MIB).contains(&(during.alloc - before.alloc)));
    assert!((64 * MIB..66 * MIB).contains(&(during.heap_inuse - before.heap_inuse)));
    // What it keeps address space for and gave back shows as released.
    assert!(after.heap_inuse < during.heap_inuse && after.heap_idle > before.heap_idle);
    for stats in [before, during, after] {
        assert!(stats.heap_alloc <= stats.heap_inuse && stats.heap_released <= stats.heap_idle);
        assert_eq!(stats.heap_sys, stats.heap_inuse + stats.heap_idle);
    }
}
