//! Log-linear buckets over `u64`, or over fractions.

/// 2^`bits` buckets for each factor of two, and one for zero. Below 2^`bits` some buckets are empty
/// by construction; no value is in two.
///
/// Buckets of fractions cover 2⁻³⁰ to 2⁶⁴, exclude their lower bound and include their upper one.
/// The first also has everything below, the last everything above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Buckets {
    bits: u8,
    pub(crate) floats: bool,
    /// The shift from a float's bits to a bucket index, and the offset of the index. Both are
    /// stored: computed, a shift count would go through `cl`, which often still waits for the
    /// previous recording's address.
    shift: u32,
    below: u32,
    /// Whole numbers below this are floats without rounding. 0 for fractions, so that one comparison
    /// finds these too.
    exact: u64,
}

/// Whole numbers below this are floats without rounding.
const EXACT: u64 = 1 << 53;
/// The upper bound of the first bucket for fractions: 2⁻³⁰, about a billionth.
const LEAST: f64 = 1.0 / (1u64 << 30) as f64;
/// Factors of two from there to 2⁶⁴.
const OCTAVES: usize = 94;
/// Fractions have 2⁴ buckets for each factor of two: the top 4 bits of the mantissa.
const FLOAT_SHIFT: u32 = 52 - FLOAT_BITS as u32;
const FLOAT_BITS: u8 = 4;
const FLOAT_BUCKETS: usize = 1 + (OCTAVES << FLOAT_BITS);

impl Buckets {
    pub(crate) const fn new(bits: u8) -> Self {
        Self::of(
            match bits {
                0 => 1,
                1..=8 => bits,
                9.. => 8,
            },
            false,
        )
    }

    const fn of(bits: u8, floats: bool) -> Self {
        let exact = if floats { 0 } else { EXACT };
        Self { bits, floats, shift: 52 - bits as u32, below: (1023 << bits) - 1, exact }
    }

    /// 16 buckets to each factor of two, for fractions.
    pub(crate) const fn of_floats() -> Self {
        Self::of(FLOAT_BITS, true)
    }

    /// The base-2 logarithm of the number of buckets for each factor of two.
    pub(crate) const fn bits(self) -> u8 {
        self.bits
    }

    /// How many buckets there are.
    pub(crate) const fn len(self) -> usize {
        if self.floats {
            return FLOAT_BUCKETS;
        }
        1 + (64 << self.bits)
    }

    /// The bucket of `value`.
    #[inline]
    pub(crate) fn index(self, value: u64) -> usize {
        if value < EXACT { self.index_small(value) } else { self.index_large(value) }
    }

    /// The same without a call; `None` for fractions, and where a float may be rounded up into the
    /// next bucket.
    #[inline(always)]
    pub(super) fn index_exact(self, value: u64) -> Option<usize> {
        (value < self.exact).then(|| self.index_small(value))
    }

    #[inline(always)]
    fn index_small(self, value: u64) -> usize {
        // The exponent of a float and its first mantissa bits are log-linear already.
        // `leading_zeros` is slower on x86-64 without `-C target-cpu`: it becomes `bsr`, which
        // depends on the old value of its target register.
        let bits = (value as i64 as f64).to_bits() >> (self.shift & 63);
        // The offset is one, then zero.
        bits.saturating_sub(self.below.into()) as usize
    }

    /// The bucket, where rounding to a float may reach the next one.
    #[cold]
    #[inline(never)]
    pub(super) fn index_large(self, value: u64) -> usize {
        let top = value.ilog2();
        let step = (value >> (top - u32::from(self.bits))) as usize & ((1 << self.bits) - 1);
        1 + ((top as usize) << self.bits) + step
    }

    /// The bucket of a fraction: the first for negative values, none for NaN.
    #[inline]
    pub(crate) fn index_float(value: f64) -> Option<usize> {
        if value > LEAST {
            // A float's bits, read as an integer, are log-linear already.
            let steps = (value.to_bits() - 1) >> FLOAT_SHIFT;
            let index = 1 + steps - (LEAST.to_bits() >> FLOAT_SHIFT);
            Some((index as usize).min(FLOAT_BUCKETS - 1))
        } else {
            (!value.is_nan()).then_some(0)
        }
    }

