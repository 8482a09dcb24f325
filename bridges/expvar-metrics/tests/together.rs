//! Threads that register, describe, read and expire at the same time lose nothing, and no code of
//! the program runs under a lock.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use expvar::{Func, Info, Number, Registry, Step, Unit, Var, Visitor, global};
use expvar_metrics::Recorder;
use metrics::{
    counter, describe_counter, describe_histogram, gauge, histogram, with_local_recorder,
};

const THREADS: u64 = 8;
const HOUR: Duration = Duration::from_secs(3600);

/// The leaves below a variable, by keys.
fn leaves(var: &Var) -> BTreeMap<Vec<String>, Var> {
    let mut found = BTreeMap::new();
    match var {
        Var::Map(map) => map.for_each(|key, var| {
            for (mut path, leaf) in leaves(var) {
                path.insert(0, key.to_owned());
                found.insert(path, leaf);
            }
        }),
        leaf => drop(found.insert(Vec::new(), leaf.clone())),
    }
    found
}

fn number(var: &Var) -> f64 {
    match var {
        Var::Histogram(histogram) => histogram.snapshot().count() as f64,
        other => other.to_string().parse().unwrap(),
    }
}

/// The sum of all leaves of a name.
fn sum(registry: &Registry, name: &str) -> f64 {
    registry.get(name).map_or(0.0, |var| leaves(&var).values().map(number).sum())
}

/// Runs `work` in eight threads at once, each with its number and this recorder.
fn together(recorder: &Recorder, work: impl Fn(u64) + Sync) {
    let barrier = Barrier::new(THREADS as usize);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (barrier, work) = (&barrier, &work);
            scope.spawn(move || {
                barrier.wait();
                with_local_recorder(recorder, || work(thread));
            });
        }
    });
}

#[test]
fn new_names_labels_and_descriptions_at_once_lose_nothing() {
    const ROUNDS: u64 = 60;
    let registry = Registry::new();
    let recorder = Recorder::new(&registry);
    let stopped = AtomicBool::new(false);
    thread::scope(|scope| {
        // What was shown once stays shown, also while labels move it to other maps.
        scope.spawn(|| {
            let mut last = BTreeMap::new();
            while !stopped.load(Relaxed) {
                for round in 0..ROUNDS {
                    let name = format!("c{round}");
                    let now = sum(&registry, &name);
                    let before = last.insert(name, now).unwrap_or(0.0);
                    assert!(now >= before, "c{round} went down from {before} to {now}");
                }
            }
        });
        together(&recorder, |thread| {
            for round in 0..ROUNDS {
                let name = format!("c{round}");
                // Every thread with another set of labels, and all with one in common.
                let labels: Vec<_> = (0..=thread % 4)
                    .map(|label| (format!("l{label}"), format!("{}", thread + round % 3)))
                    .collect();
                counter!(name.clone()).increment(1);
                counter!(name.clone(), &labels).increment(2);
                if thread % 2 == 0 {
                    describe_counter!(name.clone(), metrics::Unit::Bytes, format!("Of {round}."));
                }
                counter!(name.clone(), "l0" => "all").increment(4);
                gauge!(format!("g{round}"), &labels).increment(1.0);
                histogram!(format!("h{round}"), &labels).record(1.0);
                counter!("first").increment(1);
            }
        });
        stopped.store(true, Relaxed);
    });
    let threads = THREADS as f64;
    assert_eq!(sum(&registry, "first"), threads * ROUNDS as f64);
    for round in 0..ROUNDS {
        for (name, each) in [("c", 7.0), ("g", 1.0), ("h", 1.0)] {
            let name = format!("{name}{round}");
            assert_eq!(sum(&registry, &name), threads * each, "{name} {:?}", registry.get(&name));
        }
        let name = format!("c{round}");
        let (var, info) = (registry.get(&name).unwrap(), registry.info(&name).unwrap());
        assert_eq!((info.get_unit(), info.get_help()), (Unit::Bytes, &*format!("Of {round}.")));
        let mut labels = info.get_labels().to_vec();
        let all = labels.iter().position(|label| label == "l0").unwrap();
        let mut path = vec![String::new(); 4];
        assert_eq!(number(&leaves(&var)[&path]), threads, "without labels");
        path[all] = "all".to_owned();
        assert_eq!(number(&leaves(&var)[&path]), 4.0 * threads, "the one in common");
        labels.sort();
        assert_eq!(labels, ["l0", "l1", "l2", "l3"]);
    }
}

