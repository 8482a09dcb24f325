//! A program that sets a rate while something else starts sampling by default.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::thread;
use std::time::{Duration, Instant};

use expvar::heap;

use crate::alone;

/// Waits until `turn` has come to `next`.
fn await_turn(turn: &AtomicUsize, next: usize) {
    for spin in 0_u32.. {
        if turn.load(Acquire) >= next {
            return;
        }
        // The other thread may need this processor.
        if spin.is_multiple_of(1 << 10) { thread::yield_now() } else { std::hint::spin_loop() }
    }
}

#[test]
fn the_programs_rate_wins_over_the_default_whoever_is_first() {
    const ROUNDS: usize = 200_000;
    const RATE: usize = 1 << 30;
    let _alone = alone(0);
    let (begun, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    // Fewer rounds on a machine that has one processor for both threads.
    let end = Instant::now() + Duration::from_secs(20);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..=ROUNDS {
                await_turn(&begun, round);
                heap::start_by_default();
                done.store(round, Release);
            }
        });
        let mut lost = 0;
        for round in 1..=ROUNDS {
            // Also for the rounds that are left out, so that the other thread ends.
            heap::start(0);
            begun.store(round, Release);
            if Instant::now() < end {
                // The other thread begins some nanoseconds later: from none to a few hundred.
                (0..round % 64).for_each(|_| std::hint::spin_loop());
                heap::start(RATE);
                await_turn(&done, round);
                lost += usize::from(heap::rate() != RATE);
            }
        }
        assert_eq!(lost, 0, "of {ROUNDS} times the default replaced the program's rate");
    });
}
