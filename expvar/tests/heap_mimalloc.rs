//! A heap profile of a program that allocates with mimalloc behind the hook.

#[path = "support/heap_behind.rs"]
mod heap_behind;

use expvar::alloc::Counting;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOC: Counting<MiMalloc> = Counting::with(MiMalloc);
