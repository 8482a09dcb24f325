//! Heap profiles: estimates against exact sums, and the ways of a block that samplers get wrong.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};

use expvar::alloc::Counting;
use expvar::heap::{self, Profile, SampleType};

#[global_allocator]
static ALLOC: Counting = Counting::new();

/// The rate is the process's: one test at a time, and none begins with the rate of another.
struct Alone(#[allow(dead_code)] MutexGuard<'static, ()>);

fn alone(rate: usize) -> Alone {
    static ALONE: Mutex<()> = Mutex::new(());
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    heap::start(0);
    // A thread takes a new rate over at its next sample, or within 64 KiB where nothing is sampled.
    drop(black_box(vec![1_u8; 1 << 20]));
    drop(black_box(vec![1_u8; 1 << 20]));
    heap::start(rate);
    drop(black_box(vec![1_u8; 1 << 20]));
    Alone(guard)
}

impl Drop for Alone {
    fn drop(&mut self) {
        heap::start(0);
    }
}

/// Bytes and blocks that live of what a function with `name` in it allocated.
fn live(profile: &Profile, name: &str) -> (i64, i64) {
    let (mut bytes, mut objects) = (0, 0);
    profile.for_each_stack(|functions, stack_bytes, stack_objects| {
        if functions.iter().any(|function| function.contains(name)) {
            bytes += stack_bytes;
            objects += stack_objects;
        }
    });
    (bytes, objects)
}

// Boxed, since each is to be a block of its own.
#[allow(clippy::vec_box)]
#[inline(never)]
fn small_blocks(n: usize) -> Vec<Box<[u8; 64]>> {
    (0..n).map(|at| Box::new([at as u8; 64])).collect()
}

#[test]
fn a_leak_is_estimated_and_a_free_takes_it_out() {
    let _alone = alone(16 << 10);
    let leak = black_box(small_blocks(100_000));
    let (bytes, _) = live(&heap::profile().unwrap(), "heap::small_blocks");
    // 6.4 MB in blocks and the vectors of the growing list: 400 samples have an error of 5 %.
    let expected = 100_000 * 64 + 100_000 * 8;
    let error = (bytes - expected) as f64 / expected as f64;
    assert!(error.abs() < 0.3, "{bytes} of {expected}");
    let top = heap::profile().unwrap().top(3);
    assert!(top[0].name.contains("small_blocks"), "{top:?}");
    drop(leak);
    assert_eq!(live(&heap::profile().unwrap(), "heap::small_blocks"), (0, 0));
}

#[test]
fn estimates_lie_around_the_truth() {
    #[inline(never)]
    fn random_program(random: &mut Random) -> Vec<Vec<u8>> {
        let mut held: Vec<Vec<u8>> = Vec::with_capacity(512);
        for _ in 0..500 {
            let size = 1 << random.below(14);
            if !held.is_empty() && random.below(3) == 0 {
                held.swap_remove(random.below(held.len()));
            } else {
                held.push(vec![1; size + random.below(size)]);
            }
        }
        held
    }
    let rate = 8 << 10;
    let _alone = alone(rate);
    let (mut beyond, mut sum_of_scores) = (0, 0.0);
    for seed in 1..=200 {
        let held = black_box(random_program(&mut Random(seed)));
        let profile = heap::profile().unwrap();
        let (estimate, _) = live(&profile, "random_program");
        // The list itself, too, and what each block adds to the variance of the estimate.
        let sizes = held.iter().map(Vec::capacity).chain([held.capacity() * size_of::<Vec<u8>>()]);
        let (mut exact, mut variance) = (0.0, 0.0);
        for size in sizes.map(|size| size as f64) {
            let p = 1.0 - (-size / rate as f64).exp();
            exact += size;
            variance += size * size * (1.0 - p) / p;
        }
        let score = (estimate as f64 - exact) / variance.sqrt();
        beyond += u32::from(score.abs() > 3.0);
        sum_of_scores += score;
    }
    // Of 200, 0.5 lie beyond three standard errors by chance; more than five in a million runs.
    assert!(beyond <= 6, "{beyond} of 200 beyond three standard errors");
    let mean = sum_of_scores / 200.0;
    assert!(mean.abs() < 5.0 / 200_f64.sqrt(), "a bias of {mean} standard errors");
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }
}

#[test]
fn blocks_that_other_threads_free_leave_nothing() {
    #[inline(never)]
    fn sent_away() -> Box<[u8; 512]> {
        Box::new(black_box([7; 512]))
    }
    let _alone = alone(1 << 10);
    let (sender, receiver) = mpsc::sync_channel::<Box<[u8; 512]>>(64);
    let frees = std::thread::spawn(move || receiver.into_iter().map(drop).count());
    let allocate = || {
        let sender = sender.clone();
        std::thread::spawn(move || (0..20_000).for_each(|_| sender.send(sent_away()).unwrap()))
    };
    let threads = [allocate(), allocate()];
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    drop(sender);
    assert_eq!(frees.join().unwrap(), 40_000);
    assert_eq!(live(&heap::profile().unwrap(), "sent_away"), (0, 0));
}

