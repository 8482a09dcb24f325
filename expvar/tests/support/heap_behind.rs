//! What a heap profile shows of a program with another allocator behind the hook.

use std::hint::black_box;

use expvar::heap;

#[inline(never)]
fn holds() -> Vec<Vec<u8>> {
    (0..100).map(|_| black_box(vec![1; 100_000])).collect()
}

#[test]
fn its_blocks_are_sampled_and_forgotten() {
    heap::start(1 << 10);
    // What was drawn before ends within this.
    drop(black_box(vec![1_u8; 1 << 20]));
    let mut held = holds();
    let bytes = || {
        let top = heap::profile().unwrap().top(1000).into_iter();
        top.filter(|site| site.name.contains("::holds")).map(|site| site.bytes).sum::<u64>()
    };
    let list = 100 * size_of::<Vec<u8>>() as u64;
    let expected = 10_000_000..=10_000_000 + 2 * list;
    // A profile resolves names for five seconds at most; the next one goes on.
    let found = (0..100).map(|_| bytes()).find(|bytes| expected.contains(bytes));
    assert!(found.is_some(), "{}", bytes());
    held.iter_mut().for_each(|block| block.reserve(1_000_000));
    assert!(bytes() <= 2 * list, "moved by another function: {}", bytes());
    drop(held);
    assert_eq!(bytes(), 0);
    heap::start(0);
}
