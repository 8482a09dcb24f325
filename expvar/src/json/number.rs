//! Numbers as Go writes them.

use std::io::Write;

/// Appends a float as Go's `expvar.Float` shows it: the shortest digits that round-trip, with an
/// exponent of at least two digits when it is below -4 or at least 6 (Go's `strconv`, format `g`).
/// NaN and infinities, which JSON lacks, become `null`.
pub fn write_float(buffer: &mut Vec<u8>, n: f64) {
    if !n.is_finite() {
        return buffer.extend_from_slice(b"null");
    }
    let shortest = Decimal::new(|text| write!(text, "{n:e}"));
    if (-4..6).contains(&shortest.exponent()) || n == 0.0 {
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
    write_marshalled(buffer, &Decimal::new(|text| write!(text, "{n:e}")));
}

/// The same for a `float32`.
#[cfg(feature = "serde")]
pub(super) fn write_plain_f32(buffer: &mut Vec<u8>, n: f32) {
    if !n.is_finite() {
        return buffer.extend_from_slice(b"null");
    }
    write_marshalled(buffer, &Decimal::new(|text| write!(text, "{n:e}")));
}

fn write_marshalled(buffer: &mut Vec<u8>, shortest: &Decimal) {
    if (-6..21).contains(&shortest.exponent()) {
        shortest.write_positional(buffer);
    } else {
        shortest.write_scientific(buffer, 1);
    }
}

/// A float's shortest decimal form, `-d.ddde±x`, which is what `{:e}` writes.
struct Decimal {
    text: [u8; 32],
    len: usize,
}

impl Decimal {
    fn new(format: impl FnOnce(&mut &mut [u8]) -> std::io::Result<()>) -> Self {
        let mut text = [0; 32];
        let mut rest = &mut text[..];
        // A sign, 17 digits, a point and `e-324` make 25 bytes at the most.
        let _ = format(&mut rest);
        let len = 32 - rest.len();
        Self { text, len }
    }

    fn parts(&self) -> (&[u8], &[u8], &[u8], i32) {
        let text = &self.text[..self.len];
        let (sign, text) = text.split_at(usize::from(text.first() == Some(&b'-')));
        let e = text.iter().position(|&byte| byte == b'e').unwrap_or(text.len());
        let exponent = std::str::from_utf8(text.get(e + 1..).unwrap_or(b"0")).ok();
        let exponent = exponent.and_then(|text| text.parse().ok()).unwrap_or(0);
        (sign, &text[..1], text.get(2..e).unwrap_or(b""), exponent)
    }

    fn exponent(&self) -> i32 {
        self.parts().3
    }

    fn write_scientific(&self, buffer: &mut Vec<u8>, exponent_digits: usize) {
        let (sign, first, more, exponent) = self.parts();
        buffer.extend_from_slice(sign);
        buffer.extend_from_slice(first);
        if !more.is_empty() {
            buffer.push(b'.');
            buffer.extend_from_slice(more);
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        // Writing to a Vec cannot fail.
        let _ = write!(buffer, "e{sign}{:0exponent_digits$}", exponent.unsigned_abs());
    }

    fn write_positional(&self, buffer: &mut Vec<u8>) {
        let (sign, first, more, exponent) = self.parts();
        buffer.extend_from_slice(sign);
        let Ok(whole) = usize::try_from(exponent) else {
            buffer.extend_from_slice(b"0.");
            buffer.resize(buffer.len() + exponent.unsigned_abs() as usize - 1, b'0');
            buffer.extend_from_slice(first);
            return buffer.extend_from_slice(more);
        };
        buffer.extend_from_slice(first);
        buffer.extend_from_slice(&more[..whole.min(more.len())]);
        buffer.resize(buffer.len() + whole.saturating_sub(more.len()), b'0');
        if let Some(fraction) = more.get(whole..)
            && !fraction.is_empty()
        {
            buffer.push(b'.');
            buffer.extend_from_slice(fraction);
        }
    }
}
