//! The keys met so far, to find the ones that an object holds twice.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

struct Seen {
    hash: u64,
    object: u32,
    offset: u32,
}

/// On the first pass it finds where a key stands that a later one of the same object replaces;
/// on the second it says to skip those places.
///
/// Keys are told apart by 64 bits of a hash seeded anew for each document: of 100,000 keys two
/// would be taken for one once in four billion documents.
#[derive(Default)]
pub(super) struct Keys {
    state: RandomState,
    seen: HashTable<Seen>,
    replaced: Vec<u32>,
    objects: u32,
    second_pass: bool,
}

impl Keys {
    /// Forgets the last document.
    pub(super) fn begin(&mut self) {
        self.state = RandomState::default();
        self.seen.clear();
        self.replaced.clear();
        self.objects = 0;
        self.second_pass = false;
    }

    /// How many keys fit into the memory that is held.
    pub(super) fn capacity(&self) -> usize {
        self.seen.capacity()
    }

    /// A number for an object that begins.
    pub(super) fn open(&mut self) -> u32 {
        self.objects += 1;
        self.objects
    }

    pub(super) fn hash(&self, key: &str) -> u64 {
        self.state.hash_one(key)
    }

    /// Whether the key at `offset` counts, as far as is known.
    pub(super) fn keep(&mut self, object: u32, key_hash: u64, offset: usize) -> bool {
        // Documents are at most 1 GiB (a bound of the configuration), so offsets fit.
        let offset = offset as u32;
        if self.second_pass {
            return self.replaced.binary_search(&offset).is_err();
        }
        let hash = key_hash ^ u64::from(object).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        match self.seen.find_mut(hash, |seen| seen.hash == hash && seen.object == object) {
            Some(seen) => {
                self.replaced.push(seen.offset);
                seen.offset = offset;
            }
            None => {
                self.seen.insert_unique(hash, Seen { hash, object, offset }, |seen| seen.hash);
            }
        }
        true
    }

    /// Whether some key was replaced by a later one.
    pub(super) fn superseded(&self) -> bool {
        !self.replaced.is_empty()
    }

    pub(super) fn second_pass(&mut self) {
        self.second_pass = true;
        self.replaced.sort_unstable();
        self.objects = 0;
    }
}
