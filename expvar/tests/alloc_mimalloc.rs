//! `memstats` of a program that allocates with mimalloc, behind the hook.

use expvar::alloc::Counting;
use expvar::memstats::read_now;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOC: Counting<MiMalloc> = Counting::with(MiMalloc);

const MIB: u64 = 1 << 20;

#[test]
fn mimalloc_is_asked() {
    let before = read_now();
    let block = std::hint::black_box(vec![1_u8; 64 << 20]);
    let during = read_now();
    drop(block);
    assert!((64 * MIB..66 * MIB).contains(&(during.alloc - before.alloc)));
    assert!((60 * MIB..72 * MIB).contains(&(during.heap_inuse - before.heap_inuse)), "{during:?}");
    assert!(
        (60 * MIB..160 * MIB).contains(&(during.heap_sys - before.heap_sys)),
        "{before:?} {during:?}"
    );
    for stats in [before, during] {
        assert!(stats.heap_alloc <= stats.heap_inuse && stats.heap_released <= stats.heap_idle);
        assert_eq!(stats.heap_sys, stats.heap_inuse + stats.heap_idle);
    }
}
