//! Recordings from threads that come and go, against a lock.
//!
//! What happens here in some order, `loom.rs` models in every order.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use expvar::{Counter, Gauge, Histogram, Info, Map, Recorded, Registry, Step, Visitor};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Op {
    Count(usize, u64),
    Move(usize, i64),
    Record(usize, u64),
    Add(usize, i64),
    Forget(usize),
}

const COUNTERS: usize = 300;
const GAUGES: usize = 20;
const HISTOGRAMS: usize = 3;
const KEYS: usize = 12;

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..COUNTERS, any::<u64>()).prop_map(|(at, n)| Op::Count(at, n)),
        2 => (0..GAUGES, any::<i64>()).prop_map(|(at, n)| Op::Move(at, n)),
        1 => (0..HISTOGRAMS, any::<u64>()).prop_map(|(at, n)| Op::Record(at, n)),
        2 => (0..KEYS, -5..50i64).prop_map(|(at, n)| Op::Add(at, n)),
        1 => (0..KEYS).prop_map(Op::Forget),
    ]
}

/// The operations of a round of threads, and then which variables are replaced.
#[derive(Debug, Clone)]
struct Round {
    threads: Vec<Vec<Op>>,
    dropped: Vec<usize>,
}

fn round() -> impl Strategy<Value = Round> {
    let threads = prop::collection::vec(prop::collection::vec(op(), 0..60), 1..5);
    (threads, prop::collection::vec(0..COUNTERS, 0..40))
        .prop_map(|(threads, dropped)| Round { threads, dropped })
}

#[derive(Default)]
struct Oracle {
    counters: BTreeMap<usize, u64>,
    gauges: BTreeMap<usize, i64>,
    histograms: BTreeMap<usize, (u64, u64)>,
    keys: BTreeMap<usize, i64>,
}

struct Subject {
    counters: Vec<Counter>,
    gauges: Vec<Gauge>,
    histograms: Vec<Histogram>,
    map: Map,
}

fn make<T>(len: usize, new: fn() -> T) -> Vec<T> {
    (0..len).map(|_| new()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_and_nothing_is_inherited(rounds in prop::collection::vec(round(), 1..5)) {
        let oracle = Arc::new(Mutex::new(Oracle::default()));
        let mut subject = Subject {
            counters: make(COUNTERS, Counter::new),
            gauges: make(GAUGES, Gauge::new),
            histograms: make(HISTOGRAMS, Histogram::new),
            map: Map::new(),
        };
        for round in rounds {
            std::thread::scope(|scope| {
                for ops in &round.threads {
                    let (oracle, subject) = (&oracle, &subject);
                    scope.spawn(move || {
                        for op in ops {
                            // A key is added to and taken out under the oracle's lock, so that
                            // both see one order; everything else races as it likes.
                            let mut oracle = oracle.lock().unwrap();
                            match *op {
                                Op::Count(at, n) => {
                                    let sum = oracle.counters.entry(at).or_default();
                                    *sum = sum.wrapping_add(n);
                                    drop(oracle);
                                    subject.counters[at].add(n);
                                }
                                Op::Move(at, n) => {
                                    let sum = oracle.gauges.entry(at).or_default();
                                    *sum = sum.wrapping_add(n);
                                    drop(oracle);
                                    subject.gauges[at].add(n);
                                }
                                Op::Record(at, n) => {
                                    let seen = oracle.histograms.entry(at).or_default();
                                    *seen = (seen.0 + 1, seen.1.wrapping_add(n));
                                    drop(oracle);
                                    subject.histograms[at].record(n);
                                }
                                Op::Add(at, n) => {
                                    *oracle.keys.entry(at).or_default() += n;
                                    subject.map.add(at.to_string(), n);
                                }
                                Op::Forget(at) => {
                                    oracle.keys.remove(&at);
                                    subject.map.remove(at.to_string());
                                }
                            }
                        }
                    });
                }
            });
            let mut oracle = oracle.lock().unwrap();
            for (at, counter) in subject.counters.iter().enumerate() {
                prop_assert_eq!(counter.get(), oracle.counters.get(&at).copied().unwrap_or(0));
            }
            for (at, gauge) in subject.gauges.iter().enumerate() {
                prop_assert_eq!(gauge.get(), oracle.gauges.get(&at).copied().unwrap_or(0));
            }
            for (at, histogram) in subject.histograms.iter().enumerate() {
                let seen = histogram.snapshot();
                let expected = oracle.histograms.get(&at).copied().unwrap_or((0, 0));
                prop_assert_eq!((seen.count(), seen.sum()), expected);
            }
            let mut keys = BTreeMap::new();
            subject.map.for_each(|key, var| {
                keys.insert(key.parse().unwrap(), var.to_string().parse().unwrap());
            });
            prop_assert_eq!(&keys, &oracle.keys);
            for at in round.dropped {
                subject.counters[at] = Counter::new();
                oracle.counters.remove(&at);
                let at = at % HISTOGRAMS;
                subject.histograms[at] = Histogram::new();
                oracle.histograms.remove(&at);
            }
        }
    }
}

#[test]
fn a_gauge_that_is_set_while_others_add_keeps_or_replaces_each_addition() {
    let gauge = Gauge::new();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..10_000).for_each(|_| gauge.add(1)));
        }
        scope.spawn(|| {
            for _ in 0..1000 {
                gauge.set(0);
                assert!((0..=20_000).contains(&gauge.get()));
            }
        });
    });
    gauge.set(7);
    assert_eq!(gauge.get(), 7);
    std::thread::scope(|scope| {
        scope.spawn(|| gauge.dec());
    });
    assert_eq!(gauge.get(), 6);
}

