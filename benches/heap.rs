//! What heap profiles cost: allocations while blocks are sampled, memory, and writing a profile.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use expvar::alloc::Counting;
use expvar::heap::{self, SampleType};
use expvar_benches::print_machine;

#[global_allocator]
static ALLOC: Counting = Counting::new();

const ROUNDS: usize = 41;

/// Seconds that `work` takes while nothing is sampled and while blocks are, turn by turn; the
/// median of each.
fn turns(rounds: usize, work: impl Fn()) -> [f64; 2] {
    let mut seconds = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        for turn in [round % 2, (round + 1) % 2] {
            heap::start(turn * heap::DEFAULT_RATE);
            // Ends what was drawn before.
            drop(black_box(vec![1_u8; 64 << 20]));
            let start = Instant::now();
            work();
            seconds[turn].push(start.elapsed().as_secs_f64());
        }
    }
    seconds.map(|mut seconds| {
        seconds.sort_by(f64::total_cmp);
        seconds[seconds.len() / 2]
    })
}

/// Allocates and frees `times`, of one size.
#[inline(never)]
fn pairs(size: usize, times: usize) {
    let layout = black_box(Layout::from_size_align(size, 8).expect("a small size"));
    for _ in 0..times {
        // SAFETY: the layout is not empty, and the block goes back with its layout.
        unsafe {
            let block = black_box(ALLOC.alloc(layout));
            assert!(!block.is_null());
            ALLOC.dealloc(block, layout);
        }
    }
}

fn on_threads(threads: usize, work: impl Fn() + Sync) {
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(&work))));
}

/// A map of strings in no order, built and dropped.
fn tree(entries: u64) {
    let mut map = BTreeMap::new();
    let mut state = 1_u64;
    for _ in 0..entries {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        map.insert(format!("key-{state:016x}"), vec![0_u8; (state >> 57) as usize + 1]);
    }
    drop(black_box(map));
}

/// Calls itself until the stack is `depth` frames deep, then allocates. The calls return to
/// different places by the bits of `way`, and so the stacks differ.
#[inline(never)]
fn deep(depth: u32, way: u32, layout: Layout) -> *mut u8 {
    if depth == 0 {
        // SAFETY: the layout is not empty.
        return unsafe { ALLOC.alloc(layout) };
    }
    let one: fn(u32, u32, Layout) -> *mut u8 = black_box(deep);
    // What is done with the result keeps each call from being a jump, and the two from being one.
    if (way >> (depth % 12)) & 1 == 0 {
        black_box(one(depth - 1, way, layout))
    } else {
        black_box(black_box(one(depth - 1, way, layout)).wrapping_add(1)).wrapping_sub(1)
    }
}

/// Allocates `count` blocks of `size` that are all sampled, from 4,096 different stacks of some 30
/// frames; what the hook counts beside them is the sampler's own.
fn many(count: usize, size: usize, rate: usize) -> Vec<*mut u8> {
    let mut blocks = Vec::with_capacity(count);
    heap::start(rate);
    drop(black_box(vec![1_u8; 64 << 20]));
    let layout = Layout::from_size_align(size, 8).expect("a small size");
    (0..count).for_each(|way| blocks.push(deep(24, way as u32, layout)));
    heap::start(heap::DEFAULT_RATE);
    blocks
}

fn live_bytes() -> u64 {
    expvar::alloc::counts().map_or(0, |counts| counts.live_bytes())
}

fn row(what: &str, most: f64, measured: f64) {
    let missed = if measured <= most { "" } else { " (missed)" };
    println!("| {what} | {most} | {measured:.3}{missed} |");
}

fn main() {
    print_machine("heap");
    let measured = std::env::args().any(|arg| arg == "--bench");
    let (rounds, scale) = if measured { (ROUNDS, 1) } else { (1, 1000) };
    println!("| what | at most | measured |\n|---|---:|---:|");
    for threads in [1, 2] {
        let [off, on] = turns(rounds, || on_threads(threads, || pairs(64, 400_000 / scale)));
        row(&format!("64 bytes, {threads} threads, sampled / not"), 1.06, on / off);
    }
    let [off, on] = turns(rounds.min(15), || tree(200_000 / scale as u64));
    row("a map of 200,000 strings, sampled / not", 1.08, on / off);
    // A second's worth of 1 GiB/s.
    let [off, on] = turns(rounds.min(15), || pairs(64 << 10, 16_384 / scale));
    row("1 GiB/s in 64 KiB blocks: share of a core for stacks", 0.02, on - off);

    let count = 4000 / scale;
    let before = live_bytes();
    let blocks = many(count, 512 << 10, 1 << 10);
    let own = live_bytes() - before - (count * (512 << 10)) as u64;
    row("2 GiB live, 4,000 samples: MiB", 4.0, own as f64 / (1 << 20) as f64);
    let first = Instant::now();
    let bytes = heap::profile().map_or(0, |p| p.to_pprof(SampleType::InuseSpace).len());
    let first = first.elapsed();
    let second = Instant::now();
    black_box(heap::profile().map(|p| p.to_pprof(SampleType::InuseSpace)));
    row("a profile of them, second time: ms", 20.0, millis(second.elapsed()));
    println!("| the same, first time, {bytes} bytes | - | {:.1} |", millis(first));

    let more = 127_000 / scale;
    let before = live_bytes();
    // As many samples as 64 GiB have at the default rate.
    let blocks_too = many(more, 16 << 10, 16);
    let all = live_bytes() - before - (more * (16 << 10)) as u64;
    row("131,072 samples, as of 64 GiB: MiB", 32.0, (all + own) as f64 / (1 << 20) as f64);
    heap::start(16);
    row("wait for a profile of them, 99.9th percentile: us", 100.0, longest_wait(measured));
    heap::start(heap::DEFAULT_RATE);
    for (blocks, size) in [(blocks, 512 << 10), (blocks_too, 16 << 10)] {
        let layout = Layout::from_size_align(size, 8).expect("a small size");
        // SAFETY: each came from ALLOC with this layout and is freed once.
        blocks.into_iter().for_each(|block| unsafe { ALLOC.dealloc(block, layout) });
    }
    let _ = System;
}

/// By how many microseconds the 99.9th percentile of a sampled allocation grows while another
/// thread takes profiles.
fn longest_wait(measured: bool) -> f64 {
    let until = Duration::from_millis(if measured { 1000 } else { 1 });
    let percentile = || {
        let mut taken = Vec::with_capacity(1 << 20);
        let start = Instant::now();
        while start.elapsed() < until && taken.len() < taken.capacity() {
            let one = Instant::now();
            drop(black_box(vec![1_u8; 256]));
            taken.push(one.elapsed().as_nanos() as f64 / 1000.0);
        }
        taken.sort_by(f64::total_cmp);
        taken[taken.len() - 1 - taken.len() / 1000]
    };
    let alone = percentile();
    let stop = AtomicBool::new(false);
    let beside = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                black_box(heap::profile());
            }
        });
        let beside = percentile();
        stop.store(true, Relaxed);
        beside
    });
    beside - alone
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
