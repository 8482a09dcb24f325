//! Heap profilers beside each other, each in a process of its own.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::Instant;

use expvar::alloc::Counting;
use expvar::heap;
use pprof_alloc::PprofAlloc;
use tikv_jemallocator::Jemalloc;

/// The allocator of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Peer {
    /// The system's allocator, without a hook.
    System,
    /// The hook, which samples nothing.
    Counting,
    /// The hook, which samples at the default rate.
    Sampled,
    /// `pprof-alloc` around the system's allocator, at its default rate.
    PprofAlloc,
    /// jemalloc, built with its profiler, which is not on.
    Jemalloc,
    /// jemalloc with its profiler on, as `jemalloc_pprof` needs it.
    Profiled,
}

impl Peer {
    pub(crate) const ALL: [Self; 6] = [
        Self::System,
        Self::Counting,
        Self::Sampled,
        Self::PprofAlloc,
        Self::Jemalloc,
        Self::Profiled,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::System => "the system's allocator",
            Self::Counting => "`Counting`, nothing sampled",
            Self::Sampled => "`Counting`, sampled",
            Self::PprofAlloc => "`pprof-alloc`",
            Self::Jemalloc => "jemalloc",
            Self::Profiled => "jemalloc, profiled (`jemalloc_pprof`)",
        }
    }

    /// What it is compared with: the same allocator, unprofiled.
    pub(crate) fn base(self) -> Self {
        match self {
            Self::Jemalloc | Self::Profiled => Self::Jemalloc,
            _ => Self::System,
        }
    }

    /// The numbers that a process which allocates with this peer prints for a piece of work.
    pub(crate) fn run(self, work: &str) -> Vec<f64> {
        let program = std::env::current_exe().expect("this program has a path");
        let mut command = Command::new(program);
        command.args(["work", work]).env(CHOICE, (self as u8).to_string());
        if self == Self::Profiled {
            command.env("_RJEM_MALLOC_CONF", "prof:true,prof_active:true,lg_prof_sample:19");
        }
        let output = command.output().expect("it starts");
        assert!(output.status.success(), "{self:?}: {}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8_lossy(&output.stdout);
        said.split_whitespace().map(|number| number.parse().expect("a number")).collect()
    }
}

const CHOICE: &str = "EXPVAR_BENCH_ALLOCATOR";
static CHOSEN: AtomicU8 = AtomicU8::new(0);

/// Chooses before the first permanent allocation.
#[ctor::ctor(unsafe)]
fn choose() {
    let chosen = std::env::var(CHOICE).ok().and_then(|text| text.parse().ok());
    // In the process that compares, what the other rows measure.
    CHOSEN.store(chosen.unwrap_or(Peer::Counting as u8), Relaxed);
}

fn chosen() -> Peer {
    Peer::ALL[usize::from(CHOSEN.load(Relaxed)) % Peer::ALL.len()]
}

pub(crate) static COUNTING: Counting = Counting::new();
static PPROF_ALLOC: PprofAlloc = PprofAlloc::new().with_pprof();

/// Allocates with the chosen peer. The switch costs the same for all.
pub(crate) struct Switch;

macro_rules! switch {
    ($allocator:ident => $call:expr) => {
        match CHOSEN.load(Relaxed) {
            0 => {
                let $allocator = &System;
                $call
            }
            1 | 2 => {
                let $allocator = &COUNTING;
                $call
            }
            3 => {
                let $allocator = &PPROF_ALLOC;
                $call
            }
            _ => {
                let $allocator = &Jemalloc;
                $call
            }
        }
    };
}

// SAFETY: all calls of a process go to one allocator with their arguments unchanged, but for those
// of `choose`, which go to `System` and whose blocks are freed before it chooses.
unsafe impl GlobalAlloc for Switch {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is passed on, as below.
        switch!(allocator => unsafe { allocator.alloc(layout) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        switch!(allocator => unsafe { allocator.dealloc(block, layout) });
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        switch!(allocator => unsafe { allocator.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as above.
        switch!(allocator => unsafe { allocator.realloc(block, layout, new_size) })
    }
}

/// Does a piece of work in a process of its own and prints what it took.
pub(crate) fn work(what: &str) {
    if chosen() == Peer::Sampled {
        heap::start(heap::DEFAULT_RATE);
    }
    match what {
        "pairs" => {
            for threads in [1, 2] {
                // What else runs only ever makes a turn longer.
                let turn = || {
                    let start = Instant::now();
                    on_threads(threads, || pairs(64, 500_000));
                    start.elapsed().as_secs_f64()
                };
                println!("{}", (0..9).map(|_| turn()).fold(f64::INFINITY, f64::min));
            }
        }
        "tree" => println!("{}", tree(1_000_000)),
        "profile" => {
            // 2 GiB in blocks that are all sampled, or nearly.
            let layout = Layout::from_size_align(512 << 10, 8).expect("a small size");
            let blocks: Vec<*mut u8> =
                (0..4096).map(|way| super::stacks::deep(24, way, &Switch, layout)).collect();
            black_box(profile());
            let start = Instant::now();
            let bytes = profile();
            println!("{} {bytes}", start.elapsed().as_secs_f64() * 1000.0);
            black_box(blocks);
        }
        _ => panic!("{what} is no work"),
    }
}

/// Writes a profile; returns its bytes.
fn profile() -> usize {
    match chosen() {
        Peer::PprofAlloc => pprof_alloc::generate_pprof().map_or(0, |bytes| bytes.len()),
        Peer::Profiled => {
            let control = jemalloc_pprof::PROF_CTL.as_ref().expect("jemalloc has its profiler");
            let mut control = control.try_lock().expect("nobody else profiles");
            control.dump_pprof().map_or(0, |bytes| bytes.len())
        }
        _ => heap::profile().map_or(0, |p| p.to_pprof(heap::SampleType::InuseSpace).len()),
    }
}

/// Allocates and frees `times`, of one size.
#[inline(never)]
pub(crate) fn pairs(size: usize, times: usize) {
    let layout = black_box(Layout::from_size_align(size, 8).expect("a small size"));
    match chosen() {
        Peer::System => pairs_of(&System, layout, times),
        Peer::Counting | Peer::Sampled => pairs_of(&COUNTING, layout, times),
        Peer::PprofAlloc => pairs_of(&PPROF_ALLOC, layout, times),
        Peer::Jemalloc | Peer::Profiled => pairs_of(&Jemalloc, layout, times),
    }
}

#[inline(always)]
fn pairs_of(allocator: &impl GlobalAlloc, layout: Layout, times: usize) {
    for _ in 0..times {
        // SAFETY: the layout is not empty, and the block goes back with its layout.
        unsafe {
            let block = black_box(allocator.alloc(layout));
            assert!(!block.is_null());
            allocator.dealloc(block, layout);
        }
    }
}

pub(crate) fn on_threads(threads: usize, work: impl Fn() + Sync) {
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(&work))));
}

/// Seconds to build and drop a map of strings that come in no order.
pub(crate) fn tree(entries: u64) -> f64 {
    let start = Instant::now();
    let mut map = BTreeMap::new();
    let mut state = 1_u64;
    for _ in 0..entries {
        // Knuth's multiplicative generator.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        map.insert(format!("key-{state:016x}"), vec![0_u8; (state >> 57) as usize + 1]);
    }
    drop(black_box(map));
    start.elapsed().as_secs_f64()
}
