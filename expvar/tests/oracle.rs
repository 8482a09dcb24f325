//! Recordings from threads that come and go, against a lock.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use expvar::{Counter, Gauge, Histogram, Map};
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

/// What a round of threads does, then which variables are dropped and made anew.
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
