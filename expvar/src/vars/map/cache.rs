//! A thread's cache of map keys, so that adding to a known key takes no lock.

use std::cell::RefCell;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};

use crate::cells;
use crate::gauge::Gauge;

use super::query::Query;
use super::table::{Remembered, Table};

/// The size of a thread's cache, over all maps.
const LIMIT: usize = 16_384;

thread_local! {
    static KEYS: RefCell<Table<Key>> = const { RefCell::new(Table::new(LIMIT)) };
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
        // Pairs with the load in `is_live`.
        self.live.store(false, Release);
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
        // Pairs with the store in `retire`: recording after a removal misses the cache.
        self.known.live.load(Acquire)
    }
}

/// Adds to a cached key; false on a miss.
#[inline]
pub(super) fn add(map: &MapId, key: &str, n: i64) -> bool {
    let query = Query::new(map.get(), key);
    KEYS.try_with(|keys| {
        let Ok(keys) = keys.try_borrow() else { return false };
        let Some(key) = keys.find(&query).filter(|key| key.is_live()) else { return false };
        // `known` keeps the gauge and its cell alive, even if the key is being removed.
        cells::add(key.cell, n as u64);
        true
    })
    .unwrap_or(false)
}

/// Caches a key for the calling thread.
pub(super) fn learn(map: &MapId, key: &str, known: &Arc<Known>) {
    let query = Query::new(map.get_or_claim(), key);
    let Some(cell) = known.gauge.cell() else { return };
    let key = Key { cell, known: Arc::clone(known) };
    // A thread in teardown caches nothing, which is slower and still correct.
    let old =
        KEYS.try_with(|keys| keys.try_borrow_mut().ok().map(|mut keys| keys.put(&query, key)));
    // Dropped after the table is released.
    drop(old);
}

/// Drops the calling thread's cache entries of one key or of the whole map.
pub(super) fn forget(map: &MapId, key: Option<&str>) {
    let map = map.get();
    let gone = KEYS.try_with(|keys| {
        let mut keys = keys.try_borrow_mut().ok()?;
        match key {
            Some(key) => keys.take(&Query::new(map, key)).map(|key| vec![key]),
            None => Some(keys.take_dead()),
        }
    });
    drop(gone);
}
