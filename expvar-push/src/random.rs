//! Numbers that differ from process to process, for jitter.

use std::hash::{BuildHasher, RandomState};

/// A number from 0 to 1, another one each time: what jitter is drawn from. No secret: std's hash
/// keys, which are random for each thread, are all that it is made of.
pub fn random() -> f64 {
    (random_bits() >> 11) as f64 / (1_u64 << 53) as f64
}

/// The same as 64 bits.
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
