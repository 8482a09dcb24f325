//! The cost of heap profiles: allocations while sampling, memory, writing a profile; and other heap
//! profilers beside it.

mod peers;
mod stacks;

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use expvar::heap;
use expvar_benches::{print_machine, print_table};

use peers::{COUNTING, Peer, Switch, on_threads, pairs};

#[global_allocator]
static ALLOC: Switch = Switch;

/// Median seconds that `work` takes while nothing is sampled and while blocks are, turn by turn.
fn turns(rounds: usize, work: impl Fn()) -> [f64; 2] {
    let mut seconds = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        for turn in [round % 2, (round + 1) % 2] {
            heap::start(turn * heap::DEFAULT_RATE);
            // Ends what was drawn before.
            drop(black_box(vec![1_u8; 64 << 20]));
            let start = Instant::now();
            work();
            seconds[turn].push(start.elapsed().as_secs_f64());
        }
    }
    seconds.map(median)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Allocates `count` blocks of `size` that are all sampled, from 4,096 different stacks of some 30
/// frames.
fn many(count: usize, size: usize, rate: usize) -> Vec<*mut u8> {
    let mut blocks = Vec::with_capacity(count);
    heap::start(rate);
    drop(black_box(vec![1_u8; 64 << 20]));
    let layout = Layout::from_size_align(size, 8).expect("a small size");
    (0..count).for_each(|way| blocks.push(stacks::deep(24, way as u32, &COUNTING, layout)));
    heap::start(heap::DEFAULT_RATE);
    blocks
}

/// What the hook counts; beside the blocks of this program it is the sampler's own.
fn live_bytes() -> u64 {
    expvar::alloc::counts().map_or(0, |counts| counts.live_bytes())
}

fn row(what: &str, most: f64, measured: f64) {
    let missed = if measured <= most { "" } else { " (missed)" };
    println!("| {what} | {most} | {measured:.3}{missed} |");
}

fn main() {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some("work") {
        return peers::work(&args.next().unwrap_or_default());
    }
    print_machine("heap");
    let measured = std::env::args().any(|arg| arg == "--bench");
    let scale = if measured { 1 } else { 1000 };
    println!("| what | at most | measured |\n|---|---:|---:|");
    costs(if measured { 41 } else { 1 }, scale);
    sizes(measured, scale);
    println!();
    if measured {
        beside_others();
    }
}

fn costs(rounds: usize, scale: usize) {
    for threads in [1, 2] {
        let [off, on] = turns(rounds, || on_threads(threads, || pairs(64, 400_000 / scale)));
        row(&format!("64 bytes, {threads} threads, sampled / not"), 1.06, on / off);
    }
    // A second's worth of 1 GiB/s.
    let [off, on] = turns(rounds.min(15), || pairs(64 << 10, 16_384 / scale));
    row("1 GiB/s in 64 KiB blocks: share of a core for stacks", 0.02, on - off);
}

fn sizes(measured: bool, scale: usize) {
    let server = expvar_http::spawn("127.0.0.1:0").expect("a free port");
    let count = 4096 / scale;
    let before = live_bytes();
    let blocks = many(count, 512 << 10, 1 << 10);
    let own = live_bytes() - before - (count * (512 << 10)) as u64;
    row("2 GiB live, 4,096 samples and stacks: MiB", 4.0, own as f64 / (1 << 20) as f64);
    let (first, _) = get(server.local_addr());
    let (second, bytes) = (0..if measured { 9 } else { 1 })
        .map(|_| get(server.local_addr()))
        .min_by(|one, other| one.0.total_cmp(&other.0))
        .expect("a turn");
    row("`GET /debug/pprof/heap` of them, second time: ms", 20.0, second);
    println!("| the same, first time ({bytes} bytes) | - | {first:.1} |");

    let more = 126_000 / scale;
    let before = live_bytes();
    // As many samples as 64 GiB have at the default rate.
    let blocks_too = many(more, 16 << 10, 16);
    let all = live_bytes() - before - (more * (16 << 10)) as u64;
    row("131,072 samples, as of 64 GiB: MiB", 32.0, (all + own) as f64 / (1 << 20) as f64);
    heap::start(16);
    row("wait for a profile of them, 99.9th percentile: us", 100.0, wait(measured));
    heap::start(heap::DEFAULT_RATE);
    for (blocks, size) in [(blocks, 512 << 10), (blocks_too, 16 << 10)] {
        let layout = Layout::from_size_align(size, 8).expect("a small size");
        // SAFETY: each came from COUNTING with this layout and is freed once.
        blocks.into_iter().for_each(|block| unsafe { COUNTING.dealloc(block, layout) });
    }
}

/// Milliseconds that a profile takes over HTTP, and its compressed bytes.
fn get(addr: SocketAddr) -> (f64, usize) {
    let start = Instant::now();
    let mut stream = TcpStream::connect(addr).expect("the server listens");
    let request = "GET /debug/pprof/heap HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("the server reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
    (start.elapsed().as_secs_f64() * 1000.0, answer.len())
}

/// By how many microseconds the 99.9th percentile of a sampled allocation grows while another
/// thread takes profiles without a pause.
fn wait(measured: bool) -> f64 {
    let until = Duration::from_millis(if measured { 1000 } else { 1 });
    let percentile = || {
        let mut taken = Vec::with_capacity(1 << 20);
        let start = Instant::now();
        while start.elapsed() < until && taken.len() < taken.capacity() {
            let one = Instant::now();
            drop(black_box(vec![1_u8; 256]));
            taken.push(one.elapsed().as_nanos() as f64 / 1000.0);
        }
        taken.sort_by(f64::total_cmp);
        taken[taken.len() - 1 - taken.len() / 1000]
    };
    let alone = percentile();
    let stop = AtomicBool::new(false);
    let beside = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                black_box(heap::profile());
            }
        });
        let beside = percentile();
        stop.store(true, Relaxed);
        beside
    });
    beside - alone
}

/// Each peer against the same allocator without a profiler: medians of turns taken round after
/// round.
fn beside_others() {
    let mut times = Peer::ALL.map(|_| [const { Vec::new() }; 3]);
    for _ in 0..9 {
        for (peer, times) in Peer::ALL.into_iter().zip(&mut times) {
            let taken = [peer.run("pairs"), peer.run("tree")].concat();
            times.iter_mut().zip(taken).for_each(|(times, taken)| times.push(taken));
        }
    }
    let times = times.map(|times| times.map(median));
    let of_base = |peer: Peer, what: usize| {
        format!("{:.3}", times[peer as usize][what] / times[peer.base() as usize][what])
    };
    let head = ["of the same allocator alone", "64 bytes", "2 threads", "a map", "a profile: ms"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for peer in Peer::ALL {
        let is_profiler = matches!(peer, Peer::Sampled | Peer::PprofAlloc | Peer::Profiled);
        let profile = if is_profiler { peer.run("profile") } else { Vec::new() };
        let millis = match profile[..] {
            [millis, bytes] => format!("{millis:.1}, {:.0} KiB", bytes / 1024.0),
            _ => "-".to_owned(),
        };
        let ratios = (0..3).map(|what| of_base(peer, what));
        rows.push([peer.name().to_owned()].into_iter().chain(ratios).chain([millis]).collect());
    }
    print_table(rows);
    let tree = times[Peer::Sampled as usize][2] / times[Peer::System as usize][2];
    println!("| what | at most | measured |\n|---|---:|---:|");
    row("a map of a million strings, sampled / no hook", 1.08, tree);
}
