//! Allocating and freeing 64 bytes through the hook around three allocators, and through other
//! hooks; the same beside 600 live threads that have allocated.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::Barrier;
use std::thread;

use cap::Cap;
use expvar::alloc::Counting;
use expvar_benches::{Race, print_machine};
use mimalloc::MiMalloc;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tikv_jemallocator::Jemalloc;

// None of them is the program's allocator: they are called directly, so that all can race in one
// process.
static BY_SIZE: Counting = Counting::new();
static TOTALS: Counting<System, false> = Counting::new();
static JEMALLOC: Counting<Jemalloc> = Counting::with(Jemalloc);
static MIMALLOC: Counting<MiMalloc> = Counting::with(MiMalloc);
static CAP: Cap<System> = Cap::new(System, usize::MAX);
static STATS: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

// Never inlined, like a program's call of its allocator; the loop around the pair must not be
// optimized.
#[inline(never)]
fn pair(allocator: &impl GlobalAlloc) {
    let layout = black_box(Layout::new::<[u64; 8]>());
    // SAFETY: the layout is not empty, and the block goes back where it came from, with its layout.
    unsafe {
        let block = black_box(allocator.alloc(layout));
        assert!(!block.is_null());
        allocator.dealloc(block, layout);
    }
}

/// The hook's cost with and without 600 threads.
fn crowd() {
    const THREADS: usize = 600;
    let hook = |title: &'static str| {
        let mut race = Race::new(title, &[1]);
        race.peer("System", |_| pair(&System));
        race.peer("Counting<System>", |_| pair(&BY_SIZE));
        race.run().difference(("Counting<System>", 1), ("System", 1))
    };
    let alone = hook("alloc alone");
    let (ready, quit) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
    let beside = thread::scope(|scope| {
        for _ in 0..THREADS {
            let (ready, quit) = (&ready, &quit);
            let body = move || {
                // Often enough to have cells of its own.
                (0..1_000).for_each(|_| pair(&BY_SIZE));
                ready.wait();
                quit.wait();
            };
            let builder = thread::Builder::new().stack_size(64 << 10);
            builder.spawn_scoped(scope, body).expect("a thread");
        }
        ready.wait();
        let beside = hook("alloc beside 600 threads");
        quit.wait();
        beside
    });
    if let (Some(alone), Some(beside)) = (alone, beside) {
        let ratio = beside / alone;
        let missed = if ratio <= 1.3 { "" } else { " (missed)" };
        println!("The hook alone: {alone:.2} ns a pair; beside 600 threads: {beside:.2} ns.");
        println!("That is {ratio:.2} of it; at most 1.3{missed}.\n");
    }
}

fn main() {
    print_machine("alloc");
    crowd();
    let mut race = Race::new("alloc", &[1, 2]);
    race.peer("System", |_| pair(&System));
    race.peer("Counting<System>", |_| pair(&BY_SIZE));
    race.peer("Counting<System, false>", |_| pair(&TOTALS));
    race.peer("stats_alloc around System", |_| pair(&STATS));
    race.peer("cap around System", |_| pair(&CAP));
    race.peer("Jemalloc", |_| pair(&Jemalloc));
    race.peer("Counting<Jemalloc>", |_| pair(&JEMALLOC));
    race.peer("MiMalloc", |_| pair(&MiMalloc));
    race.peer("Counting<MiMalloc>", |_| pair(&MIMALLOC));

    let ours = "Counting<System>";
    race.run().print_ratios(&[
        ((ours, 1), ("System", 1), 1.3),
        (("Counting<System, false>", 1), ("System", 1), 1.2),
        ((ours, 2), ("stats_alloc around System", 2), 0.75),
        ((ours, 2), ("cap around System", 2), 0.75),
    ]);
}
