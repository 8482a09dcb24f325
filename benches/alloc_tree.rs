//! A program that allocates much, with and without the hook: it builds a map of a million strings
//! to byte vectors, and drops it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use expvar::alloc::Counting;
use expvar_benches::print_machine;

const ENTRIES: u64 = 1_000_000;
const ROUNDS: usize = 15;

#[global_allocator]
static ALLOC: Switch = Switch { counting: Counting::new(), counts: AtomicBool::new(false) };

/// The hook or what is under it, so that both can take turns in one program. The switch itself
/// costs both the same.
struct Switch {
    counting: Counting,
    counts: AtomicBool,
}

// SAFETY: both ways lead to `System` with the arguments unchanged, so it does not matter which one
// a block came from.
unsafe impl GlobalAlloc for Switch {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        unsafe {
            if self.counts.load(Relaxed) {
                self.counting.alloc(layout)
            } else {
                System.alloc(layout)
            }
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe {
            if self.counts.load(Relaxed) {
                self.counting.dealloc(block, layout);
            } else {
                System.dealloc(block, layout);
            }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        unsafe {
            if self.counts.load(Relaxed) {
                self.counting.realloc(block, layout, new_size)
            } else {
                System.realloc(block, layout, new_size)
            }
        }
    }
}

/// Seconds to build and drop the map.
fn program(entries: u64) -> f64 {
    let start = Instant::now();
    let mut map = BTreeMap::new();
    let mut state = 1_u64;
    for _ in 0..entries {
        // Keys in random order (Knuth's multiplicative generator).
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        map.insert(format!("key-{:016x}", state), vec![0_u8; (state >> 57) as usize + 1]);
    }
    drop(black_box(map));
    start.elapsed().as_secs_f64()
}

fn main() {
    print_machine("alloc_tree");
    let measured = std::env::args().any(|arg| arg == "--bench");
    let (entries, rounds) = if measured { (ENTRIES, ROUNDS) } else { (1000, 1) };
    let mut seconds = [Vec::new(), Vec::new()];
    program(entries);
    for round in 0..rounds {
        for turn in [round % 2, (round + 1) % 2] {
            ALLOC.counts.store(turn == 1, Relaxed);
            let taken = program(entries);
            ALLOC.counts.store(false, Relaxed);
            seconds[turn].push(taken);
        }
    }
    let mut ratios: Vec<f64> =
        seconds[1].iter().zip(&seconds[0]).map(|(hook, plain)| hook / plain).collect();
    let median = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let [plain, hook] = &mut seconds;
    println!("| {entries} entries, median of {rounds} | seconds |\n|---|---:|");
    println!("| System | {:.3} |", median(plain));
    println!("| Counting<System> | {:.3} |\n", median(hook));
    let ratio = median(&mut ratios);
    let missed = if ratio <= 1.05 { "" } else { " (missed)" };
    println!("| what | of the time of | at most | measured |\n|---|---|---:|---:|");
    println!("| Counting<System> | System | 1.05 | {ratio:.3}{missed} |");
}
