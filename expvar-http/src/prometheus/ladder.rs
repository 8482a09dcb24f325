//! The bounds of a histogram's buckets.

use expvar::{Snapshot, Unit};

/// Calls `f` for each bucket with its upper bound, in the unit shown, and the number of values at
/// or below it. `chosen` is in the unit shown; default: the declared bounds.
pub(super) fn cumulate(
    snapshot: &Snapshot,
    unit: Unit,
    scale: f64,
    chosen: Option<&[f64]>,
    mut f: impl FnMut(f64, u64),
) {
    let floats = snapshot.is_float();
    let mut held = snapshot.buckets_float().peekable();
    let (mut below, mut shown_last) = (0, 0);
    // The bound as recorded, in the unit shown, and whether it is counted exactly.
    let mut bucket = |bound: f64, shown: f64, is_exact: bool| {
        // Zeros and negative values are in the lowest bucket of fractions.
        let ends = |low: f64, high: f64| if floats && low == 0.0 { 0.0 } else { high };
        while let Some((_, _, count)) = held.next_if(|&(low, high, _)| ends(low, high) <= bound) {
            below += count;
        }
        let count = if is_exact { snapshot.at_most(bound) } else { below };
        // Beside an exact count, one of whole buckets may seem smaller.
        shown_last = count.max(shown_last);
        f(shown, shown_last);
    };
    match chosen {
        Some(bounds) => bounds.iter().for_each(|&shown| {
            let bound = shown * scale;
            let is_same = |exact: &&f64| (*exact - bound).abs() <= bound * 1e-12;
            match snapshot.bounds().iter().find(is_same) {
                Some(&exact) => bucket(exact, shown, true),
                // Plus 10⁻¹² for rounding errors.
                None => bucket(bound * (1.0 + 1e-12), shown, false),
            }
        }),
        None if !snapshot.bounds().is_empty() => {
            snapshot.bounds().iter().for_each(|&bound| bucket(bound, bound / scale, true));
        }
        None => unit.bucket_exponents(floats).for_each(|exponent| {
            let bound = 2f64.powi(exponent);
            // Percent of whole numbers are at most hundreds, where all is exact.
            let bound = if floats { bound } else { bound - 1.0 };
            bucket(bound, bound / scale, false);
        }),
    }
}
