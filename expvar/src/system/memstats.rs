//! Memory statistics in the fields of Go's `/debug/vars`, with their nearest meaning in Rust.
//!
//! The [`global`](crate::global()) registry shows them under `memstats`: Go's 32 fields, in Go's
//! order and types. Exporters that show single fields (Prometheus, Graphite, the live page) omit
//! those that are not measured. Values are cached as for [`process`](crate::process).
//!
//! The *hook* is [`alloc::Counting`](crate::alloc::Counting) as the program's allocator.
//! *system* is `/proc/self/status` on Linux; elsewhere its figures are zero.
//!
//! | field | what it means here | source |
//! |---|---|---|
//! | `Alloc`, `HeapAlloc` | bytes in live blocks, as asked for (Go rounds them up to a size class) | the hook, exact; without it jemalloc (feature `jemalloc`), else 0 |
//! | `TotalAlloc` | bytes allocated since the start; a reallocation adds its new size | the hook |
//! | `Sys` | the sum of the fields whose names end in `Sys` | |
//! | `Lookups` | 0, as in Go | |
//! | `Mallocs`, `Frees` | blocks allocated and freed; a reallocation is one of each | the hook |
//! | `HeapSys` | address space that may hold the heap: private writable mappings, stacks of threads other than the main one among them | the system (`VmData`) |
//! | `HeapIdle` | `HeapSys - HeapInuse` | |
//! | `HeapInuse` | memory that the process holds for heap and threads' stacks, swapped out or not; what it exceeds `HeapAlloc` by is free blocks that the allocator keeps, fragmentation and overhead. Never less than `HeapAlloc`, which may be untouched in part | the system (`RssAnon + VmSwap - VmStk`) |
//! | `HeapReleased` | the part of `HeapIdle` that takes no memory: all of it, unless the allocator says otherwise | |
//! | `HeapObjects` | live blocks, `Mallocs - Frees` | the hook |
//! | `StackInuse`, `StackSys` | the main thread's stack | the system (`VmStk`) |
//! | `MSpanInuse`, `MSpanSys` | the allocator's own bookkeeping | jemalloc, else 0 |
//! | `OtherSys` | program text, text of libraries, page tables | the system (`VmExe + VmLib + VmPTE`) |
//! | `MCacheInuse`, `MCacheSys`, `BuckHashSys`, `GCSys` | 0: there is no such thing here | |
//! | `NextGC`, `LastGC`, `PauseTotalNs`, `PauseNs`, `PauseEnd`, `NumGC`, `NumForcedGC`, `GCCPUFraction`, `EnableGC`, `DebugGC` | 0, false: nothing is collected | |
//! | `BySize` | blocks allocated and freed by Go's 61 size classes | the hook, with `BY_SIZE` |
//!
//! With the feature `jemalloc`, in a program that allocates with it, `HeapInuse` is jemalloc's
//! `active`, `HeapSys` its `mapped + retained`, `HeapReleased` its `retained`. With `mimalloc`,
//! `HeapSys` is what mimalloc has committed, and `HeapInuse` as much of that as the system holds.
//! glibc is not asked: `mallinfo2` locks each arena and walks its free blocks, which holds up
//! every thread that allocates meanwhile.

mod document;
mod fields;
#[cfg(feature = "jemalloc")]
mod jemalloc;

use document::{Parts, Shown};

use crate::Func;
use crate::alloc::{CLASS_SIZES, CLASSES, Counts, counts};
use crate::fresh::Fresh;
use crate::health::UNREADABLE;
use crate::process::files::Files;
use crate::process::status::Status;

