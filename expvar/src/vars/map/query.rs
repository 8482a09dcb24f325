//! A lookup of a map key: hash and bytes for comparison, read once.

/// A map key to look up in a cache.
#[derive(Clone, Copy)]
pub(super) struct Query<'k> {
    pub(super) map: u64,
    pub(super) key: &'k str,
    /// See [`ends`].
    pub(super) ends: [u64; 2],
    /// Not secure against attackers, and need not be: colliding keys are slow, not wrong.
    pub(super) hash: u64,
}

impl<'k> Query<'k> {
    #[inline]
    pub(super) fn new(map: u64, key: &'k str) -> Self {
        // Odd, with as many ones as zeros: the fractions of the golden ratio and of π.
        const K: [u64; 2] = [0x9E37_79B9_7F4A_7C15, 0x243F_6A88_85A3_08D3];
        let fold = |state: u64, [low, high]: [u64; 2]| {
            let product = u128::from(state ^ low) * u128::from(K[1] ^ high);
            (product as u64) ^ (product >> 64) as u64
        };
        let ends = ends(key);
        let mut state = (map ^ (key.len() as u64) << 32).wrapping_mul(K[0]);
        for chunk in inner(key) {
            state = fold(state, halves(chunk));
        }
        Self { map, key, ends, hash: fold(state, ends) }
    }

    /// Whether this is the key of that map with these ends.
    #[inline]
    pub(super) fn is(&self, map: u64, ends: [u64; 2], key: &str) -> bool {
        // Not `==`, which compiles to one load of 16 bytes: right after two stores of 8, that
        // stalls on store forwarding.
        let differ = (self.ends[0] ^ ends[0]) | (self.ends[1] ^ ends[1]);
        differ == 0
            && self.map == map
            && self.key.len() == key.len()
            && inner(self.key).iter().zip(inner(key)).all(|(ours, theirs)| ours == theirs)
    }
}

/// The first and last eight bytes of a key; of a key longer than 16 bytes, the last 16. For keys of
/// up to 16 bytes, length and ends identify the key without reading its memory again.
#[inline]
fn ends(key: &str) -> [u64; 2] {
    let bytes = key.as_bytes();
    if bytes.len() > 16
        && let Some(last) = bytes.last_chunk()
    {
        halves(last)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        [u64::from_le_bytes(*first), u64::from_le_bytes(*last)]
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        [u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into()]
    } else if let (&[first, ..], &[.., last]) = (bytes, bytes) {
        [first.into(), u64::from(bytes[bytes.len() / 2]) << 8 | u64::from(last)]
    } else {
        [0, 0]
    }
}

/// The bytes that the ends leave out, if any.
#[inline]
fn inner(key: &str) -> &[[u8; 16]] {
    let bytes = key.as_bytes();
    if bytes.len() > 16 { bytes.as_chunks().0 } else { &[] }
}

fn halves(bytes: &[u8; 16]) -> [u64; 2] {
    let whole = u128::from_le_bytes(*bytes);
    [whole as u64, (whole >> 64) as u64]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Query;

    /// Keys that differ in one byte, and keys that begin alike, of all lengths.
    fn keys(longest: usize) -> Vec<String> {
        let mut keys = vec![String::new()];
        for len in 1..=longest {
            let plain = "a".repeat(len);
            keys.extend((0..len).map(|at| {
                let mut key = plain.clone();
                key.replace_range(at..=at, "b");
                key
            }));
            keys.push(plain);
        }
        keys
    }

    #[test]
    fn a_key_is_itself_and_no_other() {
        let keys = keys(34);
        for ours in &keys {
            let query = Query::new(1, ours);
            for theirs in &keys {
                let ends = Query::new(1, theirs).ends;
                assert_eq!(query.is(1, ends, theirs), ours == theirs, "{ours} {theirs}");
            }
            assert!(!query.is(2, query.ends, ours));
        }
    }

    #[test]
    fn hashes_spread() {
        let keys = keys(69);
        for map in 1..4 {
            let hashes: HashSet<u64> = keys.iter().map(|key| Query::new(map, key).hash).collect();
            assert_eq!(hashes.len(), keys.len());
            // 2,485 of 8,192 slots: random hashing would fill 2,145.
            let places: HashSet<u64> = hashes.iter().map(|hash| hash % 8192).collect();
            assert!(places.len() > 2000, "{}", places.len());
        }
        let numbered: HashSet<u64> =
            (0..2485).map(|at| Query::new(1, &format!("/item/{at}")).hash % 8192).collect();
        assert!(numbered.len() > 2000, "{}", numbered.len());
    }
}