/// A counter, a histogram, and what was recorded into them: the counter's sum, the histogram's
/// count and sum.
#[derive(Default)]
struct Pair {
    counter: Counter,
    histogram: Histogram,
    truth: Mutex<(u64, u64, u64)>,
}

impl Pair {
    fn read(&self) -> (u64, u64, u64) {
        let seen = self.histogram.snapshot();
        (self.counter.get(), seen.count(), seen.sum())
    }
}

/// Ends the readers, also where a worker failed.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        // Pairs with the acquire of who reads it.
        self.0.store(true, Release);
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
}

/// One thread's life: hot spells of different pairs, cold records in between, and variables of its
/// own that it drops. Returns how many of its records went to copies that threads share.
fn live(pairs: &[Pair], seed: u64) -> (u64, u64) {
    const SPELLS: u64 = 8;
    const RECORDS: u64 = 4_000;
    let before = expvar::__private::shared_records();
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    for _ in 0..SPELLS {
        let hot = random.below(pairs.len() as u64) as usize;
        // Its cells are used again, beside those of the others.
        let own = Pair::default();
        for _ in 0..RECORDS {
            let pair = match random.below(8) {
                0 => &pairs[random.below(pairs.len() as u64) as usize],
                1 => &own,
                _ => &pairs[hot],
            };
            let magnitude = random.below(40);
            let (n, value) = (random.below(1_000), random.below(1 << magnitude));
            // Whoever holds the truth records alone; folds go on beside.
            let mut truth = pair.truth.lock().unwrap();
            pair.counter.add(n);
            pair.histogram.record(value);
            *truth = (truth.0 + n, truth.1 + 1, truth.2 + value);
        }
        assert_eq!(own.read(), *own.truth.lock().unwrap());
    }
    (expvar::__private::shared_records() - before, SPELLS * RECORDS * 2)
}

#[test]
fn sums_are_exact_at_any_moment_and_never_go_back() {
    const WORKERS: u64 = 4;
    const LIVES: u64 = 5;
    let pairs: Vec<Pair> = (0..200).map(|_| Pair::default()).collect();
    let (pairs, over) = (&pairs, &AtomicBool::new(false));
    let read = |exact: bool| {
        let mut seen = vec![(0, 0, 0); pairs.len()];
        while !over.load(Acquire) {
            for (pair, seen) in pairs.iter().zip(&mut seen) {
                let truth = exact.then(|| pair.truth.lock().unwrap());
                let now = pair.read();
                if let Some(truth) = truth {
                    assert_eq!(now, *truth);
                }
                let back = now.0 < seen.0 || now.1 < seen.1 || now.2 < seen.2;
                assert!(!back, "{now:?} after {seen:?}");
                *seen = now;
            }
        }
    };
    std::thread::scope(|scope| {
        let _end = End(over);
        let read = &read;
        for exact in [false, true] {
            scope.spawn(move || read(exact));
        }
        let worker = |worker: u64| {
            let life = move |life| {
                std::thread::scope(|scope| {
                    scope.spawn(move || live(pairs, worker * LIVES + life + 1)).join().unwrap()
                })
            };
            (0..LIVES).map(life).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
        };
        let workers: Vec<_> = (0..WORKERS).map(|at| scope.spawn(move || worker(at))).collect();
        for worker in workers {
            let (shared, records) = worker.join().unwrap();
            assert!(shared < records * 9 / 10, "nothing was earned: {shared} of {records}");
        }
    });
    for pair in pairs {
        assert_eq!(pair.read(), *pair.truth.lock().unwrap());
    }
}

