//! A program without an async runtime: two threads search for primes, and a server shows their
//! progress.
//!
//! `cargo run --example blocking [ADDRESS]`

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

expvar::vars! {
    /// Numbers tested.
    static TESTED: Counter = "tested";
    /// Primes found.
    static PRIMES: Counter = "primes";
    /// The last prime found.
    static LAST: Gauge = "last_prime";
    /// How long a thousand numbers take.
    static THOUSAND: Histogram = "thousand", unit: Nanoseconds;
}

static NEXT: AtomicU64 = AtomicU64::new(2);

fn main() -> std::io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8123".to_owned());
    // The server runs on a thread of its own until the program ends.
    let server = expvar_http::spawn(addr)?;
    println!("{}/debug/vars", server.url());
    let started = Instant::now();
    let uptime = expvar::Func::new(move || started.elapsed().as_secs());
    expvar::publish("uptime_secs", uptime).map_err(std::io::Error::other)?;
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(search);
        }
    });
    Ok(())
}

/// Tests numbers in thousands, forever.
fn search() {
    loop {
        let _timer = THOUSAND.start();
        let first = NEXT.fetch_add(1000, Relaxed);
        for number in first..first + 1000 {
            if is_prime(number) {
                PRIMES.inc();
                LAST.set(number as i64);
            }
            TESTED.inc();
        }
    }
}

fn is_prime(number: u64) -> bool {
    (2..)
        .take_while(|factor| factor * factor <= number)
        .all(|factor| !number.is_multiple_of(factor))
}
