//! Reading `memstats` and `process` of a large program: the cost for the reader, and for a thread
//! that allocates meanwhile.

use std::hint::black_box;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use expvar::alloc::Counting;
use expvar_benches::{Go, print_machine};

#[global_allocator]
static ALLOC: Counting = Counting::new();

/// Blocks of about 107 bytes: 1 GiB in all.
const BLOCKS: usize = 10_000_000;
const BLOCK_BYTES: usize = 107;
const THREADS: usize = 64;
const READS: usize = 1001;
/// A thread allocates with a reader and without, by turns: so many of each, and how long each is.
const TURNS: usize = 21;
const TURN: Duration = Duration::from_millis(250);
/// By how much the longest allocation may grow because of the reader.
const LONGER: Duration = Duration::from_micros(100);
/// Between two reads while another thread allocates: 100 a second.
const PAUSE: Duration = Duration::from_millis(10);

/// Reads both as they are now, writes them as JSON, and returns how long that took.
fn read(document: &mut Vec<u8>) -> Duration {
    document.clear();
    let start = Instant::now();
    let memory = expvar::memstats::read_now();
    let process = expvar::process::read_now();
    let taken = start.elapsed();
    serde_json::to_writer(&mut *document, &(memory, process)).expect("it serializes");
    taken
}

/// The longest pair of allocating and freeing 64 bytes in all that time, and the 99.99th
/// percentile.
fn longest(time: Duration) -> (Duration, Duration) {
    let mut taken = vec![0_u32; 1 << 20];
    let (mut longest, mut at) = (Duration::ZERO, 0_usize);
    let start = Instant::now();
    let mut before = start;
    while before.duration_since(start) < time {
        drop(black_box(Vec::<u8>::with_capacity(black_box(64))));
        let now = Instant::now();
        let pair = now.duration_since(before);
        longest = longest.max(pair);
        let slot = at % taken.len();
        taken[slot] = u32::try_from(pair.as_nanos()).unwrap_or(u32::MAX);
        at += 1;
        before = now;
    }
    let kept = at.min(taken.len());
    taken[..kept].sort_unstable();
    (longest, Duration::from_nanos(taken[kept - 1 - kept / 10_000].into()))
}

/// The same while another thread reads 100 times a second.
fn longest_beside_a_reader(time: Duration) -> (Duration, Duration) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut document = Vec::new();
            while !stop.load(Relaxed) {
                read(&mut document);
                std::thread::sleep(PAUSE);
            }
        });
        let longest = longest(time);
        stop.store(true, Relaxed);
        longest
    })
}

fn main() {
    print_machine("memory");
    let measured = std::env::args().any(|arg| arg == "--bench");
    let (blocks, reads, turns) = if measured { (BLOCKS, READS, TURNS) } else { (1000, 11, 1) };
    let held: Vec<Vec<u8>> = (0..blocks).map(|_| vec![1_u8; BLOCK_BYTES]).collect();
    let together = Arc::new(Barrier::new(THREADS));
    for thread in 0..THREADS - 1 {
        let together = together.clone();
        std::thread::Builder::new()
            .name(format!("worker-{}", thread % 8))
            .spawn(move || {
                drop(black_box(vec![1_u8; 100]));
                together.wait();
                std::thread::park();
            })
            .expect("64 threads are to be had");
    }
    together.wait();

    let mut document = Vec::new();
    let first = read(&mut document);
    let mut taken: Vec<Duration> = (0..reads).map(|_| read(&mut document)).collect();
    taken.sort();
    let (median, p99) = (taken[reads / 2], taken[reads * 99 / 100]);
    let missed = if median <= Duration::from_micros(300) { "" } else { " (missed)" };
    println!("{} MiB live in {blocks} blocks, {THREADS} threads\n", (blocks * BLOCK_BYTES) >> 20);
    println!("| reading `memstats` and `process` fresh | at most | measured |\n|---|---:|---:|");
    println!("| median | 300 µs | {:.0} µs{missed} |", median.as_secs_f64() * 1e6);
    println!("| 99 % | | {:.0} µs |", p99.as_secs_f64() * 1e6);
    println!(
        "| the first, which learns the threads' names | | {:.0} µs |",
        first.as_secs_f64() * 1e6
    );

    // The machine takes the processor away now and then; the median turn is one without that.
    let (mut quiet, mut read_too): (Vec<_>, Vec<_>) =
        (0..turns).map(|_| (longest(TURN), longest_beside_a_reader(TURN))).unzip();
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    println!("\n| another thread's allocations | longest | longest of all | 99.99 % |");
    println!("|---|---:|---:|---:|");
    let row = |name: &str, turns: &mut Vec<(Duration, Duration)>| {
        turns.sort_unstable();
        let (longest, rare) = turns[turns.len() / 2];
        let of_all = micros(turns[turns.len() - 1].0);
        println!(
            "| {name} | {:.0} µs | {of_all:.0} µs | {:.2} µs |",
            micros(longest),
            micros(rare)
        );
        longest
    };
    let (quiet, beside) =
        (row("nobody reads", &mut quiet), row("100 reads a second", &mut read_too));
    let longer = beside.saturating_sub(quiet);
    let missed = if longer <= LONGER { "" } else { " (missed)" };
    println!(
        "\nThe longest of a turn, in the median of {turns}: {:.0} µs longer beside the reader, at most \
         100{missed}\n",
        micros(longer)
    );
    drop(held);

    match Go::build("memory", env!("CARGO_TARGET_TMPDIR")) {
        Ok(program) if measured => {
            let output = Command::new(program).output().expect("the Go program runs");
            print!("{}", String::from_utf8_lossy(&output.stdout));
        }
        Ok(_) => {}
        Err(missing) => println!("Go's `runtime.ReadMemStats` is left out: {missing}"),
    }
}
