//! The sampler's own memory.

use std::hint::black_box;
use std::sync::mpsc;

use expvar::heap;

use super::{Random, alone, live, small_blocks};

#[test]
fn the_sampler_does_not_profile_itself() {
    let _alone = alone(256);
    let blocks = black_box(small_blocks(50_000));
    heap::profile().unwrap().for_each_stack(|functions, bytes, _| {
        let own = functions.iter().any(|f| f.contains("heap::table::enter"));
        assert!(!own, "{bytes} bytes of the sampler's own: {functions:?}");
    });
    let text = heap::profile().unwrap().to_text();
    assert!(!text.contains("were dropped"), "nor are its own counted as dropped: {text}");
    drop(blocks);
}

/// What threads that come and go allocate, keep for a while, let grow, and hand to one another.
fn works_and_ends(seed: u64) {
    let (sender, receiver) = mpsc::channel::<Vec<u8>>();
    let frees = std::thread::spawn(move || receiver.into_iter().map(|block| block.len()).sum());
    let works = |thread: u64| {
        let sender = sender.clone();
        std::thread::spawn(move || {
            let mut random = Random(seed * 2 + thread);
            let mut held: Vec<Vec<u8>> = Vec::new();
            for _ in 0..50_000 {
                match random.below(4) {
                    0 if !held.is_empty() => drop(held.swap_remove(random.below(held.len()))),
                    1 if !held.is_empty() => {
                        let at = random.below(held.len());
                        held[at].reserve(1 << random.below(12));
                    }
                    2 => drop(sender.send(vec![1; 1 << random.below(12)])),
                    _ => held.push(vec![1; 1 << random.below(12)]),
                }
                held.truncate(200);
            }
        })
    };
    // Joined one by one, which waits for the end of what a thread holds for itself.
    [works(1), works(2)].into_iter().for_each(|thread| thread.join().unwrap());
    drop(sender);
    let sum: usize = frees.join().unwrap();
    assert!(sum > 0);
}

/// One round, after which nothing of it is left.
///
/// The profile is read at a coarse rate. At the fine one reading samples itself, and each new stack
/// in it takes up to 600 bytes for good.
fn round(seed: u64) {
    works_and_ends(seed);
    heap::start(1 << 20);
    let left = live(&heap::profile().unwrap(), "works_and_ends");
    heap::start(1 << 10);
    assert_eq!(left, (0, 0), "left after round {seed}");
}

/// Rounds of churn until `goes_on` returns false leave as many live bytes as the first three.
fn churn_grows_nothing(mut goes_on: impl FnMut(u64) -> bool) {
    let _alone = alone(1 << 10);
    let live_bytes = || expvar::alloc::counts().unwrap().live_bytes();
    (1..=3).for_each(round);
    let before = live_bytes();
    let mut rounds = 0;
    while goes_on(rounds) {
        rounds += 1;
        round(rounds + 3);
        if rounds.is_power_of_two() {
            println!("{} bytes after {rounds} rounds", live_bytes());
        }
    }
    let after = live_bytes();
    println!("{before} bytes before and {after} after {rounds} rounds");
    // The sampler's tables are among them. New stacks are rare by now.
    assert!(after <= before + (256 << 10), "{before} to {after} bytes");
    assert!(!heap::profile().unwrap().to_text().contains("were dropped"));
}

#[test]
fn churn_leaves_the_tables_where_they_were() {
    // Two million operations.
    churn_grows_nothing(|rounds| rounds < 20);
}

#[test]
#[ignore = "takes ten minutes"]
fn ten_minutes_of_churn_leave_the_tables_at_length() {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(600);
    churn_grows_nothing(|_| std::time::Instant::now() < until);
}
