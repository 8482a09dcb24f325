//! A family takes cells only for what was used. Alone in its process, so that no other cells count.

#![forbid(unsafe_code)]

use std::sync::Barrier;

use expvar::{Label, global, usage};

expvar::label! {
    enum Zone { A, B, C, D }
    enum Kind { K0, K1, K2, K3, K4, K5, K6, K7, K8, K9, K10, K11 }
    enum Status {
        S0, S1, S2, S3, S4, S5, S6, S7, S8, S9, S10, S11, S12, S13, S14, S15, S16, S17, S18, S19,
        S20, S21, S22, S23, S24, S25, S26, S27, S28, S29
    }
}

expvar::vars! {
    static BIG: Family<Counter, (Zone, Kind, Status)> = "big", labels: ["zone", "kind", "status"];
}

const SETS: usize = 4 * 12 * 30;
const THREADS: usize = 512;

fn in_all_threads(f: impl Fn() + Sync) {
    let all = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            let (f, all) = (&f, &all);
            scope.spawn(move || {
                f();
                // All of them live until the last has recorded.
                all.wait();
            });
        }
    });
}

#[test]
fn a_family_takes_no_cell_untouched_and_stays_within_the_bound_when_512_threads_touch_it() {
    let _ = global().to_json();
    let before = usage();
    assert_eq!(global().get("big").unwrap().to_string(), "{}");
    assert_eq!(usage(), before, "untouched");

    in_all_threads(|| {
        for &zone in Zone::ALL {
            for &kind in Kind::ALL {
                for &status in Status::ALL {
                    BIG.with((zone, kind, status)).inc();
                }
            }
        }
    });
    let after = usage();
    assert_eq!(after.cells - before.cells, SETS);
    assert!(after.private_bytes <= after.limit_bytes, "{after:?}");
    let shared = after.shared_bytes - before.shared_bytes;
    assert!(shared <= 2 * 9 * SETS, "9 bytes a counter: {shared} for {SETS}");
    for &zone in Zone::ALL {
        for &kind in Kind::ALL {
            for &status in Status::ALL {
                assert_eq!(BIG.with((zone, kind, status)).get(), THREADS as u64);
            }
        }
    }
}
