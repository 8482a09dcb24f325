//! A heap profile of a program that allocates with jemalloc behind the hook.

#[path = "support/heap_behind.rs"]
mod heap_behind;

use expvar::alloc::Counting;
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOC: Counting<Jemalloc> = Counting::with(Jemalloc);
