//! Looking up metrics again takes no memory.

#![forbid(unsafe_code)]

use std::thread;

use expvar::Registry;
use expvar::alloc::{Counting, counts};
use expvar_metrics::Recorder;
use metrics::{counter, describe_counter, gauge, histogram, with_local_recorder};

#[global_allocator]
static ALLOCATOR: Counting = Counting::new();

#[test]
fn metrics_that_are_looked_up_again_take_no_more_memory() {
    let registry = Registry::new();
    let recorder = Recorder::new(&registry);
    // Each in a thread of its own, whose cache is empty: it looks up all of them.
    let rounds = |count, round: fn()| {
        for _ in 0..count {
            thread::scope(|scope| {
                scope.spawn(|| with_local_recorder(&recorder, round)).join().unwrap();
            });
        }
        counts().unwrap().live_blocks()
    };
    let numbers = || {
        for n in 0..5_000 {
            counter!("jobs", "user" => n.to_string()).increment(1);
        }
        for n in 0..20 {
            gauge!("heat", "room" => n.to_string()).set(1.0);
            counter!("plain").increment(1);
            describe_counter!("plain", format!("As told in {n}."));
        }
    };
    let before = rounds(3, numbers);
    assert_eq!(rounds(20, numbers), before);

    // A histogram notes its state as time goes by: a few blocks, however often it is looked up.
    let histograms = || histogram!("took", "room" => "1").record(1.0);
    let before = rounds(3, histograms);
    let now = rounds(500, histograms);
    assert!(now < before + 100, "{now} blocks after {before}");
}
