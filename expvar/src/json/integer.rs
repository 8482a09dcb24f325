//! Integers in decimal, written in place: formatting elsewhere and copying stalls on store
//! forwarding.

/// Appends an integer's digits.
#[inline]
pub fn write_unsigned(buffer: &mut Vec<u8>, n: u64) {
    let Some((digits, len)) = few_digits(n) else { return write_long(buffer, n) };
    buffer.extend_from_slice(&digits);
    buffer.truncate(buffer.len() - (digits.len() - len));
}

/// The digits of a number that has at most eight, padded, and their count.
#[inline]
pub(crate) fn few_digits(n: u64) -> Option<([u8; 8], usize)> {
    (n < EIGHT_DIGITS).then(|| short(n))
}

/// Writes an integer's digits to the beginning of `room` and returns their number. May overwrite
/// the bytes behind them.
#[inline]
pub fn put_unsigned(room: &mut [u8; 20], n: u64) -> usize {
    if n >= EIGHT_DIGITS {
        return put_long(room, n);
    }
    let (digits, len) = short(n);
    room[..8].copy_from_slice(&digits);
    len
}

fn put_long(room: &mut [u8; 20], n: u64) -> usize {
    let (upper, lower) = (n / EIGHT_DIGITS, n % EIGHT_DIGITS);
    let before = put_unsigned(room, upper);
    room[before..][..8].copy_from_slice(&(eight_digits(lower) | ASCII).to_le_bytes());
    before + 8
}

/// Appends an integer's digits, after a minus where it is negative.
#[inline]
pub fn write_signed(buffer: &mut Vec<u8>, n: i64) {
    if n < 0 {
        buffer.push(b'-');
    }
    write_unsigned(buffer, n.unsigned_abs());
}

fn write_long(buffer: &mut Vec<u8>, n: u64) {
    let mut digits = [0; 20];
    let len = put_long(&mut digits, n);
    buffer.extend_from_slice(&digits[..len]);
}

const EIGHT_DIGITS: u64 = 100_000_000;
const ASCII: u64 = u64::from_le_bytes([b'0'; 8]);

/// The digits of a number below 10⁸, padded, and their number.
#[inline]
fn short(n: u64) -> ([u8; 8], usize) {
    let digits = eight_digits(n);
    // Strips leading zeros, but keeps one digit.
    let zeros = (digits | 1 << 56).trailing_zeros() / 8;
    (((digits | ASCII) >> (8 * zeros)).to_le_bytes(), 8 - zeros as usize)
}

/// The eight digits of a number below 10⁸, the first in the lowest byte.
///
/// The word is split into two numbers of four digits, then four of two, then eight of one. All
/// parts are divided at once, by multiplications that are exact for so few digits.
#[inline]
fn eight_digits(n: u64) -> u64 {
    let fours = (n / 10_000) | ((n % 10_000) << 32);
    let upper = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = upper | ((fours - 100 * upper) << 16);
    let upper = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    upper | ((twos - 10 * upper) << 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_standard_library() {
        let mut numbers: Vec<u64> = (0..100_000).collect();
        numbers.extend((0..100_000_000).step_by(997));
        for power in 0..64 {
            numbers.extend([1 << power, (1 << power) - 1, u64::MAX >> power, !(1 << power)]);
        }
        let tens = std::iter::successors(Some(1_u64), |n| n.checked_mul(10));
        numbers.extend(tens.flat_map(|n| [n - 1, n, n + 1]));
        let mut buffer = Vec::new();
        for n in numbers {
            buffer.clear();
            write_unsigned(&mut buffer, n);
            buffer.push(b' ');
            write_signed(&mut buffer, n as i64);
            assert_eq!(String::from_utf8_lossy(&buffer), format!("{n} {}", n as i64));
            let mut room = [b'?'; 20];
            let len = put_unsigned(&mut room, n);
            assert_eq!(String::from_utf8_lossy(&room[..len]), n.to_string());
        }
    }

    #[test]
    fn every_four_digits_are_right() {
        for n in 0..10_000 {
            let digits = (eight_digits(n * 10_000 + 9_999 - n) | ASCII).to_le_bytes();
            assert_eq!(digits.as_slice(), format!("{n:04}{:04}", 9_999 - n).as_bytes());
        }
    }
}
