//! Detects names that two variables share, at the cost of a hash and a comparison for each name.

use std::collections::HashSet;
use std::hash::BuildHasher;

use expvar::__private::BuildIdentity;
use foldhash::fast::RandomState;

/// Detects the second and later uses of a name within one collection.
///
/// Collections mostly name the same variables in the same order. So the names' hashes are kept in
/// order with their verdicts, and while a collection repeats the previous one, each name costs a
/// comparison. From the first difference on a set is used. With 63-bit hashes, the probability of a
/// collision among a million names is 5·10⁻⁸.
///
/// ```
/// let mut conflicts = expvar_carbon::Conflicts::default();
/// conflicts.begin();
/// assert!(!conflicts.is_conflict("a_b"));
/// assert!(conflicts.is_conflict("a_b"));
/// conflicts.end();
/// ```
#[derive(Debug, Default)]
pub struct Conflicts {
    hasher: RandomState,
    /// Hashes in order; the lowest bit of each is its verdict instead.
    names: Vec<u64>,
    at: usize,
    diverged: bool,
    seen: HashSet<u64, BuildIdentity>,
}

impl Conflicts {
    /// Begins a collection.
    pub fn begin(&mut self) {
        self.at = 0;
        self.diverged = false;
    }

    /// Whether `name` was already used in this collection.
    pub fn is_conflict(&mut self, name: &str) -> bool {
        self.is_repeated(self.hash(name.as_bytes()))
    }

    /// The hash of a name.
    pub(crate) fn hash(&self, name: &[u8]) -> u64 {
        self.hasher.hash_one(name) & !1
    }

    /// The number of names so far in this collection.
    pub(crate) fn names(&self) -> usize {
        self.at
    }

    /// Counts names known to be the same as the last collection's at this position.
    #[inline]
    pub(crate) fn repeat(&mut self, names: usize) {
        self.at += names;
    }

    /// Whether the name of this [`hash`](Self::hash) was already used in this collection.
    #[inline]
    pub(crate) fn is_repeated(&mut self, hash: u64) -> bool {
        match self.names.get(self.at) {
            Some(&before) if before & !1 == hash && !self.diverged => {
                self.at += 1;
                before & 1 == 1
            }
            _ => self.find(hash),
        }
    }

    #[cold]
    #[inline(never)]
    fn find(&mut self, hash: u64) -> bool {
        if !self.diverged {
            self.diverge();
        }
        let conflict = !self.seen.insert(hash);
        self.names.push(hash | u64::from(conflict));
        self.at += 1;
        conflict
    }

    fn diverge(&mut self) {
        self.diverged = true;
        self.names.truncate(self.at);
        self.seen.clear();
        self.seen.extend(self.names.iter().map(|name| name & !1));
    }

    /// Whether the last verdict is new, rather than repeated from the previous collection.
    pub fn is_new(&self) -> bool {
        self.diverged
    }

    /// Ends a collection; returns whether the names differ from the previous one.
    pub fn end(&mut self) -> bool {
        let changed = self.diverged || self.at < self.names.len();
        self.names.truncate(self.at);
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_use_is_a_clash_in_every_reading_alike() {
        let mut conflicts = Conflicts::default();
        let readings: [(&[&str], &[bool]); 6] = [
            (&["a", "b", "a", "c"], &[false, false, true, false]),
            (&["a", "b", "a", "c"], &[false, false, true, false]),
            (&["a", "x", "b", "a"], &[false, false, false, true]),
            (&["b", "a"], &[false, false]),
            (&["b", "a", "b", "b"], &[false, false, true, true]),
            (&[], &[]),
        ];
        let mut changed = Vec::new();
        for (names, verdicts) in readings {
            conflicts.begin();
            let found: Vec<_> = names.iter().map(|name| conflicts.is_conflict(name)).collect();
            assert_eq!(found, verdicts);
            changed.push(conflicts.end());
        }
        assert_eq!(changed, [true, false, true, true, true, true]);
    }
}
