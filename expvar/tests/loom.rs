//! A model of the pool: every interleaving of lease, record, read, exit, and reuse of an id.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p expvar --test loom --release`

#![cfg(loom)]
#![allow(dead_code)]

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use loom::sync::Arc;
use loom::sync::atomic::AtomicU32;
use loom::thread;

/// What the pool is made of, here of the model checker's parts.
mod sync {
    pub(crate) use loom::sync::atomic::AtomicU64;

    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }
    }

    pub(crate) fn zeroed_slab(len: usize) -> &'static [AtomicU64] {
        Vec::leak((0..len).map(|_| AtomicU64::new(0)).collect())
    }
}

#[path = "../src/cells/pool.rs"]
mod pool;

use pool::{Pool, Slab, State};

fn pool() -> Arc<Pool> {
    Arc::new(Pool(sync::Mutex::new(State::new(0))))
}

/// Checks every interleaving with at most three preemptions: more finds nothing new in a minute.
fn model(f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(f);
}

/// What `cells::add` does: only the leaseholder writes.
fn add(slab: Slab, id: u32, n: u64) {
    let cell = &slab[id as usize];
    cell.store(cell.load(Relaxed).wrapping_add(n), Relaxed);
}

fn sum(pool: &Pool, id: u32) -> u64 {
    let mut slabs = Vec::new();
    pool.list(&mut slabs);
    slabs.iter().filter_map(|slab| slab.get(id as usize)).map(|cell| cell.load(Relaxed)).sum()
}

#[test]
fn nothing_is_lost_when_slabs_change_hands() {
    model(|| {
        let pool = pool();
        let id = pool.allocate(1);
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let pool = Arc::clone(&pool);
                thread::spawn(move || {
                    let slab = pool.lease(id, &[]);
                    add(slab, id, 1);
                    add(slab, id, 1);
                    pool.give_back(slab);
                })
            })
            .collect();
        // A reader sees something between nothing and everything, and never less than before.
        let first = sum(&pool, id);
        let second = sum(&pool, id);
        assert!(first <= second && second <= 4);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(sum(&pool, id), 4);
    });
}

#[test]
fn a_thread_that_outgrows_its_slab_leaves_what_it_counted() {
    model(|| {
        let pool = pool();
        let small = pool.allocate(1);
        let other = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || {
                let slab = pool.lease(small, &[]);
                add(slab, small, 1);
                let large = pool.allocate(40);
                let slab = pool.lease(large + 39, slab);
                add(slab, small, 1);
                add(slab, large + 39, 1);
                pool.give_back(slab);
                large + 39
            })
        };
        // Takes over the other's first slab in some interleavings.
        let slab = pool.lease(small, &[]);
        add(slab, small, 1);
        pool.give_back(slab);
        pool.update(small, small, |n| n + 1);
        let large = other.join().unwrap();
        assert_eq!((sum(&pool, small), sum(&pool, large)), (4, 1));
    });
}

#[test]
fn a_reused_id_starts_from_zero_in_every_slab() {
    model(|| {
        let pool = pool();
        // As `Cells` keeps it: whoever sees the id sees its cells zeroed.
        let shared = Arc::new(AtomicU32::new(u32::MAX));
        let worker = {
            let (pool, shared) = (Arc::clone(&pool), Arc::clone(&shared));
            let first = pool.allocate(1);
            let slab = pool.lease(first, &[]);
            add(slab, first, 5);
            thread::spawn(move || {
                let id = shared.load(Acquire);
                if id != u32::MAX {
                    add(slab, id, 1);
                }
                pool.give_back(slab);
                u64::from(id != u32::MAX)
            })
        };
        pool.release(0, 1, &[]);
        let id = pool.allocate(1);
        assert_eq!(id, 0, "the id is given out again");
        shared.store(id, Release);
        let added = worker.join().unwrap();
        assert_eq!(sum(&pool, id), added);
    });
}
