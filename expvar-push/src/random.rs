//! Random numbers for jitter.

use std::hash::{BuildHasher, RandomState};

/// Returns a random number from 0 to 1. Not cryptographic: made from std's hash keys, which are
/// random for each thread.
pub fn random() -> f64 {
    (random_bits() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Returns 64 random bits. See [`random`].
pub fn random_bits() -> u64 {
    RandomState::new().hash_one(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_spread_over_the_whole_range() {
        let mut tenths = [0; 10];
        for _ in 0..1_000 {
            let drawn = random();
            assert!((0.0..1.0).contains(&drawn));
            tenths[(drawn * 10.0) as usize] += 1;
        }
        assert!(tenths.iter().all(|&count| count > 20), "{tenths:?}");
    }
}
