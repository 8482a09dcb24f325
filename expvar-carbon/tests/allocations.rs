//! A push allocates nothing a variable once it has seen them all.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use expvar::{Counter, FloatGauge, Func, Gauge, Histogram, Map, Registry, Text};
use expvar_carbon::{Carbon, Counters, Lines};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
