//! The cost of a registry by number of threads and variables: memory, and the time of a read.
//!
//! `cargo bench --bench scale`, optionally with names of cases after `--`. Each case of each peer
//! runs in a process of its own.

use std::hint::black_box;
use std::process::Command;
use std::sync::{Arc, Barrier, Mutex};
use std::time::Instant;

use expvar_benches::{print_machine, print_table};
use expvar_http::{Format, Prometheus};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use prometheus::{HistogramOpts, IntCounter, TextEncoder};

/// What is measured, of each peer.
trait Peer: Sync {
    fn new(histograms: usize, counters: usize) -> Self;
    fn record(&self, histogram: usize, value: u64);
    fn add(&self, counter: usize);
    /// Renders everything, as the peer's exporter does; how many bytes.
    fn read(&self) -> usize;
    /// The same as JSON, where the peer has that.
    fn read_json(&self) -> usize {
        self.read()
    }
    /// Records of the calling thread that went to memory that threads share.
    fn shared_records(&self) -> u64 {
        0
    }
}

struct Ours {
    registry: expvar::Registry,
    histograms: Vec<Arc<expvar::Histogram>>,
    counters: Vec<Arc<expvar::Counter>>,
    prometheus: Mutex<(Prometheus, Vec<u8>)>,
}

impl Peer for Ours {
    fn new(histograms: usize, counters: usize) -> Self {
        let registry = expvar::Registry::new();
        let histogram = |at| registry.publish(&format!("h{at:05}"), expvar::Histogram::new());
        let counter = |at| registry.publish(&format!("c{at:05}"), expvar::Counter::new());
        let histograms = (0..histograms).map(|at| histogram(at).expect("a free name")).collect();
        let counters = (0..counters).map(|at| counter(at).expect("a free name")).collect();
        Self { registry, histograms, counters, prometheus: Mutex::default() }
    }

    fn record(&self, histogram: usize, value: u64) {
        self.histograms[histogram].record(value);
    }

    fn add(&self, counter: usize) {
        self.counters[counter].inc();
    }

    fn read(&self) -> usize {
        let (prometheus, text) = &mut *self.prometheus.lock().expect("nobody panics");
        text.clear();
        prometheus.render(&self.registry, Format::Text, text);
        text.len()
    }

    fn read_json(&self) -> usize {
        self.registry.to_json().len()
    }

    fn shared_records(&self) -> u64 {
        expvar::__private::shared_records()
    }
}

struct Theirs {
    registry: prometheus::Registry,
    histograms: Vec<prometheus::Histogram>,
    counters: Vec<IntCounter>,
}

impl Peer for Theirs {
    fn new(histograms: usize, counters: usize) -> Self {
        let registry = prometheus::Registry::new();
        let histogram = |at| {
            let opts = HistogramOpts::new(format!("h{at:05}"), "help");
            let histogram = prometheus::Histogram::with_opts(opts).expect("a valid name");
            registry.register(Box::new(histogram.clone())).expect("a free name");
            histogram
        };
        let counter = |at| {
            let counter = IntCounter::new(format!("c{at:05}"), "help").expect("a valid name");
            registry.register(Box::new(counter.clone())).expect("a free name");
            counter
        };
        let histograms = (0..histograms).map(histogram).collect();
        let counters = (0..counters).map(counter).collect();
        Self { registry, histograms, counters }
    }

    fn record(&self, histogram: usize, value: u64) {
        self.histograms[histogram].observe(value as f64);
    }

    fn add(&self, counter: usize) {
        self.counters[counter].inc();
    }

    fn read(&self) -> usize {
        let text = TextEncoder::new().encode_to_string(&self.registry.gather());
        text.expect("what was gathered").len()
    }
}

struct Facade {
    handle: PrometheusHandle,
    histograms: Vec<metrics::Histogram>,
    counters: Vec<metrics::Counter>,
}

impl Peer for Facade {
    fn new(histograms: usize, counters: usize) -> Self {
        let bounds = [1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11];
        let builder = PrometheusBuilder::new().set_buckets(&bounds).expect("bounds");
        let handle = builder.install_recorder().expect("the only recorder of the process");
        let histograms =
            (0..histograms).map(|at| metrics::histogram!(format!("h{at:05}"))).collect();
        let counters = (0..counters).map(|at| metrics::counter!(format!("c{at:05}"))).collect();
        Self { handle, histograms, counters }
    }

    fn record(&self, histogram: usize, value: u64) {
        self.histograms[histogram].record(value as f64);
    }

    fn add(&self, counter: usize) {
        self.counters[counter].increment(1);
    }

    fn read(&self) -> usize {
        self.handle.render().len()
    }
}

/// Latencies from 100 µs to 100 ms in nanoseconds, log-uniform.
struct Latencies(u64);

impl Latencies {
    fn of(thread: usize) -> Self {
        Self(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(thread as u64 + 1))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (1e5 * 10f64.powf(3.0 * (self.0 >> 11) as f64 / (1u64 << 53) as f64)) as u64
    }
}

fn resident_mib() -> f64 {
    let process = expvar::process::read_now();
    process.resident_bytes.unwrap_or_default() as f64 / f64::from(1 << 20)
}

