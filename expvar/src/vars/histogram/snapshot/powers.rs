//! Counts by powers of two, for exporters.

use super::Snapshot;

impl Snapshot {
    /// Counts by powers of two, ascending: calls `f` with an exponent and the number of values
    /// above 2^exponent and at or below the next power. Without an exponent, the zeros; for
    /// fractions, all up to 2⁻³⁰. A power of two that shares its bucket with larger values is
    /// counted with them. An exponent may come twice.
    #[doc(hidden)]
    pub fn powers(&self, mut f: impl FnMut(Option<i32>, u64)) {
        let bits = self.buckets.bits();
        let first = if self.buckets.floats { -30 } else { 0 };
        let mut at = self.start;
        let mut counts = &self.counts[..];
        while let Some((&count, rest)) = counts.split_first() {
            let Some(index) = at.checked_sub(1) else {
                if count > 0 {
                    f(None, count);
                }
                (at, counts) = (at + 1, rest);
                continue;
            };
            let (octave, step) = (index >> bits, index & ((1 << bits) - 1));
            // Below this each whole number has its own bucket.
            if !self.buckets.floats && step == 0 && octave <= usize::from(bits) {
                if count > 0 {
                    f(Some(octave as i32 - 1), count);
                }
                (at, counts) = (at + 1, rest);
                continue;
            }
            let take = ((1 << bits) - step).min(counts.len());
            let (these, rest) = counts.split_at(take);
            let count = these.iter().fold(0_u64, |sum, n| sum.wrapping_add(*n));
            if count > 0 {
                f(Some(first + octave as i32), count);
            }
            (at, counts) = (at + take, rest);
        }
    }

    /// Cumulative counts at powers of two: calls `f` with each exponent and the number of values at
    /// or below that power; for whole numbers, below it. Exact, because buckets end there. Exponents
    /// must ascend.
    #[doc(hidden)]
    pub fn below_powers(&self, exponents: impl Iterator<Item = i32>, mut f: impl FnMut(i32, u64)) {
        let first = if self.buckets.floats { -30 } else { 0 };
        let (mut at, mut below) = (self.start, 0u64);
        let mut rest = &self.counts[..];
        for exponent in exponents {
            // The first bucket holds zeros, and fractions up to 2⁻³⁰.
            let octaves = usize::try_from(exponent - first).unwrap_or(0);
            let end = 1 + (octaves << self.buckets.bits());
            let take = end.saturating_sub(at).min(rest.len());
            let (these, behind) = rest.split_at(take);
            below = these.iter().fold(below, |sum, n| sum.wrapping_add(*n));
            (at, rest) = (at + take, behind);
            f(exponent, below);
        }
    }
}
