//! The names that are used, so that no series is there twice and no family is split.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hasher};

use super::samples::Type;

/// What may follow a family's name in its samples' names.
const ENDINGS: [&str; 6] = ["_total", "_created", "_bucket", "_count", "_sum", "_info"];

/// A name as it is looked up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hashed {
    name: u64,
    /// What it is without its ending, and which that is.
    stem: Option<(u64, u8)>,
}

impl Hashed {
    pub(super) fn new(name: &str) -> Self {
        let stem = ENDINGS.iter().enumerate().find_map(|(at, ending)| {
            let stem = name.strip_suffix(ending)?;
            Some((hash(stem), 1 << at))
        });
        Self { name: hash(name), stem }
    }
}

fn hash(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(name.as_bytes());
    hasher.finish()
}

/// The families' names, with the endings that their samples have, one bit each.
#[derive(Debug, Default)]
pub(super) struct Taken {
    families: HashMap<u64, u8, BuildHasherDefault<AsItIs>>,
    /// Of families whose own name has an ending: what they are without it.
    stems: HashMap<u64, u8, BuildHasherDefault<AsItIs>>,
}

impl Taken {
    pub(super) fn with_capacity(families: usize) -> Self {
        let hasher = BuildHasherDefault::default();
        Self {
            families: HashMap::with_capacity_and_hasher(families, hasher),
            stems: HashMap::default(),
        }
    }

    /// Takes a family's name with its samples' names. Returns whether they were free.
    #[inline]
    pub(super) fn take(&mut self, name: Hashed, kind: Type) -> bool {
        let endings = kind.reserved().iter().fold(0, |endings, reserved| {
            let at = ENDINGS.iter().position(|ending| ending == reserved);
            endings | at.map_or(0, |at| 1 << at)
        });
        let has = |of: Option<&u8>, endings: u8| of.is_some_and(|has| has & endings != 0);
        if let Some((stem, ending)) = name.stem
            && has(self.families.get(&stem), ending)
        {
            return false;
        }
        if !self.stems.is_empty() && has(self.stems.get(&name.name), endings) {
            return false;
        }
        match self.families.entry(name.name) {
            std::collections::hash_map::Entry::Occupied(_) => return false,
            std::collections::hash_map::Entry::Vacant(free) => free.insert(endings),
        };
        if let Some((stem, ending)) = name.stem {
            *self.stems.entry(stem).or_default() |= ending;
        }
        true
    }
}

/// The names come as hashes.
#[derive(Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    #[inline]
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_takes_its_samples_names_too() {
        let mut taken = Taken::default();
        let mut take = |name: &str, kind| taken.take(Hashed::new(name), kind);
        assert!(take("took", Type::Histogram));
        assert!(!take("took", Type::Gauge), "the same name");
        assert!(!take("took_count", Type::Gauge), "a sample's name");
        assert!(take("took_total", Type::Gauge), "no sample's name");
        assert!(!take("took_total", Type::Gauge));
        // The other way round.
        assert!(take("queue_sum", Type::Gauge));
        assert!(!take("queue", Type::Histogram));
        assert!(take("queue", Type::Gauge));
        assert!(take("x_total", Type::Gauge));
        assert!(!take("x", Type::Counter), "x_total is there");
    }
}