#[test]
fn an_id_that_is_used_again_starts_at_zero_beside_threads_that_hold_its_page() {
    let neighbour = Counter::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let own = Pair::default();
                    for n in 0..2_000 {
                        own.counter.add(n);
                        own.histogram.record(n);
                        neighbour.inc();
                    }
                    assert_eq!(own.read(), (1_999_000, 2_000, 1_999_000));
                }
            });
        }
    });
    assert_eq!(neighbour.get(), 4 * 100 * 2_000);
}

/// Counts of histograms as a walk sees them that asks for nothing else: they have cells of their own.
#[derive(Default)]
struct Counts(Vec<u64>);

impl Visitor for Counts {
    fn enter(&mut self, _: Step<'_>, _: &Info) {}
    fn leave(&mut self) {}
    fn histogram(&mut self, histogram: Recorded<'_>) {
        self.0.push(histogram.count());
    }
}

fn count(registry: &Registry) -> u64 {
    let mut counts = Counts::default();
    registry.visit(&mut counts);
    counts.0[0]
}

/// Threads end one after the other, each the one that has held its copies longest, so that a reader
/// comes to these last: whoever reads between two steps of a fold misses what it moves, or sees it
/// twice.
#[test]
fn a_reader_sees_a_fold_done_or_not_begun() {
    const LIVES: usize = 1_000;
    const ALIVE: usize = 64;
    /// Often enough to earn a copy, and to use it.
    const RECORDS: u64 = 600;
    let registry = Registry::new();
    let histogram = registry.publish("histogram", Histogram::new()).unwrap();
    let counter = Counter::new();
    // Records that began, and that are over.
    let (begun, over) = (AtomicU64::new(0), AtomicU64::new(0));
    let ended = AtomicBool::new(false);
    let numbers: [&(dyn Fn() -> u64 + Sync); 4] = [
        &|| counter.get(),
        &|| histogram.snapshot().count(),
        &|| histogram.snapshot().sum(),
        &|| count(&registry),
    ];
    let read = || {
        let mut last = [0; 4];
        while !ended.load(Acquire) {
            for (number, last) in numbers.iter().zip(&mut last) {
                let least = over.load(Acquire).max(*last);
                let now = number();
                let most = begun.load(Acquire);
                assert!((least..=most).contains(&now), "{now} is none of {least} to {most}");
                *last = now;
            }
        }
    };
    std::thread::scope(|scope| {
        let _end = End(&ended);
        let reader = scope.spawn(read);
        let (counter, histogram, over) = (&counter, &histogram, &over);
        let mut alive = VecDeque::new();
        for life in 0..LIVES + ALIVE {
            if life < LIVES {
                let (end, wait) = channel::<()>();
                let (tell, recorded) = channel();
                begun.fetch_add(RECORDS, Release);
                let live = move || {
                    for _ in 0..RECORDS {
                        counter.inc();
                        histogram.record(1);
                    }
                    over.fetch_add(RECORDS, Release);
                    let _ = tell.send(());
                    let _ = wait.recv();
                };
                alive.push_back((end, scope.spawn(live)));
                recorded.recv().unwrap();
            }
            if reader.is_finished() {
                break;
            }
            if life >= ALIVE
                && let Some((end, oldest)) = alive.pop_front()
            {
                drop(end);
                oldest.join().unwrap();
            }
        }
    });
    assert_eq!(numbers.map(|number| number()), [LIVES as u64 * RECORDS; 4]);
}
