//! The distribution of endpoints over members, their moves, and the time to detect a death: `cargo
//! bench --bench simulation`.
//!
//! Owners are computed by samlare's own code, for a million URLs. Deaths are drawn at random: a
//! member renews its lease every third of the TTL, dies at any moment, and etcd checks for expired
//! leases every 500 ms. If etcd's leader dies at the same moment, an election takes 1 to 2 s first,
//! and the new leader restarts each lease's TTL.

use std::collections::HashMap;

use expvar_benches::print_machine;
use samlare::cluster::Owners;

const ENDPOINTS: usize = 1_000_000;
const DEATHS: usize = 100_000;
/// etcd's interval between two looks for leases that have ended.
const LOOKS_EVERY: f64 = 0.5;

fn main() {
    print_machine("simulation");
    let is_bench = std::env::args().any(|word| word == "--bench");
    let endpoints = if is_bench { ENDPOINTS } else { 1_000 };
    let urls: Vec<String> = (0..endpoints)
        .map(|n| format!("http://10.{}.{}.{}:8080/debug/vars", n / 62_500, n / 250 % 250, n % 250))
        .collect();
    println!("{endpoints} endpoints\n");
    println!(
        "| members | most loaded, of the mean | least | moved when one leaves | when one joins | an N-th |"
    );
    println!("|--:|--:|--:|--:|--:|--:|");
    for members in [10, 100, 1_000] {
        spread(&urls, members);
    }
    println!("\n| TTL, s | etcd's leader | noticed after, median s | 99 % | at most |");
    println!("|--:|---|--:|--:|--:|");
    for ttl in [2.0, 3.0, 5.0, 10.0] {
        for leader_dies in [false, true] {
            detection(ttl, leader_dies);
        }
    }
}

/// Loads and moves of so many members.
fn spread(urls: &[String], members: usize) {
    let names: Vec<String> = (0..=members).map(|n| format!("samlare-{n}")).collect();
    let (joins, names) = names.split_last().expect("a name");
    // The first is the owner, the second who takes over from it.
    let owners = Owners::new(names.iter().map(String::as_str), 2);
    let mut loads: HashMap<&str, usize> = HashMap::new();
    let mut gained = 0;
    for url in urls {
        let first = owners.of(url)[0];
        *loads.entry(first).or_default() += 1;
        gained += usize::from(Owners::new([first, joins], 1).owns(joins, url));
    }
    let mean = urls.len() as f64 / members as f64;
    let most = *loads.values().max().expect("a member");
    let least = names.iter().map(|name| loads.get(name.as_str()).copied().unwrap_or(0)).min();
    let share = |count: usize| format!("{:.3} %", 100.0 * count as f64 / urls.len() as f64);
    println!(
        "| {members} | {:.3} | {:.3} | {} at most | {} | {:.3} % |",
        most as f64 / mean,
        least.unwrap_or(0) as f64 / mean,
        // Whoever leaves takes its own with it, and nothing else.
        share(most),
        share(gained),
        100.0 / members as f64
    );
}

/// How long after a death its members see it.
fn detection(ttl: f64, leader_dies: bool) {
    let mut state = 7_u64;
    let mut random = || {
        // xorshift*: the same draws in each run.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut seen: Vec<f64> = (0..DEATHS)
        .map(|_| {
            let since_renewal = random() * ttl / 3.0;
            let left = if leader_dies { 1.0 + random() + ttl } else { ttl - since_renewal };
            left + random() * LOOKS_EVERY
        })
        .collect();
    seen.sort_by(f64::total_cmp);
    let at = |share: f64| seen[((seen.len() - 1) as f64 * share) as usize];
    let leader = if leader_dies { "dies, too" } else { "lives" };
    println!("| {ttl} | {leader} | {:.2} | {:.2} | {:.2} |", at(0.5), at(0.99), at(1.0));
}