#[test]
fn a_block_that_grows_is_counted_once() {
    #[inline(never)]
    fn grown() -> Vec<u8> {
        let mut vec = Vec::new();
        for at in 0..1_usize << 20 {
            vec.push(at as u8);
        }
        vec
    }
    let _alone = alone(1 << 10);
    let vec = black_box(grown());
    let (bytes, objects) = live(&heap::profile().unwrap(), "grown");
    assert_eq!((bytes, objects), (vec.capacity() as i64, 1), "larger than the rate by far: exact");
    drop(vec);
    assert_eq!(live(&heap::profile().unwrap(), "grown"), (0, 0));
}

#[test]
fn a_reallocation_that_fails_keeps_the_sample() {
    let _alone = alone(1 << 10);
    let layout = Layout::from_size_align(1 << 20, 4096).unwrap();
    #[inline(never)]
    fn aligned(layout: Layout) -> *mut u8 {
        // SAFETY: the layout is not empty.
        unsafe { ALLOC.alloc(layout) }
    }
    let block = black_box(aligned(layout));
    // SAFETY: the block came from ALLOC with this layout; no system has the size asked for.
    let refused = unsafe { ALLOC.realloc(block, layout, isize::MAX as usize - 8192) };
    assert!(refused.is_null());
    assert_eq!(live(&heap::profile().unwrap(), "aligned"), (1 << 20, 1));
    // SAFETY: as above; the block is still there.
    unsafe { ALLOC.dealloc(block, layout) };
    assert_eq!(live(&heap::profile().unwrap(), "aligned"), (0, 0));
    let _ = System;
}

#[test]
fn the_sampler_does_not_profile_itself() {
    let _alone = alone(256);
    let blocks = black_box(small_blocks(50_000));
    heap::profile().unwrap().for_each_stack(|functions, bytes, _| {
        let own = functions.iter().any(|f| f.contains("heap::table::enter"));
        assert!(!own, "{bytes} bytes of the sampler's own: {functions:?}");
    });
    drop(blocks);
}

#[test]
fn churn_leaves_the_tables_where_they_were() {
    let _alone = alone(1 << 10);
    let churn = || (0..10).for_each(|_| drop(black_box(small_blocks(1_000))));
    churn();
    let before = expvar::alloc::counts().unwrap().live_bytes();
    (0..10).for_each(|_| churn());
    let after = expvar::alloc::counts().unwrap().live_bytes();
    assert!(after <= before + (64 << 10), "{before} to {after} bytes");
}

#[test]
fn a_new_rate_keeps_the_old_weights() {
    #[inline(never)]
    fn held_over() -> Vec<u8> {
        vec![1; 8 << 20]
    }
    let _alone = alone(64 << 10);
    let block = black_box(held_over());
    heap::start(1 << 20);
    assert_eq!(live(&heap::profile().unwrap(), "held_over"), (8 << 20, 1));
    drop(block);
}

#[test]
fn differences_show_growth_alone() {
    let _alone = alone(1 << 10);
    #[inline(never)]
    fn before_it() -> Vec<u8> {
        vec![1; 1 << 20]
    }
    #[inline(never)]
    fn since_then() -> Vec<u8> {
        vec![1; 2 << 20]
    }
    let gone = black_box(before_it());
    let first = heap::profile().unwrap();
    drop(gone);
    let grown = black_box(since_then());
    let change = heap::profile().unwrap().since(&first);
    assert_eq!(live(&change, "before_it"), (-(1 << 20), -1));
    assert_eq!(live(&change, "since_then"), (2 << 20, 1));
    drop(grown);
}

#[test]
fn text_has_go_s_form() {
    let _alone = alone(1 << 10);
    #[inline(never)]
    fn shown_as_text() -> Vec<u8> {
        vec![1; 3 << 20]
    }
    let block = black_box(shown_as_text());
    let text = heap::profile().unwrap().to_text();
    assert!(text.starts_with("heap profile: "), "{text}");
    assert!(text.lines().next().unwrap().ends_with(" @ heap/1024"), "{text}");
    assert!(text.contains("\n1: 3145728 [1: 3145728] @ 0x"), "{text}");
    assert!(text.contains("shown_as_text"), "{text}");
    drop(block);
}

#[test]
fn the_protobuf_is_not_empty_and_names_functions() {
    let _alone = alone(1 << 10);
    let blocks = black_box(small_blocks(1000));
    let bytes = heap::profile().unwrap().to_pprof(SampleType::InuseSpace);
    let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    for text in ["inuse_space", "alloc_objects", "small_blocks", "bytes", "count", "/heap.rs"] {
        assert!(has(text), "{text}");
    }
    drop(blocks);
}
