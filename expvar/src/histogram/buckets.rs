//! Where a value lies: log-linear buckets over the whole of `u64`.

/// 2^`bits` buckets to each factor of two; below 2^`bits`, a bucket a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Buckets {
    bits: u8,
}

impl Buckets {
    pub(crate) const fn new(bits: u8) -> Self {
        Self {
            bits: match bits {
                0 => 1,
                1..=8 => bits,
                9.. => 8,
            },
        }
    }

    /// How many buckets there are.
    pub(crate) const fn len(self) -> usize {
        (65 - self.bits as usize) << self.bits
    }

    /// The bucket in which `value` lies.
    #[inline]
    pub(crate) fn index(self, value: u64) -> usize {
        let bits = u32::from(self.bits);
        // The position of the highest bit that the bucket's width can follow.
        let top = 63 - (value | 1 << bits).leading_zeros();
        let shift = top - bits;
        ((shift as usize) << bits) + (value >> shift) as usize
    }

    /// The lowest and the highest value of a bucket.
    pub(crate) fn bounds(self, index: usize) -> (u64, u64) {
        let bits = u32::from(self.bits);
        let shift = (index >> bits).saturating_sub(1) as u32;
        let low = ((index - ((shift as usize) << bits)) as u64) << shift;
        (low, low + ((1 << shift) - 1))
    }

    /// The value that stands for a bucket: its middle, at most half a width from any of it.
    pub(crate) fn middle(self, index: usize) -> u64 {
        let (low, high) = self.bounds(index);
        low + (high - low) / 2
    }
}

#[cfg(test)]
mod tests {
    use super::Buckets;

    #[test]
    fn every_value_lies_within_the_bounds_of_its_bucket() {
        for bits in 0..=9 {
            let buckets = Buckets::new(bits);
            let edges = (0..64)
                .flat_map(|e| [0, 1, 2, 3].map(|d| (1u64 << e).wrapping_add(d).wrapping_sub(2)));
            for value in edges.chain(0..5000).chain([u64::MAX, u64::MAX - 1]) {
                let index = buckets.index(value);
                assert!(index < buckets.len(), "{bits} {value}");
                let (low, high) = buckets.bounds(index);
                assert!(low <= value && value <= high, "{bits} {value}: {low}..={high}");
                let error = buckets.middle(index).abs_diff(value) as f64;
                assert!(error <= value as f64 / f64::from(2 << buckets.bits), "{bits} {value}");
            }
        }
    }

    #[test]
    fn buckets_follow_each_other_without_gap_or_overlap() {
        let buckets = Buckets::new(4);
        assert_eq!(buckets.len(), 976);
        let mut next = 0u64;
        for index in 0..buckets.len() {
            let (low, high) = buckets.bounds(index);
            assert_eq!(low, next);
            next = high.wrapping_add(1);
        }
        assert_eq!(next, 0, "the last bucket ends with u64::MAX");
    }
}
