//! Chooses the sampled blocks, by a countdown of bytes in each thread.

use std::cell::Cell;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use super::table::{self, FRAMES, Sample};
use super::{filter, hook};
use crate::system::alloc::trace;

/// This file, as debug information names it.
pub(super) const FILE: &str = file!();

/// The mean distance between samples in bytes; 0 if nothing is sampled.
static RATE: AtomicUsize = AtomicUsize::new(0);

/// How many bytes a thread allocates before it checks again whether sampling is on.
const LOOK_AGAIN: isize = 64 << 10;

thread_local! {
    /// Bytes until the next sample.
    static LEFT: Cell<isize> = const { Cell::new(0) };
    /// The rate that `LEFT` was drawn with; 0 before the first.
    static DRAWN: Cell<usize> = const { Cell::new(0) };
    /// State of the generator of distances; 0 before the first.
    static RANDOM: Cell<u64> = const { Cell::new(0) };
    /// Whether the next allocation stores its stack in `PROBED`, at any rate.
    static PROBES: Cell<bool> = const { Cell::new(false) };
}

/// The stack that a probe stored.
static PROBED: [AtomicUsize; FRAMES] = [const { AtomicUsize::new(0) }; FRAMES];

pub(super) fn rate() -> usize {
    RATE.load(Relaxed)
}

pub(super) fn set_rate(rate: usize) {
    RATE.store(rate, Relaxed);
}

pub(super) fn set_first_rate(rate: usize) {
    _ = RATE.compare_exchange(0, rate, Relaxed, Relaxed);
}

/// Counts a block that only the caller knows yet.
#[inline(always)]
pub(in crate::system) fn allocated(block: *mut u8, size: usize) {
    let left = LEFT.get().wrapping_sub(size as isize);
    LEFT.set(left);
    if left < 0 {
        allocated_cold(block as usize, size);
    }
}

/// Removes the sample of a block that is about to be freed.
#[inline(always)]
pub(in crate::system) fn freed(block: *mut u8) {
    let _ = take(block);
}

/// Takes out the sample of a block that is about to be freed or moved.
#[inline(always)]
pub(in crate::system) fn take(block: *mut u8) -> Option<Sample> {
    if filter::may_hold(block as usize) { table::remove(block as usize) } else { None }
}

/// Restores the sample of a block that has not moved.
pub(in crate::system) fn put_back(block: *mut u8, sample: Option<Sample>) {
    if let Some(sample) = sample {
        table::put_back(block as usize, sample);
    }
}

#[cold]
#[inline(never)]
fn allocated_cold(block: usize, size: usize) {
    let rate = rate();
    let probes = PROBES.get();
    if rate == 0 && !probes {
        DRAWN.set(0);
        LEFT.set(LOOK_AGAIN);
        return;
    }
    if table::is_held_here() {
        // An allocation of the sampler itself; it draws a new distance when it is done.
        return;
    }
    let drawn = match DRAWN.get() {
        // The thread's first allocation since sampling began: its distance is drawn like any other.
        0 if !probes => {
            let left = distance(rate).saturating_sub_unsigned(size);
            if left >= 0 {
                DRAWN.set(rate);
                LEFT.set(left);
                return;
            }
            rate
        }
        drawn => drawn,
    };
    let mut frames = [0; FRAMES];
    let depth = trace(&mut frames);
    // Read again instead of branching on `probes`: else the compiler may duplicate the call of
    // `trace`, and the copies return to different addresses.
    if PROBES.replace(false) {
        PROBED.iter().zip(frames).for_each(|(kept, frame)| kept.store(frame, Relaxed));
        return;
    }
    table::enter(block, size, weight(size, drawn), hook::below(&frames[..depth]));
    DRAWN.set(rate);
    LEFT.set(distance(rate));
}

/// The stack of the first block that `f` allocates; zeros if the hook is not the allocator. Only
/// one thread may call it at a time.
#[inline(never)]
pub(super) fn stack_of(f: impl FnOnce()) -> [usize; FRAMES] {
    PROBED.iter().for_each(|kept| kept.store(0, Relaxed));
    let left = LEFT.replace(-1);
    PROBES.set(true);
    f();
    PROBES.set(false);
    LEFT.set(left);
    std::array::from_fn(|at| PROBED[at].load(Relaxed))
}

/// How many blocks of that size a sampled one represents: the inverse of the probability that a
/// distance drawn at `rate` ends within it.
fn weight(size: usize, rate: usize) -> f64 {
    let missed = (-(size.max(1) as f64) / rate as f64).exp_m1();
    -1.0 / missed
}

/// A random distance in bytes, exponentially distributed with mean `rate`, so that each byte is
/// equally likely to be sampled next.
fn distance(rate: usize) -> isize {
    let mut state = RANDOM.get();
    if state == 0 {
        state = seed();
    }
    // Marsaglia's xorshift64*.
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    RANDOM.set(state);
    let random = state.wrapping_mul(0x2545_F491_4F6C_DD1D);
    // In (0, 1]: the logarithm of zero is not finite.
    let uniform = ((random >> 11) + 1) as f64 / (1_u64 << 53) as f64;
    // At most 37 times the rate; the cast saturates.
    (-uniform.ln() * rate as f64) as isize
}

/// A different seed for each thread, from the address of its thread-locals and a counter.
fn seed() -> u64 {
    static THREADS: AtomicUsize = AtomicUsize::new(1);
    let thread = THREADS.fetch_add(1, Relaxed) as u64;
    let place = RANDOM.with(|random| std::ptr::from_ref(random) as u64);
    let mixed =
        (place ^ thread.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    (mixed ^ (mixed >> 32)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_have_the_mean_and_the_tail_of_an_exponential() {
        let rate = 1 << 19;
        let drawn: Vec<f64> = (0..200_000).map(|_| distance(rate) as f64 / rate as f64).collect();
        let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
        assert!((0.98..1.02).contains(&mean), "{mean}");
        let beyond = drawn.iter().filter(|&&d| d > 3.0).count() as f64 / drawn.len() as f64;
        assert!((0.045..0.055).contains(&beyond), "{beyond} where e^-3 is 0.0498");
    }

    #[test]
    fn weights() {
        // A block much larger than the rate is always sampled; a small one represents many.
        assert!((weight(1 << 30, 1 << 19) - 1.0).abs() < 1e-9);
        assert!((weight(64, 1 << 19) * 64.0 / (1 << 19) as f64 - 1.0).abs() < 1e-3);
        assert!(weight(0, 1 << 19).is_finite());
        assert!((weight(64, 1) - 1.0).abs() < 1e-9);
    }
}
