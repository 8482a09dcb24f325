//! What a profile says of the heap, against exact sums.

use std::hint::black_box;

use expvar::heap;

use super::{Random, alone, live, small_blocks};

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

#[test]
fn a_thread_s_first_allocation_is_as_likely_as_any() {
    #[inline(never)]
    fn first_of_a_thread() -> Box<[u8; 256]> {
        Box::new(black_box([7; 256]))
    }
    let _alone = alone(1 << 10);
    let threads = 4000;
    let mut held = Vec::with_capacity(threads);
    for _ in 0..threads {
        held.push(std::thread::spawn(first_of_a_thread).join().unwrap());
    }
    let (_, objects) = live(&heap::profile().unwrap(), "first_of_a_thread");
    // A sample stands for 4.5 blocks: of 4,000, the standard error is 119.
    let error = (objects - threads as i64).abs();
    assert!(error < 6 * 119, "{objects} of {threads}");
}

#[test]
#[allow(clippy::vec_box, reason = "the blocks are what is counted")]
fn a_new_rate_keeps_the_old_weights() {
    // Apart, since the estimates of both lie by chance.
    #[inline(never)]
    fn held_over(n: usize) -> Vec<Box<[u8; 64]>> {
        black_box(small_blocks(n))
    }
    #[inline(never)]
    fn came_later(n: usize) -> Vec<Box<[u8; 64]>> {
        black_box(small_blocks(n))
    }
    let _alone = alone(1 << 10);
    let old = black_box(held_over(100_000));
    let before = live(&heap::profile().unwrap(), "held_over");
    // Each sample stands for 16.5 blocks, and there are some 6,000.
    assert!((90_000..110_000).contains(&before.1), "{before:?}");
    heap::start(32 << 10);
    let new = black_box(came_later(400_000));
    let profile = heap::profile().unwrap();
    assert_eq!(profile.rate(), 32 << 10);
    assert_eq!(live(&profile, "held_over"), before, "with the weights that they were sampled at");
    let (_, objects) = live(&profile, "came_later");
    // 512 blocks for each of some 780 samples: five standard errors are 18 %.
    assert!((320_000..480_000).contains(&objects), "{objects}");
    drop((old, new));
    let profile = heap::profile().unwrap();
    assert_eq!((live(&profile, "held_over"), live(&profile, "came_later")), ((0, 0), (0, 0)));
}
