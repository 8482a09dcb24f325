//! Numbers as Go writes them.

use super::integer::write_unsigned;

/// Appends a float as Go's `expvar.Float` shows it: the shortest digits that round-trip, with an
/// exponent of at least two digits when it is below -4 or at least 6 (Go's `strconv`, format `g`).
/// NaN and infinities, which JSON lacks, become `null`.
pub fn write_float(buffer: &mut Vec<u8>, n: f64) {
    if !n.is_finite() {
        return buffer.extend_from_slice(b"null");
    }
    let shortest = Decimal::of(n);
    if (-4..6).contains(&shortest.exponent) {
        shortest.write_positional(buffer);
    } else {
        shortest.write_scientific(buffer, 2);
    }
}

/// Appends a float as Go's `encoding/json` shows it: with an exponent below 1e-6 and from 1e21.
pub(crate) fn write_plain(buffer: &mut Vec<u8>, n: f64) {
    if !n.is_finite() {
        return buffer.extend_from_slice(b"null");
    }
    write_marshalled(buffer, &Decimal::of(n));
}

/// The same for a `float32`.
#[cfg(feature = "serde")]
pub(super) fn write_plain_f32(buffer: &mut Vec<u8>, n: f32) {
    if !n.is_finite() {
        return buffer.extend_from_slice(b"null");
    }
    write_marshalled(buffer, &Decimal::parse(zmij::Buffer::new().format_finite(n)));
}

fn write_marshalled(buffer: &mut Vec<u8>, shortest: &Decimal) {
    if (-6..21).contains(&shortest.exponent) {
        shortest.write_positional(buffer);
    } else {
        shortest.write_scientific(buffer, 1);
    }
}

/// A float's shortest decimal form, `d.ddd` times 10 to the exponent.
struct Decimal {
    is_negative: bool,
    digits: [u8; DIGITS],
    /// At least one.
    len: usize,
    exponent: i32,
}

/// A float has at most 17; more than that are zeros.
const DIGITS: usize = 17;

impl Decimal {
    /// The digits of what is finite. Of two that are as short and as near, the even ones, as Go has
    /// them; the standard library takes the upper ones.
    fn of(n: f64) -> Self {
        Self::parse(zmij::Buffer::new().format_finite(n))
    }

    /// Takes a number apart that has a sign, digits, a point, or an exponent.
    fn parse(text: &str) -> Self {
        let (is_negative, text) = match text.strip_prefix('-') {
            Some(text) => (true, text),
            None => (false, text),
        };
        let mut this = Self { is_negative, digits: [b'0'; DIGITS], len: 0, exponent: 0 };
        // Digits before the point, and zeros that the number begins with.
        let (mut whole, mut zeros, mut has_point) = (0, 0, false);
        for (at, &byte) in text.as_bytes().iter().enumerate() {
            match byte {
                b'.' => has_point = true,
                b'e' => {
                    this.exponent = text[at + 1..].parse().unwrap_or(0);
                    break;
                }
                digit => {
                    whole += i32::from(!has_point);
                    if this.len == 0 && digit == b'0' {
                        zeros += 1;
                    } else if this.len < DIGITS {
                        this.digits[this.len] = digit;
                        this.len += 1;
                    }
                }
            }
        }
        while this.len > 0 && this.digits[this.len - 1] == b'0' {
            this.len -= 1;
        }
        if this.len == 0 {
            return Self { len: 1, exponent: 0, ..this };
        }
        this.exponent += whole - zeros - 1;
        this
    }

    fn write_sign(&self, buffer: &mut Vec<u8>) {
        if self.is_negative {
            buffer.push(b'-');
        }
    }

    fn write_scientific(&self, buffer: &mut Vec<u8>, exponent_digits: usize) {
        self.write_sign(buffer);
        let (first, more) = self.digits[..self.len].split_at(1);
        buffer.extend_from_slice(first);
        if !more.is_empty() {
            buffer.push(b'.');
            buffer.extend_from_slice(more);
        }
        let exponent = self.exponent.unsigned_abs();
        buffer.extend_from_slice(if self.exponent < 0 { b"e-" } else { b"e+" });
        if exponent < 10 && exponent_digits > 1 {
            buffer.push(b'0');
        }
        write_unsigned(buffer, exponent.into());
    }

    fn write_positional(&self, buffer: &mut Vec<u8>) {
        self.write_sign(buffer);
        let digits = &self.digits[..self.len];
        let Ok(exponent) = usize::try_from(self.exponent) else {
            buffer.extend_from_slice(b"0.");
            buffer.resize(buffer.len() + self.exponent.unsigned_abs() as usize - 1, b'0');
            return buffer.extend_from_slice(digits);
        };
        let (whole, fraction) = digits.split_at((exponent + 1).min(digits.len()));
        buffer.extend_from_slice(whole);
        buffer.resize(buffer.len() + (exponent + 1 - whole.len()), b'0');
        if !fraction.is_empty() {
            buffer.push(b'.');
            buffer.extend_from_slice(fraction);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_the_shortest_that_give_the_number() {
        let written = |n: f64| {
            let mut buffer = Vec::new();
            Decimal::of(n).write_scientific(&mut buffer, 1);
            String::from_utf8_lossy(&buffer).into_owned()
        };
        let mut bits = 0x9E37_79B9_7F4A_7C15_u64;
        let random = std::iter::repeat_with(|| {
            bits ^= bits << 13;
            bits ^= bits >> 7;
            bits ^= bits << 17;
            f64::from_bits(bits)
        });
        let powers = (-1074..1024).map(|exponent| 2f64.powi(exponent));
        let decimals = (0..5000).map(|n| f64::from(n) / 100.0);
        let edges = [0.0, -0.0, 1.0, 1e21, 1e-7, f64::MAX, f64::MIN_POSITIVE, 5e-324, 123_456.0];
        for n in random.take(100_000).chain(powers).chain(decimals).chain(edges) {
            for n in [n, -n].into_iter().filter(|n| n.is_finite()) {
                let (found, standard) = (written(n), format!("{n:e}"));
                assert_eq!(found.parse::<f64>().map(f64::to_bits), Ok(n.to_bits()), "{found}");
                assert_eq!(found.replace('+', "").len(), standard.len(), "{found} {standard}");
            }
        }
        // As far from ...623: Go takes the even one.
        assert_eq!(written(6_632_827_120_354_249.0 / 4.0), "1.6582067800885622e+15");
        assert_eq!(written(6_632_827_120_354_255.0 / 4.0), "1.6582067800885638e+15");
    }

    #[test]
    fn floats_are_positional_where_go_writes_them_so() {
        for (n, float, plain) in [
            (0.0, "0", "0"),
            (-0.0, "-0", "-0"),
            (100.0, "100", "100"),
            (123_456.75, "123456.75", "123456.75"),
            (1e6, "1e+06", "1000000"),
            (1.5e20, "1.5e+20", "150000000000000000000"),
            (1e21, "1e+21", "1e+21"),
            (0.000_1, "0.0001", "0.0001"),
            (0.000_012, "1.2e-05", "0.000012"),
            (1e-7, "1e-07", "1e-7"),
            (-2.5e-100, "-2.5e-100", "-2.5e-100"),
            (f64::NAN, "null", "null"),
        ] {
            let mut buffer = Vec::new();
            write_float(&mut buffer, n);
            assert_eq!(String::from_utf8_lossy(&buffer), float);
            buffer.clear();
            write_plain(&mut buffer, n);
            assert_eq!(String::from_utf8_lossy(&buffer), plain);
        }
    }
}
