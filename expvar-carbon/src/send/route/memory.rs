//! A cache of the servers by name, so that the relays' hashes are computed once.

use std::collections::HashMap;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;

/// At most 260,000 names, in 4 MiB.
const BUCKETS_MAX: usize = 1 << 16;
const BUCKETS_FIRST: usize = 1 << 6;

/// Hashes of names with their sets of servers; zero is an empty slot. One cache line.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
struct Bucket([(u64, u32); 4]);

/// A cache keyed by 64-bit hashes of names: the probability of a collision among a million names is
/// 3·10⁻⁸.
///
/// A name has a bucket of four slots; a fifth name evicts one. The cache grows fourfold when it is
/// half full.
#[derive(Debug)]
pub(super) struct Memory {
    hasher: RandomState,
    buckets: Vec<Bucket>,
    taken: usize,
    /// The distinct sets of servers.
    sets: Vec<Box<[u16]>>,
    places: HashMap<Box<[u16]>, u32>,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::default(),
            buckets: vec![Bucket::default(); BUCKETS_FIRST],
            taken: 0,
            sets: Vec::new(),
            places: HashMap::new(),
        }
    }

    #[inline]
    pub(super) fn hash(&self, name: &[u8]) -> u64 {
        // Never zero, which marks an empty slot.
        self.hasher.hash_one(name) | 1
    }

    /// The set of a cached name.
    #[inline]
    pub(super) fn get(&self, hash: u64) -> Option<u32> {
        let Bucket(slots) = &self.buckets[self.bucket(hash)];
        slots.iter().find(|(known, _)| *known == hash).map(|(_, set)| *set)
    }

    /// The servers of a set.
    #[inline]
    pub(super) fn set(&self, at: u32) -> &[u16] {
        &self.sets[at as usize]
    }

    /// Caches the servers of a name; returns their set.
    pub(super) fn insert(&mut self, hash: u64, servers: Vec<u16>) -> u32 {
        let servers = servers.into_boxed_slice();
        let set = match self.places.get(&servers) {
            Some(&set) => set,
            None => {
                let set = self.sets.len() as u32;
                self.sets.push(servers.clone());
                self.places.insert(servers, set);
                set
            }
        };
        if self.taken > self.buckets.len() * 2 && self.buckets.len() < BUCKETS_MAX {
            let larger = vec![Bucket::default(); self.buckets.len() * 4];
            let smaller = std::mem::replace(&mut self.buckets, larger);
            self.taken = 0;
            for (hash, set) in smaller.into_iter().flat_map(|Bucket(slots)| slots) {
                if hash != 0 {
                    self.put(hash, set);
                }
            }
        }
        self.put(hash, set);
        set
    }

    fn put(&mut self, hash: u64, set: u32) {
        let bucket = self.bucket(hash);
        let Bucket(slots) = &mut self.buckets[bucket];
        let free = slots.iter().position(|(known, _)| *known == 0);
        self.taken += usize::from(free.is_some());
        // If the bucket is full, evicts by bits that do not choose the bucket.
        slots[free.unwrap_or((hash >> 1) as usize & 3)] = (hash, set);
    }

    #[inline]
    fn bucket(&self, hash: u64) -> usize {
        (hash >> 32) as usize & (self.buckets.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_servers_and_the_memory_its_bound() {
        let mut memory = Memory::new();
        for n in 0..1_000_000_u32 {
            let hash = memory.hash(&n.to_le_bytes());
            memory.insert(hash, vec![(n % 7) as u16]);
            assert_eq!(memory.get(hash).map(|set| memory.set(set)), Some(&[(n % 7) as u16][..]));
        }
        assert_eq!((memory.buckets.len(), memory.sets.len()), (BUCKETS_MAX, 7));
        let known = (0..1_000_000_u32).filter_map(|n| {
            let set = memory.get(memory.hash(&n.to_le_bytes()))?;
            Some((n, memory.set(set)[0]))
        });
        let known: Vec<_> = known.collect();
        assert!(known.len() > BUCKETS_MAX * 3);
        assert!(known.iter().all(|(n, server)| u32::from(*server) == n % 7));
    }

    #[test]
    fn a_thousand_names_are_nearly_all_remembered() {
        let mut memory = Memory::new();
        let hashes: Vec<u64> = (0..1_000_u32).map(|n| memory.hash(&n.to_le_bytes())).collect();
        for &hash in &hashes {
            memory.insert(hash, vec![0]);
        }
        let known = hashes.iter().filter(|hash| memory.get(**hash).is_some()).count();
        // About 970, with a standard deviation of 6: the hash has a random seed.
        assert!(known > 900, "{known}");
    }
}
