//! A model of the cells: every interleaving of lease, record, fold, exit, read, set, reuse, and of
//! taking away what was not used for long.
//!
//! It runs the code that ships, with pages of one cell, an arena of four pages and a price of one
//! record. `RUSTFLAGS="--cfg loom" cargo test -p expvar --test loom --release`

#![cfg(loom)]
#![allow(dead_code)]

use std::cell::RefCell;

use loom::sync::Arc;
use loom::thread;

/// What the cells are made of, here of the model checker's parts.
mod sync {
    macro_rules! constant {
        ($($(#[$about:meta])* $visible:vis fn $name:ident() -> $out:ty $body:block)*) => {
            $($(#[$about])* $visible fn $name() -> $out $body)*
        };
    }

    macro_rules! each {
        ($element:expr) => {
            std::array::from_fn(|_| $element)
        };
    }

    macro_rules! zeroes {
        ($len:expr) => {
            &*Box::leak(Box::new($crate::sync::Zeroes::<{ $len }>::new().0))
        };
    }

    pub(crate) use {constant, each, zeroes};

    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64};

    pub(crate) struct Zeroes<const N: usize>(pub(crate) [AtomicU64; N]);

    impl<const N: usize> Zeroes<N> {
        pub(crate) fn new() -> Self {
            Self(std::array::from_fn(|_| AtomicU64::new(0)))
        }
    }

    /// Entries are made under a lock that the model does not see.
    pub(crate) struct Table<T: 'static, const N: usize>([std::sync::OnceLock<&'static T>; N]);

    impl<T, const N: usize> Table<T, N> {
        pub(crate) fn new() -> Self {
            Self(std::array::from_fn(|_| std::sync::OnceLock::new()))
        }

        pub(crate) fn get(&self, at: usize) -> Option<&T> {
            self.0.get(at)?.get().copied()
        }

        pub(crate) fn set(&self, at: usize, value: Box<T>) {
            if let Some(entry) = self.0.get(at) {
                entry.get_or_init(|| Box::leak(value));
            }
        }
    }

    pub(crate) fn zeroed<const N: usize>() -> Option<Box<[AtomicU64; N]>> {
        Some(Box::new(std::array::from_fn(|_| AtomicU64::new(0))))
    }

    pub(crate) fn pause(_times: u32) {
        loom::thread::yield_now();
    }
}

#[path = "."]
mod cells {
    #[path = "../src/cells/arena.rs"]
    pub(crate) mod arena;
    #[path = "../src/cells/heat.rs"]
    pub(crate) mod heat;
    #[path = "../src/cells/held.rs"]
    pub(crate) mod held;
    #[path = "../src/cells/index.rs"]
    pub(crate) mod index;
    #[path = "../src/cells/page.rs"]
    pub(crate) mod page;
    #[path = "../src/cells/record.rs"]
    pub(crate) mod record;
    pub(crate) mod sizes {
        pub(crate) const CELLS: usize = 1;
        pub(super) const CHUNK: usize = 2;
        pub(super) const AHEAD: u32 = 0;
        pub(super) const SHARED: usize = 1;
        pub(super) const PRIVATE: usize = 1;
        pub(super) const LEAF: usize = 2;
        pub(super) const LEAVES: usize = 1;
        pub(super) const PLACES: usize = 2;
        pub(super) const SECOND: usize = 1;
        pub(super) const PRICE: u16 = 1;
        pub(super) const OLD: u64 = 1;
        pub(super) const STREAK: u16 = 1;
        pub(super) const LOOK: u64 = 1;
    }
    #[path = "../src/cells/store.rs"]
    pub(crate) mod store;
    #[path = "../src/cells/windows.rs"]
    pub(crate) mod windows;
}

use cells::held::Held;
use cells::page::{Sums, bump};
use cells::record::{self, Copy, Local, Thread};
use cells::store::Store;
use cells::windows::Windows;

/// A page number.
const PAGE: u32 = 1;

/// Checks every interleaving with at most three preemptions.
fn model(f: impl Fn() + Send + Sync + 'static) {
    model_with(3, f);
}

fn model_with(preemptions: usize, f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(f);
}

fn store() -> &'static Store {
    Box::leak(Box::new(Store::new()))
}

/// What a thread has in its thread-locals.
struct Mine {
    windows: Windows,
    local: Local,
    held: RefCell<Held>,
}

impl Mine {
    fn new() -> Self {
        Self { windows: Windows::new(), local: Local::new(), held: RefCell::new(Held::new()) }
    }

    fn add(&self, store: &'static Store, number: u32, n: u64) {
        if let Some((page, at)) = self.windows.at(number, store.epoch()) {
            return bump(&page[at], n);
        }
        match record::copy(self, store, number).unwrap() {
            Copy::Private(page) => bump(&page[0], n),
            Copy::Shared(page) => {
                page[0].fetch_add(n, std::sync::atomic::Ordering::Relaxed);
            }
        }
    }