    /// The bounds of a bucket. The lower one is included only for whole numbers.
    pub(crate) fn bounds_float(self, index: usize) -> (f64, f64) {
        if !self.floats {
            let (low, high) = self.bounds(index);
            return (low as f64, high as f64);
        }
        let first = LEAST.to_bits() >> FLOAT_SHIFT;
        let bound = |n: usize| f64::from_bits((first + n as u64) << FLOAT_SHIFT);
        (if index == 0 { 0.0 } else { bound(index - 1) }, bound(index))
    }

    /// The lowest and the highest value of a bucket; for fractions, their whole part.
    pub(crate) fn bounds(self, index: usize) -> (u64, u64) {
        if self.floats {
            let (low, high) = self.bounds_float(index);
            return (low as u64, high as u64);
        }
        let bits = u32::from(self.bits);
        let low = |index: usize| -> u64 {
            let Some(at) = index.checked_sub(1) else { return 0 };
            let (octave, step) = ((at >> bits) as u32, at & ((1 << bits) - 1));
            let steps = (1u64 << bits) + step as u64;
            match octave.checked_sub(bits) {
                // Behind the last bucket it wraps to 0.
                Some(octaves) => steps << octaves,
                // Rounded up: the lowest whole number that is not below.
                None => (steps << octave).div_ceil(1 << bits),
            }
        };
        // For a bucket that no value falls into, high is one below low.
        (low(index), low(index + 1).wrapping_sub(1))
    }

    /// The value that represents a bucket: its middle, at most half a width off.
    pub(crate) fn middle(self, index: usize) -> u64 {
        let (low, high) = self.bounds(index);
        low + high.saturating_sub(low) / 2
    }

    /// The same for fractions. For the first bucket the lower bound: most of its values are zero.
    pub(crate) fn middle_float(self, index: usize) -> f64 {
        match (self.floats, index) {
            (false, _) => self.middle(index) as f64,
            (true, 0) => 0.0,
            (true, _) => {
                let (low, high) = self.bounds_float(index);
                low + (high - low) / 2.0
            }
        }
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
    fn every_fraction_lies_within_the_bounds_of_its_bucket() {
        let buckets = Buckets::of_floats();
        for exponent in -40..70 {
            for step in 0..64 {
                let value = 2f64.powi(exponent) * (1.0 + f64::from(step) / 64.0);
                let index = Buckets::index_float(value).unwrap();
                let (low, high) = buckets.bounds_float(index);
                assert!(low < value && (value <= high || value > 2f64.powi(64)), "{value}");
                if (2f64.powi(-30)..2f64.powi(64)).contains(&value) {
                    let error = (buckets.middle_float(index) - value).abs() / value;
                    assert!(error <= 1.0 / 32.0 || index == 0, "{value}: {error}");
                }
            }
        }
        let last = buckets.len() - 1;
        assert_eq!(buckets.bounds_float(last).1, 2f64.powi(64));
        for (value, index) in [(0.0, 0), (-1.0, 0), (f64::INFINITY, last)] {
            assert_eq!(Buckets::index_float(value), Some(index), "{value}");
        }
        assert_eq!(Buckets::index_float(f64::NAN), None);
        let half = Buckets::index_float(0.5).unwrap();
        assert_eq!(buckets.bounds_float(half).1, 0.5, "the bound is inside");
    }

    #[test]
    fn buckets_follow_each_other_without_gap_or_overlap() {
        let buckets = Buckets::new(4);
        assert_eq!(buckets.len(), 1 + 64 * 16);
        let mut next = 0u64;
        for index in 0..buckets.len() {
            let (low, high) = buckets.bounds(index);
            assert_eq!(low, next);
            next = high.wrapping_add(1);
        }
        assert_eq!(next, 0, "the last bucket ends with u64::MAX");
    }
}
