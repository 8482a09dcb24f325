//! Adding one to a key that is there, alone and with two threads on the same 16 keys.

use std::collections::HashMap;
use std::sync::RwLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use dashmap::DashMap;
use expvar_benches::{Race, print_machine};
use prometheus::{IntCounterVec, Opts};

expvar::vars! {
    /// The reference for all peers.
    static ROUTES: Map = "routes";
}

fn main() {
    print_machine("maps");
    let keys: [String; 16] =
        std::array::from_fn(|at| format!("/api{}/{at}", "/things".repeat(at % 4)));
    let key = |at: usize| keys[at % 16].as_str();

    let vec = IntCounterVec::new(Opts::new("routes", "help"), &["route"]).expect("a valid name");
    let dash: DashMap<String, u64> = keys.iter().map(|key| (key.clone(), 0)).collect();
    let table: RwLock<HashMap<String, AtomicU64>> =
        RwLock::new(keys.iter().map(|key| (key.clone(), AtomicU64::new(0))).collect());
    keys.iter().for_each(|key| {
        ROUTES.add(key, 1);
        vec.with_label_values(&[key]).inc();
    });

    let mut race = Race::new("maps", &[1, 2]);
    race.peer("expvar Map::add", |at| ROUTES.add(key(at), 1));
    race.peer("prometheus with_label_values().inc()", |at| vec.with_label_values(&[key(at)]).inc());
    race.peer("dashmap get_mut", |at| {
        if let Some(mut count) = dash.get_mut(key(at)) {
            *count += 1;
        }
    });
    race.peer("RwLock<HashMap<String, AtomicU64>>", |at| {
        let table = table.read().expect("nobody panics");
        if let Some(count) = table.get(key(at)) {
            count.fetch_add(1, Relaxed);
        }
    });
    race.go("Go Map.Add", "maps", env!("CARGO_TARGET_TMPDIR"));

    let (ours, theirs) = ("expvar Map::add", "prometheus with_label_values().inc()");
    race.run().print_ratios(&[
        ((ours, 1), (theirs, 1), 0.45),
        ((ours, 2), (theirs, 2), 0.11),
        ((ours, 1), ("Go Map.Add", 1), 1.0),
        ((ours, 2), ("Go Map.Add", 2), 1.0),
    ]);
}
