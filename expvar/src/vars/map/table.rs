//! A bounded hash table of cached keys.

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::thread::LocalKey;

use super::query::Query;

/// Slots in which a key can be.
const PROBES: usize = 8;

/// A cache entry.
pub(super) trait Remembered {
    /// False once the key was removed from its map.
    fn is_live(&self) -> bool;
}

/// Open addressing: an entry is in one of the slots after its hash's.
pub(super) struct Table<T> {
    /// A power of two of slots, or none.
    places: Vec<Option<Place<T>>>,
    used: usize,
    /// The most entries.
    limit: usize,
}

/// A thread's table. Without a destructor, so that an access does not check for one:
/// [`EmptyAtEnd`] has it.
pub(super) type Local<T> = ManuallyDrop<RefCell<Table<T>>>;

/// Empties the thread's table when the thread ends.
pub(super) struct EmptyAtEnd<T: Remembered + 'static>(pub(super) &'static LocalKey<Local<T>>);

impl<T: Remembered> Drop for EmptyAtEnd<T> {
    fn drop(&mut self) {
        let all = self.0.with(|table| Some(table.try_borrow_mut().ok()?.take_all()));
        // Dropped after the table is released.
        drop(all);
    }
}

struct Place<T> {
    /// The map of the query that finds it.
    map: u64,
    ends: [u64; 2],
    key: Box<str>,
    remembered: T,
}

impl<T: Remembered> Table<T> {
    /// An empty table of at most `limit` entries, a power of two.
    const fn new(limit: usize) -> Self {
        Self { places: Vec::new(), used: 0, limit }
    }

    /// An empty table for a thread.
    pub(super) const fn local(limit: usize) -> Local<T> {
        ManuallyDrop::new(RefCell::new(Self::new(limit)))
    }

    /// The entry in the first slot of a hash, where most are.
    #[inline(always)]
    pub(super) fn find_first(&self, query: &Query<'_>) -> Option<&T> {
        let home = self.places.len().wrapping_sub(1) & query.hash as usize;
        let place = self.places.get(home)?.as_ref()?;
        place.is(query).then_some(&place.remembered)
    }

    /// The entry, in whichever slot it is.
    #[inline(never)]
    pub(super) fn find(&self, query: &Query<'_>) -> Option<&T> {
        let mut places = self.probe(query.hash).filter_map(|at| self.places[at].as_ref());
        Some(&places.find(|place| place.is(query))?.remembered)
    }

    /// The slots that a hash can use.
    #[inline]
    fn probe(&self, hash: u64) -> impl Iterator<Item = usize> + use<T> {
        let mask = self.places.len().wrapping_sub(1);
        let probes = if self.places.is_empty() { 0 } else { PROBES };
        (0..probes).map(move |step| (hash as usize).wrapping_add(step) & mask)
    }

    /// Inserts an entry. Returns an evicted one, for the caller to drop.
    pub(super) fn put(&mut self, query: &Query<'_>, remembered: T) -> Vec<T> {
        let full = 2 * (self.used + 1) > self.places.len() && self.places.len() < 2 * self.limit;
        let mut gone = if full { self.grow() } else { Vec::new() };
        let (mut held, mut free) = (None, None);
        for at in self.probe(query.hash) {
            match &self.places[at] {
                Some(place) if place.is(query) => held = Some(at),
                Some(place) if place.remembered.is_live() => {}
                _ => free = free.or(Some(at)),
            }
        }
        // If no slot is free, evicts one of those that share the slots, in turn.
        let turn = (query.hash >> 32) as usize % PROBES;
        let at = held.or(free).or_else(|| self.probe(query.hash).nth(turn));
        if let Some(at) = at {
            let Query { map, key, ends, .. } = *query;
            self.used += usize::from(self.places[at].is_none());
            let place = Place { map, ends, key: key.into(), remembered };
            gone.extend(self.places[at].replace(place).map(|old| old.remembered));
        }
        gone
    }

    /// Doubles the slots and returns the invalid entries.
    fn grow(&mut self) -> Vec<T> {
        let gone = self.take_dead();
        let size = if 4 * self.used < self.places.len() {
            self.places.len()
        } else {
            2 * self.places.len()
        };
        let old = std::mem::take(&mut self.places);
        self.places.resize_with(size.max(64), || None);
        self.used = 0;
        for place in old.into_iter().flatten() {
            let hash = Query::new(place.map, &place.key).hash;
            let at = self.probe(hash).find(|&at| self.places[at].is_none());
            if let Some(at) = at {
                self.used += 1;
                self.places[at] = Some(place);
            }
        }
        gone
    }

    /// Removes all entries and returns them, for the caller to drop.
    fn take_all(&mut self) -> Vec<impl Sized + use<T>> {
        self.used = 0;
        std::mem::take(&mut self.places)
    }

    /// Removes an entry.
    pub(super) fn take(&mut self, query: &Query<'_>) -> Option<T> {
        let held = |at: &usize| self.places[*at].as_ref().is_some_and(|place| place.is(query));
        let at = self.probe(query.hash).find(held)?;
        self.used -= 1;
        self.places[at].take().map(|place| place.remembered)
    }

    /// Removes the entries whose keys were removed from their maps.
    pub(super) fn take_dead(&mut self) -> Vec<T> {
        let dead = |place: &Option<Place<T>>| {
            place.as_ref().is_some_and(|place| !place.remembered.is_live())
        };
        let taken = self.places.iter_mut().filter(|place| dead(place)).filter_map(Option::take);
        let taken: Vec<T> = taken.map(|place| place.remembered).collect();
        self.used -= taken.len();
        taken
    }
}

impl<T> Place<T> {
    #[inline]
    fn is(&self, query: &Query<'_>) -> bool {
        query.is(self.map, self.ends, &self.key)
    }
}
