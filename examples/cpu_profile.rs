//! A CPU profile beside the heap's: the `pprof` crate's profiler at `/debug/pprof/profile`.
//!
//! `cargo run --example cpu_profile`, then `go tool pprof http://127.0.0.1:8123/debug/pprof/profile?seconds=10`.
//!
//! The profiler interrupts the program with a signal a hundred times a second of CPU time, and
//! walks the stack in the signal handler. If the signal arrives while the unwinder, the dynamic
//! loader or the allocator holds a lock, or in code without unwind tables, the program can crash or
//! hang. The blocklist below excludes samples in the libraries most often affected, which lowers
//! the risk but does not remove it. So this runs only on request, one profile at a time, and is not
//! part of `expvar-http`. In programs built with frame pointers, the crate's feature
//! `frame-pointer` is safer.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use expvar_http::{Page, Server};
use pprof::ProfilerGuardBuilder;
use pprof::protos::Message;

expvar::vars! {
    /// Numbers tested.
    static TESTED: Counter = "tested";
}

/// The longest profile.
const MAX_SECONDS: u64 = 60;

fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8123".to_owned());
    let server = Server::builder().pages(profile).spawn(addr)?;
    println!("go tool pprof {}/debug/pprof/profile?seconds=10", server.url());
    for number in 0_u64.. {
        TESTED.inc();
        std::hint::black_box(is_prime(number));
    }
    Ok(())
}

#[inline(never)]
fn is_prime(number: u64) -> bool {
    number > 1 && (2..).take_while(|n| n * n <= number).all(|n| !number.is_multiple_of(n))
}

/// Serves `/debug/pprof/profile?seconds=N` (default: 10); other paths are the server's.
async fn profile(uri: http::Uri) -> Option<Page> {
    static BUSY: AtomicBool = AtomicBool::new(false);
    if uri.path() != "/debug/pprof/profile" {
        return None;
    }
    let seconds = uri.query().and_then(|query| query.strip_prefix("seconds="));
    let seconds = seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(10).min(MAX_SECONDS);
    if BUSY.swap(true, Relaxed) {
        return Some(Page::new("text/plain", "a profile is being taken; try again later\n"));
    }
    let page = match take(Duration::from_secs(seconds)).await {
        Ok(bytes) => Page::new("application/octet-stream", bytes),
        Err(error) => Page::new("text/plain", format!("no profile: {error}\n")),
    };
    BUSY.store(false, Relaxed);
    Some(page)
}

/// Samples for this time and encodes the profile.
async fn take(time: Duration) -> pprof::Result<Vec<u8>> {
    let guard = ProfilerGuardBuilder::default()
        .frequency(100)
        .blocklist(&["libc", "libgcc", "pthread", "vdso"])
        .build()?;
    tokio::time::sleep(time).await;
    let profile = guard.report().build()?.pprof()?;
    Ok(profile.write_to_bytes().unwrap_or_default())
}
