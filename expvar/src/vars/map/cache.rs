//! What a thread knows of maps' keys, so that adding to a known key takes no lock.

use std::cell::RefCell;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};

use crate::cells;
use crate::gauge::Gauge;

use super::query::Query;

/// Keys that one thread remembers at the most, of all maps together.
const LIMIT: usize = 16_384;
/// Places that a key can be in.
const PROBES: usize = 8;

thread_local! {
    static KEYS: RefCell<Keys> = const { RefCell::new(Keys { places: Vec::new(), used: 0 }) };
}

/// What caches share of a key: whoever holds this holds the key's cell.
pub(super) struct Known {
    /// False once the key was taken out of its map.
    live: AtomicBool,
    gauge: Arc<Gauge>,
}

impl Known {
    pub(super) fn new(gauge: Arc<Gauge>) -> Self {
        Self { live: AtomicBool::new(true), gauge }
    }

    /// Makes every cache look again.
    pub(super) fn retire(&self) {
        // Pairs with the load in `add`.
        self.live.store(false, Release);
    }
}

/// Tells maps apart; given out at first use.
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

/// A table with open addressing: a key lies in one of the places that follow its hash's.
struct Keys {
    /// A power of two of places, or none.
    places: Vec<Option<Place>>,
    used: usize,
}

struct Place {
    /// Of the query that finds it.
    map: u64,
    ends: [u64; 2],
    hash: u64,
    key: Box<str>,
    /// The gauge's cell.
    cell: u32,
    known: Arc<Known>,
}

/// Adds to a key that the calling thread knows; false when it does not.
#[inline]
pub(super) fn add(map: &MapId, key: &str, n: i64) -> bool {
    let query = Query::new(map.get(), key);
    KEYS.try_with(|keys| {
        let Ok(keys) = keys.try_borrow() else { return false };
        let Some(place) = keys.find(&query) else { return false };
        // Pairs with the store in `retire`: what comes after a removal finds it done.
        if !place.known.live.load(Acquire) {
            return false;
        }
        // `known` holds the gauge and so its cell, even if the key is taken out right now.
        cells::add(place.cell, n as u64);
        true
    })
    .unwrap_or(false)
}

/// Remembers a key in the calling thread.
pub(super) fn learn(map: &MapId, key: &str, known: &Arc<Known>) {
    let query = Query::new(map.get_or_claim(), key);
    // A thread in its teardown remembers nothing, which is slow and right.
    let _ = KEYS.try_with(|keys| {
        if let Ok(mut keys) = keys.try_borrow_mut() {
            keys.put(&query, Arc::clone(known));
        }
    });
}

/// Forgets a key of a map, or all of them, in the calling thread.
pub(super) fn forget(map: &MapId, key: Option<&str>) {
    let map = map.get();
    let gone = KEYS.try_with(|keys| {
        let mut keys = keys.try_borrow_mut().ok()?;
        match key {
            Some(key) => keys.take(&Query::new(map, key)).map(|place| vec![place]),
            None => Some(keys.take_dead()),
        }
    });
    drop(gone);
}

impl Keys {
    #[inline]
    fn find(&self, query: &Query<'_>) -> Option<&Place> {
        let home = self.places.len().wrapping_sub(1) & query.hash as usize;
        match self.places.get(home) {
            Some(Some(place)) if place.is(query) => Some(place),
            _ => self.find_further(query),
        }
    }

    /// Not inlined, because most keys lie in their first place.
    #[inline(never)]
    fn find_further(&self, query: &Query<'_>) -> Option<&Place> {
        let mut places = self.probe(query.hash).skip(1).filter_map(|at| self.places[at].as_ref());
        places.find(|place| place.is(query))
    }

    /// The places in which a key of this hash can lie.
    #[inline]
    fn probe(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let mask = self.places.len().wrapping_sub(1);
        let probes = if self.places.is_empty() { 0 } else { PROBES };
        (0..probes).map(move |step| (hash as usize).wrapping_add(step) & mask)
    }

    fn put(&mut self, query: &Query<'_>, known: Arc<Known>) {
        if 2 * (self.used + 1) > self.places.len() && self.places.len() < 2 * LIMIT {
            self.grow();
        }
        let (mut held, mut free) = (None, None);
        for at in self.probe(query.hash) {
            match &self.places[at] {
                Some(place) if place.is(query) => held = Some(at),
                Some(place) if place.known.live.load(Acquire) => {}
                _ => free = free.or(Some(at)),
            }
        }
        // With no place free, another key makes room: one of those that share the places, by turns.
        let turn = (query.hash >> 32) as usize % PROBES;
        let at = held.or(free).or_else(|| self.probe(query.hash).nth(turn));
        if let Some(at) = at {
            let Query { map, key, ends, hash } = *query;
            let Some(cell) = known.gauge.cell() else { return };
            self.used += usize::from(self.places[at].is_none());
            self.places[at] = Some(Place { map, ends, hash, key: key.into(), cell, known });
        }
    }

    /// Twice the places, without what is gone.
    fn grow(&mut self) {
        let dead = self.take_dead();
        let size = if 4 * self.used < self.places.len() {
            self.places.len()
        } else {
            2 * self.places.len()
        };
        let old = std::mem::take(&mut self.places);
        self.places.resize_with(size.max(64), || None);
        self.used = 0;
        drop(dead);
        for place in old.into_iter().flatten() {
            let at = self.probe(place.hash).find(|&at| self.places[at].is_none());
            if let Some(at) = at {
                self.used += 1;
                self.places[at] = Some(place);
            }
        }
    }

    fn take(&mut self, query: &Query<'_>) -> Option<Place> {
        let held = |at: &usize| self.places[*at].as_ref().is_some_and(|place| place.is(query));
        let at = self.probe(query.hash).find(held)?;
        self.used -= 1;
        self.places[at].take()
    }

    fn take_dead(&mut self) -> Vec<Place> {
        let dead = |place: &Option<Place>| {
            place.as_ref().is_some_and(|place| !place.known.live.load(Acquire))
        };
        let taken: Vec<Place> =
            self.places.iter_mut().filter(|place| dead(place)).filter_map(Option::take).collect();
        self.used -= taken.len();
        taken
    }
}

impl Place {
    #[inline]
    fn is(&self, query: &Query<'_>) -> bool {
        query.is(self.map, self.ends, &self.key)
    }
}