/// Go's `runtime.MemStats`: see the [module](self) for what each field means here.
///
/// ```
/// let memory = expvar::memstats::read();
/// println!("{} of {} bytes are in use", memory.heap_inuse, memory.heap_sys);
/// ```
#[doc(alias("runtime", "ReadMemStats"))]
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the module's table has one line a field")]
pub struct MemStats {
    pub alloc: u64,
    pub total_alloc: u64,
    pub sys: u64,
    pub lookups: u64,
    pub mallocs: u64,
    pub frees: u64,
    pub heap_alloc: u64,
    pub heap_sys: u64,
    pub heap_idle: u64,
    pub heap_inuse: u64,
    pub heap_released: u64,
    pub heap_objects: u64,
    pub stack_inuse: u64,
    pub stack_sys: u64,
    pub mspan_inuse: u64,
    pub mspan_sys: u64,
    pub mcache_inuse: u64,
    pub mcache_sys: u64,
    pub buck_hash_sys: u64,
    pub gc_sys: u64,
    pub other_sys: u64,
    pub next_gc: u64,
    pub last_gc: u64,
    pub pause_total_ns: u64,
    pub pause_ns: [u64; 256],
    pub pause_end: [u64; 256],
    pub num_gc: u32,
    pub num_forced_gc: u32,
    pub gc_cpu_fraction: f64,
    pub enable_gc: bool,
    pub debug_gc: bool,
    pub by_size: [BySize; CLASSES],
    sources: Sources,
}

/// Which fields are measured. The others are zeros for Go's readers.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Sources {
    hook: bool,
    by_size: bool,
    live_bytes: bool,
    heap: bool,
    bookkeeping: bool,
    stack: bool,
    other: bool,
}

/// Blocks of one size class.
///
/// ```
/// let memory = expvar::memstats::read();
/// assert_eq!((memory.by_size[1].size, memory.by_size[2].size), (8, 16));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BySize {
    /// The largest size of the class, in bytes.
    pub size: u32,
    /// Blocks allocated.
    pub mallocs: u64,
    /// Blocks freed.
    pub frees: u64,
}

crate::vars! {
    /// Memory statistics in Go's fields.
    static MEMSTATS: Func = "memstats", init: variable();
}

static LAST: Fresh<MemStats, Files> = Fresh::new();

/// Returns the statistics, cached as for [`process`](crate::process).
pub fn read() -> MemStats {
    MemStats::clone(&LAST.get(refresh))
}

/// Returns the statistics as of now, without the cache.
pub fn read_now() -> MemStats {
    MemStats::clone(&LAST.get_now(refresh))
}

/// The variable that the [`global`](crate::global()) registry shows as `memstats`.
pub const fn variable() -> Func {
    Func::with_parts(&shown, &parts).members(fields::MEMBERS)
}

fn shown() -> Shown {
    Shown(LAST.get(refresh))
}

fn parts() -> Parts {
    Parts(LAST.get(refresh))
}

fn refresh(files: &mut Files) -> MemStats {
    let status = Status::read(files);
    UNREADABLE.add(std::mem::take(&mut files.failures));
    let hook = counts();
    let live_bytes = hook.as_ref().map_or(0, Counts::live_bytes);
    MemStats::new(hook.as_ref(), &status, allocator(live_bytes, &status))
}

/// The allocator's own statistics, in bytes.
#[derive(Debug, Clone, Copy)]
struct Allocator {
    /// Live blocks.
    allocated: Option<u64>,
    in_use: u64,
    mapped: u64,
    released: Option<u64>,
    bookkeeping: Option<u64>,
}

/// The statistics of the allocator in use, if it has any.
#[allow(unused_variables, reason = "unused without these features")]
fn allocator(live_bytes: u64, status: &Status) -> Option<Allocator> {
    #[cfg(feature = "jemalloc")]
    if let Some(allocator) = jemalloc::read(live_bytes) {
        return Some(allocator);
    }
    #[cfg(feature = "mimalloc")]
    if let Some(mapped) = crate::alloc::calls::mimalloc_committed_bytes() {
        let in_use = anonymous(status).min(mapped);
        return Some(Allocator {
            allocated: None,
            in_use,
            mapped,
            released: None,
            bookkeeping: None,
        });
    }
    None
}

/// Memory of heap and stacks, without the main thread's.
fn anonymous(status: &Status) -> u64 {
    let held = status.anonymous.unwrap_or(0) + status.swap.unwrap_or(0);
    held.saturating_sub(status.stack.unwrap_or(0))
}

