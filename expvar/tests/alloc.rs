//! The allocator hook counts exactly: in threads that live, exit, and allocate in their teardown.
//!
//! One test, because the counts are the whole process's.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::thread::{Builder, JoinHandle};

use expvar::alloc::{CLASS_SIZES, Counting, Counts, counts};

#[global_allocator]
static ALLOC: Counting = Counting::new();

/// Sizes of classes that nothing else in this program uses: what is seen there is the test's own.
const SMALL: usize = 13_000;
const LARGE: usize = 17_000;

fn class(size: usize) -> usize {
    CLASS_SIZES.iter().position(|largest| size <= *largest as usize).unwrap()
}

/// What `work` allocated and freed of one size.
fn of_size(size: usize, work: impl FnOnce()) -> (u64, u64) {
    let (before, after) = around(work);
    let (before, after) = (before.by_size[class(size)], after.by_size[class(size)]);
    (after.allocations - before.allocations, after.frees - before.frees)
}

fn around(work: impl FnOnce()) -> (Counts, Counts) {
    let before = counts().unwrap();
    work();
    (before, counts().unwrap())
}

fn spawn(work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    Builder::new().stack_size(128 << 10).spawn(work).unwrap()
}

fn block(size: usize) -> Vec<u8> {
    std::hint::black_box(Vec::with_capacity(size))
}

static BEFORE_MAIN: AtomicU64 = AtomicU64::new(0);

#[ctor::ctor(unsafe)]
fn before_main() {
    drop(block(LARGE));
    BEFORE_MAIN.store(counts().unwrap().by_size[class(LARGE)].frees, Relaxed);
}

#[test]
fn counts_are_exact() {
    assert_eq!(BEFORE_MAIN.load(Relaxed), 1, "an allocation before main");
    wait_for_the_harness();
    sizes();
    reallocations();
    totals();
    threads_that_exit();
    blocks_freed_elsewhere();
    more_threads_than_most();
    teardown();
    memory_comes_back();
    everything_agrees_with_memstats();
}

/// The harness's own thread allocates until it waits for this test's end.
fn wait_for_the_harness() {
    let stat = format!("/proc/self/task/{}/stat", std::process::id());
    let waits = || std::fs::read_to_string(&stat).unwrap().contains(") S ");
    while !(0..10).all(|_| {
        std::thread::yield_now();
        waits()
    }) {}
}

fn sizes() {
    for size in [LARGE, SMALL] {
        assert_eq!(of_size(size, || drop(block(size))), (1, 1));
        assert_eq!(of_size(size, || drop(std::hint::black_box(vec![0_u8; size]))), (1, 1));
    }
    // Exactly at a class's edge, and past the last class.
    for (size, expected) in [(18_432, (1, 1)), (18_433, (0, 0))] {
        assert_eq!(of_size(18_432, || drop(block(size))), expected, "{size}");
    }
    let (before, after) = around(|| drop(block(100_000)));
    assert_eq!(after.allocations - before.allocations, 1);
    assert_eq!(after.frees - before.frees, 1);
    assert_eq!(after.allocated_bytes - before.allocated_bytes, 100_000);
    assert_eq!(after.by_size, before.by_size);
    assert_eq!(after.by_size[0].allocations, 0);
}

fn reallocations() {
    let (before, after) = around(|| {
        let mut block = block(SMALL);
        block.reserve_exact(LARGE);
        std::hint::black_box(&mut block);
    });
    let difference = |of: fn(&Counts) -> u64| of(&after) - of(&before);
    assert_eq!(difference(|counts| counts.allocations), 2);
    assert_eq!(difference(|counts| counts.frees), 2);
    assert_eq!(difference(|counts| counts.allocated_bytes), (SMALL + LARGE) as u64);
    assert_eq!(difference(|counts| counts.freed_bytes), (SMALL + LARGE) as u64);
    let reallocations =
        |counts: &Counts| counts.reallocations_in_place + counts.reallocations_moved;
    assert_eq!(difference(reallocations), 1);
    assert_eq!(after.live_bytes(), before.live_bytes());
}

