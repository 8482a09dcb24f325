//! The return addresses of the sampler and the hook, which are stripped from every stack.
//!
//! Their number depends on inlining, and a stripped program has no names. So they are learned: they
//! are the common prefix of the stacks of two different callers.

use std::hint::black_box;
use std::sync::Once;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use super::sample::stack_of;
use super::table::FRAMES;

/// Most addresses that are kept. A release build has about 10, an unoptimized one up to 50.
const MAX: usize = 64;

/// The addresses, then zeros.
static HOOK: [AtomicUsize; MAX] = [const { AtomicUsize::new(0) }; MAX];

/// Strips the sampler's and the hook's frames from a stack.
pub(super) fn below(frames: &[usize]) -> &[usize] {
    let own = frames.iter().take_while(|&&frame| is_known(frame)).count();
    // A stack of only those is kept whole.
    if own < frames.len() { &frames[own..] } else { frames }
}

fn known() -> impl Iterator<Item = usize> {
    HOOK.iter().map(|address| address.load(Relaxed)).take_while(|&address| address != 0)
}

fn is_known(frame: usize) -> bool {
    known().any(|address| address == frame)
}

/// Learns the addresses, once. Must run before the first sample.
pub(super) fn learn() {
    static LEARNED: Once = Once::new();
    LEARNED.call_once(|| {
        let (one, other) = (probe::<24>(), probe::<40>());
        for (one, other) in one.iter().zip(&other) {
            let common = one.iter().zip(other).take_while(|(one, other)| one == other);
            for (&frame, _) in common.take_while(|(frame, _)| **frame != 0) {
                add(frame);
            }
        }
    });
}

fn add(frame: usize) {
    let known = known().take(MAX).collect::<Vec<_>>();
    if let (false, Some(place)) = (known.contains(&frame), HOOK.get(known.len())) {
        place.store(frame, Relaxed);
    }
}

/// Takes a stack through each entry point of the allocator. Each `N` is a function of its own.
#[cold]
#[inline(never)]
fn probe<const N: usize>() -> [[usize; FRAMES]; 4] {
    let mut grown: Vec<u8> = black_box(Vec::with_capacity(N));
    [
        stack_of(|| drop(black_box(Box::new([1_u8; N])))),
        stack_of(|| drop(black_box(Vec::<u8>::with_capacity(N)))),
        stack_of(|| drop(black_box(vec![0_u8; N]))),
        stack_of(|| black_box(&mut grown).reserve_exact(10 * N)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_begins_behind_the_addresses_that_are_known() {
        [7, 8, 7].into_iter().for_each(add);
        assert_eq!(known().filter(|address| [7, 8].contains(address)).count(), 2);
        assert_eq!(below(&[8, 7, 1, 7]), [1, 7]);
        assert_eq!(below(&[1, 8]), [1, 8]);
        assert_eq!(below(&[7, 8]), [7, 8]);
        assert_eq!(below(&[]), [0; 0]);
    }
}
