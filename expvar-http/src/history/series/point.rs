//! A summary of a minute, an hour or a day in 64 bits.

/// The summary of a number over a time span; all NaN if unknown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) low: f64,
    pub(crate) mean: f64,
    pub(crate) high: f64,
    /// A counter's increase; NaN for a gauge.
    pub(crate) total: f64,
}

impl Summary {
    pub(crate) const UNKNOWN: Self =
        Self { low: f64::NAN, mean: f64::NAN, high: f64::NAN, total: f64::NAN };

    /// One value.
    pub(super) fn one(value: f64) -> Self {
        Self { low: value, mean: value, high: value, total: f64::NAN }
    }

    fn is_known(&self) -> bool {
        !self.mean.is_nan()
    }

    /// Summarizes the known parts: minimum, maximum, mean of the means, sum; and their number.
    pub(super) fn of(parts: impl Iterator<Item = Summary>) -> (Self, u32) {
        let mut all = Self { low: f64::INFINITY, mean: 0.0, high: f64::NEG_INFINITY, total: 0.0 };
        let mut known = 0;
        for part in parts.filter(Summary::is_known) {
            known += 1;
            all.low = all.low.min(part.low);
            all.high = all.high.max(part.high);
            all.total += part.total;
            // Stays finite even if the sum of the values would not.
            all.mean += (part.mean / 2.0 - all.mean / 2.0) / f64::from(known) * 2.0;
        }
        if known == 0 { (Self::UNKNOWN, 0) } else { (all, known) }
    }
}

/// The upper half of NaN's bits.
pub(super) const UNKNOWN_UPPER: u32 = 0x7ff8_0000;

/// The upper half of a double, rounded: 21 significant bits. NaN for infinities.
pub(super) fn upper(value: f64) -> u32 {
    if value.is_finite() { (shorten(value, 32) >> 32) as u32 } else { UNKNOWN_UPPER }
}

/// The double of an upper half.
pub(super) fn widen(upper: u32) -> f64 {
    f64::from_bits(u64::from(upper) << 32)
}

/// The bits of a finite double, rounded so that the lower `cut` bits are zero; never an infinity.
fn shorten(value: f64, cut: u32) -> u64 {
    // Adding zero turns −0 into 0.
    let bits = (value + 0.0).to_bits();
    let rounded = bits + (1 << (cut - 1));
    let bits = if f64::from_bits(rounded).is_finite() { rounded } else { bits };
    bits >> cut << cut
}

/// Minimum, mean and maximum of a gauge.
///
/// If all three are equal, or differ by less than 1 in 16,384, stored as that double without its
/// last bit. Otherwise minimum and maximum have 14 significant bits each (four digits), and the
/// mean is stored as a fraction between them, exact to 1 in 256 of its distance to the nearer one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level(u64);

/// Low bits that a stored minimum or maximum lacks.
const CUT: u32 = 39;
const MAX_SHARE: u64 = 4095;
/// The least fraction distinct from zero: 2⁻³².
const LEAST_SHARE: u64 = (1023 - 32) << 7;

impl Level {
    pub(super) fn to_bits(self) -> u64 {
        self.0
    }

    pub(super) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(super) const UNKNOWN: Self = Self(u64::MAX - 1);

    pub(super) fn new(of: Summary) -> Self {
        if !of.is_known() {
            return Self::UNKNOWN;
        }
        let (low, high) = (shorten(of.low, CUT), shorten(of.high, CUT));
        if low == high {
            return Self(of.mean.to_bits() & !1);
        }
        let [low_value, high_value] = [low, high].map(f64::from_bits);
        let half = high_value / 2.0 - low_value / 2.0;
        let [from_low, from_high] =
            [of.mean / 2.0 - low_value / 2.0, high_value / 2.0 - of.mean / 2.0];
        let nearer = from_low.min(from_high);
        let share = if half > 0.0 { (nearer / half).clamp(0.0, 0.5) } else { 0.0 };
        let share = (shorten(share, 45) >> 45).saturating_sub(LEAST_SHARE).min(MAX_SHARE);
        let is_nearer_high = u64::from(from_high < from_low);
        Self(low >> CUT << 39 | high >> CUT << 14 | is_nearer_high << 13 | share << 1 | 1)
    }

    pub(super) fn summary(self) -> Summary {
        if self.0 & 1 == 0 {
            return Summary::one(f64::from_bits(self.0));
        }
        let extreme = |at: u32| f64::from_bits((self.0 >> at & 0x1ff_ffff) << CUT);
        let (low, high) = (extreme(39), extreme(14));
        let share = match self.0 >> 1 & MAX_SHARE {
            0 => 0.0,
            share => f64::from_bits((share + LEAST_SHARE) << 45),
        };
        let distance = (high / 2.0 - low / 2.0) * (share * 2.0);
        let mean = if self.0 >> 13 & 1 == 0 { low + distance } else { high - distance };
        Summary { low, mean, high, total: f64::NAN }
    }
}

/// A counter's increase, and the minimum and maximum of its rates.
///
/// The increase has 27 significant bits: exact up to 134 million a point, eight digits beyond.
/// Minimum and maximum are stored as multiples of the mean rate, exact to 1 in 600.
#[derive(Clone, Copy, Debug)]
pub(super) struct Climb(u64);

