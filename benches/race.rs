//! Peers that take turns.

use std::hint::black_box;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode};

use crate::go::Go;
use crate::table;

/// Rounds; the medians are over as many.
const ROUNDS: usize = 101;
/// How long a peer's turn lasts, about.
const TURN: Duration = Duration::from_millis(2);

/// Peers that take turns at the same operation.
pub struct Race<'a> {
    name: &'static str,
    threads: &'static [usize],
    peers: Vec<Peer<'a>>,
}

struct Peer<'a> {
    name: &'static str,
    turn: Box<dyn FnMut(usize, u64) -> f64 + 'a>,
    after: Box<dyn FnMut() + 'a>,
}

impl<'a> Race<'a> {
    /// Creates a race that runs once with each of these numbers of threads.
    pub fn new(name: &'static str, threads: &'static [usize]) -> Self {
        Self { name, threads, peers: Vec::new() }
    }

    /// Adds a peer. `op` performs the operation; its argument is the number of earlier calls in
    /// this thread.
    pub fn peer(&mut self, name: &'static str, op: impl Fn(usize) + Sync + 'a) {
        self.peer_with_pause(name, op, || ());
    }

    /// Adds a peer that needs untimed work after each of its turns.
    pub fn peer_with_pause(
        &mut self,
        name: &'static str,
        op: impl Fn(usize) + Sync + 'a,
        pause: impl FnMut() + 'a,
    ) {
        let turn = Box::new(move |threads, times| turn(threads, times, &op));
        self.peers.push(Peer { name, turn, after: Box::new(pause) });
    }

    /// Adds a program in the `go/` folder if Go is installed; else prints how to get it.
    pub fn go(&mut self, name: &'static str, program: &str, scratch: &str) {
        match Go::start(program, scratch) {
            Ok(mut go) => {
                let turn = Box::new(move |threads, times| go.turn(threads, times));
                self.peers.push(Peer { name, turn, after: Box::new(|| ()) });
            }
            Err(missing) => println!("`{name}` is left out: {missing}\n"),
        }
    }

    /// Runs all rounds, passes them to criterion, and prints the medians. Outside `cargo bench`
    /// runs one round, as a test.
    ///
    /// Words on the command line select peers by name.
    pub fn run(mut self) -> Times {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let measured = words.iter().any(|word| word == "--bench");
        let words: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
        self.peers
            .retain(|peer| words.is_empty() || words.iter().any(|word| peer.name.contains(*word)));
        let rounds = if measured { ROUNDS } else { 1 };
        let threads = self.threads;
        let mut often = vec![vec![1; self.peers.len()]; threads.len()];
        if measured {
            for (&threads, often) in threads.iter().zip(&mut often) {
                for (peer, often) in self.peers.iter_mut().zip(often) {
                    *often = peer.calibrate(threads);
                }
            }
        }
        let names = self.peers.iter().map(|peer| peer.name).collect();
        let mut nanos = vec![vec![Vec::with_capacity(rounds); threads.len()]; self.peers.len()];
        for round in 0..rounds {
            for turn in 0..self.peers.len() {
                // Every second round runs backwards, so that no peer always follows the same one.
                let at = if round % 2 == 0 { turn } else { self.peers.len() - 1 - turn };
                for (which, &threads) in threads.iter().enumerate() {
                    let peer = &mut self.peers[at];
                    nanos[at][which].push((peer.turn)(threads, often[which][at]));
                    (peer.after)();
                }
            }
        }
        let times = Times { names, threads, nanos };
        if measured {
            times.analyse(self.name);
        }
        times.print();
        times
    }
}

impl Peer<'_> {
    /// The number of operations in a turn.
    fn calibrate(&mut self, threads: usize) -> u64 {
        let mut often = 1;
        loop {
            let nanos = (self.turn)(threads, often) * often as f64;
            (self.after)();
            let share = TURN.as_nanos() as f64 / nanos.max(1.0);
            if share < 2.0 {
                return (often as f64 * share).ceil() as u64;
            }
            often = (often as f64 * share.min(16.0) / 1.5).ceil() as u64;
        }
    }
}

/// Nanoseconds of an `op` with this many threads and repetitions.
///
/// The threads start together, warm up, and continue until the last one has measured, so that none
/// is measured alone.
fn turn(threads: usize, often: u64, op: &(impl Fn(usize) + Sync)) -> f64 {
    let (ready, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let measure = || {
        batch(op, 0, often.div_ceil(8));
        ready.fetch_add(1, Relaxed);
        while ready.load(Relaxed) < threads {
            std::hint::spin_loop();
        }
        let start = Instant::now();
        batch(op, often as usize, often);
        let nanos = start.elapsed().as_nanos() as f64 / often as f64;
        done.fetch_add(1, Release);
        while done.load(Acquire) < threads {
            batch(op, 0, often.div_ceil(64));
        }
        nanos
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(measure)).collect();
        let nanos = running.into_iter().map(|thread| thread.join().expect("an op panicked"));
        nanos.sum::<f64>() / threads as f64
    })
}

