//! At its bound the heap profile drops samples, counts them and says so, and costs no more.

use std::hint::black_box;

use expvar::alloc::Counting;
use expvar::heap::{self, Profile};

#[global_allocator]
static ALLOC: Counting = Counting::new();

/// Sampled blocks that live, at most.
const BOUND: u64 = 131_072;
const SIZE: usize = 256;

#[allow(clippy::vec_box, reason = "each is to be a block of its own")]
#[inline(never)]
fn blocks(n: usize) -> Vec<Box<[u8; SIZE]>> {
    let mut blocks = Vec::with_capacity(n);
    blocks.resize_with(n, || Box::new([1; SIZE]));
    blocks
}

/// Samples that a profile says were dropped.
fn dropped(profile: &Profile) -> u64 {
    let text = profile.to_text();
    let said = text.lines().find_map(|line| line.strip_suffix(" samples were dropped"));
    said.map_or(0, |said| said.trim_start_matches("# ").parse().unwrap())
}

#[test]
fn past_the_bound_samples_are_dropped_and_places_serve_again() {
    // Each block is sampled.
    heap::start(1);
    drop(black_box(vec![1_u8; 1 << 20]));
    let mut held = black_box(blocks(BOUND as usize + 20_000));
    let full = heap::profile().unwrap();
    let lost = dropped(&full);
    assert!((20_000..25_000).contains(&lost), "{lost} of 20,000 and a few of the program's own");
    let (live, bound) = (full.live_bytes(), BOUND * SIZE as u64);
    assert!((bound - (1 << 20)..bound + (4 << 20)).contains(&live), "{live}");

    // A dropped sample ends a distance like any other: the next is a rate's bytes away.
    heap::start(64 << 10);
    drop(black_box(vec![1_u8; 1 << 20]));
    let before = heap::profile().unwrap();
    let more = black_box(blocks(40_000));
    let lost = dropped(&heap::profile().unwrap().since(&before));
    // 10 MB in distances of 64 KiB: some 160.
    assert!((50..1000).contains(&lost), "{lost} of 40,000 blocks");
    drop(more);

    heap::start(1);
    drop(black_box(vec![1_u8; 1 << 20]));
    held.truncate(BOUND as usize - 40_000);
    let before = heap::profile().unwrap();
    let again = black_box(blocks(20_000));
    let change = heap::profile().unwrap().since(&before);
    assert_eq!(dropped(&change), 0, "the places of blocks that were freed serve others");
    assert!(change.live_bytes() >= 20_000 * SIZE as u64, "{}", change.live_bytes());
    drop((held, again));
}
