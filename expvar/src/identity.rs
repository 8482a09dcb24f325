//! A hasher for keys that are hashes.

use std::hash::{BuildHasherDefault, Hasher};

/// For maps whose keys are hashes.
pub type BuildIdentity = BuildHasherDefault<Identity>;

/// Hashes a `u64` to itself.
#[derive(Debug, Default)]
pub struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    #[inline]
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