fn totals() {
    let (before, after) = around(|| {
        for size in 1..=20_000 {
            drop(block(size));
        }
    });
    assert_eq!(after.allocations - before.allocations, 20_000);
    assert_eq!(after.frees - before.frees, 20_000);
    assert_eq!(after.allocated_bytes - before.allocated_bytes, 20_000 * 20_001 / 2);
    assert_eq!(after.freed_bytes - before.freed_bytes, 20_000 * 20_001 / 2);
    let mut smaller = 0;
    for (class, largest) in CLASS_SIZES.iter().enumerate().skip(1) {
        let (before, after) = (before.by_size[class], after.by_size[class]);
        assert_eq!(after.size, *largest);
        assert_eq!(after.allocations - before.allocations, u64::from(largest - smaller));
        assert_eq!(after.frees - before.frees, u64::from(largest - smaller));
        smaller = *largest;
    }
}

/// Many short threads, eight at a time: what they hold changes hands all the while.
fn threads_that_exit() {
    let work = || {
        for _ in 0..250 {
            let threads: Vec<_> =
                (0..8).map(|_| spawn(|| (0..50).for_each(|_| drop(block(SMALL))))).collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        }
    };
    assert_eq!(of_size(SMALL, work), (100_000, 100_000));
}

fn blocks_freed_elsewhere() {
    let work = || {
        let (give, take) = channel::<Vec<u8>>();
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let give = give.clone();
                spawn(move || (0..500).for_each(|_| give.send(block(LARGE)).unwrap()))
            })
            .collect();
        drop(give);
        let freer = spawn(move || assert_eq!(take.iter().map(drop).count(), 4000));
        threads.into_iter().chain([freer]).for_each(|thread| thread.join().unwrap());
    };
    assert_eq!(of_size(LARGE, work), (4000, 4000));
}

/// Many threads at a time, of which the first allocations go to shared cells.
fn more_threads_than_most() {
    let work = || {
        let together = Arc::new(Barrier::new(600));
        let threads: Vec<_> = (0..600)
            .map(|_| {
                let together = together.clone();
                spawn(move || {
                    drop(block(SMALL));
                    together.wait();
                    (0..100).for_each(|_| drop(block(SMALL)));
                    together.wait();
                    drop(block(SMALL));
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    };
    assert_eq!(of_size(SMALL, work), (600 * 102, 600 * 102));
}

/// Allocates when its thread is torn down: once in itself and once in another that it brings to
/// life then.
struct Late(usize);

impl Drop for Late {
    fn drop(&mut self) {
        drop(block(SMALL));
        if self.0 > 0 {
            NEXT.with_borrow_mut(|next| *next = Some(Late(self.0 - 1)));
        }
    }
}

thread_local! {
    static FIRST: RefCell<Option<Late>> = const { RefCell::new(None) };
    static NEXT: RefCell<Option<Late>> = const { RefCell::new(None) };
}

fn teardown() {
    let work = || {
        for round in 0..300 {
            let thread = spawn(move || {
                let late = Late(1);
                // Before, after or without any allocation of the thread's own, so that the
                // destructors run in every order relative to the hook's.
                match round % 3 {
                    0 => FIRST.set(Some(late)),
                    1 => {
                        drop(block(LARGE));
                        FIRST.set(Some(late));
                    }
                    _ => {
                        FIRST.set(Some(late));
                        drop(block(LARGE));
                    }
                }
            });
            thread.join().unwrap();
        }
    };
    assert_eq!(of_size(SMALL, work), (600, 600));
}

/// With nothing held, the live bytes are what they were, and blocks too.
fn memory_comes_back() {
    let work = || {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                spawn(|| {
                    let blocks: Vec<Vec<u8>> = (0..1000).map(|size| block(size * 37)).collect();
                    drop(blocks);
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    };
    work();
    let (before, after) = around(work);
    assert_eq!(after.live_bytes(), before.live_bytes());
    assert_eq!(after.live_blocks(), before.live_blocks());
    assert!(after.allocations - before.allocations > 8 * 1000);
}

fn everything_agrees_with_memstats() {
    let (before, after) = around(|| assert!(expvar::memstats::read_now().mallocs > 0));
    let stats = expvar::memstats::read_now();
    assert!(stats.mallocs >= after.allocations && before.allocations < after.allocations);
    assert!(stats.total_alloc >= after.allocated_bytes);
    assert_eq!(stats.alloc, stats.heap_alloc);
    assert_eq!(stats.heap_objects, stats.mallocs - stats.frees);
    assert!(stats.heap_inuse >= stats.heap_alloc);
    for (shown, counted) in stats.by_size.iter().zip(&after.by_size) {
        assert_eq!(shown.size, counted.size);
        assert!(shown.mallocs >= counted.allocations && shown.mallocs >= shown.frees);
    }
}