/// Milliseconds, the median of eleven.
fn median(mut f: impl FnMut() -> usize) -> f64 {
    let mut times = [0.0; 11];
    for time in &mut times {
        let start = Instant::now();
        black_box(f());
        *time = start.elapsed().as_secs_f64() * 1e3;
    }
    times.sort_by(f64::total_cmp);
    times[5]
}

/// Runs threads up to a point where all wait, measures, lets them end, and measures again.
fn measure<P: Peer>(threads: usize, size: (usize, usize), work: impl Fn(&P, usize) + Sync) {
    let peer = P::new(size.0, size.1);
    // What a reader keeps to itself is no thread's.
    let _ = (peer.read(), peer.read_json());
    let before = resident_mib();
    let report = |when: &str| {
        let resident = resident_mib() - before;
        let (text, json) = (median(|| peer.read()), median(|| peer.read_json()));
        println!("{when} resident {resident:.1}");
        println!("{when} text {text:.2}");
        println!("{when} json {json:.2}");
        println!("{when} private {:.1}", expvar::usage().private_bytes as f64 / 1048576.0);
        println!("{when} shared {:.1}", expvar::usage().shared_bytes as f64 / 1048576.0);
    };
    let (done, quit) = (Barrier::new(threads + 1), Barrier::new(threads + 1));
    let (peer_ref, work, done, quit) = (&peer, &work, &done, &quit);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let body = move || {
                    work(peer_ref, thread);
                    done.wait();
                    quit.wait();
                };
                let builder = std::thread::Builder::new().stack_size(64 << 10);
                builder.spawn_scoped(scope, body).expect("a thread")
            })
            .collect();
        done.wait();
        report("alive");
        quit.wait();
        // Joined, not only left: what a thread held is folded in its destructors.
        workers.into_iter().for_each(|worker| worker.join().expect("nobody panics"));
    });
    report("ended");
}

/// Each thread records ten times into everything.
fn ten<P: Peer>(threads: usize, size: (usize, usize)) {
    measure::<P>(threads, size, |peer, thread| {
        let mut latencies = Latencies::of(thread);
        for _ in 0..10 {
            (0..size.0).for_each(|at| peer.record(at, latencies.next()));
            (0..size.1).for_each(|at| peer.add(at));
        }
    });
}

/// 64 threads, each once into everything, then 100,000 times into each of the same 20 histograms
/// and 100 counters, which lie spread over all.
fn hot<P: Peer>() {
    const TIMES: usize = 100_000;
    let (size, shares) = ((1_000, 10_000), Mutex::new(Vec::new()));
    measure::<P>(64, size, |peer, thread| {
        let mut latencies = Latencies::of(thread);
        (0..size.0).for_each(|at| peer.record(at, latencies.next()));
        (0..size.1).for_each(|at| peer.add(at));
        let before = peer.shared_records();
        for _ in 0..TIMES {
            (0..20).for_each(|at| peer.record(at * 50 + 7, latencies.next()));
            (0..100).for_each(|at| peer.add(at * 100 + 7));
        }
        let shared = peer.shared_records() - before;
        let share = 100.0 - 100.0 * shared as f64 / (120 * TIMES) as f64;
        shares.lock().expect("nobody panics").push(share);
    });
    let least = shares.lock().expect("nobody panics").iter().copied().fold(100.0, f64::min);
    println!("alive hot {least:.2}");
}

/// What the live page's sampler and the windows of the last minute cost in a round where nothing was
/// recorded: 1,000 histograms that 512 threads recorded into.
fn idle() {
    let peer = Ours::new(1_000, 0);
    std::thread::scope(|scope| {
        for thread in 0..512 {
            let peer = &peer;
            let body = move || {
                let mut latencies = Latencies::of(thread);
                (0..10_000).for_each(|at| peer.record(at % 1_000, latencies.next()));
            };
            let builder = std::thread::Builder::new().stack_size(64 << 10);
            builder.spawn_scoped(scope, body).expect("a thread");
        }
    });
    let mut rounds = expvar_http::__private::Rounds::new(&peer.registry);
    rounds.round();
    let rounds = Mutex::new(rounds);
    let sampler = median(|| {
        rounds.lock().expect("nobody panics").round();
        0
    });
    let notes = median(|| {
        expvar::__private::roll_windows();
        0
    });
    println!("ended sampler {sampler:.3}");
    println!("ended notes {notes:.3}");
}

