//! What a thread remembers of maps' keys: a bounded table.

use super::query::Query;

/// Places that a key can be in.
const PROBES: usize = 8;

/// What is remembered of a key.
pub(super) trait Remembered {
    /// False once the key was taken out of its map.
    fn is_live(&self) -> bool;
}

/// A table with open addressing: a key lies in one of the places that follow its hash's.
pub(super) struct Table<T> {
    /// A power of two of places, or none.
    places: Vec<Option<Place<T>>>,
    used: usize,
    /// Keys that it holds at the most.
    limit: usize,
}

struct Place<T> {
    /// Of the query that finds it.
    map: u64,
    ends: [u64; 2],
    hash: u64,
    key: Box<str>,
    remembered: T,
}

impl<T: Remembered> Table<T> {
    /// An empty table of at most so many keys, a power of two.
    pub(super) const fn new(limit: usize) -> Self {
        Self { places: Vec::new(), used: 0, limit }
    }

    #[inline]
    pub(super) fn find(&self, query: &Query<'_>) -> Option<&T> {
        let home = self.places.len().wrapping_sub(1) & query.hash as usize;
        match self.places.get(home) {
            Some(Some(place)) if place.is(query) => Some(&place.remembered),
            _ => self.find_further(query),
        }
    }

    /// Not inlined, because most keys lie in their first place.
    #[inline(never)]
    fn find_further(&self, query: &Query<'_>) -> Option<&T> {
        let mut places = self.probe(query.hash).skip(1).filter_map(|at| self.places[at].as_ref());
        Some(&places.find(|place| place.is(query))?.remembered)
    }

    /// The places in which a key of this hash can lie.
    #[inline]
    fn probe(&self, hash: u64) -> impl Iterator<Item = usize> + use<T> {
        let mask = self.places.len().wrapping_sub(1);
        let probes = if self.places.is_empty() { 0 } else { PROBES };
        (0..probes).map(move |step| (hash as usize).wrapping_add(step) & mask)
    }

    /// Remembers a key; returns what had to go for it, to be dropped.
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
        // With no place free, another key makes room: one of those that share the places, by turns.
        let turn = (query.hash >> 32) as usize % PROBES;
        let at = held.or(free).or_else(|| self.probe(query.hash).nth(turn));
        if let Some(at) = at {
            let Query { map, key, ends, hash } = *query;
            self.used += usize::from(self.places[at].is_none());
            let place = Place { map, ends, hash, key: key.into(), remembered };
            gone.extend(self.places[at].replace(place).map(|old| old.remembered));
        }
        gone
    }

    /// Twice the places, without what is gone, which is returned.
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
            let at = self.probe(place.hash).find(|&at| self.places[at].is_none());
            if let Some(at) = at {
                self.used += 1;
                self.places[at] = Some(place);
            }
        }
        gone
    }

    /// Forgets a key.
    pub(super) fn take(&mut self, query: &Query<'_>) -> Option<T> {
        let held = |at: &usize| self.places[*at].as_ref().is_some_and(|place| place.is(query));
        let at = self.probe(query.hash).find(held)?;
        self.used -= 1;
        self.places[at].take().map(|place| place.remembered)
    }

    /// Forgets the keys that were taken out of their maps.
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
