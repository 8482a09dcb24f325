//! Memory follows the variables and the limit, whatever threads do: counted by the allocator.
//!
//! One test, because the counts are the whole process's.

use std::sync::Barrier;

use expvar::alloc::{Counting, counts};
use expvar::{Counter, Histogram, Registry, usage};

#[global_allocator]
static ALLOC: Counting = Counting::new();

const KIB: u64 = 1024;

fn live_bytes() -> u64 {
    counts().unwrap().live_bytes()
}

/// Runs threads until all have done `work`; what `look` says then, and what it says when all have
/// ended.
fn run<R>(threads: usize, work: impl Fn(usize) + Sync, look: impl Fn() -> R) -> (R, R) {
    let (done, quit) = (Barrier::new(threads + 1), Barrier::new(threads + 1));
    let alive = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let (work, done, quit) = (&work, &done, &quit);
                let body = move || {
                    work(thread);
                    done.wait();
                    quit.wait();
                };
                let builder = std::thread::Builder::new().stack_size(64 << 10);
                builder.spawn_scoped(scope, body).unwrap()
            })
            .collect();
        done.wait();
        let alive = look();
        quit.wait();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        alive
    });
    (alive, look())
}

#[test]
fn memory_does_not_grow_with_threads() {
    ten_records_each();
    a_few_hot_ones();
    dropping_makes_no_memory();
    a_walk_of_idle_histograms();
}

fn ten_records_each() {
    const HISTOGRAMS: usize = 50;
    const COUNTERS: usize = 640;
    let histograms: Vec<_> = (0..HISTOGRAMS).map(|_| Histogram::new()).collect();
    let counters: Vec<_> = (0..COUNTERS).map(|_| Counter::new()).collect();
    let (start, before) = (usage(), live_bytes());
    let work = |thread: usize| {
        for round in 0..10 {
            // Latencies over three decades, which lie in four pages.
            let value = |at: usize| 100_000 << ((thread + round + at) % 10);
            histograms.iter().enumerate().for_each(|(at, h)| h.record(value(at)));
            counters.iter().for_each(Counter::inc);
        }
    };
    let look = || (usage(), live_bytes() - before);
    let (alive, ended) = run(64, work, look);
    let pages = (HISTOGRAMS * 4 + COUNTERS / 64 + 2) * 576;
    assert!(alive.0.shared_bytes - start.shared_bytes <= pages, "{alive:?}");
    // Ten pages of counters that 640 records earned, and two of the allocator's, in each thread.
    assert!(alive.0.private_bytes <= 64 * 12 * 576, "{alive:?}");
    assert!(alive.1 <= 1024 * KIB, "{alive:?}");
    assert_eq!(ended.0.shared_bytes, alive.0.shared_bytes);
    assert!(ended.0.private_bytes <= 2 * start.private_bytes.max(16 * 576), "{ended:?}");
    assert!(ended.1 <= alive.1);
    assert!(counters.iter().all(|counter| counter.get() == 64 * 10));
    assert!(histograms.iter().all(|histogram| histogram.snapshot().count() == 64 * 10));
}

/// Of eight busy threads that are all hot in the same few of many, all hold those and no others.
fn a_few_hot_ones() {
    const TIMES: u64 = 100_000;
    let histograms: Vec<_> = (0..200).map(|_| Histogram::new()).collect();
    let counters: Vec<_> = (0..2_000).map(|_| Counter::new()).collect();
    let before = usage();
    let work = |_| {
        histograms.iter().for_each(|histogram| histogram.record(200_000));
        counters.iter().for_each(Counter::inc);
        let shared = expvar::__private::shared_records();
        for _ in 0..TIMES {
            (0..4).for_each(|at| histograms[at * 50 + 7].record(200_000));
            (0..10).for_each(|at| counters[at * 200 + 7].inc());
        }
        let shared = expvar::__private::shared_records() - shared;
        assert!(shared * 100 <= TIMES * 14, "{shared} of {} were shared", TIMES * 14);
    };
    let (alive, _) = run(8, work, usage);
    // Four pages of histograms, ten of counters, and the allocator's two.
    assert!(alive.private_bytes - before.private_bytes <= 8 * 16 * 576, "{before:?} {alive:?}");
}

fn dropping_makes_no_memory() {
    let histograms: Vec<_> = (0..500).map(|_| Histogram::new()).collect();
    histograms.iter().for_each(|histogram| histogram.record(5));
    let counter = Counter::new();
    let histograms = std::sync::Mutex::new(histograms);
    let together = Barrier::new(64);
    let work = |thread| {
        counter.inc();
        together.wait();
        if thread == 0 {
            let before = (live_bytes(), usage().shared_bytes);
            histograms.lock().unwrap().clear();
            let after = (live_bytes(), usage().shared_bytes);
            assert!(after.0 <= before.0 + 16 * KIB && after.1 == before.1, "{before:?} {after:?}");
        }
    };
    run(64, work, || ());
}

fn a_walk_of_idle_histograms() {
    let registry = Registry::new();
    for at in 0..200 {
        let histogram = registry.publish(&format!("h{at:03}"), Histogram::new()).unwrap();
        (0..50).for_each(|value| histogram.record(value * 1000));
    }
    let mut buffer = Vec::with_capacity(1 << 20);
    registry.render_json(&mut buffer);
    buffer.clear();
    let before = counts().unwrap().allocations;
    registry.render_json(&mut buffer);
    let allocations = counts().unwrap().allocations - before;
    // A snapshot's memory, not one for each.
    assert!(allocations <= 60, "{allocations}");
}