/// Repeats the operation.
///
/// Never inlined, so that the warmed-up code is measured; unrolled four times, because the
/// alignment of a short loop would matter as much as the operation.
#[inline(never)]
fn batch(op: &impl Fn(usize), from: usize, often: u64) {
    let to = from + often as usize;
    let fours = to - (to - from) % 4;
    let once = |at| {
        op(at);
        // Prevents keeping values in registers between operations.
        black_box(());
    };
    for at in (from..fours).step_by(4) {
        once(at);
        once(at + 1);
        once(at + 2);
        once(at + 3);
    }
    (fours..to).for_each(once);
}

/// The times of all peers.
pub struct Times {
    names: Vec<&'static str>,
    threads: &'static [usize],
    /// By peer, number of threads, round.
    nanos: Vec<Vec<Vec<f64>>>,
}

/// A peer, and with how many threads.
pub type Entry = (&'static str, usize);

impl Times {
    /// Passes the measurements to criterion. Criterion measures benchmarks one after the other, so
    /// its ratios would compare two moments of the machine; the rounds are ours, the statistics
    /// its.
    fn analyse(&self, race: &str) {
        let mut criterion = Criterion::default()
            .without_plots()
            .sample_size(ROUNDS)
            .nresamples(10_000)
            // No warm-up: every call returns a stored measurement.
            .warm_up_time(Duration::from_nanos(1))
            .measurement_time(Duration::from_millis(100));
        for (which, &threads) in self.threads.iter().enumerate() {
            let mut group = criterion.benchmark_group(format!("{race}, {}", count(threads)));
            group.sampling_mode(SamplingMode::Flat);
            for (name, nanos) in self.names.iter().zip(&self.nanos) {
                let mut rounds = nanos[which].iter().cycle();
                group.bench_function(*name, |bencher| {
                    bencher.iter_custom(|times| {
                        let nanos = rounds.next().expect("at least one round");
                        Duration::from_secs_f64(nanos * times as f64 / 1e9)
                    });
                });
            }
            group.finish();
        }
        println!();
    }

    fn print(&self) {
        let head = self.threads.iter().map(|&threads| count(threads));
        let head = std::iter::once("median of the rounds".to_owned()).chain(head).collect();
        let rows = self.names.iter().zip(&self.nanos).map(|(name, columns)| {
            let cells = columns.iter().map(|rounds| time(median(rounds.iter().copied())));
            std::iter::once((*name).to_owned()).chain(cells).collect()
        });
        table::print(std::iter::once(head).chain(rows).collect());
    }

    /// Prints for each pair the ratio of the first to the second, beside its limit.
    pub fn print_ratios(&self, wanted: &[(Entry, Entry, f64)]) {
        let title = |(name, threads): Entry| match (self.threads, threads) {
            ([_], _) => name.to_owned(),
            _ => format!("{name}, {}", count(threads)),
        };
        let mut rows =
            vec![["what", "of the time of", "at most", "measured"].map(str::to_owned).to_vec()];
        for &(ours, theirs, most) in wanted {
            let measured = match self.ratio(ours, theirs) {
                Some(ratio) => {
                    format!("{ratio:.3}{}", if ratio <= most { "" } else { " (missed)" })
                }
                None => "left out".to_owned(),
            };
            rows.push(vec![title(ours), title(theirs), most.to_string(), measured]);
        }
        table::print(rows);
    }

    /// The ratio of the first to the second: the median over the rounds.
    pub fn ratio(&self, ours: Entry, theirs: Entry) -> Option<f64> {
        let rounds = self.rounds(ours)?.iter().zip(self.rounds(theirs)?);
        Some(median(rounds.map(|(ours, theirs)| ours / theirs)))
    }

    /// How many nanoseconds longer the first takes: the median over the rounds.
    pub fn difference(&self, longer: Entry, shorter: Entry) -> Option<f64> {
        let rounds = self.rounds(longer)?.iter().zip(self.rounds(shorter)?);
        Some(median(rounds.map(|(longer, shorter)| longer - shorter)))
    }

    fn rounds(&self, (name, threads): Entry) -> Option<&Vec<f64>> {
        let peer = self.names.iter().position(|known| *known == name)?;
        let column = self.threads.iter().position(|known| *known == threads)?;
        Some(&self.nanos[peer][column])
    }
}

fn count(threads: usize) -> String {
    if threads == 1 { "1 thread".into() } else { format!("{threads} threads") }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn time(nanos: f64) -> String {
    if nanos < 1e3 { format!("{nanos:.2} ns") } else { format!("{:.1} µs", nanos / 1e3) }
}
