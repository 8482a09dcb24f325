//! The bounds of a histogram's buckets.

use expvar::{Snapshot, Unit};

/// A histogram's classic buckets.
pub(super) struct Ladder<'a> {
    total: &'a Snapshot,
    unit: Unit,
    /// Values are divided by this.
    scale: f64,
    /// Bounds in the unit shown. Default: the declared ones.
    chosen: Option<&'a [f64]>,
}

impl<'a> Ladder<'a> {
    pub(super) fn new(
        total: &'a Snapshot,
        unit: Unit,
        decimals: u32,
        chosen: Option<&'a [f64]>,
    ) -> Self {
        Self { total, unit, scale: 10f64.powi(decimals as i32), chosen }
    }

    /// The number of bounds.
    pub(super) fn len(&self) -> usize {
        match (self.chosen, self.total.bounds()) {
            (Some(chosen), _) => chosen.len(),
            (None, []) => self.unit.bucket_exponents(self.total.is_float()).count(),
            (None, declared) => declared.len(),
        }
    }

    /// Calls `f` for each bucket with its upper bound, in the unit shown, and the number of values at
    /// or below it.
    pub(super) fn cumulate(&self, mut f: impl FnMut(f64, u64)) {
        let (total, scale) = (self.total, self.scale);
        let floats = total.is_float();
        let mut held = total.buckets_float().peekable();
        let (mut below, mut shown_last) = (0, 0);
        // The bound as recorded, in the unit shown, and whether it is counted exactly.
        let mut bucket = |bound: f64, shown: f64, is_exact: bool| {
            // Zeros and negative values are in the lowest bucket of fractions.
            let ends = |low: f64, high: f64| if floats && low == 0.0 { 0.0 } else { high };
            while let Some((_, _, count)) = held.next_if(|&(low, high, _)| ends(low, high) <= bound)
            {
                below += count;
            }
            let count = if is_exact { total.at_most(bound) } else { below };
            // Beside an exact count, one of whole buckets may seem smaller.
            shown_last = count.max(shown_last);
            f(shown, shown_last);
        };
        match self.chosen {
            Some(bounds) => bounds.iter().for_each(|&shown| {
                let bound = shown * scale;
                let is_same = |exact: &&f64| (*exact - bound).abs() <= bound * 1e-12;
                match total.bounds().iter().find(is_same) {
                    Some(&exact) => bucket(exact, shown, true),
                    // Plus 10⁻¹² for rounding errors.
                    None => bucket(bound * (1.0 + 1e-12), shown, false),
                }
            }),
            None if !total.bounds().is_empty() => {
                total.bounds().iter().for_each(|&bound| bucket(bound, bound / scale, true));
            }
            None => total.below_powers(self.unit.bucket_exponents(floats), |exponent, below| {
                let bound = 2f64.powi(exponent);
                let bound = if floats { bound } else { bound - 1.0 };
                f(bound / scale, below);
            }),
        }
    }
}
