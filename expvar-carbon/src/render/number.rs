//! Numbers in a line.

use expvar::Number;
use expvar::json::put_unsigned;

use crate::render::refusal::Refusal;

/// The largest integer that Carbon stores exactly in its 64-bit floats: 2⁵³.
pub const EXACT_MAX: u64 = 1 << 53;

/// Whole floats from here on have an exponent.
const POSITIONAL_END: u64 = 10_u64.pow(16);

/// The room that [`put`](Number::put) needs.
pub(crate) const NUMBER_ROOM: usize = 32;

/// How a number is written: an integer exactly, a float with the fewest digits that round-trip.
pub(crate) trait Written: Copy {
    /// Whether Carbon's 64-bit float may round it: an integer beyond ±2⁵³.
    fn is_rounded(self) -> bool;

    /// Why it is not sent, if so.
    fn problem(self) -> Option<Refusal>;

    /// The increase of a count since `before`; all of it if the count was reset.
    fn added_since(self, before: Self) -> Self;

    /// Writes the digits to the beginning of `room` and returns their number, at most 24. May
    /// overwrite the bytes after them. The number must have no [`problem`](Self::problem).
    fn put(self, room: &mut [u8; NUMBER_ROOM]) -> usize;
}

impl Written for Number {
    fn is_rounded(self) -> bool {
        match self {
            Number::Unsigned(n) => n > EXACT_MAX,
            Number::Signed(n) => n.unsigned_abs() > EXACT_MAX,
            Number::Float(_) => false,
        }
    }

    fn problem(self) -> Option<Refusal> {
        match self {
            Number::Float(f) if f.is_nan() => Some(Refusal::NotANumber),
            Number::Float(f) if f.is_infinite() => Some(Refusal::Infinite),
            _ => None,
        }
    }

    fn added_since(self, before: Number) -> Number {
        self.since(before).unwrap_or(self)
    }

    #[inline(always)]
    fn put(self, room: &mut [u8; NUMBER_ROOM]) -> usize {
        let (is_negative, magnitude) = match self {
            Number::Unsigned(n) => (false, n),
            Number::Signed(n) => (n < 0, n.unsigned_abs()),
            Number::Float(f) => return put_float(room, f),
        };
        put_integer(room, is_negative, magnitude)
    }
}

#[inline]
fn put_integer(room: &mut [u8; NUMBER_ROOM], is_negative: bool, magnitude: u64) -> usize {
    room[0] = b'-';
    let sign = usize::from(is_negative);
    let digits = room[sign..].first_chunk_mut().expect("room for 20 digits");
    sign + put_unsigned(digits, magnitude)
}

#[inline(never)]
fn put_float(room: &mut [u8; NUMBER_ROOM], f: f64) -> usize {
    let whole = f as i64;
    if whole as f64 == f && whole.unsigned_abs() < POSITIONAL_END {
        return put_integer(room, f.is_sign_negative(), whole.unsigned_abs());
    }
    let mut digits = zmij::Buffer::new();
    let digits = digits.format_finite(f).as_bytes();
    room[..digits.len()].copy_from_slice(digits);
    digits.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(number: impl Into<Number>) -> String {
        let mut room = [b'?'; NUMBER_ROOM];
        let len = number.into().put(&mut room);
        String::from_utf8(room[..len].to_vec()).unwrap()
    }

    #[test]
    fn integers_are_exact_and_floats_shortest() {
        assert_eq!(written(u64::MAX), "18446744073709551615");
        assert_eq!(written(i64::MIN), "-9223372036854775808");
        assert_eq!(written(true), "1");
        for (value, digits) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (3.0, "3"),
            (0.1, "0.1"),
            (1.5e-3, "0.0015"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e308"),
            (1e20, "1e20"),
            (-12_345_678.0, "-12345678"),
            (9_007_199_254_740_993.0, "9007199254740992"),
            (9_999_999_999_999_998.0, "9999999999999998"),
            (1e16, "1e16"),
            (-12_345_678_901_234_568.0, "-1.2345678901234568e16"),
        ] {
            assert_eq!(written(value).replace("e+", "e"), digits);
        }
    }

    #[test]
    fn a_count_that_began_anew_has_all_of_it_added() {
        assert_eq!(Number::Unsigned(7).added_since(Number::Unsigned(5)), Number::Unsigned(2));
        assert_eq!(Number::Unsigned(3).added_since(Number::Unsigned(5)), Number::Unsigned(3));
        assert_eq!(Number::Signed(-1).added_since(Number::Signed(-5)), Number::Unsigned(4));
        assert_eq!(Number::Float(1.5).added_since(Number::Float(2.5)), Number::Float(1.5));
    }

    #[test]
    fn what_a_float_cannot_hold_is_known() {
        assert!(!Number::Unsigned(EXACT_MAX).is_rounded());
        assert!(Number::Unsigned(EXACT_MAX + 1).is_rounded());
        assert!(!Number::Signed(-(EXACT_MAX as i64)).is_rounded());
        assert!(Number::Signed(i64::MIN).is_rounded());
        assert!(!Number::Float(1e300).is_rounded());
    }
}
