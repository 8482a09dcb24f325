//! The last 60 seconds of a number in 256 bytes.

use super::point::{UNKNOWN_UPPER, upper, widen};

/// Sixty values; NaN if unknown.
///
/// Whole numbers up to 2⁵³ are exact unless they differ by 2³¹ or more from the first large one of
/// the minute. Other values have 21 significant bits, six digits, over the whole range of `f64`.
#[derive(Debug)]
pub(super) struct Seconds {
    /// The base of large whole numbers, which are stored as distances from it.
    base: f64,
    /// A bit for each word that is a distance rather than the upper half of a double.
    distances: u64,
    words: [u32; 60],
}

impl Seconds {
    pub(super) const LEN: usize = 60;

    pub(super) fn new() -> Self {
        Self { base: 0.0, distances: 0, words: [UNKNOWN_UPPER; 60] }
    }

    pub(super) fn set(&mut self, at: usize, value: f64) {
        self.distances &= !(1 << at);
        self.words[at] = upper(value);
        if widen(self.words[at]) == value || value.fract() != 0.0 || value.abs() > 2f64.powi(53) {
            return;
        }
        if self.distances == 0 {
            self.base = value;
        }
        let distance = value - self.base;
        if distance.abs() <= f64::from(i32::MAX) {
            self.words[at] = (distance as i32).cast_unsigned();
            self.distances |= 1 << at;
        }
    }

    pub(super) fn get(&self, at: usize) -> f64 {
        let word = self.words[at];
        if self.distances & (1 << at) == 0 {
            widen(word)
        } else {
            self.base + f64::from(word.cast_signed())
        }
    }

    /// The values of the first `n` seconds of a minute.
    pub(super) fn first(&self, n: usize) -> impl Iterator<Item = f64> + '_ {
        (0..n).map(|at| self.get(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(values: &[f64]) -> Vec<f64> {
        let mut seconds = Seconds::new();
        values.iter().enumerate().for_each(|(at, &value)| seconds.set(at, value));
        seconds.first(values.len()).collect()
    }

    #[test]
    fn whole_numbers_are_exact_and_all_others_have_six_digits() {
        let whole = [0.0, -1.0, 2e6, 1e15 + 1.0, 1e15 - 7.0, 1e15 + 2e9, 4_294_967_297.0 * 1000.0];
        let exact = kept(&whole);
        assert_eq!(exact[..6], whole[..6]);
        for value in [0.1, -1.0 / 3.0, 1e300, 1e-300, 5e-324, f64::MAX, f64::MIN, 9.1e18, 3.5e38] {
            let [back] = kept(&[value])[..] else { unreachable!() };
            assert!((back / value - 1.0).abs() < 5e-7 || value == 5e-324, "{value}: {back}");
            assert!(back.is_finite());
        }
        assert!(kept(&[f64::NAN])[0].is_nan() && kept(&[f64::INFINITY])[0].is_nan());
    }

    #[test]
    fn the_base_follows_a_number_that_moved_far() {
        let mut seconds = Seconds::new();
        for second in 0..200 {
            let value = if second < 100 { 3e9 + 1.0 } else { 9e14 + f64::from(second) };
            seconds.set(second as usize % 60, value);
        }
        assert_eq!(seconds.get(199 % 60), 9e14 + 199.0);
    }
}