#[test]
fn a_description_that_meets_the_first_recordings_is_shown() {
    const ROUNDS: u64 = 1_000;
    let registry = Registry::new();
    let start = Barrier::new(THREADS as usize);
    together(&Recorder::new(&registry), |thread| {
        for round in 0..ROUNDS {
            let name = format!("n{round}");
            start.wait();
            match thread {
                0 => describe_counter!(name, "Described once."),
                1 => counter!(name, "l" => "1").increment(1),
                _ => counter!(name).increment(1),
            }
        }
    });
    for round in 0..ROUNDS {
        let name = format!("n{round}");
        assert_eq!(registry.info(&name).unwrap().get_help(), "Described once.", "{name}");
        assert_eq!(sum(&registry, &name), (THREADS - 1) as f64, "{name}");
    }
}

#[test]
fn a_new_set_that_meets_the_expiry_of_the_last_one_is_shown() {
    const ROUNDS: u32 = 500;
    let registry = Registry::new();
    let recorder = Recorder::new(&registry).idle_timeout(HOUR);
    let (start, barrier) = (Instant::now(), Barrier::new(THREADS as usize));
    together(&recorder, |thread| {
        for round in 1..=ROUNDS {
            let name = format!("n{round}");
            if thread == 0 {
                counter!(name.clone(), "l" => "old").increment(1);
                recorder.expire_at(start + HOUR * 2 * round);
            }
            barrier.wait();
            if thread == 0 {
                recorder.expire_at(start + HOUR * (2 * round + 1));
            } else {
                counter!(name.clone(), "l" => thread.to_string()).increment(1);
            }
            barrier.wait();
            let shown = leaves(&registry.get(&name).unwrap());
            let keys: Vec<_> = shown.keys().map(|path| path.join("/")).collect();
            assert_eq!(keys, ["1", "2", "3", "4", "5", "6", "7"], "{name}");
            assert!(shown.values().all(|counter| number(counter) == 1.0), "{name} {shown:?}");
            barrier.wait();
        }
    });
}

#[test]
fn sets_that_expire_while_threads_record_are_shown_again() {
    let registry = Registry::new();
    let recorder = Recorder::new(&registry).idle_timeout(HOUR);
    let stopped = AtomicBool::new(false);
    let start = Instant::now();
    thread::scope(|scope| {
        // Two at once, each time an hour later.
        for _ in 0..2 {
            scope.spawn(|| {
                for hours in 1.. {
                    if stopped.load(Relaxed) {
                        break;
                    }
                    recorder.expire_at(start + HOUR * hours);
                }
            });
        }
        together(&recorder, |thread| {
            let held = counter!("held", "thread" => thread.to_string());
            for round in 0..2_000_u64 {
                held.increment(1);
                counter!("jobs", "pod" => (round % 7).to_string()).increment(1);
                counter!("jobs", "pod" => "x", "zone" => (round % 3).to_string()).increment(1);
                histogram!("took").record(1.0);
                gauge!("heat", "thread" => thread.to_string()).increment(1.0);
            }
        });
        stopped.store(true, Relaxed);
    });
    // Nobody expires any more: each recording is in what is shown.
    let before = ["held", "jobs", "took", "heat"].map(|name| sum(&registry, name));
    together(&recorder, |thread| {
        counter!("held", "thread" => thread.to_string()).increment(1);
        counter!("jobs", "pod" => "x", "zone" => "0").increment(1);
        histogram!("took").record(1.0);
        gauge!("heat", "thread" => thread.to_string()).increment(1.0);
    });
    for (name, before) in ["held", "jobs", "took", "heat"].into_iter().zip(before) {
        assert_eq!(
            sum(&registry, name),
            before + THREADS as f64,
            "{name} {:?}",
            registry.get(name)
        );
    }
    let years = start + HOUR * 1_000_000;
    recorder.expire_at(years);
    recorder.expire_at(years + HOUR);
    recorder.expire_at(years + HOUR * 2);
    assert_eq!(registry.to_json(), "{\n\n}\n");
}

