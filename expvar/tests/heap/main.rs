//! Heap profiles: estimates against exact sums, and the ways of a block that samplers get wrong.

mod blocks;
mod churn;
mod estimates;
mod forms;
mod starts;

use std::hint::black_box;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use expvar::alloc::Counting;
use expvar::heap::{self, Profile};

#[global_allocator]
static ALLOC: Counting = Counting::new();

/// The rate is the process's: one test at a time, and none begins with the rate of another.
struct Alone(#[allow(dead_code)] MutexGuard<'static, ()>);

fn alone(rate: usize) -> Alone {
    static ALONE: Mutex<()> = Mutex::new(());
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    read_symbols();
    heap::start(0);
    // A thread takes a new rate over at its next sample, or within 64 KiB where nothing is sampled.
    drop(black_box(vec![1_u8; 1 << 20]));
    drop(black_box(vec![1_u8; 1 << 20]));
    heap::start(rate);
    drop(black_box(vec![1_u8; 1 << 20]));
    Alone(guard)
}

/// Reads the debug information, which takes longer on a busy machine than a profile waits for names.
fn read_symbols() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        heap::start(1 << 10);
        let held = black_box(small_blocks(10_000));
        while heap::profile().unwrap().to_text().contains("ask again") {}
        drop(held);
    });
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