    fn end(self, store: &Store) {
        record::end(&mut self.held.borrow_mut(), &self.local, store, &self.windows, 1);
    }
}

impl Thread for Mine {
    fn windows<R>(&self, f: impl FnOnce(&Windows) -> R) -> R {
        f(&self.windows)
    }

    fn local<R>(&self, f: impl FnOnce(&Local) -> R) -> R {
        f(&self.local)
    }

    fn held<R>(&self, f: impl FnOnce(&RefCell<Held>) -> R) -> Option<R> {
        Some(f(&self.held))
    }

    fn process(&self) -> u64 {
        1
    }
}

fn read(store: &Store) -> u64 {
    let Some(shared) = store.shared(PAGE) else { return 0 };
    let mut sums: Sums = [0; _];
    store.read(shared, 1, &mut sums);
    sums[0]
}

#[test]
fn nothing_is_lost_or_goes_back_while_threads_lease_record_and_end() {
    model(|| {
        let store = store();
        let worker = move || {
            let mine = Mine::new();
            // The first goes to the shared copy, the second earns a private one.
            for _ in 0..3 {
                mine.add(store, PAGE, 1);
            }
            mine.end(store);
        };
        let thread = thread::spawn(worker);
        let first = read(store);
        let second = read(store);
        assert!(first <= second && second <= 3);
        worker();
        thread.join().unwrap();
        assert_eq!(read(store), 6);
        assert_eq!(store.held(), (1, 0), "one shared copy, no private ones");
    });
}

#[test]
fn a_page_that_was_given_back_starts_from_zero() {
    // Three find nothing more in four minutes.
    model_with(2, || {
        let store = store();
        let worker = move |number| {
            let mine = Mine::new();
            for _ in 0..2 {
                mine.add(store, number, 1);
            }
            mine.end(store);
            let mine = Mine::new();
            for _ in 0..2 {
                mine.add(store, PAGE, 1);
            }
            mine.end(store);
        };
        let thread = thread::spawn(move || worker(PAGE + 1));
        worker(PAGE);
        thread.join().unwrap();
        assert_eq!(read(store), 6);
    });
}

#[test]
fn an_id_that_is_used_again_starts_from_zero_in_every_copy() {
    use loom::sync::atomic::AtomicU32;
    use std::sync::atomic::Ordering::{Acquire, Release};
    model(|| {
        let store = store();
        let holder = Mine::new();
        holder.add(store, PAGE, 1);
        holder.add(store, PAGE, 4);
        // As a variable keeps it: whoever sees the id sees its cell zeroed.
        let id = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&id);
        let holder = thread::spawn({
            // Moves what the thread holds to another, as if it had been there all the time.
            let holder = Sendable(holder);
            move || {
                let holder = holder;
                let id = seen.load(Acquire);
                if id != 0 {
                    holder.0.add(store, id, 1);
                }
                holder.0.end(store);
                u64::from(id != 0)
            }
        });
        if let Some(shared) = store.shared(PAGE) {
            store.zero(shared, 1, 0..1);
        }
        id.store(PAGE, Release);
        let added = holder.join().unwrap();
        assert_eq!(read(store), added);
    });
}

/// The model's threads are run one at a time.
struct Sendable(Mine);

/// A thread that comes back in another epoch, while a reader takes its copy away and others get it.
///
/// What is taken for granted, and so is not modelled, is that a record is over before two more
/// epochs have passed.
#[test]
fn a_copy_that_is_taken_away_is_written_no_more() {
    model_with(2, || {
        let store = store();
        let idle = Mine::new();
        idle.add(store, PAGE, 1);
        idle.add(store, PAGE, 4);
        store.begin_epoch();
        let thread = thread::spawn({
            let idle = Sendable(idle);
            move || {
                let idle = idle;
                idle.0.add(store, PAGE, 2);
                idle.0.end(store);
            }
        });
        let first = read(store);
        let other = Mine::new();
        (0..2).for_each(|_| other.add(store, PAGE + 1, 1));
        let second = read(store);
        assert!(5 <= first && first <= second && second <= 7, "{first} {second}");
        thread.join().unwrap();
        assert_eq!(read(store), 7);
        other.end(store);
        assert_eq!(store.held(), (2, 0), "two shared copies, no private ones");
    });
}

#[test]
fn a_set_replaces_what_was_added_before_it() {
    model(|| {
        let store = store();
        let other = Mine::new();
        other.add(store, PAGE, 5);
        let thread = thread::spawn(move || {
            let mine = Mine::new();
            for _ in 0..2 {
                mine.add(store, PAGE, 1);
            }
            mine.end(store);
        });
        let shared = store.shared(PAGE).unwrap();
        store.set(shared, 1, 0, |_| 10);
        let value = store.read_settled(shared, 1, 0);
        assert!((10..=12).contains(&value), "{value}");
        thread.join().unwrap();
        assert!((10..=12).contains(&read(store)));
    });
}