impl MemStats {
    fn new(hook: Option<&Counts>, status: &Status, allocator: Option<Allocator>) -> MemStats {
        let mut stats = MemStats::ZERO;
        if let Some(hook) = hook {
            stats.alloc = hook.live_bytes();
            stats.total_alloc = hook.allocated_bytes;
            stats.mallocs = hook.allocations;
            stats.frees = hook.frees;
            stats.heap_objects = hook.live_blocks();
            for (shown, counted) in stats.by_size.iter_mut().zip(&hook.by_size) {
                shown.mallocs = counted.allocations;
                shown.frees = counted.frees;
            }
        } else if let Some(allocated) = allocator.and_then(|allocator| allocator.allocated) {
            stats.alloc = allocated;
        }
        stats.heap_alloc = stats.alloc;

        let from_system = Allocator {
            allocated: None,
            in_use: anonymous(status),
            mapped: status.data.unwrap_or(0),
            released: None,
            bookkeeping: None,
        };
        stats.sources = Sources {
            hook: hook.is_some(),
            by_size: hook
                .is_some_and(|hook| hook.by_size.iter().any(|class| class.allocations > 0)),
            live_bytes: hook.is_some() || allocator.is_some_and(|it| it.allocated.is_some()),
            heap: allocator.is_some() || status.anonymous.is_some(),
            bookkeeping: allocator.is_some_and(|it| it.bookkeeping.is_some()),
            stack: status.stack.is_some(),
            other: status.text.is_some(),
        };
        let heap = allocator.unwrap_or(from_system);
        // The values are not of one instant, and memory never written is not resident. Differences
        // that readers compute must not be negative.
        stats.heap_inuse = heap.in_use.max(stats.heap_alloc);
        stats.heap_sys = heap.mapped.max(stats.heap_inuse);
        stats.heap_idle = stats.heap_sys - stats.heap_inuse;
        stats.heap_released = heap.released.unwrap_or(u64::MAX).min(stats.heap_idle);
        stats.stack_inuse = status.stack.unwrap_or(0);
        stats.stack_sys = stats.stack_inuse;
        stats.mspan_inuse = heap.bookkeeping.unwrap_or(0);
        stats.mspan_sys = stats.mspan_inuse;
        stats.other_sys =
            [status.text, status.libraries, status.page_tables].into_iter().flatten().sum();
        stats.sys = stats.heap_sys + stats.stack_sys + stats.mspan_sys + stats.other_sys;
        stats
    }

    const ZERO: MemStats = MemStats {
        alloc: 0,
        total_alloc: 0,
        sys: 0,
        lookups: 0,
        mallocs: 0,
        frees: 0,
        heap_alloc: 0,
        heap_sys: 0,
        heap_idle: 0,
        heap_inuse: 0,
        heap_released: 0,
        heap_objects: 0,
        stack_inuse: 0,
        stack_sys: 0,
        mspan_inuse: 0,
        mspan_sys: 0,
        mcache_inuse: 0,
        mcache_sys: 0,
        buck_hash_sys: 0,
        gc_sys: 0,
        other_sys: 0,
        next_gc: 0,
        last_gc: 0,
        pause_total_ns: 0,
        pause_ns: [0; 256],
        pause_end: [0; 256],
        num_gc: 0,
        num_forced_gc: 0,
        gc_cpu_fraction: 0.0,
        enable_gc: false,
        debug_gc: false,
        by_size: {
            let mut classes = [BySize { size: 0, mallocs: 0, frees: 0 }; CLASSES];
            let mut class = 0;
            while class < CLASSES {
                classes[class].size = CLASS_SIZES[class];
                class += 1;
            }
            classes
        },
        sources: Sources {
            hook: false,
            by_size: false,
            live_bytes: false,
            heap: false,
            bookkeeping: false,
            stack: false,
            other: false,
        },
    };
}

#[cfg(test)]
mod tests;
