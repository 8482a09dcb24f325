//! Metadata of the measured fields, and their names in Go's Prometheus client.

use crate::Info;
use crate::Unit::Bytes;

pub(super) const MEMBERS: &[(&str, Info)] = &[
    (
        "Alloc",
        Info::with_help("Bytes in live blocks.").unit(Bytes).known_as("go_memstats_alloc_bytes"),
    ),
    (
        "TotalAlloc",
        Info::with_help("Bytes allocated since the start.")
            .unit(Bytes)
            .counter()
            .known_as("go_memstats_alloc_bytes"),
    ),
    (
        "Sys",
        Info::with_help("Address space of all kinds.")
            .unit(Bytes)
            .known_as("go_memstats_sys_bytes"),
    ),
    (
        "Mallocs",
        Info::with_help("Blocks allocated since the start.")
            .counter()
            .known_as("go_memstats_mallocs"),
    ),
    (
        "Frees",
        Info::with_help("Blocks freed since the start.").counter().known_as("go_memstats_frees"),
    ),
    (
        "HeapAlloc",
        Info::with_help("Bytes in live blocks of the heap.")
            .unit(Bytes)
            .known_as("go_memstats_heap_alloc_bytes"),
    ),
    (
        "HeapSys",
        Info::with_help("Address space that may hold the heap.")
            .unit(Bytes)
            .known_as("go_memstats_heap_sys_bytes"),
    ),
    (
        "HeapIdle",
        Info::with_help("Address space of the heap that is not in use.")
            .unit(Bytes)
            .known_as("go_memstats_heap_idle_bytes"),
    ),
    (
        "HeapInuse",
        Info::with_help("Memory held for the heap.")
            .unit(Bytes)
            .known_as("go_memstats_heap_inuse_bytes"),
    ),
    (
        "HeapReleased",
        Info::with_help("Idle address space of the heap that takes no memory.")
            .unit(Bytes)
            .known_as("go_memstats_heap_released_bytes"),
    ),
    ("HeapObjects", Info::with_help("Live blocks.").known_as("go_memstats_heap_objects")),
    (
        "StackInuse",
        Info::with_help("The main thread's stack.")
            .unit(Bytes)
            .known_as("go_memstats_stack_inuse_bytes"),
    ),
    (
        "StackSys",
        Info::with_help("Address space of the main thread's stack.")
            .unit(Bytes)
            .known_as("go_memstats_stack_sys_bytes"),
    ),
    (
        "MSpanInuse",
        Info::with_help("The allocator's bookkeeping.")
            .unit(Bytes)
            .known_as("go_memstats_mspan_inuse_bytes"),
    ),
    (
        "MSpanSys",
        Info::with_help("Address space of the allocator's bookkeeping.")
            .unit(Bytes)
            .known_as("go_memstats_mspan_sys_bytes"),
    ),
    (
        "OtherSys",
        Info::with_help("Program text and page tables.")
            .unit(Bytes)
            .known_as("go_memstats_other_sys_bytes"),
    ),
    ("BySize", Info::with_help("Blocks by size class.").members(BY_SIZE)),
];

const BY_SIZE: &[(&str, Info)] = &[
    ("Size", Info::with_help("The largest size of the class.").unit(Bytes)),
    ("Mallocs", Info::with_help("Blocks allocated.").counter()),
    ("Frees", Info::with_help("Blocks freed.").counter()),
];
