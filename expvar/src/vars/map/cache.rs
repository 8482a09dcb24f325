//! A thread's cache of map keys, so that adding to a known key takes no lock.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};

use crate::cells;
use crate::cells::page::bump;
use crate::gauge::Gauge;

use super::query::Query;
use super::table::{EmptyAtEnd, Local, Remembered, Table};

/// The size of a thread's cache, over all maps.
const LIMIT: usize = 16_384;

thread_local! {
    static KEYS: Local<Key> = const { Table::local(LIMIT) };
    static FORGET: EmptyAtEnd<Key> = const { EmptyAtEnd(&KEYS) };
}

/// Shared by the caches of a key; keeps the key's cell alive.
pub(super) struct Known {
    /// False once the key was removed from its map.
    live: AtomicBool,
    gauge: Arc<Gauge>,
}

impl Known {
    pub(super) fn new(gauge: Arc<Gauge>) -> Self {
        Self { live: AtomicBool::new(true), gauge }
    }

    /// Invalidates all cache entries of the key.
    pub(super) fn retire(&self) {
        self.live.store(false, Relaxed);
    }
}

/// Distinguishes maps; assigned at first use.
pub(super) struct MapId(AtomicU64);

impl MapId {
    pub(super) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    #[inline]
    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(super) fn get_or_claim(&self) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let claim = || NEXT.fetch_add(1, Relaxed);
        match NonZeroU64::new(self.get()) {
            Some(id) => id.get(),
            None => {
                let fresh = claim();
                match self.0.compare_exchange(0, fresh, Relaxed, Relaxed) {
                    Ok(_) => fresh,
                    Err(other) => other,
                }
            }
        }
    }
}

/// A cached key.
struct Key {
    /// The gauge's cell.
    cell: u32,
    known: Arc<Known>,
}

impl Remembered for Key {
    #[inline]
    fn is_live(&self) -> bool {
        // Recording after a removal misses the cache. Nothing else is published by it.
        self.known.live.load(Relaxed)
    }
}

/// Adds to a cached key; false on a miss.
///
/// Not inlined: it is long. It makes no call but its last, so it saves no registers.
#[inline(never)]
pub(super) fn add(map: &MapId, key: &str, n: i64) -> bool {
    let query = Query::new(map.get(), key);
    let found = KEYS.with(|keys| {
        let keys = keys.try_borrow().ok()?;
        let cell = keys.find_first(&query).filter(|key| key.is_live())?.cell;
        Some((cell, cells::private(cell)))
    });
    match found {
        // The table keeps the gauge and its cell alive, even if the key is being removed.
        Some((_, Some((page, at)))) => {
            bump(&page[at], n as u64);
            true
        }
        Some((cell, None)) => add_cold(cell, n),
        None => add_further(map, key, n),
    }
}

/// Adds to the cell of a cached key of which the thread has no private copy.
#[cold]
#[inline(never)]
fn add_cold(cell: u32, n: i64) -> bool {
    KEYS.with(|keys| {
        // Adding may allocate, and an allocator may use maps: the entry must stay meanwhile.
        let _keys = keys.try_borrow();
        cells::add(cell, n as u64);
    });
    true
}

/// Adds to a key that is not in its first slot; false on a miss.
#[cold]
#[inline(never)]
fn add_further(map: &MapId, key: &str, n: i64) -> bool {
    let query = Query::new(map.get(), key);
    KEYS.with(|keys| {
        let Ok(keys) = keys.try_borrow() else { return false };
        let Some(key) = keys.find(&query).filter(|key| key.is_live()) else { return false };
        cells::add(key.cell, n as u64);
        true
    })
}

/// Caches a key for the calling thread.
pub(super) fn learn(map: &MapId, key: &str, known: &Arc<Known>) {
    let query = Query::new(map.get_or_claim(), key);
    let Some(cell) = known.gauge.cell() else { return };
    let key = Key { cell, known: Arc::clone(known) };
    // A thread in teardown caches nothing, which is slower and still correct.
    if FORGET.try_with(|_| ()).is_err() {
        return;
    }
    let old = KEYS.with(|keys| keys.try_borrow_mut().ok().map(|mut keys| keys.put(&query, key)));
    // Dropped after the table is released.
    drop(old);
}

/// Drops the calling thread's cache entries of one key or of the whole map.
pub(super) fn forget(map: &MapId, key: Option<&str>) {
    let map = map.get();
    let gone = KEYS.with(|keys| {
        let mut keys = keys.try_borrow_mut().ok()?;
        match key {
            Some(key) => keys.take(&Query::new(map, key)).map(|key| vec![key]),
            None => Some(keys.take_dead()),
        }
    });
    drop(gone);
}
