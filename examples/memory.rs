//! Where the memory goes: a cache that grows and shrinks, and with `--leak` a leak.
//!
//! Each second a line shows what the program has allocated (`Alloc`), what its allocator holds
//! (`HeapInuse`) and what is resident (`resident`). While the cache grows, all three grow. When it
//! shrinks, `Alloc` falls at once but the others hardly do: remaining entries keep the allocator
//! from returning their pages. With a leak, `Alloc` grows from one minimum of the cache to the
//! next, and `HeapObjects` with it.

use std::collections::VecDeque;
use std::time::Duration;

#[global_allocator]
static ALLOC: expvar::alloc::Counting = expvar::alloc::Counting::new();

expvar::vars! {
    /// Entries in the cache.
    static ENTRIES: Gauge = "cache.entries";
    /// Bytes that the entries hold.
    static HELD: Gauge = "cache.bytes", unit: Bytes;
    /// Requests that left something behind.
    static LEAKED: Counter = "leaked";
}

/// Entries inserted or removed in a tenth of a second.
const STEP: usize = 2000;
const LARGEST: usize = 150_000;
const SMALLEST: usize = 15_000;

fn main() -> std::io::Result<()> {
    let leaks = std::env::args().any(|argument| argument == "--leak");
    let server = expvar_http::spawn("127.0.0.1:8123")?;
    println!("{}/debug/vars", server.url());
    println!("a leak: {}\n", if leaks { "yes" } else { "no (--leak makes one)" });
    if leaks {
        let url = server.url();
        println!("Who holds the memory, by the name of the function:");
        println!("  go tool pprof -top {url}/debug/pprof/heap");
        println!(
            "  curl '{url}/debug/pprof/heap?debug=1&seconds=10'    # what grew in ten seconds"
        );
        println!("  curl '{url}/debug/vars?r=heap.top&pretty'           # the ten largest\n");
    }
    println!("{:18}{:>9}  {:>9}  {:>9}  {:>9}", "", "Alloc", "HeapInuse", "resident", "objects");
    let mut cache = Cache::default();
    let mut forgotten = Vec::new();
    for tenth in 0_usize.. {
        cache.turn();
        if leaks {
            remember_clients(tenth, &mut forgotten);
        }
        if tenth % 10 == 0 {
            show(&cache);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// A common leak: a list of clients that is never pruned.
fn remember_clients(tenth: usize, forgotten: &mut Vec<String>) {
    forgotten.extend((0..200).map(|client| format!("client {client} of {tenth}").repeat(20)));
    LEAKED.add(200);
}

/// Entries of about 1 KiB, between two limits.
#[derive(Default)]
struct Cache {
    entries: VecDeque<Vec<u8>>,
    shrinks: bool,
}

impl Cache {
    fn turn(&mut self) {
        if self.shrinks {
            // From the front, except for every tenth, which moves to the back as recently used.
            for at in 0..2 * STEP {
                let Some(entry) = self.entries.pop_front() else { break };
                if at % 10 == 0 {
                    self.entries.push_back(entry);
                } else {
                    HELD.sub(entry.len() as i64);
                }
            }
            self.shrinks = self.entries.len() > SMALLEST;
        } else {
            for at in 0..STEP {
                let entry = vec![1; 512 + at % 1024];
                HELD.add(entry.len() as i64);
                self.entries.push_back(entry);
            }
            self.shrinks = self.entries.len() >= LARGEST;
        }
        ENTRIES.set(self.entries.len() as i64);
    }
}

fn show(cache: &Cache) {
    const MIB: f64 = (1 << 20) as f64;
    let memory = expvar::memstats::read_now();
    let resident = expvar::process::read_now().resident_bytes.unwrap_or(0);
    println!(
        "{} {:7} entries {:5.0} MiB  {:5.0} MiB  {:5.0} MiB  {:9}",
        if cache.shrinks { "-" } else { "+" },
        cache.entries.len(),
        memory.alloc as f64 / MIB,
        memory.heap_inuse as f64 / MIB,
        resident as f64 / MIB,
        memory.heap_objects,
    );
}