/// Records when it is dropped, as a guard in a callback may.
struct Records(&'static str);

impl Drop for Records {
    fn drop(&mut self) {
        counter!(self.0, "from" => "drop").increment(1);
        describe_counter!(self.0, "Recorded by a drop.");
    }
}

fn recording(name: &'static str) -> Var {
    let guard = Records(name);
    Var::from(std::sync::Arc::new(Func::number(move || {
        // The guard as a whole, not its name alone.
        let Records(name) = &guard;
        counter!("called", "from" => *name).increment(1);
        describe_counter!("called", "Recorded by a callback.");
        1_u64
    })))
}

#[test]
fn callbacks_and_drops_may_record_and_describe() {
    let registry = Registry::new();
    let recorder = Recorder::new(&registry).idle_timeout(HOUR);
    let start = Instant::now();
    with_local_recorder(&recorder, || {
        for name in ["described", "labelled", "expired", "removed"] {
            counter!(name).increment(1);
            // The program takes the name for a function of its own.
            registry.replace(name, recording(name), Info::new()).unwrap();
        }
        assert!(registry.to_json().contains("\"described\": 1"));
        describe_counter!("described", "After the program took it.");
        counter!("labelled", "l" => "1").increment(1);
        for hours in 1..4 {
            recorder.expire_at(start + HOUR * hours);
        }
        for name in ["described", "labelled", "expired", "removed"] {
            assert!(matches!(registry.get(name), Some(Var::Func(_))), "{name} is the program's");
            drop(registry.remove(name));
            let text = registry.get(name).unwrap().to_string();
            assert_eq!(text, "{\"drop\": 1}", "{name}");
            assert_eq!(registry.info(name).unwrap().get_help(), "Recorded by a drop.");
        }
    });
}

#[test]
fn names_past_the_limit_get_room_when_others_expire() {
    let registry = Registry::new();
    let recorder = Recorder::new(&registry).idle_timeout(HOUR);
    let overflows = || global().get("expvar.overflows").unwrap().to_string();
    let start = Instant::now();
    with_local_recorder(&recorder, || {
        for n in 0..10_000 {
            counter!(format!("n{n}")).increment(1);
        }
        let before = overflows();
        counter!("late").increment(1);
        assert!(registry.get("late").is_none());
        assert_ne!(overflows(), before);
        for hours in [1, 2, 3] {
            recorder.expire_at(start + HOUR * hours);
        }
        assert_eq!(registry.to_json(), "{\n\n}\n");
        counter!("late").increment(1);
        assert_eq!(registry.to_json(), "{\n\"late\": 1\n}\n");
    });
}

#[test]
fn a_name_that_the_program_removes_comes_back_at_zero() {
    let registry = Registry::new();
    with_local_recorder(&Recorder::new(&registry), || {
        counter!("jobs", "queue" => "mail").increment(3);
        registry.remove("jobs");
        counter!("jobs", "queue" => "mail").increment(1);
        assert_eq!(registry.to_json(), "{\n\"jobs\": {\"mail\": 1}\n}\n");
    });
}

#[test]
fn two_recorders_of_one_registry_share_their_metrics() {
    let registry = Registry::new();
    for n in [1, 10] {
        with_local_recorder(&Recorder::new(&registry), || {
            counter!("jobs").increment(n);
            counter!("jobs", "queue" => "mail").increment(n);
        });
    }
    assert_eq!(registry.to_json(), "{\n\"jobs\": {\"\": 11, \"mail\": 11}\n}\n");
}

/// The creation times of all numbers.
#[derive(Default)]
struct Created {
    last: u64,
    all: Vec<u64>,
}

impl Visitor for Created {
    fn enter(&mut self, _: Step<'_>, _: &Info) {}

    fn registered(&mut self, unix_nanos: u64) {
        self.last = unix_nanos;
    }

    fn leave(&mut self) {}

    fn number(&mut self, _: Number) {
        self.all.push(self.last);
    }
}

#[test]
fn descriptions_and_new_labels_leave_the_creation_times() {
    let registry = Registry::new();
    let created = || {
        let mut created = Created::default();
        registry.visit(&mut created);
        created.all
    };
    with_local_recorder(&Recorder::new(&registry), || {
        counter!("jobs", "a" => "1").increment(1);
        let first = created();
        describe_counter!("jobs", "Jobs.");
        describe_histogram!("other", "");
        assert_eq!(created(), first);
        counter!("jobs", "a" => "1", "b" => "2").increment(1);
        assert_eq!(created()[0], first[0]);
        assert_eq!(registry.to_json(), "{\n\"jobs\": {\"1\": {\"\": 1, \"2\": 1}}\n}\n");
    });
}