/// A thread's first record into each of 10,000 counters that another thread has recorded into.
fn first<P: Peer>() {
    let mut times: Vec<f64> = (0..11)
        .map(|_| {
            let peer = P::new(0, 10_000);
            let one = || {
                let start = Instant::now();
                (0..10_000).for_each(|at| peer.add(at));
                start.elapsed().as_secs_f64() * 1e5
            };
            let spawn = || std::thread::scope(|scope| scope.spawn(one).join());
            let _ = spawn();
            spawn().unwrap_or_default()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("alive first {:.2}", times[5]);
}

/// Name, and in how many processes it runs.
type Case = (&'static str, usize);
const CASES: [Case; 6] = [
    ("1 x 1000 x 10000", 1),
    ("64 x 200 x 1000", 1),
    ("512 x 1000 x 10000", 1),
    ("64 hot", 1),
    ("first", 10),
    ("idle", 1),
];
const PEERS: [&str; 3] = ["expvar", "prometheus", "metrics"];

fn run<P: Peer>(case: &str) {
    match case {
        "1 x 1000 x 10000" => ten::<P>(1, (1_000, 10_000)),
        "64 x 200 x 1000" => ten::<P>(64, (200, 1_000)),
        "512 x 1000 x 10000" => ten::<P>(512, (1_000, 10_000)),
        "64 hot" => hot::<P>(),
        "idle" => idle(),
        _ => first::<P>(),
    }
}

/// What a process printed: the median of several, by name.
fn child(case: Case, peer: &str) -> impl Fn(&str) -> Option<f64> + use<> {
    let mut seen = std::collections::BTreeMap::<String, Vec<f64>>::new();
    for _ in 0..case.1 {
        let exe = std::env::current_exe().expect("this program");
        let output = Command::new(exe).args(["--child", case.0, peer]).output().expect("it runs");
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            if let Some((name, value)) = line.rsplit_once(' ')
                && let Ok(value) = value.parse()
            {
                seen.entry(name.to_owned()).or_default().push(value);
            }
        }
    }
    seen.values_mut().for_each(|values| values.sort_by(f64::total_cmp));
    move |name| seen.get(name).map(|values| values[values.len() / 2])
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, case, peer] = args.as_slice()
        && flag == "--child"
    {
        return match peer.as_str() {
            "expvar" => run::<Ours>(case),
            "prometheus" => run::<Theirs>(case),
            _ => run::<Facade>(case),
        };
    }
    print_machine("scale");
    let wanted = |case: &str| {
        let mut names = args.iter().filter(|arg| !arg.starts_with('-')).peekable();
        names.peek().is_none() || names.any(|name| case.contains(name.as_str()))
    };
    println!("Resident growth in MiB, reads in ms (medians of 11), first records in ns.\n");
    let head = ["case", "peer", "", "resident", "text", "JSON", "private", "hot records private"];
    let mut rows = vec![head.map(String::from).to_vec()];
    let mut ratios = Vec::new();
    let mut alone = None;
    for case in CASES.into_iter().filter(|case| wanted(case.0)) {
        // The idle case is ours alone.
        let peers = if case.0 == "idle" { 1 } else { PEERS.len() };
        let seen = PEERS.map(|peer| {
            let runs = if PEERS[..peers].contains(&peer) { case.1 } else { 0 };
            child((case.0, runs), peer)
        });
        for (peer, seen) in PEERS.iter().zip(&seen) {
            for when in ["alive", "ended"] {
                let cell = |name: &str, unit: &str| {
                    let value = seen(&format!("{when} {name}"));
                    value.map_or(String::new(), |value| format!("{value}{unit}"))
                };
                if seen(&format!("{when} resident")).is_none() {
                    continue;
                }
                let ours = *peer == "expvar";
                rows.push(vec![
                    case.0.into(),
                    (*peer).into(),
                    when.into(),
                    cell("resident", ""),
                    cell("text", ""),
                    if ours { cell("json", "") } else { String::new() },
                    if ours { cell("private", "") } else { String::new() },
                    if ours { cell("hot", " %") } else { String::new() },
                ]);
            }
        }
        let [ours, theirs, _] = &seen;
        if case.0 == "first" {
            let (Some(a), Some(b)) = (ours("alive first"), theirs("alive first")) else { continue };
            let missed = if a <= 3.0 * b { "" } else { " (missed)" };
            ratios.push(format!(
                "{}: {a} ns, prometheus {b} ns: {:.2}; at most 3{missed}",
                case.0,
                a / b
            ));
            continue;
        }
        if case.0 == "idle" {
            let of = |name: &str| ours(&format!("ended {name}")).unwrap_or(f64::NAN);
            let (sampler, notes) = (of("sampler"), of("notes"));
            let missed = if sampler + notes <= 1.0 { "" } else { " (missed)" };
            ratios.push(format!(
                "{}: a round of the sampler {sampler} ms, of the notes {notes} ms; at most 1{missed}",
                case.0
            ));
            continue;
        }
        if case.0.starts_with("1 x") {
            alone = ours("ended json");
        }
        for when in ["alive", "ended"] {
            let of = |seen: &dyn Fn(&str) -> Option<f64>, name: &str| {
                seen(&format!("{when} {name}")).unwrap_or(f64::NAN)
            };
            let theirs = of(theirs, "text");
            let (text, json) = (of(ours, "text"), of(ours, "json"));
            ratios.push(format!(
                "{}, {when}: text {:.2}, JSON {:.2} of prometheus' text; JSON {:.2} of one thread's",
                case.0,
                text / theirs,
                json / theirs,
                alone.map_or(f64::NAN, |alone| json / alone),
            ));
        }
    }
    print_table(rows);
    ratios.iter().for_each(|ratio| println!("{ratio}"));
}
