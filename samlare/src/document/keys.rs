//! Detects duplicate keys of an object.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

struct Seen {
    hash: u64,
    object: u32,
    offset: u32,
}

/// The first pass finds keys that a later one of the same object replaces; the second pass skips
/// them.
///
/// Keys are compared by 64-bit hashes with a new seed for each document: among 100,000 keys, two
/// collide once in four billion documents.
#[derive(Default)]
pub(super) struct Keys {
    state: RandomState,
    seen: HashTable<Seen>,
    replaced: Vec<u32>,
    objects: u32,
    second_pass: bool,
}

impl Keys {
    /// Starts a document.
    pub(super) fn begin(&mut self) {
        self.state = RandomState::default();
        self.seen.clear();
        self.replaced.clear();
        self.objects = 0;
        self.second_pass = false;
    }

    /// How many keys fit into the current memory.
    pub(super) fn capacity(&self) -> usize {
        self.seen.capacity()
    }

    /// Assigns a number to an object that begins.
    pub(super) fn open(&mut self) -> u32 {
        self.objects += 1;
        self.objects
    }

    pub(super) fn hash(&self, key: &str) -> u64 {
        self.state.hash_one(key)
    }

    /// Whether the key at `offset` counts, as far as is known.
    pub(super) fn keep(&mut self, object: u32, key_hash: u64, offset: usize) -> bool {
        // Documents have at most 1 GiB (a limit of the configuration), so offsets fit.
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

    /// Whether a key was replaced by a later one.
    pub(super) fn superseded(&self) -> bool {
        !self.replaced.is_empty()
    }

    pub(super) fn second_pass(&mut self) {
        self.second_pass = true;
        self.replaced.sort_unstable();
        self.objects = 0;
    }
}
