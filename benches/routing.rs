//! The cost of routing for each point: `cargo bench --bench routing`.
//!
//! Each hash routes 10,000 names to 16 servers, repeatedly as in successive intervals, and once
//! with an empty cache. The floor is reading each byte of the names.

use std::hint::black_box;
use std::time::Instant;

use expvar_benches::print_machine;
use expvar_carbon::{Cluster, Dialect, Route};

const SERVERS: usize = 16;
const NAMES: usize = 10_000;
const ROUNDS: usize = 21;

fn main() {
    print_machine("routing");
    let rounds = if std::env::args().any(|word| word == "--bench") { ROUNDS } else { 1 };
    let names: Vec<Vec<u8>> = (0..NAMES)
        .map(|n| format!("servers.web-{:03}.http.route{:02}.requests.p99", n / 50, n % 50))
        .map(String::into_bytes)
        .collect();
    println!("{NAMES} names of {} bytes, {SERVERS} servers; ns a point\n", names[0].len());
    println!("| route | copies | seen before | must | first time |\n|---|--:|--:|--:|--:|");
    let floor = median(rounds, || {
        for name in &names {
            black_box(name.iter().fold(0_u64, |sum, &byte| sum.wrapping_add(byte.into())));
        }
    });
    println!("| each byte of the names added up | | {floor:.1} | | |");
    for (route, dialect, copies, must) in [
        (Route::JumpFnv1aCh, Dialect::CRelay, 1, 15),
        (Route::JumpFnv1aCh, Dialect::CRelay, 2, 15),
        (Route::CarbonCh, Dialect::CRelay, 1, 60),
        (Route::CarbonCh, Dialect::Carbon, 2, 60),
        (Route::Fnv1aCh, Dialect::CRelay, 1, 60),
        (Route::Mmh3Ch, Dialect::Carbon, 1, 60),
    ] {
        let server = |n: usize| format!("10.0.0.{n}:2003={n}");
        let cluster = (1..SERVERS).fold(Cluster::to(server(0)), |all, n| all.and(server(n)));
        let cluster = cluster.route(route).dialect(dialect).replication(copies);
        let all = |router: &mut expvar_carbon::Router| {
            for name in &names {
                black_box(router.route(black_box(name)));
            }
        };
        let first = median(rounds, || all(&mut cluster.router().expect("good settings")));
        let mut router = cluster.router().expect("good settings");
        all(&mut router);
        let known = median(rounds, || all(&mut router));
        println!("| {route}, {dialect} | {copies} | {known:.1} | {must} | {first:.0} |");
    }
}

/// The median of the nanoseconds that a name takes.
fn median(rounds: usize, mut round: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            round();
            start.elapsed().as_nanos() as f64 / NAMES as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