/// Low bits that a stored increase lacks.
const TOTAL_CUT: u32 = 26;
/// The least increase distinct from zero: 2⁻⁶⁴.
const LEAST_TOTAL: u64 = (1023 - 64) << 26;
const MAX_TOTAL: u64 = (1 << 34) - 1;
const MAX_RATIO: f64 = 4095.0;
/// The range of the ratio of maximum to mean as a power of two: a second of a day is 2¹⁶·⁴.
const RATIO_POWERS: f64 = 17.0;

impl Climb {
    pub(super) fn to_bits(self) -> u64 {
        self.0
    }

    pub(super) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(super) const UNKNOWN: Self = Self(0);

    /// A time span with `known` known parts, each of `secs` seconds.
    pub(super) fn new(of: Summary, known: u32, secs: f64) -> Self {
        if !of.is_known() || known == 0 {
            return Self::UNKNOWN;
        }
        let known = u64::from(known.min(63));
        let total = (shorten(of.total.max(0.0), TOTAL_CUT) >> TOTAL_CUT)
            .saturating_sub(LEAST_TOTAL)
            .min(MAX_TOTAL);
        let mean = Self(known << 58 | total << 24).mean(secs);
        let powers = |rate: f64| (rate / mean).log2() / RATIO_POWERS * MAX_RATIO;
        let high = if mean > 0.0 { powers(of.high).round().clamp(0.0, MAX_RATIO) } else { 0.0 };
        let low = if mean > 0.0 && of.low > 0.0 {
            (MAX_RATIO + powers(of.low)).round().clamp(0.0, MAX_RATIO)
        } else {
            0.0
        };
        Self(known << 58 | total << 24 | (high as u64) << 12 | low as u64)
    }

    fn total(self) -> f64 {
        match self.0 >> 24 & MAX_TOTAL {
            0 => 0.0,
            total => f64::from_bits((total + LEAST_TOTAL) << TOTAL_CUT),
        }
    }

    fn mean(self, secs: f64) -> f64 {
        self.total() / ((self.0 >> 58) as f64 * secs)
    }

    /// The rates of a time span whose parts are of `secs` seconds.
    pub(super) fn summary(self, secs: f64) -> Summary {
        if self.0 == Self::UNKNOWN.0 {
            return Summary::UNKNOWN;
        }
        let mean = self.mean(secs);
        let ratio = |powers: f64| (powers / MAX_RATIO * RATIO_POWERS).exp2();
        let low = match self.0 & 0xfff {
            0 => 0.0,
            low => mean * ratio(low as f64 - MAX_RATIO),
        };
        let high = mean * ratio((self.0 >> 12 & 0xfff) as f64);
        Summary { low, mean, high, total: self.total() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(low: f64, mean: f64, high: f64) -> Summary {
        Level::new(Summary { low, mean, high, total: f64::NAN }).summary()
    }

    fn near(value: f64, expected: f64, part: f64) {
        let error = (value - expected).abs();
        assert!(error <= expected.abs() * part, "{value} is not {expected}");
    }

    #[test]
    fn a_level_keeps_minimum_mean_and_maximum_at_any_size() {
        for scale in [1.0, -1.0, 1e300, 1e-300, 1e40, 3e-50] {
            let [a, b]: [f64; 2] = [10.0 * scale, 100_000.0 * scale];
            let (low, high) = (a.min(b), a.max(b));
            let kept = level(low, 3856.0 * scale, high);
            near(kept.low, low, 6.2e-5);
            near(kept.high, high, 6.2e-5);
            near(kept.mean, 3856.0 * scale, 5e-3);
        }
        let kept = level(-5.0, 0.0, 7.0);
        assert_eq!((kept.low, kept.high), (-5.0, 7.0));
        near(kept.mean + 5.0, 5.0, 4e-3);
        let kept = level(f64::MIN, 0.0, f64::MAX);
        assert!(kept.low < -1.7e308 && kept.high > 1.7e308 && kept.mean.is_finite());
    }

    #[test]
    fn a_level_that_stood_still_is_exact() {
        for value in [0.0, 7.0, -1.5, 4_294_967_296.0, 1e300, f64::MAX] {
            let kept = level(value, value, value);
            near(kept.mean, value, 3e-16);
            assert_eq!((kept.low, kept.high), (kept.mean, kept.mean));
        }
        assert!(Level::UNKNOWN.summary().mean.is_nan());
    }

    #[test]
    fn a_climb_keeps_its_total_exactly() {
        for total in [0.0, 1.0, 7001.0, 134_217_727.0, 0.5] {
            let of = Summary { low: 0.0, mean: total / 60.0, high: total, total };
            let kept = Climb::new(of, 60, 1.0).summary(1.0);
            assert_eq!((kept.total, kept.low), (total, 0.0));
            near(kept.mean, total / 60.0, 1e-12);
            near(kept.high, total, 1.6e-3);
        }
        let of = Summary { low: 5.0, mean: 5.0, high: 5.0, total: 1e15 };
        near(Climb::new(of, 60, 1.0).summary(1.0).total, 1e15, 1e-8);
        let of = Summary { low: 90.0, mean: 100.0, high: 110.0, total: 1500.0 };
        let kept = Climb::new(of, 15, 1.0).summary(1.0);
        near(kept.mean, 100.0, 1e-12);
        near(kept.low, 90.0, 1.6e-3);
        assert!(Climb::UNKNOWN.summary(1.0).total.is_nan());
    }
}
